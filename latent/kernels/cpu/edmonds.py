"""Chu-Liu-Edmonds in Tarjan's dense form: the best non-projective tree of one sentence in O(n²).

Vertices are 0 (the root symbol) and 1..n (the words). Every word takes its best incoming arc; a cycle of such
arcs is contracted into one vertex, whose incoming arcs are worth what they add over the cycle's own arc; when
nothing is left to contract, the contractions are undone from the outermost in.

A single root needs no second run and no large constant. Ask for the fewest root arcs first and for the best
score second: such pairs add and compare like numbers (lexicographically), so the algorithm stays exact on
them. No arc of a cycle leaves the root, so contracting never changes the first entry of a pair, and the
rule comes down to: an arc from the root is taken only where no other arc is left.

Sources: Chu and Liu 1965; Edmonds 1967; Tarjan 1977, Finding optimum branchings. Zmigrod et al. 2020 reach a
single root in O(n²) in another way, after Gabow and Tarjan 1984.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from latent.kernels.cpu.jit import LEAF, compiled, leaf

UNSEEN, ON_PATH, FINISHED = 0, 1, 2


class Contraction(NamedTuple):
    """The graph as it is contracted. A slot is a row that holds a vertex of the graph as it is now."""

    incoming: Any
    """incoming[slot, head]: what the arc from an original vertex adds."""
    end: Any
    """end[slot, head]: the word where that arc ends."""
    slot_of: Any
    """slot_of[word]: the slot it has been contracted into."""
    worth: Any
    """worth[slot]: the score of the arc chosen into it."""
    state: Any
    """state[slot]: UNSEEN, ON_PATH or FINISHED."""
    vertex: Any
    """vertex[slot]: its vertex of the forest of contractions: words, then cycles by age."""
    parent: Any
    """parent[vertex]: the cycle that it was contracted into."""
    head: Any
    """head[vertex]: where the arc chosen into it comes from."""
    inner: Any
    """inner[vertex]: the word where that arc ends."""
    path: Any
    """The slots on the path, from its start."""
    marked: Any
    """Of slots or vertices, as need be."""


@compiled
def new_contraction(n):  # type: ignore[no-untyped-def]
    """Room for graphs of up to n words."""
    size = n + 1
    return Contraction(
        np.empty((size, size)),
        np.empty((size, size), np.int64),
        np.empty(size, np.int64),
        np.empty(size),
        np.empty(size, np.int8),
        np.empty(size, np.int64),
        np.empty(2 * size, np.int64),
        np.empty(2 * size, np.int64),
        np.empty(2 * size, np.int64),
        np.empty(size, np.int64),
        np.empty(2 * size, np.bool_),
    )


@leaf
def best_tree(scores, n, single_root, heads, graph):  # type: ignore[no-untyped-def]
    """Write the head of word j to heads[j-1], 0 for the root, and return the tree's score (-inf: no tree).

    Of equal arcs, the one with the smaller head is taken.
    """
    for h in range(n + 1):
        for m in range(1, n + 1):
            graph.incoming[m, h] = scores[h, m]
    return edmonds(graph, n, single_root, heads, scores)


@leaf
def edmonds(graph, n, single_root, heads, scores):  # type: ignore[no-untyped-def]
    """`best_tree` of the arcs graph.incoming[word, head], which is overwritten; its score sums `scores`."""
    size = n + 1
    _restore(graph, size)
    cycles = 0
    for start in range(1, size):
        if graph.state[graph.slot_of[start]] == UNSEEN:
            cycles = _grow(graph, size, graph.slot_of[start], single_root, cycles)
            if cycles < 0:
                return -np.inf
    _expand(graph, size + cycles, heads)
    total, roots = 0.0, 0
    for m in range(1, size):
        total += scores[heads[m - 1], m]
        roots += heads[m - 1] == 0
    return -np.inf if single_root and roots > 1 else total


@leaf
def _restore(graph, size):  # type: ignore[no-untyped-def]
    """Nothing is contracted, and all but the root is unseen."""
    for m in range(size):
        graph.incoming[m, m] = -np.inf
        graph.slot_of[m] = m
        graph.vertex[m] = m
        graph.state[m] = UNSEEN if m > 0 else FINISHED
        for h in range(size):
            graph.end[m, h] = m


@leaf
def _grow(graph, size, start, single_root, cycles):  # type: ignore[no-untyped-def]
    """From a slot, follow best arcs against their direction up to a finished slot, contracting every cycle.

    Returns the number of cycles so far, or -1 if some slot has no arc left.
    """
    path, top = graph.path, 0
    path[0] = start
    graph.state[start] = ON_PATH
    while True:
        slot = path[top]
        head = _best_head(graph.incoming[slot, :size], single_root)
        if head < 0:
            return -1
        graph.worth[slot] = graph.incoming[slot, head]
        graph.head[graph.vertex[slot]] = head
        graph.inner[graph.vertex[slot]] = graph.end[slot, head]
        before = graph.slot_of[head]
        if graph.state[before] == FINISHED:
            for i in range(top + 1):
                graph.state[path[i]] = FINISHED
            return cycles
        if graph.state[before] == UNSEEN:
            top += 1
            path[top] = before
            graph.state[before] = ON_PATH
            continue
        bottom = top
        while path[bottom] != before:
            bottom -= 1
        _contract(graph, size, path[bottom : top + 1], size + cycles)
        top = bottom
        cycles += 1


@njit(nogil=True, fastmath={"nnan", "nsz", "reassoc"}, **LEAF)  # in any order, so with vectors
def _largest(row):  # type: ignore[no-untyped-def]
    best = -np.inf
    for x in row:
        best = max(best, x)
    return best


@leaf
def _best_head(row, single_root):  # type: ignore[no-untyped-def]
    """The first of the best heads in a row of incoming arcs, -1 if all are forbidden."""
    first = 1 if single_root else 0
    best = _largest(row[first:])
    if best == -np.inf:
        return 0 if row[0] > -np.inf else -1
    head = first
    while row[head] != best:
        head += 1
    return head


@leaf
def _contract(graph, size, cycle, vertex):  # type: ignore[no-untyped-def]
    """Merge the slots of a cycle into its first: for each head, the best way in and where it ends."""
    first = cycle[0]
    row, ends, merged = graph.incoming[first, :size], graph.end[first, :size], graph.marked
    for h in range(size):
        row[h] -= graph.worth[first]
        merged[h] = False
    for slot in cycle[1:]:
        other, other_ends, worth = graph.incoming[slot, :size], graph.end[slot, :size], graph.worth[slot]
        for h in range(size):
            if other[h] - worth > row[h]:
                row[h] = other[h] - worth
                ends[h] = other_ends[h]
    for slot in cycle:
        merged[slot] = True
        graph.parent[graph.vertex[slot]] = vertex
    for h in range(size):
        if merged[graph.slot_of[h]]:
            graph.slot_of[h] = first
            row[h] = -np.inf
    graph.vertex[first] = vertex


@leaf
def _expand(graph, vertices, heads):  # type: ignore[no-untyped-def]
    """Undo the contractions: the arc into a cycle replaces the one that ends at the same word."""
    settled = graph.marked
    for vertex in range(vertices):
        settled[vertex] = False
    for vertex in range(vertices - 1, 0, -1):
        if not settled[vertex]:
            inner = graph.inner[vertex]
            heads[inner - 1] = graph.head[vertex]
            settled[inner] = True
            while inner != vertex:
                inner = graph.parent[inner]
                settled[inner] = True
