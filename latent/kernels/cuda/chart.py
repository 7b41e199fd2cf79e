"""What all GPU kernels over charts share: the layout, the arcs' scores, and the look at what is wrong.

Charts are stored by width, as on the CPU: the item over positions i … i+w is entry w · size + i of its table,
so a step over all starts i at once reads and writes neighbours. A tile is SPLITS by STARTS: all starts,
rounded up to a power of two, and some splits of each.

With several roots the root symbol is position 0 of the chart. With a single root the chart holds the words
alone (`origin` = 1 is the scores' index of position 0), and the root's one child joins two complete items.
"""

from __future__ import annotations

import triton
import triton.language as tl

from latent.kernels import status

FINE = tl.constexpr(status.FINE)
BAD_LENGTH = tl.constexpr(status.BAD_LENGTH)
BAD_SCORE = tl.constexpr(status.BAD_SCORE)
NO_TREE = tl.constexpr(status.NO_TREE)

CR, CL, IR, IL = (tl.constexpr(k) for k in range(4))
"""The tables of a chart: complete items and incomplete ones, whose arcs point right or left."""


@triton.jit
def check(scores, n, size, STARTS: tl.constexpr, SPLITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The status of a sentence of n words: length in range, no NaN, no +inf among the arcs' scores."""
    in_range = (n >= 1) & (n < size)
    last = tl.where(in_range, n, 0).to(tl.int32)
    j = tl.arange(0, STARTS)[None, :]
    wrong = tl.zeros([SPLITS, STARTS], tl.int32)
    for start in range(0, last + 1, SPLITS):
        h = start + tl.arange(0, SPLITS)[:, None]
        arc = (h <= last) & (j >= 1) & (j <= last) & (h != j)
        score = tl.load(scores + h * size + j, mask=arc, other=0.0)
        wrong += tl.where(score < float("inf"), 0, 1)
    bad = tl.sum(tl.sum(wrong, axis=1), axis=0) > 0
    return tl.where(in_range, tl.where(bad, BAD_SCORE, FINE), BAD_LENGTH)


@triton.jit
def right_arcs(matrix, w, i, there, origin, size, other):  # type: ignore[no-untyped-def]
    """What the matrix holds for the arcs i → i+w."""
    return tl.load(matrix + (origin + i) * size + origin + i + w, mask=there, other=other)


@triton.jit
def left_arcs(matrix, w, i, there, origin, size, other):  # type: ignore[no-untyped-def]
    """What the matrix holds for the arcs i ← i+w; none enters the root symbol."""
    there = there & (origin + i > 0)
    return tl.load(matrix + (origin + i + w) * size + origin + i, mask=there, other=other)
