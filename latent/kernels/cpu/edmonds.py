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

from latent.kernels.cpu.jit import compiled

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
    chosen: Any
    """chosen[vertex]: the arc chosen into it, as (head, word)."""


@compiled
def edmonds_scratch(n):  # type: ignore[no-untyped-def]
    """How many numbers `best_tree` works on for n words."""
    return (n + 1) * (n + 1)


@compiled
def best_tree(scores, n, single_root, heads, scratch):  # type: ignore[no-untyped-def]
    """Write the head of word j to heads[j-1], 0 for the root, and return the tree's score (-inf: no tree).

    Of equal arcs, the one with the smaller head is taken.
    """
    incoming = scratch[: (n + 1) * (n + 1)].reshape(n + 1, n + 1)
    for h in range(n + 1):
        for m in range(1, n + 1):
            incoming[m, h] = scores[h, m]
    return edmonds(incoming, single_root, heads, scores)


@compiled
def edmonds(incoming, single_root, heads, scores):  # type: ignore[no-untyped-def]
    """`best_tree` of the arcs incoming[word, head], which is overwritten; its score sums `scores`."""
    size = incoming.shape[0]
    graph = _uncontracted(incoming)
    path = np.empty(size, np.int64)
    cycles = 0
    for start in range(1, size):
        if graph.state[graph.slot_of[start]] == UNSEEN:
            cycles = _grow(graph, graph.slot_of[start], path, single_root, cycles)
            if cycles < 0:
                return -np.inf
    _expand(graph, size + cycles, heads)
    total, roots = 0.0, 0
    for m in range(1, size):
        total += scores[heads[m - 1], m]
        roots += heads[m - 1] == 0
    return -np.inf if single_root and roots > 1 else total


@compiled
def _uncontracted(incoming):  # type: ignore[no-untyped-def]
    size = incoming.shape[0]
    end = np.empty((size, size), np.int64)
    for m in range(1, size):
        end[m] = m
        incoming[m, m] = -np.inf
    graph = Contraction(
        incoming,
        end,
        np.arange(size),
        np.zeros(size),
        np.zeros(size, np.int8),
        np.arange(size),
        np.zeros(2 * size, np.int64),
        np.zeros((2 * size, 2), np.int64),
    )
    graph.state[0] = FINISHED
    return graph


@compiled
def _grow(graph, start, path, single_root, cycles):  # type: ignore[no-untyped-def]
    """From a slot, follow best arcs against their direction up to a finished slot, contracting every cycle.

    Returns the number of cycles so far, or -1 if some slot has no arc left.
    """
    top = 0
    path[0] = start
    graph.state[start] = ON_PATH
    while True:
        slot = path[top]
        head = _best_head(graph.incoming[slot], single_root)
        if head < 0:
            return -1
        graph.worth[slot] = graph.incoming[slot, head]
        graph.chosen[graph.vertex[slot]] = (head, graph.end[slot, head])
        before = graph.slot_of[head]
        if graph.state[before] == FINISHED:
            graph.state[path[: top + 1]] = FINISHED
            return cycles
        if graph.state[before] == UNSEEN:
            top += 1
            path[top] = before
            graph.state[before] = ON_PATH
            continue
        bottom = top
        while path[bottom] != before:
            bottom -= 1
        _contract(graph, path[bottom : top + 1], graph.slot_of.size + cycles)
        top = bottom
        cycles += 1


@njit(nogil=True, fastmath={"nnan", "nsz", "reassoc"})  # in any order, so with vectors; its caller is cached
def _largest(row):  # type: ignore[no-untyped-def]
    best = -np.inf
    for x in row:
        best = max(best, x)
    return best


@compiled
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


@compiled
def _contract(graph, cycle, vertex):  # type: ignore[no-untyped-def]
    """Merge the slots of a cycle into its first: for each head, the best way in and where it ends."""
    first = cycle[0]
    row, ends = graph.incoming[first], graph.end[first]
    row -= graph.worth[first]
    for slot in cycle[1:]:
        other, other_ends, worth = graph.incoming[slot], graph.end[slot], graph.worth[slot]
        for h in range(row.size):
            if other[h] - worth > row[h]:
                row[h] = other[h] - worth
                ends[h] = other_ends[h]
    merged = np.zeros(row.size, np.bool_)
    for slot in cycle:
        merged[slot] = True
        graph.parent[graph.vertex[slot]] = vertex
    for h in range(row.size):
        if merged[graph.slot_of[h]]:
            graph.slot_of[h] = first
            row[h] = -np.inf
    graph.vertex[first] = vertex


@compiled
def _expand(graph, vertices, heads):  # type: ignore[no-untyped-def]
    """Undo the contractions: the arc into a cycle replaces the one that ends at the same word."""
    settled = np.zeros(vertices, np.bool_)
    for vertex in range(vertices - 1, 0, -1):
        if not settled[vertex]:
            head, inner = graph.chosen[vertex]
            heads[inner - 1] = head
            settled[inner] = True
            while inner != vertex:
                inner = graph.parent[inner]
                settled[inner] = True
