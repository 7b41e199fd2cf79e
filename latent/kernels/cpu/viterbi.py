"""The best projective trees: Eisner's algorithm over (max, +)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.eisner import (
    Chart,
    derive,
    finish,
    inside,
    lanes_of,
    many_sentences,
    new_stack,
    one_sentence,
    table_size,
)
from latent.kernels.cpu.groups import longest
from latent.kernels.cpu.jit import compiled, leaf
from latent.kernels.cpu.semiring import MaxPlus, fill, table
from latent.kernels.cpu.simd import aligned


class Workspace(NamedTuple):
    """What the functions below work on: made once for many sentences, which is cheaper."""

    chart: Any
    arcs: Any
    """The chart's R, L and root, one behind the other."""
    total: Any
    stack: Any


@compiled
def viterbi_workspace(n, layout, like):  # type: ignore[no-untyped-def]
    """Room for sentences of up to n words, in the type of the array `like`."""
    lanes, size = layout.lanes, table_size(n + 1, layout)
    memory = aligned(8 * size + lanes, like)
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
    total = table(kind, memory[8 * size :], 0, lanes)
    return Workspace(chart, memory[: 3 * size], total, new_stack(n + 1))


@leaf
def _load(scores, m, single_root, chart, layout, lane):  # type: ignore[no-untyped-def]
    """Lay a sentence's arcs out by width; no arc enters the root symbol."""
    first, p, S = layout
    R, L, root = chart.R.value, chart.L.value, chart.root.value
    origin = 1 if single_root else 0
    for w in range(1, m):
        row = first + w * S + lane
        for i in range(m - w):
            R[row + i * p] = scores[origin + i, origin + i + w]
            L[row + i * p] = scores[origin + i + w, origin + i]
        if not single_root:
            L[row] = -np.inf
    if single_root:
        for r in range(m):
            root[r * p + lane] = scores[0, r + 1]


@leaf
def best_tree(scores, n, single_root, heads, workspace):  # type: ignore[no-untyped-def]
    """Write the head of word j to heads[j-1], 0 for the root, and return the tree's score (-inf: no tree).

    Items past the end of a row hold what was in memory before: no lane of a maximum looks at another.
    """
    lay_out(scores, n, single_root, workspace)
    return solve_laid_out(n, single_root, heads, workspace)


@leaf
def lay_out(scores, n, single_root, workspace):  # type: ignore[no-untyped-def]
    """Put a sentence's arcs where `solve_laid_out` looks for them."""
    m = n if single_root else n + 1
    _load(scores, m, single_root, workspace.chart, one_sentence(m, lanes_of(workspace.arcs)), 0)


@leaf
def solve_laid_out(n, single_root, heads, workspace):  # type: ignore[no-untyped-def]
    """As `best_tree`, for arcs that are laid out already."""
    chart, _, total, stack = workspace
    m = n if single_root else n + 1
    layout = one_sentence(m, lanes_of(total.value))
    total.value[0] = -np.inf
    inside(m, 0.0, chart, layout)
    finish(m, single_root, chart, layout, 0, total)
    if total.value[0] > -np.inf:
        derive(m, single_root, chart, layout, 0, None, stack, heads)
    return total.value[0]


@leaf
def best_trees(scores, lengths, chosen, single_root, heads, workspace):  # type: ignore[no-untyped-def]
    """Write the best tree of sentence chosen[l] to heads[l]; its score is then workspace.total.value[l].

    The sentences share one chart, one in each lane. A shorter one's lane holds anything where it has no
    words.
    """
    chart, _, total, stack = workspace
    lanes = lanes_of(total.value)
    more = 0 if single_root else 1
    m = longest(lengths, chosen) + more
    layout = many_sentences(m, lanes)
    fill(total, 0, lanes, -np.inf)
    for lane, b in enumerate(chosen):
        _load(scores[b], lengths[b] + more, single_root, chart, layout, lane)
    inside(m, 0.0, chart, layout)
    for lane, b in enumerate(chosen):
        finish(lengths[b] + more, single_root, chart, layout, lane, total)
        if total.value[lane] > -np.inf:
            derive(lengths[b] + more, single_root, chart, layout, lane, None, stack, heads[lane])
