r"""Sums over all projective trees of one sentence: log-partition, marginals, and their derivative.

Marginals are the derivative of the log-partition, so their Jacobian is symmetric: the vector-Jacobian
product of the backward pass equals a Jacobian-vector product, and dual numbers through inside and outside
give that exactly.

The sums run in real numbers, with no exponential in the cubic loop. Each tree has one head per modifier, so
subtracting a constant from all scores of a modifier changes no marginal; three choices are tried in turn:

1. the modifier's best score;
2. if the sum leaves the range of a double, its score in the best tree (the sum is then at least 1);
3. if that fails too (an item that is in no likely tree overflows), logarithms.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.eisner import (
    Chart,
    chart_size,
    clear_edges,
    derive,
    finish,
    inside,
    new_stack,
    outside,
    row_length,
    start_outside,
)
from latent.kernels.cpu.jit import compiled
from latent.kernels.cpu.semiring import TABLES, Dual, LogDual, Real, fill, fill_vector, goal, posterior, table
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
    memory: Any
    passes: Any


@compiled
def real_workspace(n):  # type: ignore[no-untyped-def]
    """Room for sums over the trees of sentences of up to n words."""
    memory = aligned(2 * TABLES * chart_size(n + 1, LANES))
    return Workspace(np.empty(n), memory, _passes(Real(memory), memory))


@compiled
def dual_workspace(n):  # type: ignore[no-untyped-def]
    """Room for such sums and their derivatives."""
    memory = aligned(2 * TABLES * chart_size(n + 1, LANES))
    return Workspace(np.empty(n), memory, _passes(Dual(memory, memory), memory))


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


@compiled
def _clear(passes, m, zero):  # type: ignore[no-untyped-def]
    """Put 0̄ wherever a pass over m positions counts on it."""
    inner, outer, total = passes
    for items in (inner.CR, inner.CL, inner.IR, inner.IL, outer.X):
        clear_edges(items, m, zero, LANES)
    fill(total, 0, 1, zero)
    for o in range(0, chart_size(m, LANES), LANES):  # the outside pass adds to these two
        fill_vector(outer.CR, o, zero)
        fill_vector(outer.CL, o, zero)


@compiled
def best_head_shift(scores, n, shift):  # type: ignore[no-untyped-def]
    """shift[j-1] is the best score of an arc into word j; False if no arc may enter some word."""
    for j in range(1, n + 1):
        shift[j - 1] = scores[0, j]
    for h in range(1, n + 1):
        for j in range(1, n + 1):
            if h != j and scores[h, j] > shift[j - 1]:
                shift[j - 1] = scores[h, j]
    return shift[:n].min() > -np.inf


@compiled
def best_tree_shift(scores, n, single_root, shift):  # type: ignore[no-untyped-def]
    """shift[j-1] is the score of word j's arc in the best tree; False if there is no tree."""
    heads = np.empty(n, np.int64)
    if best_tree(scores, n, single_root, heads, viterbi_workspace(n, shift)) == -np.inf:
        return False
    for j in range(1, n + 1):
        shift[j - 1] = scores[heads[j - 1], j]
    return True


@compiled
def _load(scores, n, single_root, shift, passes):  # type: ignore[no-untyped-def]
    """Lay scores - shift out by width, with no arcs behind the end of a row."""
    origin = 1 if single_root else 0
    m = n + 1 - origin
    S = row_length(m, LANES)
    R, L, root = passes.inner.R.value, passes.inner.L.value, passes.inner.root.value
    for w in range(1, m):
        row = LANES + w * S
        fill_vector(passes.inner.R, row + m - w, -np.inf)
        fill_vector(passes.inner.L, row + m - w, -np.inf)
        for i in range(m - w):
            left, right = origin + i, origin + i + w
            R[row + i] = np.float64(scores[left, right]) - shift[right - 1]
            L[row + i] = np.float64(scores[right, left]) - shift[left - 1] if left > 0 else -np.inf
    if single_root:
        for r in range(n):
            root[r] = np.float64(scores[0, r + 1]) - shift[r]


@compiled
def _exponentiate(n, single_root, passes):  # type: ignore[no-untyped-def]
    """Replace the loaded scores by their exponentials."""
    m = n if single_root else n + 1
    S = row_length(m, LANES)
    for w in range(1, m):
        row = LANES + w * S
        for i in range(0, m - w, LANES):
            exp_lanes(passes.inner.R.value, row + i)
            exp_lanes(passes.inner.L.value, row + i)
    if single_root:
        for r in range(n):
            passes.inner.root.value[r] = math.exp(passes.inner.root.value[r])


@compiled
def _load_tangents(direction, n, single_root, passes, logarithms):  # type: ignore[no-untyped-def]
    """Lay the tangents of the arcs' weights out by width: the direction, times the weight unless in
    logarithms."""
    origin = 1 if single_root else 0
    m = n + 1 - origin
    S = row_length(m, LANES)
    R, L, root = passes.inner.R, passes.inner.L, passes.inner.root
    nothing = -np.inf if logarithms else 0.0
    for w in range(1, m):
        row = LANES + w * S
        for i in range(m - w):
            left, right = origin + i, origin + i + w
            o = row + i
            R.tangent[o] = 0.0
            L.tangent[o] = 0.0
            if R.value[o] != nothing:
                R.tangent[o] = direction[left, right] * (1.0 if logarithms else R.value[o])
            if L.value[o] != nothing:
                L.tangent[o] = direction[right, left] * (1.0 if logarithms else L.value[o])
    if single_root:
        for r in range(n):
            root.tangent[r] = 0.0
            if root.value[r] != nothing:
                root.tangent[r] = direction[0, r + 1] * (1.0 if logarithms else root.value[r])


@compiled
def _read(n, single_root, passes, marginals, derivatives):  # type: ignore[no-untyped-def]
    """Write the arcs' marginals, or if `derivatives` their tangents; return the sum of the marginals."""
    origin = 1 if single_root else 0
    m = n + 1 - origin
    S = row_length(m, LANES)
    inner, outer, total = passes.inner, passes.outer, passes.total
    mass, (base, slope) = 0.0, goal(total)
    for w in range(1, m):
        row = LANES + w * S
        for i in range(m - w):
            left, right = origin + i, origin + i + w
            p, dp = posterior(inner.IR, outer.IR, row + i, base, slope)
            marginals[left, right] = dp if derivatives else p
            mass += p
            if left > 0:
                p, dp = posterior(inner.IL, outer.IL, row + i, base, slope)
                marginals[right, left] = dp if derivatives else p
                mass += p
    if single_root:
        for r in range(n):
            p, dp = posterior(inner.root, outer.root, r, base, slope)
            marginals[0, r + 1] = dp if derivatives else p
            mass += p
    return mass


@compiled
def _real_sums(scores, n, single_root, workspace, marginals):  # type: ignore[no-untyped-def]
    """log of the sum of exp(score - shift) over trees, and the marginals; NaN if real numbers do not do."""
    m, passes = n if single_root else n + 1, workspace.passes
    _clear(passes, m, 0.0)
    _load(scores, n, single_root, workspace.shift, passes)
    _exponentiate(n, single_root, passes)
    inside(m, 1.0, passes.inner, LANES)
    finish(m, single_root, passes.inner, LANES, passes.total)
    total = passes.total.value[0]
    if not (SMALLEST < total < LARGEST):
        return np.nan
    if marginals.size:
        start_outside(m, single_root, 1.0, passes.inner, passes.outer, LANES)
        outside(m, passes.inner, passes.outer, LANES)
        mass = _read(n, single_root, passes, marginals, False)
        if not (abs(mass - n) < 1e-6 * n):
            return np.nan
    return math.log(total)


@compiled
def _real_derivative(scores, n, single_root, direction, workspace, out):  # type: ignore[no-untyped-def]
    """The derivative of the marginals in a direction; False if real numbers do not do."""
    m, passes = n if single_root else n + 1, workspace.passes
    _clear(passes, m, 0.0)
    _load(scores, n, single_root, workspace.shift, passes)
    _exponentiate(n, single_root, passes)
    _load_tangents(direction, n, single_root, passes, False)
    inside(m, 1.0, passes.inner, LANES)
    finish(m, single_root, passes.inner, LANES, passes.total)
    if not (SMALLEST < passes.total.value[0] < LARGEST):
        return False
    start_outside(m, single_root, 1.0, passes.inner, passes.outer, LANES)
    outside(m, passes.inner, passes.outer, LANES)
    mass = _read(n, single_root, passes, out, True)
    return abs(mass - n) < 1e-6 * n


@compiled
def _log_sums(scores, n, single_root, direction, workspace, out):  # type: ignore[no-untyped-def]
    """The same in logarithms, for any scores; derivatives if a direction is given (not empty)."""
    m, memory = n if single_root else n + 1, workspace.memory
    passes = _passes(LogDual(memory, memory), memory)
    _clear(passes, m, -np.inf)
    _load(scores, n, single_root, workspace.shift, passes)
    if direction.size:
        _load_tangents(direction, n, single_root, passes, True)
    inside(m, 0.0, passes.inner, LANES)
    finish(m, single_root, passes.inner, LANES, passes.total)
    if out.size:
        start_outside(m, single_root, 0.0, passes.inner, passes.outer, LANES)
        outside(m, passes.inner, passes.outer, LANES)
        _read(n, single_root, passes, out, direction.size > 0)
    return passes.total.value[0]


@compiled
def log_partition_and_marginals(scores, n, single_root, workspace, marginals):  # type: ignore[no-untyped-def]
    """Return the log-partition (-inf: no tree) and write the marginals, unless they are an empty array."""
    shift = workspace.shift
    if not best_head_shift(scores, n, shift):
        return -np.inf
    log_z = _real_sums(scores, n, single_root, workspace, marginals)
    if not np.isfinite(log_z):
        if not best_tree_shift(scores, n, single_root, shift):
            return -np.inf
        log_z = _real_sums(scores, n, single_root, workspace, marginals)
    if not np.isfinite(log_z):
        log_z = _log_sums(scores, n, single_root, np.empty((0, 0)), workspace, marginals)
    return log_z + shift[:n].sum()


@compiled
def marginals_derivative(scores, n, single_root, direction, workspace, out):  # type: ignore[no-untyped-def]
    """Write the Jacobian of the marginals times the direction; False if there is no tree."""
    if not best_head_shift(scores, n, workspace.shift):
        return False
    if _real_derivative(scores, n, single_root, direction, workspace, out):
        return True
    if not best_tree_shift(scores, n, single_root, workspace.shift):
        return False
    if not _real_derivative(scores, n, single_root, direction, workspace, out):
        _log_sums(scores, n, single_root, direction, workspace, out)
    return True


@compiled
def sample_tree(scores, n, single_root, seed, heads, workspace):  # type: ignore[no-untyped-def]
    """Draw a tree from the Gibbs distribution by way of the inside chart; False if there is no tree."""
    m, memory = n if single_root else n + 1, workspace.memory
    random = np.array([np.uint64(seed)])
    if not best_head_shift(scores, n, workspace.shift):
        return False
    nothing = np.empty((0, 0))
    if not np.isfinite(_real_sums(scores, n, single_root, workspace, nothing)):
        if not best_tree_shift(scores, n, single_root, workspace.shift):
            return False
        if not np.isfinite(_real_sums(scores, n, single_root, workspace, nothing)):
            _log_sums(scores, n, single_root, nothing, workspace, nothing)
            inner = _passes(LogDual(memory, memory), memory).inner
            derive(m, single_root, inner, LANES, random, new_stack(m), heads)
            return True
    derive(m, single_root, workspace.passes.inner, LANES, random, new_stack(m), heads)
    return True
