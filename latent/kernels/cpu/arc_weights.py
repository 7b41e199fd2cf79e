"""From the scores of a sentence to the logarithms of weights that `matrix_tree` eliminates.

The words are eliminated from position n down, so the one at position 1 must be able to reach all others.
It and word 1 change places: `word_at` says which word a position holds.
"""

from __future__ import annotations

from math import inf

from latent.kernels.cpu.jit import leaf


@leaf
def word_at(position, last):  # type: ignore[no-untyped-def]
    """The vertex at a position, and the position of a vertex, where word `last` is left for last."""
    if position == 1:
        return last
    return 1 if position == last else position


@leaf
def swap_words(row, last):  # type: ignore[no-untyped-def]
    """Bring a row over words into a row over positions, or back."""
    row[1], row[last] = row[last], row[1]


@leaf
def copy(x, out):  # type: ignore[no-untyped-def]
    """out = x, without the copy in between that `out[:] = x` makes room for."""
    for i in range(out.size):
        out[i] = x[i]


@leaf
def load_scores(scores, n, single_root, last, shift, w, S):  # type: ignore[no-untyped-def]
    """Set w to the scores less what all trees have in common; return the sum of that, and the last word.

    w is flat, its rows, S apart, and columns are positions. The word eliminated last is `last`, or a likely
    one if that is 0. Taken off are each word's best score (with a single root: among heads that are words),
    for which `shift` has room, and with a single root the best of what then is left of the root's arcs.
    """
    _best_scores(scores, n, 1 if single_root else 0, shift)
    if last == 0:
        last = _likely_child_of_root(scores[0], n, shift)
    taken_off = 0.0
    for m in range(1, n + 1):
        if shift[m] == -inf:
            shift[m] = 0.0
        taken_off += shift[m]
    for i in range(n + 1):
        row = w[i * S : i * S + S]
        row[:] = -inf
        _subtract(scores[word_at(i, last), 1 : n + 1], shift[1 : n + 1], row[1 : n + 1])
        swap_words(row, last)
        if i > 0:
            row[i] = -inf
    if single_root:
        best_root = -inf
        for j in range(1, n + 1):
            best_root = max(best_root, w[j])
        if best_root > -inf:
            taken_off += best_root
            for j in range(1, n + 1):
                w[j] -= best_root
    return taken_off, last


@leaf
def _best_scores(scores, n, first, best):  # type: ignore[no-untyped-def]
    """Each word's best score over the heads `first`, …, n, itself left out."""
    best[:] = -inf
    for h in range(first, n + 1):
        _raise(best[1:h], scores[h, 1:h])
        _raise(best[h + 1 : n + 1], scores[h, h + 1 : n + 1])


@leaf
def _raise(best, row):  # type: ignore[no-untyped-def]
    for i in range(best.size):
        best[i] = row[i] if row[i] > best[i] else best[i]


@leaf
def _subtract(row, shift, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = row[i] - shift[i]


@leaf
def _likely_child_of_root(from_root, n, best):  # type: ignore[no-untyped-def]
    """A word without another head than the root, else the one for which the root's arc gains most."""
    word, most = 1, -inf
    for m in range(1, n + 1):
        if best[m] == -inf:
            return m
        if from_root[m] - best[m] > most:
            word, most = m, from_root[m] - best[m]
    return word
