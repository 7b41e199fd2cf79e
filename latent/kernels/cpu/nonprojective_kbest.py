"""The k best non-projective trees of one sentence, exactly: Lawler's partition around Edmonds' algorithm.

A subspace of trees fixes the heads of the words before some word and forbids a few heads of that word.
Taking its best tree out leaves at most n such subspaces: for each later word, the trees that agree with it
up to there and differ there. So the trees come out distinct, in order; each costs n calls of Edmonds, O(k
n³) in all.

Source: Lawler 1972, A procedure for computing the K best solutions to discrete optimization problems.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.edmonds import edmonds, new_contraction
from latent.kernels.cpu.jit import compiled


class Queue(NamedTuple):
    """Subspaces waiting, with the best tree of each; no more of them than trees still wanted."""

    score: Any
    """score[i]: of the best tree; -inf: the place is free."""
    heads: Any
    """heads[i]: the best tree."""
    first: Any
    """first[i]: the word (from 0) whose heads are restricted; those before it are as in the tree."""
    forbidden: Any
    """forbidden[i, h]: whether that word may not have the head h."""


@compiled
def kbest_trees(scores, n, single_root, found_scores, found_heads):  # type: ignore[no-untyped-def]
    """Fill found_scores and found_heads[:, :n] with the best trees in order; return how many there are."""
    k = found_scores.size
    queue = Queue(
        np.full(k, -np.inf), np.zeros((k, n), np.int64), np.zeros(k, np.int64), np.zeros((k, n + 1), np.bool_)
    )
    graph = new_contraction(n)
    heads, forbidden = np.zeros(n, np.int64), np.zeros(n + 1, np.bool_)
    _push(queue, _best_of(scores, n, single_root, heads, 0, forbidden, graph), heads, 0, forbidden)
    for count in range(k):
        best = _first_largest(queue.score)
        if queue.score[best] == -np.inf:
            return count
        found_scores[count] = queue.score[best]
        found_heads[count, :n] = queue.heads[best]
        queue.score[best] = -np.inf  # its place may go to one of its parts
        first = queue.first[best]
        for word in range(first, n):
            forbidden[:] = False
            if word == first:
                forbidden[:] = queue.forbidden[best]
            heads[:] = found_heads[count, :n]
            forbidden[heads[word]] = True
            score = _best_of(scores, n, single_root, heads, word, forbidden, graph)
            _push(queue, score, heads, word, forbidden)
    return k


@compiled
def _best_of(scores, n, single_root, heads, word, forbidden, graph):  # type: ignore[no-untyped-def]
    """The best tree among those with heads[:word] and without the forbidden heads of the word; its score."""
    incoming = graph.incoming
    incoming[:] = -np.inf
    for j in range(word):
        incoming[j + 1, heads[j]] = scores[heads[j], j + 1]
    for h in range(n + 1):
        for j in range(word, n):
            if j > word or not forbidden[h]:
                incoming[j + 1, h] = scores[h, j + 1]
    return edmonds(graph, n, single_root, heads, scores)


@compiled
def _push(queue, score, heads, word, forbidden):  # type: ignore[no-untyped-def]
    """Take a subspace in, in the place of the worst one if that is worse."""
    place = 0
    for i in range(queue.score.size):
        if queue.score[i] < queue.score[place]:
            place = i
    if score > queue.score[place]:
        queue.score[place] = score
        queue.heads[place] = heads
        queue.first[place] = word
        queue.forbidden[place] = forbidden


@compiled
def _first_largest(x):  # type: ignore[no-untyped-def]
    best = 0
    for i in range(x.size):
        if x[i] > x[best]:
            best = i
    return best
