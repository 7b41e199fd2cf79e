"""From the scores of a sentence to the logarithms of weights that `matrix_tree` eliminates."""

from __future__ import annotations

from math import inf

import numpy as np

from latent.kernels.cpu.jit import compiled


@compiled
def load_scores(scores, n, single_root, last, order, w):  # type: ignore[no-untyped-def]
    """Set w to the scores less what all trees have in common; return the sum of what was taken off.

    `order[position]` is the vertex. The words are eliminated from position n down, so the word at position 1
    must be able to reach the others: `last`, or a likely word if that is 0. Taken off are each word's best
    score (with a single root: among heads that are words), and with a single root the best of what then is
    left of the root's arcs.
    """
    shift = _best_scores(scores, n, single_root)
    if last == 0:
        last = _likely_child_of_root(scores, n, shift)
    shift[shift == -inf] = 0.0
    order[: n + 1] = np.arange(n + 1)
    order[last], order[1] = 1, last
    best_root = -inf
    for i in range(n + 1):
        w[i, :] = -inf
        for j in range(1, n + 1):
            if i != j:
                w[i, j] = scores[order[i], order[j]] - shift[order[j]]
                if i == 0:
                    best_root = max(best_root, w[i, j])
    if single_root and best_root > -inf:
        w[0] -= best_root
        return shift.sum() + best_root
    return shift.sum()


@compiled
def _best_scores(scores, n, single_root):  # type: ignore[no-untyped-def]
    """Each word's best score; with a single root, over the heads that are words."""
    best = np.full(n + 1, -inf)
    for h in range(1 if single_root else 0, n + 1):
        for m in range(1, n + 1):
            if h != m and scores[h, m] > best[m]:
                best[m] = scores[h, m]
    return best


@compiled
def _likely_child_of_root(scores, n, best):  # type: ignore[no-untyped-def]
    """A word without another head than the root, else the one for which the root's arc gains most."""
    word, most = 1, -inf
    for m in range(1, n + 1):
        if best[m] == -inf:
            return m
        if scores[0, m] - best[m] > most:
            word, most = m, scores[0, m] - best[m]
    return word
