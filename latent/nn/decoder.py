"""From the states of a sentence's words, and their heads, to one vector of logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latent.nn.head_context import project
from latent.nn.word_attention import attend


class HeadDecoder(nn.Module):
    r"""Give each word its head's vector, attend over the words, and classify.

    .. math:: u_m = \mathrm{ReLU}(A [x_m; r c_m] + a), \qquad
              \alpha = \mathrm{softmax}_m(q^\top u_m), \qquad
              y = B \sum_m \alpha_m u_m + b

    with :math:`c_m` the head context of word m and :math:`r` the head scale, 1 in the source:
    understanding-spigot, section 7.2.1.

    Shapes: states ``(batch, n+1, state_size)``, projected once, structure ``(S · batch, n+1, n+1)`` and
    lengths ``(batch,)`` to logits ``(S · batch, labels)``.
    """

    def __init__(self, state_size: int, labels: int, head_scale: float = 1.0) -> None:
        super().__init__()
        self.head_scale = head_scale
        self.affine = nn.Linear(2 * state_size, state_size)
        self.query = nn.Linear(state_size, 1)
        self.output = nn.Linear(state_size, labels)

    def project(self, states: Tensor) -> Tensor:
        """Return what every structure of these sentences is decoded from; see ``project``."""
        return project(self.affine.weight, self.affine.bias, states, self.head_scale)

    def forward(self, nodes: Tensor, structure: Tensor | None, lengths: Tensor) -> Tensor:
        """Return the logits of each sentence under each of its structures."""
        if structure is None:
            raise ValueError("decode: this classifier needs a structure (batch, n+1, n+1); got None")
        logits: Tensor = self.output(attend(nodes, structure, self.query.weight[0], self.query.bias, lengths))
        return logits


class SumDecoder(nn.Module):
    """Classify the sum of the words' states with a two-layer ReLU network: the baseline without a tree.

    Shapes: states ``(batch, n+1, state_size)``, zeros at padding and summed once, to logits
    ``(batch, labels)``.
    """

    def __init__(self, state_size: int, labels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(state_size, state_size)
        self.output = nn.Linear(state_size, labels)

    def project(self, states: Tensor) -> Tensor:
        """Return the sentences' sums ``(batch, state_size)``."""
        return states[:, 1:].sum(1)

    def forward(self, sums: Tensor, structure: Tensor | None, lengths: Tensor) -> Tensor:
        """Return the logits of each sentence."""
        if structure is not None:
            raise ValueError("decode: a classifier without trees takes structure None; got a tensor")
        logits: Tensor = self.output(torch.relu(self.hidden(sums)))
        return logits
