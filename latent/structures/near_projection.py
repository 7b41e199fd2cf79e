r"""SparseMAP of a point near marginals that are known: proved, and not searched for tree by tree.

An active set needs as many trees as the face has dimensions, hundreds of them where the projection lies
inside the polytope M: where a step from the marginals ends. But M lies in the polytope K of `head_choices`,
on which a projection is simple. If $t = \Pi_K(q)$ is in M, it is $\Pi_M(q)$; and a point $m \in M$ near t
bounds what there is left to doubt, since $\langle q - t, x - t \rangle \le 0$ on K and
$\lVert q - \Pi_M(q) \rVert \le \lVert q - m \rVert$:

.. math:: \lVert \Pi_M(q) - t \rVert^2 \le \lVert q - m \rVert^2 - \lVert q - t \rVert^2
          = \lVert t - m \rVert^2 + 2 \langle q - t, t - m \rangle

The first m is $\mathrm{Marg}(s)$; nearer ones are its mixtures with marginals of scores that are tilted
towards t. Mixtures stay in M, so the bound holds, however good a tilt is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latent.structures.head_choices import all_of, choose_heads

TILTS = 6
"""Marginals to try. What they do not prove is left to the active set."""

STRONGEST = 4.0
"""By how much a tilt may change a score: the probability of an arc by a factor of exp(4) at once."""


def project_near(
    point: Tensor,
    scores: Tensor,
    marginals: Tensor,
    arcs: Tensor,
    single_root: bool,
    tol: float,
    marginals_of: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Project points near the marginals of scores: (batch, n+1, n+1), and (batch,) whether it is proved.

    Args:
        point: (batch, n+1, n+1), what to project.
        scores: (batch, n+1, n+1).
        marginals: (batch, n+1, n+1), of the scores.
        arcs: (batch, n+1, n+1), the parts of trees that are not forbidden.
        single_root: whether exactly one arc leaves the root.
        tol: the largest squared error that counts as proved.
        marginals_of: scores to marginals.

    Cost: O(batch · n²) where the marginals themselves are proof enough, and up to `TILTS` more marginals.
    """
    shifted, settled = choose_heads(point, arcs, single_root)
    target, against = shifted.relu(), 2 * (-shifted).relu()
    search = Search(scores, marginals, torch.where(settled[:, None, None], target, marginals), arcs)
    for tilt in range(TILTS + 1):
        bound = (search.left.square() + against * search.mixture).flatten(1).sum(1)
        proved = settled & (bound <= tol)
        if tilt == TILTS or all_of(proved | ~settled):
            break
        search.improve(marginals_of)
    return target, proved


class Search:
    r"""Conjugate gradients towards the scores whose marginals are the target.

    The Jacobian of the marginals is the arcs' covariance C, which marginals of tilted scores give a product
    with: $\mathrm{Marg}(s + d) - \mathrm{Marg}(s) \approx C d$. If words chose their heads independently, C
    would be undone by a division by the marginals: that is the preconditioner, and few steps do.
    """

    def __init__(self, scores: Tensor, marginals: Tensor, target: Tensor, arcs: Tensor) -> None:
        self.scores, self.mixture, self.target, self.arcs = scores, marginals, target, arcs
        self.left = target - marginals
        self.last: tuple[Tensor, Tensor, Tensor] | None = None

    def improve(self, marginals_of: Callable[[Tensor], Tensor]) -> None:
        """Mix in the marginals of scores tilted towards the target, as much of them as helps."""
        direction = self._next_direction()
        change = marginals_of(self.scores + direction) - self.mixture
        curvature = _dot(change, direction)
        weight = torch.where(curvature > 0, _dot(self.left, direction) / curvature, 0).clamp(0, 1)
        self.scores = self.scores + weight * direction
        self.mixture = self.mixture + weight * change
        self.left = self.target - self.mixture

    def _next_direction(self) -> Tensor:
        tiny = torch.finfo(self.mixture.dtype).tiny
        relative = (self.left / self.mixture.clamp(min=tiny)).clamp(min=-0.98)
        direction = tilt = torch.where(self.arcs, relative.log1p().clamp(max=STRONGEST), 0)
        along = _dot(tilt, self.left)
        if self.last is not None:
            # Polak and Ribière's factor, which forgets old directions where the curvature has changed.
            before, left_before, along_before = self.last
            factor = (along - _dot(tilt, left_before)) / along_before.clamp(min=tiny)
            direction = tilt + factor.clamp(0, 10) * before
        self.last = direction, self.left, along
        return direction


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """(batch, 1, 1) inner products."""
    return (left * right).sum((1, 2), keepdim=True)
