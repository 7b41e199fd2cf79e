r"""The active set of a SparseMAP projection: a few trees, and the best point in their affine hull.

For trees y_1 … y_k with common-arc counts G = YYᵀ and scores c = Ys, the minimiser of ½‖Yᵀp - s‖² with Σp = 1
solves the bordered system

    [ 0  1ᵀ ] [ τ ]   [ 1 ]
    [ 1  G  ] [ p ] = [ c ],

whose inverse is kept and updated as trees come and go (Nocedal & Wright 2006, section 16.5; Niculae et al.
2018, appendix). At the solution each active tree has score τ under s - Yᵀp; a tree with a higher one is
worth adding.

A structure writes the loop around it, because only the MAP call differs:

    begin(active, scores, tree, n)
    while True:
        improve(active)
        tree = MAP(residual(scores, active, n))
        if offer(active, scores, tree, n) <= tol: break
        insert(active, n)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.jit import compiled, leaf, loose_leaf

EXHAUSTED = 1e-9  # a tree this close to the affine hull of the others is in it


class ActiveSet(NamedTuple):
    """Arrays with room for `weights.size` trees; size[0] of them are in use."""

    trees: Any
    places: Any
    """For the structure: where in its residual the arcs of a tree stand."""
    weights: Any
    inverse: Any
    rhs: Any
    solution: Any
    column: Any
    common: Any
    error: Any
    size: Any


@compiled
def new_active_set(n, capacity):  # type: ignore[no-untyped-def]
    """An empty active set with room for `capacity` trees of n words."""
    return ActiveSet(
        np.empty((capacity, n), np.int16),
        np.empty((capacity, n), np.int32),
        np.empty(capacity),
        np.empty((capacity + 1, capacity + 1)),
        np.empty(capacity + 1),
        np.empty(capacity + 1),
        np.empty(capacity + 1),
        np.empty(capacity + 1),
        np.empty(capacity + 1),
        np.zeros(1, np.int64),
    )


@compiled
def grown(active, n):  # type: ignore[no-untyped-def]
    """The same set with twice the room."""
    k = active.size[0]
    new = new_active_set(n, 2 * active.weights.size)
    new.trees[:k] = active.trees[:k]
    new.places[:k] = active.places[:k]
    new.weights[:k] = active.weights[:k]
    new.inverse[: k + 1, : k + 1] = active.inverse[: k + 1, : k + 1]
    new.rhs[: k + 1] = active.rhs[: k + 1]
    new.solution[: k + 1] = active.solution[: k + 1]
    new.size[0] = k
    return new


@leaf
def _score(scores, tree, n):  # type: ignore[no-untyped-def]
    total = 0.0
    for j in range(n):
        total += scores[tree[j], j + 1]
    return total


@leaf
def _copy_tree(tree, n, out):  # type: ignore[no-untyped-def]
    for j in range(n):
        out[j] = tree[j]


@leaf
def begin(active, scores, tree, n):  # type: ignore[no-untyped-def]
    """Start from one tree."""
    active.size[0] = 1
    _copy_tree(tree, n, active.trees[0])
    active.weights[0] = 1.0
    active.rhs[0] = 1.0
    active.rhs[1] = _score(scores, tree, n)
    active.inverse[0, 0] = -n
    active.inverse[1, 0] = 1.0
    active.inverse[1, 1] = 0.0
    active.solution[0] = active.rhs[1] - n
    active.solution[1] = 1.0


@loose_leaf
def _multiply(matrix, vector, size, out):  # type: ignore[no-untyped-def]
    """out = matrix · vector for a symmetric matrix of which the lower triangle is kept."""
    for i in range(size):
        row, factor, total = matrix[i], vector[i], 0.0
        for j in range(i):
            total += row[j] * vector[j]
            out[j] += row[j] * factor
        out[i] = total + row[i] * factor


@loose_leaf
def _add_outer(matrix, vector, size, factor):  # type: ignore[no-untyped-def]
    """Add factor · vector · vectorᵀ to the lower triangle of the leading `size` rows."""
    for i in range(size):
        row, f = matrix[i], factor * vector[i]
        for j in range(i + 1):
            row[j] += f * vector[j]


@leaf
def _common_arcs(a, b, n):  # type: ignore[no-untyped-def]
    count = 0
    for j in range(n):
        count += int(a[j] == b[j])
    return count


@leaf
def offer(active, scores, tree, n):  # type: ignore[no-untyped-def]
    """How much more a tree scores under s - Yᵀp than the active ones do: at least 0 up to rounding.

    There must be room for one more tree; `insert` adds the last one offered.
    """
    k, last = active.size[0], active.size[0] + 1
    _copy_tree(tree, n, active.trees[k])
    active.rhs[last] = _score(scores, tree, n)
    active.common[0] = 1.0
    more = active.rhs[last] - active.solution[0]
    for i in range(k):
        active.common[i + 1] = _common_arcs(active.trees[i], active.trees[k], n)
        more -= active.weights[i] * active.common[i + 1]
    return more


@leaf
def insert(active, n):  # type: ignore[no-untyped-def]
    """Add the tree on offer, with weight 0 for now; False if it lies in the affine hull already."""
    k, inverse, d, common = active.size[0], active.inverse, active.column, active.common
    last = k + 1
    _multiply(inverse, common, last, d)
    schur, value = float(n), active.rhs[last]
    for i in range(last):
        schur -= d[i] * common[i]
        value -= active.solution[i] * common[i]
    if schur < EXHAUSTED:
        return False
    _add_outer(inverse, d, last, 1.0 / schur)
    for i in range(last):
        inverse[last, i] = -d[i] / schur
    inverse[last, last] = 1.0 / schur
    active.solution[last] = value / schur
    for i in range(last):
        active.solution[i] -= d[i] * active.solution[last]
    active.weights[k] = 0.0
    active.size[0] = k + 1
    return True


@leaf
def _drop(active, gone):  # type: ignore[no-untyped-def]
    """Remove the tree whose row in the system is `gone`; the last one takes its place."""
    k, inverse, d = active.size[0], active.inverse, active.column
    for i in range(k + 1):
        d[i] = inverse[gone, i] if i <= gone else inverse[i, gone]
    ratio = active.solution[gone] / d[gone]
    _add_outer(inverse, d, k + 1, -1.0 / d[gone])
    for i in range(k + 1):
        active.solution[i] -= d[i] * ratio
    for i in range(gone):
        inverse[gone, i] = inverse[k, i]
    for i in range(gone + 1, k):
        inverse[i, gone] = inverse[k, i]
    inverse[gone, gone] = inverse[k, k]
    active.rhs[gone] = active.rhs[k]
    active.solution[gone] = active.solution[k]
    active.weights[gone - 1] = active.weights[k - 1]
    _copy_tree(active.trees[k - 1], active.trees.shape[1], active.trees[gone - 1])
    _copy_tree(active.places[k - 1], active.places.shape[1], active.places[gone - 1])
    active.size[0] = k - 1


@leaf
def improve(active):  # type: ignore[no-untyped-def]
    """Move the weights to the affine minimiser, dropping each tree whose weight would turn negative on the
    way."""
    while True:
        k = active.size[0]
        step, blocking = 1.0, -1
        for i in range(k):
            goal = active.solution[i + 1]
            if goal < 0.0:
                here = active.weights[i]
                if blocking < 0 or here < step * (here - goal):
                    step, blocking = here / (here - goal), i
        for i in range(k):
            here = active.weights[i]
            active.weights[i] = max(here + step * (active.solution[i + 1] - here), 0.0)
        if blocking < 0:
            return
        _drop(active, blocking + 1)


@leaf
def residual(scores, active, n, out):  # type: ignore[no-untyped-def]
    """out = s - Yᵀp, on the arcs among n words."""
    for h in range(n + 1):
        for j in range(1, n + 1):
            out[h, j] = scores[h, j]
    for i in range(active.size[0]):
        weight, tree = active.weights[i], active.trees[i]
        for j in range(n):
            out[tree[j], j + 1] -= weight


@leaf
def settle(active, residuals, n):  # type: ignore[no-untyped-def]
    """Refine the solution once, and return the score of the mixture under its own residual.

    At the solution each active tree scores τ under the residual and the weights sum to one. What rounding
    has added up to in the many updates of the inverse shows in both, and the inverse is good enough to
    take it out.
    """
    k, error = active.size[0], active.error
    error[0], total = 1.0, 0.0
    for i in range(k):
        score = _score(residuals, active.trees[i], n)
        total += active.weights[i] * score
        error[0] -= active.solution[i + 1]
        error[i + 1] = score - active.solution[0]
    _multiply(active.inverse, error, k + 1, active.column)
    for i in range(k + 1):
        active.solution[i] += active.column[i]
    return total
