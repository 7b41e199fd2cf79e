"""The inner loops of tree inference, and the one place that says which back end serves which device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import NamedTuple

from torch import Tensor

BACKENDS = {"cpu": "latent.kernels.cpu.trees", "cuda": "latent.kernels.cuda.trees"}
"""Device type → the module whose `TREES` maps a structure's name to its `TreeKernels`."""

ANY_DEVICE = "latent.kernels.through_cpu"
"""The back end of every other device that torch has."""

REFERENCE = "latent.kernels.reference.trees"
"""The yardstick, on any device; chosen by `use_reference` alone."""


class Projection(NamedTuple):
    """SparseMAP of a batch: the point, and the trees that it is a mixture of."""

    mu: Tensor
    """(batch, n+1, n+1), in the scores' dtype."""
    trees: Tensor
    """(total, n) int16: the heads of all sentences' trees, those of a sentence one after the other."""
    weights: Tensor
    """(total,) float64: the weight of each tree."""
    first: Tensor
    """(batch,) int64: where the trees of a sentence start."""
    sizes: Tensor
    """(batch,) int64: how many trees a sentence has."""
    gap: Tensor
    """(batch,) float64: the optimality gap that is left."""
    iterations: Tensor
    """(batch,) int64: how many steps it took."""


class TreeKernels(ABC):
    """Inference over the trees of a batch on one device.

    Scores are (batch, n+1, n+1) of any float dtype, lengths (batch,) int64 on any device. Column 0, the
    diagonal and padding may hold anything and come back as zeros. Nothing here builds a graph, and no input
    is written to. A length out of range, a NaN or +inf score, and a sentence without a tree raise through
    `latent.kernels.status.raise_for_status`.
    """

    @abstractmethod
    def map(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """The best trees as zeros and ones."""

    @abstractmethod
    def log_partition(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """(batch,) log-partitions."""

    @abstractmethod
    def marginals(self, scores: Tensor, lengths: Tensor, single_root: bool) -> tuple[Tensor, Tensor]:
        """The marginals and the (batch,) log-partitions."""

    @abstractmethod
    def marginals_vjp(self, scores: Tensor, lengths: Tensor, gradient: Tensor, single_root: bool) -> Tensor:
        """The Jacobian of the marginals, which is symmetric, times the gradient."""

    @abstractmethod
    def sparsemap(
        self, scores: Tensor, lengths: Tensor, single_root: bool, tol: float, max_iter: int
    ) -> Projection:
        """The projection onto the tree polytope, to within an optimality gap of `tol`."""

    @abstractmethod
    def sparsemap_vjp(
        self, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
    ) -> Tensor:
        """The orthogonal projection of the gradient onto the directions of the support's affine hull."""

    @abstractmethod
    def sample(self, scores: Tensor, lengths: Tensor, seeds: Tensor, single_root: bool) -> Tensor:
        """Exact draws as zeros and ones; seeds are (batch,) int64, one a sentence."""

    @abstractmethod
    def kbest(
        self, scores: Tensor, lengths: Tensor, k: int, single_root: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, k) scores, (batch, k, n) heads and (batch,) counts of the best distinct trees, best
        first."""


_chosen: list[str] = []


@contextmanager
def use_reference() -> Iterator[None]:
    """Within it, all trees are done by the reference back end: slow, plain, and independent of the kernels.

    It holds for the whole process, because autograd runs backward passes in threads of its own.

    >>> import torch
    >>> from latent.structures import ProjectiveTree
    >>> scores = torch.zeros(1, 4, 4)
    >>> with use_reference():
    ...     log_z = ProjectiveTree(single_root=True).log_partition(scores)
    >>> round(log_z.exp().item())
    7
    """
    _chosen.append(REFERENCE)
    try:
        yield
    finally:
        _chosen.pop()


def tree_kernels(structure: str, device: str) -> TreeKernels:
    """The kernels of a tree structure on a type of device ("cpu", "cuda", …)."""
    return kernels_of(structure, _chosen[-1] if _chosen else BACKENDS.get(device, ANY_DEVICE))


@cache
def kernels_of(structure: str, backend: str) -> TreeKernels:
    """The kernels of a tree structure in the module of a back end."""
    trees: dict[str, TreeKernels] = import_module(backend).TREES
    return trees[structure]
