r"""Projective dependency trees: no two arcs cross when they are drawn above the sentence."""

from __future__ import annotations

from latent.structures.tree import DependencyTree


class ProjectiveTree(DependencyTree):
    r"""Projective dependency trees, by Eisner's algorithm.

    The words below each word are an unbroken stretch of the sentence; the root symbol stands before the first
    word. MAP, marginals, a sample and their backward pass cost $O(n^3)$ time and $O(n^2)$ memory per
    sentence.

    >>> import torch
    >>> tree = ProjectiveTree(single_root=True)
    >>> scores = torch.zeros(1, 4, 4)
    >>> scores[0, 0, 2] = scores[0, 2, 1] = scores[0, 2, 3] = 1.0
    >>> tree.map(scores)[0].argmax(0)[1:].tolist()  # the head of each word
    [2, 0, 2]
    >>> round(tree.log_partition(torch.zeros(1, 4, 4)).exp().item())  # trees over three words
    7

    Source: Eisner 1996, Three New Probabilistic Models for Dependency Parsing.
    """

    name = "projective tree"
    kernels = "projective"
