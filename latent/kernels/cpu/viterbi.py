"""The best projective tree of one sentence: Eisner's algorithm over (max, +)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.eisner import (
    Chart,
    chart_size,
    derive,
    finish,
    inside,
    lanes_of,
    new_stack,
    row_length,
)
from latent.kernels.cpu.jit import compiled
from latent.kernels.cpu.semiring import MaxPlus, table


class Workspace(NamedTuple):
    """What `best_tree` works on: made once for many sentences, which is cheaper."""

    chart: Any
    total: Any
    stack: Any


@compiled
def viterbi_workspace(n, like):  # type: ignore[no-untyped-def]
    """Room for sentences of up to n words, in the type of the array `like`."""
    size = chart_size(n + 1, lanes_of(like))
    memory = np.empty(8 * size + 1, like.dtype)
    kind = MaxPlus(memory)
    chart = Chart(
        table(kind, memory, 0, size),
        table(kind, memory, 1, size),
        table(kind, memory, 2, size),
        table(kind, memory, 3, size),
        table(kind, memory, 4, size),
        table(kind, memory, 5, size),
        table(kind, memory, 6, size),
        table(kind, memory, 7, size),
    )
    return Workspace(chart, table(kind, memory[8 * size :], 0, 1), new_stack(n + 1))


@compiled
def _load(scores, m, single_root, chart, lanes):  # type: ignore[no-untyped-def]
    """Lay the arcs out by width; no arc enters the root symbol."""
    S = row_length(m, lanes)
    R, L, root = chart.R.value, chart.L.value, chart.root.value
    origin = 1 if single_root else 0
    for w in range(1, m):
        row = lanes + w * S
        for i in range(m - w):
            R[row + i] = scores[origin + i, origin + i + w]
            L[row + i] = scores[origin + i + w, origin + i]
        if not single_root:
            L[row] = -np.inf
    if single_root:
        for r in range(m):
            root[r] = scores[0, r + 1]


@compiled
def best_tree(scores, n, single_root, heads, workspace):  # type: ignore[no-untyped-def]
    """Write the head of word j to heads[j-1], 0 for the root, and return the tree's score (-inf: no tree).

    Items past the end of a row hold what was in memory before: no lane of a maximum looks at another.
    """
    chart, total, stack = workspace
    lanes = lanes_of(total.value)
    m = n if single_root else n + 1
    total.value[0] = -np.inf
    _load(scores, m, single_root, chart, lanes)
    inside(m, 0.0, chart, lanes)
    finish(m, single_root, chart, lanes, total)
    if total.value[0] > -np.inf:
        derive(m, single_root, chart, lanes, None, stack, heads)
    return total.value[0]
