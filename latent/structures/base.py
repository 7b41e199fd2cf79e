"""What every structure offers: the methods that all that is built on structures is written against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple, overload

import torch
from torch import Tensor

Support = list[tuple[float, list[int]]]
"""Weighted or scored structures of one example: `[(weight, heads)]`; for a categorical `[(weight, [k])]`."""


class ProjectionInfo(NamedTuple):
    """How far a SparseMAP projection got, per example."""

    gap: Tensor
    """(batch,) float64: max_z (s - mu)·z - (s - mu)·mu ≥ ½‖mu - mu*‖², zero at the exact projection."""
    iterations: Tensor
    """(batch,) int64: how many steps the active set took."""


class Structure(ABC):
    r"""A finite set of structures $\mathcal{Z}$, vectors of zeros and ones, and inference over it.

    Scores $s$ are a float tensor whose first dimension is the batch; a structure $z \in \mathcal{Z}$ has the
    shape of the scores of its example and scores $s \cdot z$. The Gibbs distribution is
    $p(z) \propto \exp(s \cdot z)$. Entries that are no parts of any structure (padding, see `mask`) may hold
    anything; results and gradients hold zeros there. A part scored $-\infty$ is forbidden.

    Every method takes `lengths`, (batch,) int64 with each entry ≥ 1, or `None` for full length, and raises
    `TypeError` or `ValueError` with a message that names the operation, what it got and what it wanted.
    """

    name: ClassVar[str]
    """What error messages call the structure."""

    @abstractmethod
    def mask(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Which entries of the scores are parts of some structure, as a bool tensor of the scores' shape."""

    def check(self, scores: Tensor, lengths: Tensor | None = None) -> None:
        """Raise what `mask` raises for scores or lengths of another type or shape."""
        self.mask(scores, lengths)

    @abstractmethod
    def map(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        r"""The best structure, $\arg\max_{z \in \mathcal{Z}} s \cdot z$: zeros and ones in the scores' dtype.

        Ties are broken the same way every time. No gradient reaches the scores.
        """

    @abstractmethod
    def marginals(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        r"""The probability of each part, $\mathbb{E}_{z \sim \mathrm{Gibbs}(s)}[z]$; exactly
        differentiable."""

    @overload
    def sparsemap(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
        return_info: Literal[False] = False,
    ) -> Tensor: ...

    @overload
    def sparsemap(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
        return_info: Literal[True],
    ) -> tuple[Tensor, ProjectionInfo]: ...

    def sparsemap(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
        return_info: bool = False,
    ) -> Tensor | tuple[Tensor, ProjectionInfo]:
        r"""The Euclidean projection, $\arg\min_{\mu \in \mathrm{conv}\,\mathcal{Z}} \lVert \mu - s \rVert^2$.

        Differentiable: its Jacobian is the orthogonal projection onto the directions of the affine hull of
        the support. `tol` bounds the optimality gap at which iteration stops and `max_iter` the steps; the
        defaults keep the error at 1e-6 (float64) and 1e-4 (float32). Whatever stops it, the result is in the
        polytope. With `return_info` the answer is `(mu, ProjectionInfo)`.

        Source: Niculae et al. 2018, SparseMAP, section 3.
        """
        mu, info = self._project(scores, lengths, tol, max_iter)
        return (mu, info) if return_info else mu

    @abstractmethod
    def _project(
        self, scores: Tensor, lengths: Tensor | None, tol: float | None, max_iter: int | None
    ) -> tuple[Tensor, ProjectionInfo]:
        """What `sparsemap` returns, with how far it got."""

    def project(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        start: tuple[Tensor, Tensor] | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> Tensor:
        r"""`sparsemap` without a gradient, which is free to be faster near marginals that are known.

        `start` is scores and their marginals; they forbid the parts that `scores` forbid. The square of the
        error is at most `tol`, unless it takes more than `max_iter` steps; where `start` was of use, the
        result may be outside the polytope by as much.
        """
        return self.sparsemap(scores.detach(), lengths, tol=tol, max_iter=max_iter)

    @abstractmethod
    def support(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> list[Support]:
        """SparseMAP's mixture, per example: weights > 0 that sum to 1, heaviest first, affinely independent.

        `tol` and `max_iter` are those of `sparsemap`: scores near zero, as an untrained parser gives them,
        have a support of hundreds of structures, and a cap bounds the time that finding them takes.
        """

    @abstractmethod
    def kbest(self, scores: Tensor, lengths: Tensor | None, k: int) -> list[Support]:
        """The min(k, number of structures) best distinct structures, per example, best first, with their
        scores."""

    @abstractmethod
    def sample(
        self, scores: Tensor, lengths: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """One exact draw z ~ Gibbs(scores) per example; equal generator state, equal sample. No gradient."""

    @abstractmethod
    def log_partition(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        r"""(batch,) $\log \sum_{z \in \mathcal{Z}} \exp(s \cdot z)$; differentiable twice, its gradient is
        `marginals`."""

    @abstractmethod
    def entropy(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        r"""(batch,) $-\sum_z p(z) \log p(z)$ of the Gibbs distribution, in nats; differentiable."""

    def score(self, scores: Tensor, z: Tensor, lengths: Tensor | None = None) -> Tensor:
        r"""(batch,) $s \cdot z$ over the parts of `mask`, where $0 \cdot (-\infty) = 0$; differentiable in
        both."""
        if z.shape != scores.shape:
            raise ValueError(
                f"{self.name}: score wants z of the scores' shape {tuple(scores.shape)}; got {tuple(z.shape)}"
            )
        parts = self.mask(scores, lengths)
        counted = parts & ((z != 0) | scores.isfinite())
        products = torch.where(counted, scores, 0) * torch.where(parts, z, 0)
        return products.flatten(1).sum(1)


def check_scores(name: str, scores: Tensor) -> None:
    """Raise unless the scores are a floating-point tensor; `name` is what the message calls the operation."""
    if not isinstance(scores, Tensor):
        raise TypeError(f"{name}: scores must be a torch tensor; got {type(scores).__name__}")
    if not scores.is_floating_point():
        raise TypeError(f"{name}: scores must be floating point (float32 or float64); got {scores.dtype}")


def check_lengths(name: str, lengths: Tensor | None, batch: int, longest: int) -> None:
    """Raise unless lengths are `None` or (batch,) int64; the kernels look at
    their values."""
    if lengths is None:
        return
    if not isinstance(lengths, Tensor):
        raise TypeError(f"{name}: lengths must be None or an int64 tensor; got {type(lengths).__name__}")
    if lengths.dtype != torch.int64:
        raise TypeError(f"{name}: lengths must be int64; got {lengths.dtype}")
    if lengths.shape != (batch,):
        raise ValueError(
            f"{name}: lengths must be (batch,) = ({batch},), from 1 to {longest}; got {tuple(lengths.shape)}"
        )
