"""Two sentences as one example: a structure on each, independent of each other."""

from __future__ import annotations

import torch
from torch import Tensor

from latent.structures import ProjectionInfo, Structure, Support


class PairStructure(Structure):
    r"""The product of a structure with itself: one on the first sentence and one on the second.

    .. math:: \mathcal{Z}_2 = \mathcal{Z} \times \mathcal{Z}, \qquad s \cdot z = s_1 \cdot z_1 + s_2 \cdot z_2

    Scores are ``(batch, 2, n+1, n+1)`` and lengths ``(batch, 2)``. MAP, marginals, SparseMAP and samples are
    those of each sentence alone, log-partition and entropy are sums. In ``support`` and ``kbest`` the heads
    of the second sentence follow those of the first.

    Args:
        each: the structure on each sentence.
    """

    def __init__(self, each: Structure) -> None:
        self.each = each
        self.name = f"pair of {each.name}s"  # type: ignore[misc]  # it depends on what it is a pair of

    def __repr__(self) -> str:
        return f"PairStructure({self.each!r})"

    def _flat(self, operation: str, scores: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if scores.dim() != 4 or scores.shape[1] != 2:
            raise ValueError(
                f"{self.name}: {operation}: scores must be (batch, 2, n+1, n+1); got {tuple(scores.shape)}"
            )
        if lengths is not None and lengths.shape != scores.shape[:2]:
            raise ValueError(
                f"{self.name}: {operation}: lengths must be (batch, 2) = {tuple(scores.shape[:2])}; "
                f"got {tuple(lengths.shape)}"
            )
        return scores.flatten(0, 1), None if lengths is None else lengths.flatten()

    def check(self, scores: Tensor, lengths: Tensor | None = None) -> None:
        """See ``Structure.check``."""
        self.each.check(*self._flat("mask", scores, lengths))

    def mask(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """See ``Structure.mask``."""
        return self.each.mask(*self._flat("mask", scores, lengths)).view_as(scores)

    def map(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The best structure of each sentence; see ``Structure.map``."""
        return self.each.map(*self._flat("map", scores, lengths)).view_as(scores)

    def marginals(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The marginals of each sentence; see ``Structure.marginals``."""
        return self.each.marginals(*self._flat("marginals", scores, lengths)).view_as(scores)

    def _project(
        self, scores: Tensor, lengths: Tensor | None, tol: float | None, max_iter: int | None
    ) -> tuple[Tensor, ProjectionInfo]:
        """Project each sentence's scores by themselves, since the polytope is a product."""
        flat = self._flat("sparsemap", scores, lengths)
        mu, info = self.each.sparsemap(*flat, tol=tol, max_iter=max_iter, return_info=True)
        both = ProjectionInfo(info.gap.view(-1, 2).sum(1), info.iterations.view(-1, 2).sum(1))
        return mu.view_as(scores), both

    def project(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        start: tuple[Tensor, Tensor] | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> Tensor:
        """Project each sentence's scores by themselves; see ``Structure.project``."""
        near = None if start is None else (start[0].flatten(0, 1), start[1].flatten(0, 1))
        flat = self._flat("project", scores, lengths)
        return self.each.project(*flat, near, tol=tol, max_iter=max_iter).view_as(scores)

    def support(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> list[Support]:
        """SparseMAP's mixture, with as few pairs as hold both mixtures; see ``Structure.support``."""
        flat = self.each.support(*self._flat("support", scores, lengths), tol=tol, max_iter=max_iter)
        return [_couple(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]

    def kbest(self, scores: Tensor, lengths: Tensor | None, k: int) -> list[Support]:
        """The k best pairs; see ``Structure.kbest``."""
        flat = self.each.kbest(*self._flat("kbest", scores, lengths), k)
        best = []
        for first, second in zip(flat[::2], flat[1::2], strict=True):
            pairs = [(one + other, [*left, *right]) for one, left in first for other, right in second]
            best.append(sorted(pairs, key=lambda pair: -pair[0])[:k])
        return best

    def sample(
        self, scores: Tensor, lengths: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """A sample of each sentence; see ``Structure.sample``."""
        return self.each.sample(*self._flat("sample", scores, lengths), generator).view_as(scores)

    def log_partition(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The sum of both sentences' log-partitions; see ``Structure.log_partition``."""
        return self.each.log_partition(*self._flat("log_partition", scores, lengths)).view(-1, 2).sum(1)

    def entropy(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The sum of both sentences' entropies; see ``Structure.entropy``."""
        return self.each.entropy(*self._flat("entropy", scores, lengths)).view(-1, 2).sum(1)


def _couple(first: Support, second: Support) -> Support:
    """Pair two mixtures off, heaviest with heaviest, each pair taking as much weight as both have left."""
    pairs: Support = []
    i = j = 0
    left, right = first[0][0], second[0][0]
    while True:
        weight = min(left, right)
        pairs.append((weight, [*first[i][1], *second[j][1]]))
        left, right = left - weight, right - weight
        # One of the two is used up, and at the very end both, but for rounding.
        if left <= right and i + 1 < len(first):
            i, left = i + 1, first[i + 1][0]
        elif j + 1 < len(second):
            j, right = j + 1, second[j + 1][0]
        elif i + 1 < len(first):
            i, left = i + 1, first[i + 1][0]
        else:
            break
    total = sum(weight for weight, _ in pairs)
    kept = [(weight / total, heads) for weight, heads in pairs if weight > 0]
    return sorted(kept, key=lambda pair: -pair[0])
