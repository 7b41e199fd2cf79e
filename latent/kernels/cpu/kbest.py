"""The k best projective trees of one sentence: Eisner's algorithm on lists of the k best of each item.

No tree has two derivations, so the best derivations are the best trees. An item's list is merged from those
of its splits, best first, with only the candidates open that a better one has been taken next to (Huang &
Chiang 2005, algorithm 2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.jit import compiled

COMPLETE_RIGHT, COMPLETE_LEFT, INCOMPLETE = 0, 1, 2


class Lists(NamedTuple):
    """For each item: the k best scores, best first (-inf: no more), and from where each comes."""

    value: Any
    back: Any
    """Which split, which rank in its left part, which rank in its right part."""


@compiled
def _new_lists(items, k):  # type: ignore[no-untyped-def]
    return Lists(np.full((items, k), -np.inf), np.zeros((items, k, 3), np.int64))


@compiled
def _merge(A, a, da, B, b, db, count, k, value, back):  # type: ignore[no-untyped-def]
    """The k best sums of an entry of A[a + d·da] and an entry of B[b + d·db], over d < count."""
    candidates = np.empty((count + 2 * k, 3), np.int64)
    scores = np.empty(count + 2 * k)
    for d in range(count):
        candidates[d] = (d, 0, 0)
        scores[d] = A[a + d * da, 0] + B[b + d * db, 0]
    size = count
    for rank in range(k):
        best = np.argmax(scores[:size])
        if scores[best] == -np.inf:
            break
        value[rank] = scores[best]
        back[rank] = candidates[best]
        d, i, j = back[rank]
        left, right = A[a + d * da], B[b + d * db]
        # Its neighbours: (i, j+1) always, (i+1, 0) only from (i, 0), so that none comes twice.
        scores[best] = left[i] + right[j + 1] if j + 1 < k else -np.inf
        candidates[best] = (d, i, j + 1)
        if j == 0 and i + 1 < k:
            scores[size] = left[i + 1] + right[0]
            candidates[size] = (d, i + 1, 0)
            size += 1


@compiled
def kbest_trees(scores, n, single_root, values, heads):  # type: ignore[no-untyped-def]
    """Write the best trees' scores to values and their heads to heads[:, :n]; return how many there are."""
    k = values.size
    origin = 1 if single_root else 0
    m = n + 1 - origin
    CR, CL, X = _new_lists(m * m, k), _new_lists(m * m, k), _new_lists(m * m, k)
    IR, IL = np.full((m * m, k), -np.inf), np.full((m * m, k), -np.inf)
    CR.value[:m, 0] = 0.0  # the item over i … i+w stands at w·m + i
    CL.value[:m, 0] = 0.0
    for w in range(1, m):
        for i in range(m - w):
            o, left, right = w * m + i, origin + i, origin + i + w
            before = (w - 1) * m + i + 1
            _merge(CR.value, i, m, CL.value, before, 1 - m, w, k, X.value[o], X.back[o])
            IR[o] = X.value[o] + scores[left, right]
            if left > 0:
                IL[o] = X.value[o] + scores[right, left]
            _merge(IR, m + i, m, CR.value, before, 1 - m, w, k, CR.value[o], CR.back[o])
            _merge(CL.value, i, m, IL, o, 1 - m, w, k, CL.value[o], CL.back[o])
    goal = _new_lists(1, k)
    if single_root:
        rooted = np.empty((m, k))
        for r in range(m):
            rooted[r] = CL.value[r * m] + scores[0, r + 1]
        _merge(rooted, 0, 1, CR.value, (m - 1) * m, 1 - m, m, k, goal.value[0], goal.back[0])
    else:
        goal.value[0] = CR.value[(m - 1) * m]
    count = 0
    while count < k and goal.value[0, count] > -np.inf:
        values[count] = goal.value[0, count]
        _derive(m, origin, CR.back, CL.back, X.back, goal.back[0, count], count, heads[count])
        count += 1
    return count


@compiled
def _derive(m, origin, CR, CL, X, goal, rank, heads):  # type: ignore[no-untyped-def]
    """Write the heads of the tree of this rank."""
    stack = np.empty((3 * m + 3, 4), np.int64)
    if origin == 1:
        child = goal[0]
        heads[child] = 0
        stack[0] = (COMPLETE_LEFT, 0, child, goal[1])
        stack[1] = (COMPLETE_RIGHT, child, m - 1 - child, goal[2])
        top = 2
    else:
        stack[0] = (COMPLETE_RIGHT, 0, m - 1, rank)
        top = 1
    while top > 0:
        top -= 1
        kind, i, w, rank = stack[top]
        if kind != INCOMPLETE and w == 0:
            continue
        o = w * m + i
        if kind == COMPLETE_LEFT:
            d, first, second = CL[o, rank]
            heads[origin + i + d - 1] = origin + i + w
            stack[top] = (COMPLETE_LEFT, i, d, first)
            stack[top + 1] = (INCOMPLETE, i + d, w - d, second)
        elif kind == COMPLETE_RIGHT:
            d, first, second = CR[o, rank]
            d += 1
            heads[origin + i + d - 1] = origin + i
            stack[top] = (INCOMPLETE, i, d, first)
            stack[top + 1] = (COMPLETE_RIGHT, i + d, w - d, second)
        else:
            d, first, second = X[o, rank]
            stack[top] = (COMPLETE_RIGHT, i, d, first)
            stack[top + 1] = (COMPLETE_LEFT, i + d + 1, w - 1 - d, second)
        top += 2
