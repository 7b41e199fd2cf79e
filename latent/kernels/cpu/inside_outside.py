r"""Sums over all projective trees of one sentence: log-partition, marginals, and their derivative.

Marginals are the derivative of the log-partition, so their Jacobian is symmetric: the vector-Jacobian
product of the backward pass equals a Jacobian-vector product, and dual numbers through inside and outside
give that exactly.

The sums run in real numbers, with no exponential in the cubic loop. Each tree has one head per modifier, so
subtracting a constant from all scores of a modifier changes no marginal; three choices are tried in turn:

1. the modifier's best score;
2. if the sum leaves the range of a double, its score in the best tree (the sum is then at least 1);
3. if that fails too (an item that is in no likely tree overflows), logarithms (`log_sums`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.eisner import (
    Chart,
    clear_edges,
    derive,
    finish,
    inside,
    new_stack,
    one_sentence,
    outside,
    start_outside,
    table_size,
)
from latent.kernels.cpu.groups import longest
from latent.kernels.cpu.jit import compiled, leaf
from latent.kernels.cpu.semiring import (
    TABLES,
    fill_vector,
    goal,
    posterior,
    set_tangent,
    table,
)
from latent.kernels.cpu.simd import LANES64 as LANES
from latent.kernels.cpu.simd import aligned, exp_lanes
from latent.kernels.cpu.viterbi import best_tree, viterbi_workspace

SMALLEST, LARGEST = 1e-200, 1e290  # sums outside of this may have lost terms


class Passes(NamedTuple):
    """What one inside–outside pass over one sentence works on; both charts share the arcs' weights."""

    inner: Any
    outer: Any
    total: Any


class Workspace(NamedTuple):
    """What the functions below work on: made once for many sentences, which is cheaper."""

    shift: Any
    passes: Any


@compiled
def numbers_for(n, layout):  # type: ignore[no-untyped-def]
    """Numbers enough for a workspace: values, and behind them as many tangents."""
    return aligned(2 * TABLES * table_size(n + 1, layout), np.empty(0))


@compiled
def new_workspace(kind, n, layout):  # type: ignore[no-untyped-def]
    """Room for sums over the trees of sentences of up to n words; `kind` is Real, Dual or LogDual, with
    numbers."""
    return Workspace(np.empty((layout.pitch, n)), _passes(kind, kind.value))


@compiled
def _passes(kind, memory):  # type: ignore[no-untyped-def]
    """Charts in the semiring of `kind`, with what memory holds."""
    size = memory.size // (2 * TABLES)
    R, L = table(kind, memory, 0, size), table(kind, memory, 1, size)
    inner = Chart(
        R,
        L,
        table(kind, memory, 2, size),
        table(kind, memory, 3, size),
        table(kind, memory, 4, size),
        table(kind, memory, 5, size),
        table(kind, memory, 6, size),
        table(kind, memory, 7, size),
    )
    outer = Chart(
        R,
        L,
        table(kind, memory, 8, size),
        table(kind, memory, 9, size),
        table(kind, memory, 10, size),
        table(kind, memory, 11, size),
        table(kind, memory, 12, size),
        table(kind, memory, 13, size),
    )
    return Passes(inner, outer, table(kind, memory, 14, size))


@leaf
def _clear(passes, m, zero, layout):  # type: ignore[no-untyped-def]
    """Put 0̄ wherever a pass over m positions counts on it."""
    inner, outer, total = passes
    if layout.pitch == 1:
        for items in (inner.CR, inner.CL, inner.IR, inner.IL, outer.X):
            clear_edges(items, m, zero, layout)
    else:  # a sentence shorter than others has no arcs among positions that it lacks
        for o in range(0, table_size(m, layout), LANES):
            fill_vector(inner.R, o, -np.inf)
            fill_vector(inner.L, o, -np.inf)
            fill_vector(inner.root, o, -np.inf)
    fill_vector(total, 0, zero)
    for o in range(0, table_size(m, layout), LANES):  # the outside pass adds to these two
        fill_vector(outer.CR, o, zero)
        fill_vector(outer.CL, o, zero)


@leaf
def best_head_shift(scores, n, shift):  # type: ignore[no-untyped-def]
    """shift[j-1] is the best score of an arc into word j, 0 if no arc may enter it."""
    for j in range(1, n + 1):
        shift[j - 1] = scores[0, j]
    for h in range(1, n + 1):
        for j in range(1, n + 1):
            if h != j and scores[h, j] > shift[j - 1]:
                shift[j - 1] = scores[h, j]
    for j in range(n):
        if shift[j] == -np.inf:
            shift[j] = 0.0


@compiled
def best_tree_shift(scores, n, single_root, shift):  # type: ignore[no-untyped-def]
    """shift[j-1] is the score of word j's arc in the best tree; False if there is no tree."""
    heads, workspace = np.empty(n, np.int64), viterbi_workspace(n, one_sentence(n + 1, LANES), shift)
    if best_tree(scores, n, single_root, heads, workspace) == -np.inf:
        shift[:n] = 0.0
        return False
    for j in range(1, n + 1):
        shift[j - 1] = scores[heads[j - 1], j]
    return True


@leaf
def _load(scores, n, single_root, shift, passes, layout, lane):  # type: ignore[no-untyped-def]
    """Lay a sentence's scores - shift out by width, with no arcs behind the end of a row."""
    first, p, S = layout
    origin = 1 if single_root else 0
    m = n + 1 - origin
    R, L, root = passes.inner.R.value, passes.inner.L.value, passes.inner.root.value
    for w in range(1, m):
        row = first + w * S + lane
        if p == 1:
            fill_vector(passes.inner.R, row + m - w, -np.inf)
            fill_vector(passes.inner.L, row + m - w, -np.inf)
        for i in range(m - w):
            left, right = origin + i, origin + i + w
            R[row + i * p] = scores[left, right] - shift[right - 1]
            L[row + i * p] = scores[right, left] - shift[left - 1] if left > 0 else -np.inf
    if single_root:
        for r in range(n):
            root[r * p + lane] = scores[0, r + 1] - shift[r]


@leaf
def _exponentiate(m, passes, layout):  # type: ignore[no-untyped-def]
    """Replace the loaded scores by their exponentials."""
    first, p, S = layout
    for w in range(1, m):
        row = first + w * S
        for o in range(0, (m - w) * p, LANES):
            exp_lanes(passes.inner.R.value, row + o)
            exp_lanes(passes.inner.L.value, row + o)
    for o in range(0, m * p, LANES):
        exp_lanes(passes.inner.root.value, o)


@leaf
def _load_tangents(direction, n, single_root, passes, layout, lane):  # type: ignore[no-untyped-def]
    """Lay the tangents of a sentence's weights out by width, given those of its scores."""
    first, p, S = layout
    origin = 1 if single_root else 0
    m = n + 1 - origin
    R, L, root = passes.inner.R, passes.inner.L, passes.inner.root
    for w in range(1, m):
        row = first + w * S + lane
        for i in range(m - w):
            left, right = origin + i, origin + i + w
            set_tangent(R, row + i * p, direction[left, right])
            set_tangent(L, row + i * p, direction[right, left])
    if single_root:
        for r in range(n):
            set_tangent(root, r * p + lane, direction[0, r + 1])


@leaf
def _read(n, single_root, passes, layout, lane, marginals, derivatives):  # type: ignore[no-untyped-def]
    """Write the marginals of a sentence's arcs, or if `derivatives` their tangents; return the sum of the
    marginals."""
    first, p, S = layout
    origin = 1 if single_root else 0
    m = n + 1 - origin
    inner, outer, total = passes
    mass, (base, slope) = 0.0, goal(total, lane)
    for w in range(1, m):
        row = first + w * S + lane
        for i in range(m - w):
            left, right, o = origin + i, origin + i + w, row + i * p
            q, dq = posterior(inner.IR, outer.IR, o, base, slope)
            marginals[left, right] = dq if derivatives else q
            mass += q
            if left > 0:
                q, dq = posterior(inner.IL, outer.IL, o, base, slope)
                marginals[right, left] = dq if derivatives else q
                mass += q
    if single_root:
        for r in range(n):
            q, dq = posterior(inner.root, outer.root, r * p + lane, base, slope)
            marginals[0, r + 1] = dq if derivatives else q
            mass += q
    return mass


@leaf
def shift_by_heads(scores, lengths, chosen, workspace):  # type: ignore[no-untyped-def]
    """Choose what is taken off the scores of the sentence in each lane at first: see the top of this file."""
    for lane, b in enumerate(chosen):
        best_head_shift(scores[b], lengths[b], workspace.shift[lane])


@compiled
def shift_by_trees(scores, lengths, chosen, single_root, workspace):  # type: ignore[no-untyped-def]
    """The same where that did not do."""
    for lane, b in enumerate(chosen):
        best_tree_shift(scores[b], lengths[b], single_root, workspace.shift[lane])


@leaf
def _sum_inside(scores, lengths, chosen, single_root, direction, layout, workspace, m):  # type: ignore[no-untyped-def]
    """Put each chosen sentence's sum of exp(score - shift) into its lane of the total; NaN: out of range."""
    shift, passes = workspace
    _clear(passes, m, 0.0, layout)
    for lane, b in enumerate(chosen):
        _load(scores[b], lengths[b], single_root, shift[lane], passes, layout, lane)
    _exponentiate(m, passes, layout)
    if direction.size:
        for lane, b in enumerate(chosen):
            _load_tangents(direction[b], lengths[b], single_root, passes, layout, lane)
    inside(m, 1.0, passes.inner, layout)
    for lane, b in enumerate(chosen):
        n = lengths[b] if single_root else lengths[b] + 1
        finish(n, single_root, passes.inner, layout, lane, passes.total)
        if not (SMALLEST < passes.total.value[lane] < LARGEST):
            passes.total.value[lane] = np.nan


@leaf
def add_up(scores, lengths, chosen, single_root, direction, layout, workspace, out, log_z):  # type: ignore[no-untyped-def]
    """The log-partitions of the chosen sentences, one in each lane; NaN where real numbers do not do.

    Writes their marginals, unless `out` is empty, or the derivatives of these in a direction, unless that is
    empty.
    """
    shift, passes = workspace
    inner, outer, total = passes
    more = 0 if single_root else 1
    m = longest(lengths, chosen) + more
    _sum_inside(scores, lengths, chosen, single_root, direction, layout, workspace, m)
    for lane, b in enumerate(chosen):
        log_z[b] = math.log(total.value[lane]) + shift[lane, : lengths[b]].sum()
    if out.size == 0:
        return
    for lane, b in enumerate(chosen):
        if np.isfinite(log_z[b]):
            start_outside(lengths[b] + more, single_root, 1.0, inner, outer, layout, lane)
    outside(m, inner, outer, layout)
    for lane, b in enumerate(chosen):
        mass = _read(lengths[b], single_root, passes, layout, lane, out[b], direction.size > 0)
        if not (abs(mass - lengths[b]) < 1e-6 * lengths[b]):
            log_z[b] = np.nan


@compiled
def _log_inside(scores, n, single_root, direction, workspace, layout, m):  # type: ignore[no-untyped-def]
    """Fill the inside chart with logarithms; return that of the sum less the shifts, -inf if no tree."""
    shift, passes = workspace
    if not best_tree_shift(scores, n, single_root, shift[0]):
        return -np.inf
    _clear(passes, m, -np.inf, layout)
    _load(scores, n, single_root, shift[0], passes, layout, 0)
    if direction.size:
        _load_tangents(direction, n, single_root, passes, layout, 0)
    inside(m, 0.0, passes.inner, layout)
    finish(m, single_root, passes.inner, layout, 0, passes.total)
    return passes.total.value[0]


@compiled
def log_sums(scores, n, single_root, direction, workspace, out):  # type: ignore[no-untyped-def]
    """As `add_up`, for one sentence with any scores; returns its log-partition, -inf if there is no tree."""
    m, (shift, passes) = n if single_root else n + 1, workspace
    layout = one_sentence(m, LANES)
    log_z = _log_inside(scores, n, single_root, direction, workspace, layout, m)
    if log_z == -np.inf:
        return log_z
    if out.size:
        start_outside(m, single_root, 0.0, passes.inner, passes.outer, layout, 0)
        outside(m, passes.inner, passes.outer, layout)
        _read(n, single_root, passes, layout, 0, out, direction.size > 0)
    return log_z + shift[0, :n].sum()


@compiled
def sample_tree(scores, lengths, b, single_root, seed, heads, real, logarithms):  # type: ignore[no-untyped-def]
    """Draw a tree from the Gibbs distribution by way of the inside chart; False if there is no tree."""
    n, chosen, nothing = lengths[b], np.array([b]), np.empty((0, 0, 0))
    m = n if single_root else n + 1
    layout = one_sentence(m, LANES)
    random = np.array([np.uint64(seed)])
    for attempt in range(2):
        if attempt == 0:
            shift_by_heads(scores, lengths, chosen, real)
        else:
            shift_by_trees(scores, lengths, chosen, single_root, real)
        _sum_inside(scores, lengths, chosen, single_root, nothing, layout, real, m)
        if np.isfinite(real.passes.total.value[0]):
            derive(m, single_root, real.passes.inner, layout, 0, random, new_stack(m), heads)
            return True
    if _log_inside(scores[b], n, single_root, nothing[0], logarithms, layout, m) == -np.inf:
        return False
    derive(m, single_root, logarithms.passes.inner, layout, 0, random, new_stack(m), heads)
    return True
