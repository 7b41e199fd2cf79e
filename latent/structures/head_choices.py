"""The projection on the simplest outer bound of the trees: each word shares one unit among its heads."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 8
"""Sets of used arcs to look at: 7 were the most for 2,000 random points where Newton's method settled at all.

It may not where the root belongs to one word alone, which leaves a range of multipliers.
"""

FEASIBLE = 1e-5
"""How far a word's or the root's arcs may be from one together; where numbers overflow they are NaN."""


def choose_heads(point: Tensor, arcs: Tensor, single_root: bool) -> tuple[Tensor, Tensor]:
    r"""Project on the choices of heads: $K = \{x \ge 0 : \sum_h x_{hm} = 1 \ \forall m\}$.

    With `single_root` the root's arcs sum to one as well. The projection is
    $[q_{hm} - \lambda_m - \nu\,[h = 0]]_+$; which arcs are used decides $\lambda$ and $\nu$, which decide
    which arcs are used: semismooth Newton steps on the dual, each in closed form.

    Args:
        point: (batch, n+1, n+1), $q$, finite on `arcs`.
        arcs: (batch, n+1, n+1), the arcs that may be used.
        single_root: whether exactly one arc leaves the root.

    Returns:
        $q_{hm} - \lambda_m - \nu\,[h = 0]$ on `arcs` and 0 elsewhere, whose positive part is the projection
        of those for which the second result, (batch,), is True.

    Cost: O(batch · n²) a step, mostly one step.
    """
    point = torch.where(arcs, point, 0)
    used = arcs
    for _ in range(ROUNDS):
        shifted = torch.where(arcs, point - _multipliers(point, used, single_root), 0)
        before, used = used, shifted > 0
        settled = (used == before).flatten(1).all(1)
        if all_of(settled):
            break
    shares = shifted.relu()
    settled &= (~arcs.any(1) | ((shares.sum(1) - 1).abs() < FEASIBLE)).all(1)
    if single_root:
        settled &= (shares[:, 0].sum(1) - 1).abs() < FEASIBLE
    return shifted, settled


def all_of(flags: Tensor) -> bool:
    """Whether all are known to be True: to look is to wait for an accelerator, so there they never are."""
    return flags.is_cpu and bool(flags.all())


def _multipliers(point: Tensor, used: Tensor, single_root: bool) -> Tensor:
    """λ_m + ν [h = 0], (batch, n+1, n+1) or (batch, 1, n+1), if the used arcs are those."""
    counts = used.sum(1, keepdim=True).clamp(min=1).to(point.dtype)
    taken = torch.where(used, point, 0)
    each = (taken.sum(1, keepdim=True) - 1) / counts
    if not single_root:
        return each
    of_root = used[:, :1].to(point.dtype)
    slope = (of_root - of_root / counts).sum(2, keepdim=True)
    excess = (taken[:, :1] - of_root * each).sum(2, keepdim=True) - 1
    nu = torch.where(slope > 0, excess / slope, 0)
    each = each - nu * of_root / counts
    return torch.cat([each + nu, each.expand(-1, point.shape[1] - 1, -1)], 1)
