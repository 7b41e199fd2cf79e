"""SparseMAP of a batch on the CPU: an active set around the MAP call of a structure, and its backward
pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.active_set import (
    begin,
    grown,
    improve,
    insert,
    new_active_set,
    offer,
    residual,
    settle,
)
from latent.kernels.cpu.chart_residual import (
    begin_residual,
    best_under_residual,
    new_chart_residual,
    note_places,
)
from latent.kernels.cpu.checks import check
from latent.kernels.cpu.edmonds import best_tree as best_nonprojective_tree
from latent.kernels.cpu.edmonds import new_contraction
from latent.kernels.cpu.eisner import lanes_of, one_sentence
from latent.kernels.cpu.jit import compiled, leaf
from latent.kernels.cpu.viterbi import best_tree as best_projective_tree
from latent.kernels.cpu.viterbi import viterbi_workspace
from latent.kernels.status import FINE, NO_TREE

PROJECTIVE, NON_PROJECTIVE = 0, 1
"""The MAP oracles by number: numba caches no machine code that gets a function as an argument."""


ROUGH = 1e-4
"""While the gap is larger, projective oracles run in float32: twice as fast, and its errors do not matter."""


class Oracle(NamedTuple):
    """Working memory of the MAP calls."""

    kind: Any
    heads: Any
    rough: Any
    double: Any
    edmonds: Any


@compiled
def _new_oracle(kind, n):  # type: ignore[no-untyped-def]
    words, like = n if kind == PROJECTIVE else 1, np.empty(0)
    return Oracle(
        kind,
        np.empty(n, np.int64),
        new_chart_residual(words),
        viterbi_workspace(words, one_sentence(words + 1, lanes_of(like)), like),
        new_contraction(n if kind == NON_PROJECTIVE else 1),
    )


@leaf
def _first_tree(oracle, scores, n, single_root):  # type: ignore[no-untyped-def]
    """Write the best tree, or nearly so, to oracle.heads: whether there is one, and whether it must be exact.

    That is where single precision finds no tree, or one of infinite score.
    """
    if oracle.kind == NON_PROJECTIVE:
        found = best_nonprojective_tree(scores, n, single_root, oracle.heads, oracle.edmonds) > -np.inf
        return found, False
    if np.isfinite(begin_residual(scores, n, single_root, oracle.heads, oracle.rough)):
        return True, False
    return best_projective_tree(scores, n, single_root, oracle.heads, oracle.double) > -np.inf, True


@leaf
def _next_tree(oracle, scores, n, single_root, active, exact, left):  # type: ignore[no-untyped-def]
    """Write the best tree under the residual to oracle.heads; if `exact`, the residual to `left`."""
    if oracle.kind == PROJECTIVE and not exact:
        best_under_residual(active, n, single_root, oracle.heads, oracle.rough)
        return
    residual(scores, active, n, left)
    if oracle.kind == NON_PROJECTIVE:
        best_nonprojective_tree(left, n, single_root, oracle.heads, oracle.edmonds)
    else:
        best_projective_tree(left, n, single_root, oracle.heads, oracle.double)


@compiled
def _project(oracle, scores, n, single_root, tol, max_iter, active, left):  # type: ignore[no-untyped-def]
    """Alternate a MAP call and a step of the active set: (active set, gap, iterations); gap NaN: no tree."""
    found, exact = _first_tree(oracle, scores, n, single_root)
    if not found:
        return active, np.nan, 0
    begin(active, scores, oracle.heads, n)
    if oracle.kind == PROJECTIVE:
        note_places(active, 0, oracle.heads, n, oracle.rough)
    iterations = 0
    while True:
        done, gap, iterations, exact = _advance(
            oracle, scores, n, single_root, tol, max_iter, active, left, iterations, exact
        )
        if done:
            return active, max(gap, 0.0), iterations
        active = grown(active, n)


@leaf
def _advance(  # type: ignore[no-untyped-def]
    oracle, scores, n, single_root, tol, max_iter, active, left, iterations, exact
):
    """Go on until it is done, or the active set has no room for one more tree: (done, gap, …)."""
    while True:
        improve(active)
        if active.size[0] == active.weights.size:
            return False, np.inf, iterations, exact
        _next_tree(oracle, scores, n, single_root, active, exact, left)
        gap = offer(active, scores, oracle.heads, n)
        if not (gap > ROUGH or exact):
            exact = True
            continue
        if exact:
            gap += active.solution[0] - settle(active, left, n)
        if not gap > tol or iterations >= max_iter:
            return True, gap, iterations, exact
        iterations += 1
        if oracle.kind == PROJECTIVE:
            note_places(active, active.size[0], oracle.heads, n, oracle.rough)
        if not insert(active, n):
            if exact:
                return True, gap, iterations, exact
            exact = True


@compiled
def sparsemap_block(  # type: ignore[no-untyped-def]
    kind,
    scores,
    lengths,
    single_root,
    tol,
    max_iter,
    mu,
    trees,
    weights,
    first,
    sizes,
    gap,
    iterations,
    status,
    start,
    step,
):
    """Project the sentences start, start + step, …; their trees and weights fill row `start`, as far as they
    fit."""
    size = scores.shape[1]
    oracle = _new_oracle(kind, size - 1)
    wide, left = np.zeros((size, size)), np.zeros((size, size))
    used = 0
    for b in range(start, scores.shape[0], step):
        n = lengths[b]
        status[b] = check(scores[b], n)
        if status[b] != FINE:
            continue
        wide[: n + 1, 1 : n + 1] = scores[b, : n + 1, 1 : n + 1]
        active = new_active_set(n, 2 * n + 8)
        active, gap[b], iterations[b] = _project(oracle, wide, n, single_root, tol, max_iter, active, left)
        if np.isnan(gap[b]):
            status[b] = NO_TREE
            continue
        k = active.size[0]
        first[b], sizes[b] = used, k
        used += k
        if used > weights.shape[1]:
            continue
        active.weights[:k] /= active.weights[:k].sum()
        _mix(active, n, left)
        for h in range(n + 1):
            for j in range(1, n + 1):
                mu[b, h, j] = left[h, j]
        trees[start, first[b] : used, :n] = active.trees[:k]
        trees[start, first[b] : used, n:] = 0
        weights[start, first[b] : used] = active.weights[:k]


@leaf
def _mix(active, n, out):  # type: ignore[no-untyped-def]
    """out = the mixture of the active trees."""
    for h in range(n + 1):
        for j in range(1, n + 1):
            out[h, j] = 0.0
    for i in range(active.size[0]):
        for j in range(n):
            out[active.trees[i, j], j + 1] += active.weights[i]


@compiled
def _differences_gram(trees, n, gram):  # type: ignore[no-untyped-def]
    """gram[i, j], j ≤ i: the inner product of the differences of trees i+1 and j+1 from tree 0."""
    k = trees.shape[0]
    common = np.zeros(k)
    for i in range(1, k):
        for j in range(n):
            common[i] += trees[i, j] == trees[0, j]
    for i in range(1, k):
        for other in range(1, i + 1):
            both = 0
            for j in range(n):
                both += int(trees[i, j] == trees[other, j])
            gram[i - 1, other - 1] = both - common[i] - common[other] + n


@compiled
def _solve(gram, q):  # type: ignore[no-untyped-def]
    """Solve gram · x = q in place by Cholesky's method; the lower triangle is given."""
    k = q.size
    for i in range(k):
        for j in range(i + 1):
            total = gram[i, j]
            for e in range(j):
                total -= gram[i, e] * gram[j, e]
            gram[i, j] = np.sqrt(max(total, 1e-12)) if i == j else total / gram[j, j]
    for i in range(k):
        for e in range(i):
            q[i] -= gram[i, e] * q[e]
        q[i] /= gram[i, i]
    for i in range(k - 1, -1, -1):
        q[i] /= gram[i, i]
        for e in range(i):
            q[e] -= gram[i, e] * q[i]


@compiled
def projection_block(trees, first, sizes, lengths, gradient, out, start, step):  # type: ignore[no-untyped-def]
    """out[b] = Wᵀ(WWᵀ)⁻¹W gradient[b], where the rows of W are the support's trees minus the first of
    them."""
    for b in range(start, lengths.size, step):
        n, k = lengths[b], sizes[b]
        if k < 2:
            continue
        ours = trees[first[b] : first[b] + k]
        gram, q = np.empty((k - 1, k - 1)), np.empty(k - 1)
        _differences_gram(ours, n, gram)
        for i in range(1, k):
            total = 0.0
            for j in range(n):
                total += np.float64(gradient[b, ours[i, j], j + 1]) - gradient[b, ours[0, j], j + 1]
            q[i - 1] = total
        _solve(gram, q)
        point = np.zeros((n + 1, n + 1))
        for i in range(k - 1):
            for j in range(n):
                point[ours[i + 1, j], j + 1] += q[i]
                point[ours[0, j], j + 1] -= q[i]
        for h in range(n + 1):
            for j in range(1, n + 1):
                out[b, h, j] = point[h, j]
