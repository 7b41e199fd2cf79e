r"""Non-projective dependency trees: every tree over the words and the root symbol, crossing arcs included."""

from __future__ import annotations

from latent.structures.tree import DependencyTree


class NonProjectiveTree(DependencyTree):
    r"""Non-projective dependency trees, by Chu-Liu-Edmonds and the Matrix-Tree theorem.

    Over n words there are $n^{n-1}$ of them with a single root and $(n+1)^{n-1}$ with several. Per sentence,
    MAP costs $O(n^2)$ time, the log-partition, marginals, a sample and their backward pass $O(n^3)$, the k
    best trees $O(k n^3)$; memory is $O(n^2)$, for the k best $O(n^2 + k n)$.

    Marginals stay exact under scores of any size: vertices are eliminated without a subtraction, in
    logarithms where a double cannot hold the weights. So do samples, at the same cost: they undo the
    elimination instead of walking at random.

    >>> import torch
    >>> tree = NonProjectiveTree(single_root=True)
    >>> scores = torch.zeros(1, 5, 5)
    >>> scores[0, 0, 2] = scores[0, 2, 4] = scores[0, 4, 1] = scores[0, 2, 3] = 1.0
    >>> tree.map(scores)[0].argmax(0)[1:].tolist()  # the arc from 4 to 1 crosses the one from the root
    [4, 0, 2, 2]
    >>> round(tree.log_partition(torch.zeros(1, 4, 4)).exp().item())  # trees over three words
    9

    Sources: Edmonds 1967, Optimum branchings; Tarjan 1977, Finding optimum branchings; Koo et al. 2007,
    Structured Prediction Models via the Matrix-Tree Theorem.
    """

    name = "non-projective tree"
    kernels = "nonprojective"
