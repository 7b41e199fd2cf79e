"""Sums over all non-projective trees of one sentence: log-partition, marginals, and their derivative.

The elimination of `matrix_tree` runs in real numbers, of the precision of the tables that it is given. Where
the weights are too unequal for those, or the word that it leaves for last cannot reach the others, it
starts anew in logarithms, with the root's child in the best tree left for last: that word reaches all
others, or there is no tree.
"""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.arc_weights import copy, load_scores, swap_words, word_at
from latent.kernels.cpu.edmonds import best_tree, new_contraction
from latent.kernels.cpu.jit import compiled, leaf, loose_leaf
from latent.kernels.cpu.matrix_tree import (
    adjoint,
    dual_adjoint,
    eliminate,
    eliminate_tangent,
    stride_of,
)
from latent.kernels.cpu.matrix_tree_log import log_adjoint, log_eliminate
from latent.kernels.cpu.simd import VECTOR_BYTES, exp_lanes


@leaf
def load_weights(scores, n, single_root, e, w):  # type: ignore[no-untyped-def]
    """Start an elimination in real numbers: w and e hold exp(scores - shifts); return Σ shifts, and the last
    word."""
    S = stride_of(n)
    shift, last = load_scores(scores, n, single_root, 0, e.d, w, S)
    for o in range(0, (n + 1) * S, VECTOR_BYTES // w.itemsize):
        exp_lanes(w, o)
    copy(w, e.w[: (n + 1) * S])
    for i in range(n + 1):
        for v in range(1, n + 1):
            e.p[v * S + i] = w[i * S + v]
    return shift, last


@compiled
def load_logarithms(scores, n, single_root, e, w):  # type: ignore[no-untyped-def]
    """Start an elimination of logarithms: w and e hold scores - shifts; return Σ shifts, -inf if there is no
    tree, and the last word."""
    heads = np.empty(n, np.int64)
    if best_tree(scores, n, single_root, heads, new_contraction(n)) == -np.inf:
        return -np.inf, 1
    last = 1
    while heads[last - 1] != 0:
        last += 1
    shift, last = load_scores(scores, n, single_root, last, e.d, w, stride_of(n))
    e.w[:] = w
    return shift, last


@leaf
def _write(n, last, w, b, out):  # type: ignore[no-untyped-def]
    """Write the marginals w · b; return their sum."""
    S = stride_of(n)
    mass = 0.0
    for i in range(n + 1):
        row, arcs = out[word_at(i, last)], slice(i * S + 1, i * S + n + 1)
        mass += _multiply(w[arcs], b[arcs], row[1 : n + 1])
        swap_words(row, last)
    return mass


@loose_leaf
def _multiply(w, b, out):  # type: ignore[no-untyped-def]
    mass = w.dtype.type(0)
    for j in range(w.size):
        mu = w[j] * b[j]
        mu = mu if mu > 0 else w.dtype.type(0)  # below zero only by rounding
        out[j] = mu
        mass += mu
    return mass


@leaf
def _load_direction(n, last, w, direction, de):  # type: ignore[no-untyped-def]
    """Set de to the tangents of the weights, zero for arcs that there are not, whatever is given there."""
    S = stride_of(n)
    for i in range(n + 1):
        arcs = slice(i * S + 1, i * S + n + 1)
        to = de.w[i * S : i * S + S]
        to[:] = 0
        copy(direction[word_at(i, last), 1 : n + 1], to[1 : n + 1])
        swap_words(to, last)
        _times_weights(w[arcs], to[1 : n + 1])
        for j in range(1, n + 1):
            de.p[j * S + i] = to[j]


@leaf
def _times_weights(w, x):  # type: ignore[no-untyped-def]
    for j in range(w.size):
        x[j] = w[j] * x[j] if w[j] > 0 else 0


@leaf
def _write_derivative(n, last, w, b, db, direction, out):  # type: ignore[no-untyped-def]
    """Write the derivatives w · (db + b · direction) of the marginals, zero for arcs that there are not."""
    S = stride_of(n)
    for i in range(n + 1):
        word, arcs = word_at(i, last), slice(i * S + 1, i * S + n + 1)
        row = out[word]
        copy(direction[word, 1 : n + 1], row[1 : n + 1])
        swap_words(row, last)
        _multiply_tangent(w[arcs], b[arcs], db[arcs], row[1 : n + 1])
        swap_words(row, last)


@leaf
def _multiply_tangent(w, b, db, x):  # type: ignore[no-untyped-def]
    for j in range(w.size):
        x[j] = w[j] * (db[j] + b[j] * x[j]) if w[j] > 0 else 0


@leaf
def _adds_up(mass, n, w):  # type: ignore[no-untyped-def]
    """Whether marginals that sum to this are sound: one for each word."""
    return abs(mass - n) < (1e-5 if w.itemsize == 4 else 1e-6) * n


@leaf
def log_partition_and_marginals(scores, n, single_root, sums, marginals):  # type: ignore[no-untyped-def]
    """Return the log-partition, NaN if real numbers do not do; write the marginals unless that is empty."""
    e, b = sums.e, sums.b
    log_z, last = load_weights(scores, n, single_root, e, sums.w)
    log_z += eliminate(n, single_root, e)
    if np.isfinite(log_z) and marginals.size:
        adjoint(n, single_root, e, b, sums.g)
        if not _adds_up(_write(n, last, sums.w, b.by_head, marginals), n, sums.w):
            log_z = np.nan
    return log_z


@leaf
def marginals_derivative(scores, n, single_root, direction, sums, out):  # type: ignore[no-untyped-def]
    """Write the Jacobian of the marginals times the direction into out; False if real numbers do not do."""
    w, e, b, de, db = sums.w, sums.e, sums.b, sums.de, sums.db
    _, last = load_weights(scores, n, single_root, e, w)
    if not np.isfinite(eliminate(n, single_root, e)):
        return False
    _load_direction(n, last, w, direction, de)
    eliminate_tangent(n, single_root, e, de)
    dual_adjoint(n, single_root, e, b, de, db, sums.g, sums.dg)
    if not _adds_up(_write(n, last, w, b.by_head, out), n, w):
        return False
    _write_derivative(n, last, w, b.by_head, db.by_head, direction, out)
    return True


@compiled
def log_sums(scores, n, single_root, direction, sums, out):  # type: ignore[no-untyped-def]
    """The same in logarithms, for any scores: return log Z; empty arrays are not given or not wanted."""
    w, e, de, b, db = sums.w, sums.e, sums.de, sums.b.by_head, sums.db.by_head
    shift, last = load_logarithms(scores, n, single_root, e, w)
    if shift == -np.inf:
        return shift
    de.w[:] = 0.0
    if direction.size:
        b[:] = w > -np.inf
        _load_direction(n, last, b, direction, de)
    log_z = shift + log_eliminate(n, single_root, e, de)
    if out.size == 0:
        return log_z
    log_adjoint(n, single_root, e, de, b, db)
    w[:] = np.exp(w + b)  # the marginals
    b[:] = 1.0
    if direction.size:
        _write_derivative(n, last, w, b, db, direction, out)
    else:
        _write(n, last, w, b, out)
    return log_z
