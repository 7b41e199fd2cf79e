r"""Exact draws of non-projective trees, by undoing the elimination of `matrix_tree` vertex by vertex.

Wilson's random walk takes as many steps as its heaviest cycle is heavy, which for a confident parser is for
ever; this takes O(n³) for the elimination and then some O(n²), whatever the scores.

Eliminating v turned each weight into w_ij + p_i w_vj, so an arc i → j of a tree without v stands for that
arc or for v → j, with chances as the two terms. Say v is to get the children j_1 … j_k. Cut off the
subtrees of these, and let C be what is left, the root among it. Then v's head is drawn from C by w_iv. This
is exact: the trees without v that become the same pieces hang each subtree below C, or below another of
them, with weights p; by Cayley's formula (in its weighted form) these choices sum to

$$\Bigl(\sum_{i \in C} p_i\Bigr)\Bigl(\sum_i p_i\Bigr)^{k-1}
  = \sum_{i \in C} p_i = \sum_{i \in C} w_{iv} / D_v .$$

With a single root the root's weight is infinitesimal: it is v's head only where C holds nothing else. An
arc's weight is its first weight plus one term for each vertex eliminated since, so the vertex by way of
which it goes (none, or one of those) is drawn when the arc is.
"""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.arc_weights import word_at
from latent.kernels.cpu.jit import compiled
from latent.kernels.cpu.matrix_tree import eliminate, stride_of
from latent.kernels.cpu.matrix_tree_log import log_eliminate
from latent.kernels.cpu.tree_sums import load_logarithms, load_weights

DIRECT = 0


@compiled
def sample_tree(scores, n, single_root, seed, heads, sums):  # type: ignore[no-untyped-def]
    """Draw heads[:n] from the Gibbs distribution, with randomness from the seed; False: no tree."""
    w, e, de = sums.w, sums.e, sums.de
    _, last = load_weights(scores, n, single_root, e, w)
    logarithms = not np.isfinite(eliminate(n, single_root, e))
    if logarithms:
        shift, last = load_logarithms(scores, n, single_root, e, w)
        if shift == -np.inf:
            return False
        de.w[:] = 0.0
        log_eliminate(n, single_root, e, de)
    state = np.array([np.uint64(seed)])
    drawn = np.empty(n + 1, np.int64)
    _uneliminate(n, single_root, w, e, logarithms, state, drawn)
    for j in range(1, n + 1):
        heads[word_at(j, last) - 1] = word_at(drawn[j], last)
    return True


@compiled
def _uneliminate(n, single_root, w, e, logarithms, state, head):  # type: ignore[no-untyped-def]
    """Put the vertices 1 … n back; head[v] is v's head among the vertices that are back."""
    S = stride_of(n)
    by_way = np.empty(n + 1, np.int64)  # of the arc into j: the vertex it goes by, or DIRECT
    free = np.empty(n + 1, np.bool_)  # the vertices of C
    terms = np.empty(n + 1)
    for v in range(1, n + 1):
        for j in range(1, v):
            if by_way[j] == v:
                head[j] = v
        _outside_of(v, head, free)
        first = 1 if single_root and free[1:v].any() else 0
        terms[:v] = 0.0
        for i in range(first, v):
            if free[i]:
                terms[i] = e.p[v * S + i]
            elif logarithms:
                terms[i] = -np.inf
        if first and logarithms:
            terms[0] = -np.inf
        head[v] = _draw(terms[:v], logarithms, state)
        for j in range(1, v + 1):
            if j == v or by_way[j] == v:
                by_way[j] = _draw_way(head[j], j, v, n, w, e, logarithms, terms, state)


@compiled
def _outside_of(v, head, free):  # type: ignore[no-untyped-def]
    """free[i] for i < v: whether i hangs from the root, and not from v."""
    free[:v] = False
    free[0] = True
    for i in range(1, v):
        top = i
        while top != v and not free[top]:
            top = head[top]
        if top == v:
            continue
        top = i
        while not free[top]:
            free[top] = True
            top = head[top]


@compiled
def _draw_way(i, j, v, n, w, e, logarithms, terms, state):  # type: ignore[no-untyped-def]
    """Draw by which vertex, of those eliminated before v was, the arc i → j goes; DIRECT for none."""
    S = stride_of(n)
    terms[0] = w[i * S + j]
    for u in range(v + 1, n + 1):
        p, x = e.p[u * S + i], e.w[u * S + j]
        terms[u - v] = p + x if logarithms else p * x
    way = _draw(terms[: n - v + 1], logarithms, state)
    return DIRECT if way == 0 else v + way


@compiled
def _draw(terms, logarithms, state):  # type: ignore[no-untyped-def]
    """Draw an index with chances as the terms, or as their exponentials; the terms are overwritten."""
    if logarithms:
        terms[:] = np.exp(terms - terms.max())
    left = _uniform(state) * terms.sum()
    chosen = -1
    for k in range(terms.size):
        if terms[k] > 0.0:
            chosen = k
            left -= terms[k]
            if left < 0.0:
                break
    return chosen


@compiled
def _uniform(state):  # type: ignore[no-untyped-def]
    """The next number of [0, 1) after the state, by splitmix64 (Steele, Lea and Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    x = state[0]
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.float64(x >> np.uint64(11)) * 2.0**-53
