"""Sums over all non-projective trees of one sentence: log-partition, marginals, and their derivative.

The elimination of `matrix_tree` runs in real numbers. Where the weights are too unequal for a double, or
the word that it leaves for last cannot reach the others, it starts anew in logarithms, with the root's
child in the best tree left for last: that word reaches all others, or there is no tree.
"""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.arc_weights import load_scores
from latent.kernels.cpu.edmonds import best_tree, new_contraction
from latent.kernels.cpu.jit import compiled, leaf
from latent.kernels.cpu.matrix_tree import (
    adjoint,
    adjoint_in,
    dual_adjoint,
    eliminate,
    eliminate_tangent,
    elimination_in,
    stride_of,
    table_size,
)
from latent.kernels.cpu.matrix_tree_log import log_adjoint, log_eliminate
from latent.kernels.cpu.simd import LANES64, exp_lanes


@compiled
def sums_scratch(n):  # type: ignore[no-untyped-def]
    """How many doubles the functions below work on for n words."""
    return 9 * table_size(n) + 4 * stride_of(n)


@compiled
def load_weights(scores, n, single_root, order, e, w):  # type: ignore[no-untyped-def]
    """Start an elimination in real numbers: w and e hold exp(scores - shifts); return Σ shifts."""
    S = stride_of(n)
    shift = load_scores(scores, n, single_root, 0, order, w.reshape(n + 1, S))
    for o in range(0, w.size, LANES64):
        exp_lanes(w, o)
    e.w[:] = w
    for v in range(1, n + 1):
        for i in range(n + 1):
            e.p[v * S + i] = w[i * S + v]
    return shift


@compiled
def load_logarithms(scores, n, single_root, order, w):  # type: ignore[no-untyped-def]
    """Start an elimination of logarithms: w holds scores - shifts; return Σ shifts, -inf if no tree."""
    heads = np.empty(n, np.int64)
    if best_tree(scores, n, single_root, heads, new_contraction(n)) == -np.inf:
        return -np.inf
    last = 1
    while heads[last - 1] != 0:
        last += 1
    return load_scores(scores, n, single_root, last, order, w.reshape(n + 1, stride_of(n)))


@leaf
def _write(n, order, w, b, out):  # type: ignore[no-untyped-def]
    """Write the marginals w · b, unless out is an empty array; return their sum."""
    S = stride_of(n)
    mass = 0.0
    for i in range(n + 1):
        for j in range(1, n + 1):
            mu = max(w[i * S + j] * b[i * S + j], 0.0)  # below zero only by rounding
            mass += mu
            if out.size:
                out[order[i], order[j]] = mu
    return mass


@leaf
def _write_derivative(n, order, w, b, db, direction, out):  # type: ignore[no-untyped-def]
    """Write the derivatives w · (db + b · direction) of the marginals; forbidden arcs keep what out holds."""
    S = stride_of(n)
    for i in range(n + 1):
        for j in range(1, n + 1):
            o = i * S + j
            if w[o] > 0.0:
                out[order[i], order[j]] = w[o] * (db[o] + b[o] * direction[order[i], order[j]])


@compiled
def log_partition_and_marginals(scores, n, single_root, memory, marginals):  # type: ignore[no-untyped-def]
    """Return the log-partition, NaN if real numbers do not do; write the marginals unless that is empty."""
    e, rest = elimination_in(memory, n)
    w, rest = rest[: table_size(n)], rest[table_size(n) :]
    order = np.empty(n + 1, np.int64)
    log_z = load_weights(scores, n, single_root, order, e, w)
    log_z += eliminate(n, single_root, e)
    if np.isfinite(log_z) and marginals.size:
        b, rest = adjoint_in(rest, n)
        adjoint(n, single_root, e, b, rest[: stride_of(n)])
        if not abs(_write(n, order, w, b.by_head, marginals) - n) < 1e-6 * n:
            log_z = np.nan
    return log_z


@compiled
def marginals_derivative(scores, n, single_root, direction, memory, out):  # type: ignore[no-untyped-def]
    """Write the Jacobian of the marginals times the direction into zeros; False if real numbers do not do."""
    S = stride_of(n)
    e, rest = elimination_in(memory, n)
    w, rest = rest[: table_size(n)], rest[table_size(n) :]
    order = np.empty(n + 1, np.int64)
    load_weights(scores, n, single_root, order, e, w)
    if not np.isfinite(eliminate(n, single_root, e)):
        return False
    de, rest = elimination_in(rest, n)
    de.w[:] = 0.0
    for i in range(n + 1):
        for j in range(1, n + 1):
            if w[i * S + j] > 0.0:
                de.w[i * S + j] = w[i * S + j] * direction[order[i], order[j]]
            de.p[j * S + i] = de.w[i * S + j]
    b, rest = adjoint_in(rest, n)
    db, rest = adjoint_in(rest, n)
    eliminate_tangent(n, single_root, e, de)
    dual_adjoint(n, single_root, e, b, de, db, rest[:S], rest[S : 2 * S])
    if not abs(_write(n, order, w, b.by_head, np.empty((0, 0))) - n) < 1e-6 * n:
        return False
    _write_derivative(n, order, w, b.by_head, db.by_head, direction, out)
    return True


@compiled
def log_sums(scores, n, single_root, direction, memory, out):  # type: ignore[no-untyped-def]
    """The same in logarithms, for any scores: return log Z; empty arrays are not given or not wanted."""
    S = stride_of(n)
    e, rest = elimination_in(memory, n)
    de, rest = elimination_in(rest, n)
    w, rest = rest[: table_size(n)], rest[table_size(n) :]
    order = np.empty(n + 1, np.int64)
    shift = load_logarithms(scores, n, single_root, order, w)
    if shift == -np.inf:
        return shift
    e.w[:] = w
    de.w[:] = 0.0
    if direction.size:
        for i in range(n + 1):
            for j in range(1, n + 1):
                if w[i * S + j] > -np.inf:
                    de.w[i * S + j] = direction[order[i], order[j]]
    log_z = shift + log_eliminate(n, single_root, e, de)
    if out.size == 0:
        return log_z
    b, db = rest[: table_size(n)], rest[table_size(n) : 2 * table_size(n)]
    log_adjoint(n, single_root, e, de, b, db)
    w[:] = np.exp(w + b)  # the marginals
    b[:] = 1.0
    if direction.size:
        _write_derivative(n, order, w, b, db, direction, out)
    else:
        _write(n, order, w, b, out)
    return log_z
