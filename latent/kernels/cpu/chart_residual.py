"""The residual s - Yᵀp of an active set, laid out by width as the chart of the MAP call wants it.

Writing it there saves the MAP call from gathering it out of a matrix, which takes as long as the recursion
does for a short sentence. It is in single precision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.eisner import lanes_of, one_sentence
from latent.kernels.cpu.jit import compiled, leaf
from latent.kernels.cpu.simd import copy_lanes
from latent.kernels.cpu.viterbi import lay_out, solve_laid_out, viterbi_workspace


class ChartResidual(NamedTuple):
    """What a sentence's residuals have in common."""

    scores: Any
    """The scores, as `Workspace.arcs` has them."""
    place: Any
    """place[h, j]: where in them the arc from h to word j+1 stands."""
    words: Any
    """For how many words `place` is."""
    workspace: Any


@compiled
def new_chart_residual(n):  # type: ignore[no-untyped-def]
    """Room for sentences of up to n words."""
    like = np.empty(0, np.float32)
    workspace = viterbi_workspace(n, one_sentence(n + 1, lanes_of(like)), like)
    return ChartResidual(
        np.empty(workspace.arcs.size, workspace.arcs.dtype),
        np.empty((n + 1, n), np.int32),
        np.zeros(1, np.int64),
        workspace,
    )


@leaf
def begin_residual(scores, n, single_root, heads, chart):  # type: ignore[no-untyped-def]
    """Start a sentence: write its best tree to `heads` and return its score, -inf if there is none."""
    lay_out(scores, n, single_root, chart.workspace)
    _copy(chart.workspace.arcs, n, single_root, chart.scores)
    if chart.words[0] != n:
        chart.words[0] = n
        _find_places(n, single_root, chart)
    return solve_laid_out(n, single_root, heads, chart.workspace)


@leaf
def _copy(arcs, n, single_root, to):  # type: ignore[no-untyped-def]
    """Copy as much as n words take."""
    m = n if single_root else n + 1
    layout, size = one_sentence(m, lanes_of(arcs)), arcs.size // 3
    used = layout.lanes + m * layout.row
    for o in range(0, used, layout.lanes):
        copy_lanes(arcs, o, to, o)
        copy_lanes(arcs, size + o, to, size + o)
    for r in range(m):
        to[2 * size + r] = arcs[2 * size + r]


@leaf
def _find_places(n, single_root, chart):  # type: ignore[no-untyped-def]
    """See `viterbi.lay_out`, which puts them there."""
    origin = 1 if single_root else 0
    layout = one_sentence(n + 1 - origin, lanes_of(chart.scores))
    table = chart.scores.size // 3
    for h in range(n + 1):
        for j in range(n):
            left, right = min(h, j + 1) - origin, max(h, j + 1) - origin
            place = layout.lanes + (right - left) * layout.row + left
            chart.place[h, j] = place if h <= j else table + place
    if single_root:
        for j in range(n):
            chart.place[0, j] = 2 * table + j


@leaf
def note_places(active, i, heads, n, chart):  # type: ignore[no-untyped-def]
    """Note where the arcs of the active set's tree i stand, which has these heads."""
    for j in range(n):
        active.places[i, j] = chart.place[heads[j], j]


@leaf
def best_under_residual(active, n, single_root, heads, chart):  # type: ignore[no-untyped-def]
    """Write the best tree under s - Yᵀp to `heads`."""
    arcs = chart.workspace.arcs
    _copy(chart.scores, n, single_root, arcs)
    for i in range(active.size[0]):
        weight, places = np.float32(active.weights[i]), active.places[i]
        for j in range(n):
            arcs[places[j]] -= weight
    solve_laid_out(n, single_root, heads, chart.workspace)
