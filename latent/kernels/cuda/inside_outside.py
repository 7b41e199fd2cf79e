r"""Sums over the projective trees of each sentence on a GPU: log-partition, marginals, and their derivative.

Inside is the recursion of `viterbi` over sums instead of maxima; outside pulls the adjoint of each item from
the wider items that it is a part of, widest first:

    CL'[w][i] = ⊕_k CL'[w+1+k][i] ⊗ IL[1+k][i+w]  ⊕  ⊕_k X'[w+1+k][i-1-k] ⊗ CR[k][i-1-k]
    CR'[w][i] = ⊕_k X'[w+1+k][i] ⊗ CL[k][i+w+1]   ⊕  ⊕_k CR'[w+1+k][i-1-k] ⊗ IR[1+k][i-1-k]
    IR'[w][i] = ⊕_k CR'[w+k][i] ⊗ CR[k][i+w]      IL'[w][i] = ⊕_k CL'[w+k][i-k] ⊗ CL[k][i-k]
    X'[w][i]  = IR' ⊗ exp s(i → i+w)  ⊕  IL' ⊗ exp s(i ← i+w)

All in logarithms and float64, whatever the scores are: a GPU has exponentials to spare, and no range is ever
left. Marginals are the derivative of the log-partition, so their Jacobian is symmetric: the derivative of
each logarithm along a direction (dual numbers), carried through both passes, gives it times that direction.
"""

from __future__ import annotations

import triton
import triton.language as tl

from latent.kernels.cuda.chart import CL, CR, FINE, IL, IR, NO_TREE, check, left_arcs, right_arcs

SUM_TABLES = 7
"""Tables of logarithms; their tangents are as many more."""
CR_OUT, CL_OUT, X_OUT = (tl.constexpr(k) for k in range(4, 7))
TANGENT = tl.constexpr(SUM_TABLES)


@triton.jit
def _log_sum(  # type: ignore[no-untyped-def]
    chart, A: tl.constexpr, a, da, B: tl.constexpr, b, db, counts, most, table,
    DUAL: tl.constexpr, STARTS: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """log Σ_{k<counts} exp(A[a + k·da] + B[b + k·db]) at each start, and its tangent."""
    k = tl.arange(0, SPLITS)[:, None]
    top = tl.full([SPLITS, STARTS], float("-inf"), tl.float64)
    for first in range(0, most, SPLITS):
        d = first + k
        some = d < counts[None, :]
        left = tl.load(chart + A * table + a[None, :] + d * da, mask=some, other=float("-inf"))
        right = tl.load(chart + B * table + b[None, :] + d * db, mask=some, other=float("-inf"))
        top = tl.maximum(top, left + right)
    best = tl.max(top, axis=0)
    best = tl.where(best > float("-inf"), best, 0.0)
    total = tl.zeros([SPLITS, STARTS], tl.float64)
    tangent = tl.zeros([SPLITS, STARTS], tl.float64)
    for first in range(0, most, SPLITS):
        d = first + k
        some = d < counts[None, :]
        x, y = A * table + a[None, :] + d * da, B * table + b[None, :] + d * db
        left = tl.load(chart + x, mask=some, other=float("-inf"))
        right = tl.load(chart + y, mask=some, other=float("-inf"))
        share = tl.exp(left + right - best[None, :])
        total += share
        if DUAL:
            slope = tl.load(chart + TANGENT * table + x, mask=some, other=0.0)
            tangent += share * (slope + tl.load(chart + TANGENT * table + y, mask=some, other=0.0))
    return _logarithm(best, tl.sum(total, axis=0), tl.sum(tangent, axis=0))


@triton.jit
def _logarithm(top, total, tangent):  # type: ignore[no-untyped-def]
    """log(exp(top) · total) and its tangent; -inf and 0 where nothing was summed."""
    some = total > 0.0
    total = tl.where(some, total, 1.0)
    return tl.where(some, top + tl.log(total), float("-inf")), tangent / total


@triton.jit
def _log_add(x, dx, y, dy):  # type: ignore[no-untyped-def]
    """log(exp(x) + exp(y)), and its tangent."""
    top = tl.maximum(x, y)
    top = tl.where(top > float("-inf"), top, 0.0)
    p, q = tl.exp(x - top), tl.exp(y - top)
    return _logarithm(top, p + q, p * dx + q * dy)


@triton.jit
def _put(chart, item: tl.constexpr, at, value, tangent, there, table, DUAL: tl.constexpr):  # type: ignore[no-untyped-def]
    tl.store(chart + item * table + at, value, mask=there)
    if DUAL:
        tl.store(chart + (TANGENT + item) * table + at, tangent, mask=there)


@triton.jit
def _get(chart, item: tl.constexpr, at, there, table, DUAL: tl.constexpr):  # type: ignore[no-untyped-def]
    value = tl.load(chart + item * table + at, mask=there, other=float("-inf"))
    if DUAL:
        tangent = tl.load(chart + (TANGENT + item) * table + at, mask=there, other=0.0)
    else:
        tangent = tl.zeros_like(value)
    return value, tangent


@triton.jit
def _arcs(scores, direction, w, i, there, origin, size, DUAL: tl.constexpr):  # type: ignore[no-untyped-def]
    """Scores and tangents of the arcs i → i+w and i ← i+w; a forbidden arc's tangent counts for nothing."""
    right = right_arcs(scores, w, i, there, origin, size, float("-inf")).to(tl.float64)
    left = left_arcs(scores, w, i, there, origin, size, float("-inf")).to(tl.float64)
    if DUAL:
        allowed = there & (right > float("-inf"))
        dright = right_arcs(direction, w, i, allowed, origin, size, 0.0).to(tl.float64)
        allowed = there & (left > float("-inf"))
        dleft = left_arcs(direction, w, i, allowed, origin, size, 0.0).to(tl.float64)
    else:
        dright, dleft = tl.zeros_like(right), tl.zeros_like(left)
    return right, dright, left, dleft


@triton.jit
def _root_arcs(scores, direction, r, there, DUAL: tl.constexpr):  # type: ignore[no-untyped-def]
    """Scores and tangents of the arcs from the root symbol to the words at positions r."""
    score = tl.load(scores + r + 1, mask=there, other=float("-inf")).to(tl.float64)
    tangent = tl.zeros_like(score)
    if DUAL:
        tangent = tl.load(direction + r + 1, mask=there & (score > float("-inf")), other=0.0).to(tl.float64)
    return score, tangent


@triton.jit
def _inside(  # type: ignore[no-untyped-def]
    scores, direction, m, origin, chart, size, DUAL: tl.constexpr, STARTS: tl.constexpr, SPLITS: tl.constexpr
):
    """Fill the chart over m positions with the sums of all items' derivations."""
    table = size * size
    i = tl.arange(0, STARTS)
    one = tl.zeros([STARTS], tl.float64)
    _put(chart, CR, i, one, one, i < m, table, DUAL)
    _put(chart, CL, i, one, one, i < m, table, DUAL)
    tl.debug_barrier()
    for w in range(1, m):
        there = i < m - w
        splits = tl.where(there, w, 0)
        row, narrower = w * size + i, (w - 1) * size + i + 1
        right, dright, left, dleft = _arcs(scores, direction, w, i, there, origin, size, DUAL)
        x, dx = _log_sum(chart, CR, i, size, CL, narrower, 1 - size, splits, w, table, DUAL, STARTS, SPLITS)
        _put(chart, IR, row, x + right, dx + dright, there, table, DUAL)
        _put(chart, IL, row, x + left, dx + dleft, there, table, DUAL)
        tl.debug_barrier()
        x, dx = _log_sum(
            chart, IR, size + i, size, CR, narrower, 1 - size, splits, w, table, DUAL, STARTS, SPLITS
        )
        _put(chart, CR, row, x, dx, there, table, DUAL)
        x, dx = _log_sum(chart, CL, i, size, IL, row, 1 - size, splits, w, table, DUAL, STARTS, SPLITS)
        _put(chart, CL, row, x, dx, there, table, DUAL)
        tl.debug_barrier()


@triton.jit
def _goal(  # type: ignore[no-untyped-def]
    scores, direction, m, chart, size, SINGLE_ROOT: tl.constexpr, DUAL: tl.constexpr, STARTS: tl.constexpr
):
    """log Z and its tangent; and with a single root, the log weight and tangent of each word as its child."""
    table = size * size
    r = tl.arange(0, STARTS)
    there = r < m
    if SINGLE_ROOT:
        before, dbefore = _get(chart, CL, r * size, there, table, DUAL)
        behind, dbehind = _get(chart, CR, (m - 1 - r) * size + r, there, table, DUAL)
        score, dscore = _root_arcs(scores, direction, r, there, DUAL)
        child, dchild = before + behind + score, dbefore + dbehind + dscore
        top = tl.max(child, axis=0)
        top = tl.where(top > float("-inf"), top, 0.0)
        share = tl.exp(child - top)
        total, dtotal = _logarithm(top, tl.sum(share, axis=0), tl.sum(share * dchild, axis=0))
    else:
        child, dchild = tl.full([STARTS], float("-inf"), tl.float64), tl.zeros([STARTS], tl.float64)
        total = tl.load(chart + CR * table + (m - 1) * size)
        dtotal = total * 0.0
        if DUAL:
            dtotal = tl.load(chart + (TANGENT + CR) * table + (m - 1) * size)
    return total, dtotal, child, dchild


@triton.jit
def _goal_adjoints(  # type: ignore[no-untyped-def]
    scores, direction, w, m, chart, size, SINGLE_ROOT: tl.constexpr, DUAL: tl.constexpr, STARTS: tl.constexpr
):
    """What the goal gives the adjoints of CR[w] and CL[w]."""
    table = size * size
    i = tl.arange(0, STARTS)
    if SINGLE_ROOT:
        behind = i == m - 1 - w  # CR[w] from the child at m-1-w to the end
        part, dpart = _get(chart, CL, (m - 1 - w) * size + tl.zeros_like(i), behind, table, DUAL)
        score, dscore = _root_arcs(scores, direction, i, behind, DUAL)
        right, dright = part + score, dpart + dscore
        before = i == 0  # CL[w] from the start to the child at w
        part, dpart = _get(chart, CR, (m - 1 - w) * size + w + i, before, table, DUAL)
        score, dscore = _root_arcs(scores, direction, w + i, before, DUAL)
        left, dleft = part + score, dpart + dscore
    else:
        left, dleft = tl.full([STARTS], float("-inf"), tl.float64), tl.zeros([STARTS], tl.float64)
        right, dright = tl.where((i == 0) & (w == m - 1), 0.0, left), dleft
    return right, dright, left, dleft


@triton.jit
def _write_posterior(  # type: ignore[no-untyped-def]
    out, at, value, tangent, total, dtotal, there, DUAL: tl.constexpr
):
    """Write the probability exp(value - total), or its tangent."""
    p = tl.exp(value - tl.where(total > float("-inf"), total, 0.0))
    if DUAL:
        p *= tangent - dtotal
    tl.store(out + at, p, mask=there)


@triton.jit
def _outside(  # type: ignore[no-untyped-def]
    scores, direction, m, origin, total, dtotal, chart, out, size,
    SINGLE_ROOT: tl.constexpr, DUAL: tl.constexpr, STARTS: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Pull the adjoints of all items, widest first, and write the arcs' marginals or their tangents."""
    table = size * size
    i = tl.arange(0, STARTS)
    for step in range(1, m):
        w = m - step
        there = i < m - w
        row, above = w * size + i, (w + 1) * size + i
        after, before = tl.where(there, m - 1 - w - i, 0), tl.where(there, i, 0)  # wider items, by other end
        most = m - 1 - w
        right, dright, left, dleft = _goal_adjoints(
            scores, direction, w, m, chart, size, SINGLE_ROOT, DUAL, STARTS
        )
        x, dx = _log_sum(
            chart, CL_OUT, above, size, IL, size + i + w, size, after, most, table, DUAL, STARTS, SPLITS
        )
        left, dleft = _log_add(left, dleft, x, dx)
        x, dx = _log_sum(
            chart, X_OUT, above - 1, size - 1, CR, i - 1, size - 1, before, most, table, DUAL, STARTS, SPLITS
        )
        left, dleft = _log_add(left, dleft, x, dx)
        x, dx = _log_sum(
            chart, X_OUT, above, size, CL, i + w + 1, size, after, most, table, DUAL, STARTS, SPLITS
        )
        right, dright = _log_add(right, dright, x, dx)
        x, dx = _log_sum(
            chart,
            CR_OUT,
            above - 1,
            size - 1,
            IR,
            size + i - 1,
            size - 1,
            before,
            most,
            table,
            DUAL,
            STARTS,
            SPLITS,
        )
        right, dright = _log_add(right, dright, x, dx)
        _put(chart, CR_OUT, row, right, dright, there, table, DUAL)
        _put(chart, CL_OUT, row, left, dleft, there, table, DUAL)
        tl.debug_barrier()
        after, before = tl.where(there, after + 1, 0), tl.where(there, before + 1, 0)
        most += 1
        x, dx = _log_sum(chart, CR_OUT, row, size, CR, i + w, size, after, most, table, DUAL, STARTS, SPLITS)
        y, dy = _log_sum(
            chart, CL_OUT, row, size - 1, CL, i, size - 1, before, most, table, DUAL, STARTS, SPLITS
        )
        right, dright, left, dleft = _arcs(scores, direction, w, i, there, origin, size, DUAL)
        joined, djoined = _log_add(x + right, dx + dright, y + left, dy + dleft)
        _put(chart, X_OUT, row, joined, djoined, there, table, DUAL)
        head = origin + i
        item, ditem = _get(chart, IR, row, there, table, DUAL)
        _write_posterior(out, head * size + head + w, x + item, dx + ditem, total, dtotal, there, DUAL)
        item, ditem = _get(chart, IL, row, there, table, DUAL)
        there = there & (head > 0)
        _write_posterior(out, (head + w) * size + head, y + item, dy + ditem, total, dtotal, there, DUAL)
        tl.debug_barrier()


@triton.jit(do_not_specialize=["size"])
def sums_kernel(  # type: ignore[no-untyped-def]
    scores, lengths, direction, chart, log_z, out, status, size,
    SINGLE_ROOT: tl.constexpr, OUTSIDE: tl.constexpr, DUAL: tl.constexpr,
    STARTS: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Write each sentence's log-partition, and if OUTSIDE its marginals (their derivative, if DUAL)."""
    b = tl.program_id(0).to(tl.int64)
    table = size.to(tl.int64) * size
    scores += b * table
    direction += b * table
    out += b * table
    chart += b * ((2 if DUAL else 1) * 7) * table
    length = tl.load(lengths + b)
    code = check(scores, length, size, STARTS, SPLITS)
    n = tl.where(code == FINE, length, 0).to(tl.int32)
    origin = 1 if SINGLE_ROOT else 0
    m = n + 1 - origin
    _inside(scores, direction, m, origin, chart, size, DUAL, STARTS, SPLITS)
    total, dtotal, child, dchild = _goal(scores, direction, m, chart, size, SINGLE_ROOT, DUAL, STARTS)
    tl.store(log_z + b, total)
    tl.store(status + b, tl.where((code == FINE) & (total == float("-inf")), NO_TREE, code))
    if OUTSIDE:
        if SINGLE_ROOT:
            r = tl.arange(0, STARTS)
            _write_posterior(out, r + 1, child, dchild, total, dtotal, r < m, DUAL)
        _outside(
            scores, direction, m, origin, total, dtotal, chart, out, size, SINGLE_ROOT, DUAL, STARTS, SPLITS
        )
