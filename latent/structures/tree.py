"""Dependency trees of any kind: all methods of a structure, on the kernels that the kind names."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latent.kernels import Projection, tree_kernels
from latent.structures import operators
from latent.structures.base import ProjectionInfo, Structure, Support, check_lengths, check_scores
from latent.structures.head_choices import all_of
from latent.structures.near_projection import project_near

DEFAULT_TOL = {torch.float64: 1e-12}
"""Optimality gap at which SparseMAP stops, by dtype: the error is at most its root, and of its size in
practice."""
LOOSE_TOL = 1e-8
"""The same for float32 and narrower dtypes."""
MAX_ITER = 20_000


class Mixtures(NamedTuple):
    """SparseMAP's mixtures of trees: those of one sentence after the other, of each the heaviest first."""

    mean: Tensor
    """(batch, n+1, n+1): the projections."""
    weights: Tensor
    """(trees,) float64, > 0; those of a sentence sum to 1."""
    heads: Tensor
    """(trees, n) int16: `heads[i, m-1]` is the head of word m, 0 the root; at padding anything."""
    sizes: Tensor
    """(batch,) int64: how many trees each sentence has."""


class DependencyTree(Structure):
    r"""Trees over the words 1 … n of a sentence that hang from the root symbol 0; a kind is a subclass.

    Scores are (batch, n+1, n+1), `scores[b, head, modifier]`. With `single_root` exactly one arc leaves the
    root.
    """

    kernels: ClassVar[str]
    """The name under which back ends have the kernels of this kind."""

    def __init__(self, *, single_root: bool) -> None:
        if not isinstance(single_root, bool):
            raise TypeError(f"{self.name}: single_root must be True or False; got {single_root!r}")
        self.single_root = single_root

    def __repr__(self) -> str:
        return f"{type(self).__name__}(single_root={self.single_root})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), self.single_root))

    def _checked(self, operation: str, scores: Tensor, lengths: Tensor | None) -> Tensor:
        """The lengths, after a look at both arguments' types and shapes; the kernels look at the values."""
        name = f"{self.name}: {operation}"
        check_scores(name, scores)
        if scores.dim() != 3 or scores.shape[1] != scores.shape[2] or scores.shape[1] < 2:
            raise ValueError(
                f"{name}: scores must be (batch, n+1, n+1) with the root at index 0; "
                f"got {tuple(scores.shape)}"
            )
        check_lengths(name, lengths, scores.shape[0], scores.shape[1] - 1)
        if lengths is None:
            return torch.full((scores.shape[0],), scores.shape[1] - 1, device=scores.device)
        return lengths

    def check(self, scores: Tensor, lengths: Tensor | None = None) -> None:
        """See `Structure.check`; no mask is made."""
        self._checked("mask", scores, lengths)

    def mask(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """True for every arc among a sentence's words and from the root to them: no column 0, no diagonal."""
        lengths = self._checked("mask", scores, lengths).to(scores.device)
        place = torch.arange(scores.shape[1], device=scores.device)
        inside = place <= lengths[:, None]
        arcs = (place[:, None] != place) & (place > 0)
        return inside[:, :, None] & inside[:, None, :] & arcs

    def map(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The best tree of each sentence; see `Structure.map`."""
        lengths = self._checked("map", scores, lengths)
        z: Tensor = operators.tree_map(self.kernels, scores.detach(), lengths, self.single_root)
        return z

    def marginals(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        r"""$\mu_{hm} = \Pr(h \to m)$; see `Structure.marginals`."""
        lengths = self._checked("marginals", scores, lengths)
        mu: Tensor = operators.tree_marginals(self.kernels, scores, lengths, self.single_root)[0]
        return mu

    def log_partition(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """See `Structure.log_partition`. Without a gradient it costs half of `marginals`, with one the
        same."""
        lengths = self._checked("log_partition", scores, lengths)
        if not (scores.requires_grad and torch.is_grad_enabled()):
            return operators.tree_log_partition(self.kernels, scores, lengths, self.single_root)  # type: ignore[no-any-return]
        log_z: Tensor = operators.tree_marginals(self.kernels, scores, lengths, self.single_root)[1]
        return log_z

    def entropy(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        r"""$\log Z - s \cdot \mu$, in float64 inside, since both terms may be large; see
        `Structure.entropy`."""
        lengths = self._checked("entropy", scores, lengths)
        wide = scores.double()
        mu, log_z = operators.tree_marginals(self.kernels, wide, lengths, self.single_root)
        entropy: Tensor = log_z - self.score(wide, mu, lengths)
        return entropy.to(scores.dtype)

    def _project(
        self, scores: Tensor, lengths: Tensor | None, tol: float | None, max_iter: int | None
    ) -> tuple[Tensor, ProjectionInfo]:
        lengths = self._checked("sparsemap", scores, lengths)
        limits = self._limits(scores, tol, max_iter)
        outputs = operators.tree_sparsemap(self.kernels, scores, lengths, self.single_root, *limits)
        found = Projection(*outputs)
        return found.mu, ProjectionInfo(found.gap.detach(), found.iterations)

    def project(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        start: tuple[Tensor, Tensor] | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> Tensor:
        """See `Structure.project`; what `project_near` cannot prove is left to the active set."""
        point = scores.detach()
        lengths = self._checked("project", point, lengths).to(point.device)
        if start is None:
            return self.sparsemap(point, lengths, tol=tol, max_iter=max_iter)
        tol, max_iter = self._limits(point, tol, max_iter)
        near, marginals = (tensor.detach() for tensor in start)
        arcs = self.mask(point, lengths) & (point != -torch.inf)
        mu, proved = project_near(
            point,
            near,
            marginals,
            arcs,
            self.single_root,
            tol,
            lambda tilted: self.marginals(tilted, lengths),
        )
        if all_of(proved):
            return mu
        # Of what is proved nothing is asked but a tree of itself: one step, and no look at which it is.
        done = proved[:, None, None]
        asked = torch.where(done, self.map(near, lengths), point)
        return torch.where(done, mu, self.sparsemap(asked, lengths, tol=tol, max_iter=max_iter))

    def _limits(self, scores: Tensor, tol: float | None, max_iter: int | None) -> tuple[float, int]:
        if tol is None:
            tol = DEFAULT_TOL.get(scores.dtype, LOOSE_TOL)
        if max_iter is None:
            max_iter = MAX_ITER
        if not tol >= 0:
            raise ValueError(f"{self.name}: sparsemap wants tol ≥ 0, an optimality gap; got {tol}")
        if max_iter < 0:
            raise ValueError(f"{self.name}: sparsemap wants max_iter ≥ 0; got {max_iter}")
        return float(tol), int(max_iter)

    def support(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> list[Support]:
        """See `Structure.support`; `heads[m-1]` is the head of word m, 0 the root."""
        lengths = self._checked("support", scores, lengths)
        found = self.mixtures(scores, lengths, tol=tol, max_iter=max_iter)
        trees = zip(found.weights.tolist(), found.heads.tolist(), strict=True)
        each = zip(found.sizes.tolist(), lengths.tolist(), strict=True)
        return [[(weight, heads[:n]) for weight, heads in islice(trees, size)] for size, n in each]

    def mixtures(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> Mixtures:
        """Return what `sparsemap` and `support` do, found once, as tensors on the host but for the mean.

        No gradient reaches the scores.
        """
        lengths = self._checked("support", scores, lengths)
        kernels = tree_kernels(self.kernels, scores.device.type)
        found = kernels.sparsemap(scores, lengths, self.single_root, *self._limits(scores, tol, max_iter))
        weights, first, sizes = (part.cpu().numpy() for part in (found.weights, found.first, found.sizes))
        stored = np.argsort(first, kind="stable")  # a back end has the sentences in an order of its own
        sentence = np.repeat(stored, sizes[stored])
        order = np.lexsort((-weights, sentence))
        order = order[weights[order] > 0]
        return Mixtures(
            found.mu.detach(),
            torch.from_numpy(weights[order]),
            torch.from_numpy(found.trees.cpu().numpy()[order]),
            torch.from_numpy(np.bincount(sentence[order], minlength=len(sizes))),
        )

    def kbest(self, scores: Tensor, lengths: Tensor | None, k: int) -> list[Support]:
        """See `Structure.kbest`; `heads[m-1]` is the head of word m, 0 the root."""
        lengths = self._checked("kbest", scores, lengths)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"{self.name}: kbest wants an integer k ≥ 1; got {k!r}")
        kernels = tree_kernels(self.kernels, scores.device.type)
        found = kernels.kbest(scores, lengths, k, self.single_root)
        return [
            [(value, heads[:n]) for value, heads in zip(values[:count], trees, strict=False)]
            for values, trees, count, n in zip(*(x.tolist() for x in (*found, lengths)), strict=True)
        ]

    def sample(
        self, scores: Tensor, lengths: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """See `Structure.sample`. One 63-bit seed per sentence is drawn from the generator."""
        lengths = self._checked("sample", scores, lengths)
        largest = torch.iinfo(torch.int64).max
        options: dict[str, Any] = {"generator": generator, "device": scores.device}
        seeds = torch.randint(0, largest, (scores.shape[0],), **options)
        z: Tensor = operators.tree_sample(self.kernels, scores.detach(), lengths, seeds, self.single_root)
        return z
