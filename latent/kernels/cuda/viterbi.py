r"""The best projective tree of each sentence on a GPU: Eisner's algorithm over (max, +).

    X[w][i]  = max_{0≤d<w} CR[d][i] + CL[w-1-d][i+d+1]
    IR[w][i] = X[w][i] + s(i → i+w)             IL[w][i] = X[w][i] + s(i ← i+w)
    CR[w][i] = max_{0≤d<w} IR[1+d][i] + CR[w-1-d][i+1+d]
    CL[w][i] = max_{0≤d<w} CL[d][i] + IL[w-d][i+d]

Each maximum leaves the first d that attains it. To read the best tree off, go down the widths again: an item
that the best derivation uses marks the two that it was made of. All starts of a width are done at once, so no
stack is needed, and no thread waits for another but between widths.
"""

from __future__ import annotations

import triton
import triton.language as tl

from latent.kernels.cuda.chart import CL, CR, FINE, IL, IR, NO_TREE, check, left_arcs, right_arcs

CHART_TABLES = 4
"""Tables of scores: CR, CL, IR and IL."""
TRACE_TABLES = 7
"""Tables of int16: the marks of the used CR, CL, IR and IL, and the splits of X, CR and CL."""
SPLIT_X, SPLIT_CR, SPLIT_CL = (tl.constexpr(k) for k in range(4, 7))


@triton.jit
def _best_split(A, a, da, B, b, db, count, starts, STARTS: tl.constexpr, SPLITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """max_{k<count} A[a + k·da] + B[b + k·db] at each of the first starts, and the first best k."""
    k = tl.arange(0, SPLITS)[:, None]
    there = (tl.arange(0, STARTS) < starts)[None, :]
    best = tl.full([SPLITS, STARTS], float("-inf"), A.dtype.element_ty)
    split = tl.zeros([SPLITS, STARTS], tl.int32)
    for first in range(0, count, SPLITS):
        d = first + k
        some = there & (d < count)
        left = tl.load(A + a[None, :] + d * da, mask=some, other=float("-inf"))
        value = left + tl.load(B + b[None, :] + d * db, mask=some, other=float("-inf"))
        split = tl.where(value > best, d, split)
        best = tl.maximum(best, value)
    top = tl.max(best, axis=0)
    return top, tl.min(tl.where(best == top[None, :], split, count), axis=0)


@triton.jit
def _inside(scores, m, origin, chart, trace, size, STARTS: tl.constexpr, SPLITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Fill the chart over m positions, with the splits, and clear the marks."""
    table = size * size
    i = tl.arange(0, STARTS)
    tl.store(chart + CR * table + i, 0.0, mask=i < m)
    tl.store(chart + CL * table + i, 0.0, mask=i < m)
    tl.debug_barrier()
    for w in range(1, m):
        there = i < m - w
        row, narrower = w * size + i, (w - 1) * size + i + 1
        best, split = _best_split(
            chart + CR * table, i, size, chart + CL * table, narrower, 1 - size, w, m - w, STARTS, SPLITS
        )
        right = best + right_arcs(scores, w, i, there, origin, size, float("-inf"))
        left = best + left_arcs(scores, w, i, there, origin, size, float("-inf"))
        tl.store(chart + IR * table + row, right, mask=there)
        tl.store(chart + IL * table + row, left, mask=there)
        tl.store(trace + SPLIT_X * table + row, split, mask=there)
        for item in tl.static_range(4):
            tl.store(trace + item * table + row, 0, mask=there)
        tl.debug_barrier()
        best, split = _best_split(
            chart + IR * table,
            size + i,
            size,
            chart + CR * table,
            narrower,
            1 - size,
            w,
            m - w,
            STARTS,
            SPLITS,
        )
        tl.store(chart + CR * table + row, best, mask=there)
        tl.store(trace + SPLIT_CR * table + row, split, mask=there)
        best, split = _best_split(
            chart + CL * table, i, size, chart + IL * table, row, 1 - size, w, m - w, STARTS, SPLITS
        )
        tl.store(chart + CL * table + row, best, mask=there)
        tl.store(trace + SPLIT_CL * table + row, split, mask=there)
        tl.debug_barrier()


@triton.jit
def _goal(scores, m, chart, trace, heads, size, SINGLE_ROOT: tl.constexpr, STARTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The best tree's score; mark the items that it is made of."""
    table = size * size
    if SINGLE_ROOT:  # the root's child r heads all words before it and all words behind it
        r = tl.arange(0, STARTS)
        behind = (m - 1 - r) * size + r
        value = tl.load(chart + CL * table + r * size, mask=r < m, other=float("-inf"))
        value += tl.load(chart + CR * table + behind, mask=r < m, other=float("-inf"))
        value += tl.load(scores + r + 1, mask=r < m, other=float("-inf"))
        total = tl.max(value, axis=0)
        child = tl.min(tl.where((value == total) & (r < m), r, STARTS), axis=0)
        tl.store(heads + r, 0, mask=r == child)
        tl.store(trace + CL * table + r * size, 1, mask=r == child)
        tl.store(trace + CR * table + behind, 1, mask=r == child)
    else:  # the one item over everything, headed by the root symbol
        total = tl.load(chart + CR * table + (m - 1) * size)
        tl.store(trace + CR * table + (m - 1) * size, 1)
    tl.debug_barrier()
    return total


@triton.jit
def _read_off(m, origin, trace, heads, size, STARTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Follow the marks down the widths and write the heads of the arcs that they pass."""
    table = size * size
    i = tl.arange(0, STARTS)
    for step in range(1, m):
        w = m - step
        row, there = w * size + i, i < m - w
        used = there & (tl.load(trace + CR * table + row, mask=there, other=0) != 0)
        d = tl.load(trace + SPLIT_CR * table + row, mask=used, other=0).to(tl.int32)
        tl.store(trace + IR * table + (1 + d) * size + i, 1, mask=used)
        tl.store(trace + CR * table + (w - 1 - d) * size + i + 1 + d, 1, mask=used)
        used = there & (tl.load(trace + CL * table + row, mask=there, other=0) != 0)
        d = tl.load(trace + SPLIT_CL * table + row, mask=used, other=0).to(tl.int32)
        tl.store(trace + CL * table + d * size + i, 1, mask=used)
        tl.store(trace + IL * table + (w - d) * size + i + d, 1, mask=used)
        tl.debug_barrier()
        right = there & (tl.load(trace + IR * table + row, mask=there, other=0) != 0)
        left = there & (tl.load(trace + IL * table + row, mask=there, other=0) != 0)
        tl.store(heads + origin + i + w - 1, origin + i, mask=right)
        tl.store(heads + origin + i - 1, origin + i + w, mask=left)
        d = tl.load(trace + SPLIT_X * table + row, mask=right | left, other=0).to(tl.int32)
        tl.store(trace + CR * table + d * size + i, 1, mask=right | left)
        tl.store(trace + CL * table + (w - 1 - d) * size + i + d + 1, 1, mask=right | left)
        tl.debug_barrier()


@triton.jit
def best_tree(  # type: ignore[no-untyped-def]
    scores,
    n,
    chart,
    trace,
    heads,
    size,
    SINGLE_ROOT: tl.constexpr,
    STARTS: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """Write the head of word j to heads[j-1], 0 for the root, and return the tree's score (-inf: no tree)."""
    origin = 1 if SINGLE_ROOT else 0
    m = n + 1 - origin
    _inside(scores, m, origin, chart, trace, size, STARTS, SPLITS)
    total = _goal(scores, m, chart, trace, heads, size, SINGLE_ROOT, STARTS)
    _read_off(m, origin, trace, heads, size, STARTS)
    return total


@triton.jit(do_not_specialize=["size"])
def map_kernel(  # type: ignore[no-untyped-def]
    scores, lengths, chart, trace, heads, z, status, size,
    SINGLE_ROOT: tl.constexpr, STARTS: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Write ones for the arcs of each sentence's best tree into z, which starts as zeros."""
    b = tl.program_id(0).to(tl.int64)
    table = size.to(tl.int64) * size
    scores += b * table
    chart += b * 4 * table
    trace += b * 7 * table
    heads += b * size
    length = tl.load(lengths + b)
    code = check(scores, length, size, STARTS, SPLITS)
    n = tl.where(code == FINE, length, 0).to(tl.int32)
    total = best_tree(scores, n, chart, trace, heads, size, SINGLE_ROOT, STARTS, SPLITS)
    j = tl.arange(0, STARTS)
    head = tl.load(heads + j, mask=j < n, other=0)
    tl.store(z + b * table + head * size + j + 1, 1.0, mask=j < n)
    tl.store(status + b, tl.where((code == FINE) & (total == float("-inf")), NO_TREE, code))
