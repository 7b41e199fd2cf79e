r"""The active set of a SparseMAP projection on a GPU: a few trees, and the best point in their affine hull.

The algorithm is that of `latent.kernels.cpu.active_set`: for trees y_1 … y_k with common-arc counts G = YYᵀ,
the minimiser of ½‖Yᵀp - s‖² with Σp = mass solves the bordered system

    [ 0  1ᵀ ] [ τ ]   [ mass ]
    [ 1  G  ] [ p ] = [  Ys  ],

whose inverse is kept and updated as trees come and go. Row r of every array belongs to tree r, row 0 to the
border. The arrays have ROOM rows, a power of two, so at most ROOM - 1 trees; ROWS rows of the inverse are
looked at together.
"""

from __future__ import annotations

import triton
import triton.language as tl

EXHAUSTED = tl.constexpr(1e-9)
"""A tree this close to the affine hull of the others is in it."""


@triton.jit
def score_of(matrix, heads, n, size, STARTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Σ of the matrix over a tree's arcs."""
    j = tl.arange(0, STARTS)
    head = tl.load(heads + j, mask=j < n, other=0)
    return tl.sum(tl.load(matrix + head * size + j + 1, mask=j < n, other=0.0).to(tl.float64), axis=0)


@triton.jit
def begin(  # type: ignore[no-untyped-def]
    trees, weights, solution, inverse, heads, value, mass, n, size, STARTS: tl.constexpr, ROOM: tl.constexpr
):
    """Start from one tree, which scores `value`, with weight `mass`."""
    j = tl.arange(0, STARTS)
    tl.store(trees + size + j, tl.load(heads + j, mask=j < n, other=0), mask=j < n)
    tl.store(weights + 1, mass)
    tl.store(solution, value - n * mass)
    tl.store(solution + 1, mass)
    tl.store(inverse, -n.to(tl.float64))
    tl.store(inverse + 1, 1.0)
    tl.store(inverse + ROOM, 1.0)
    tl.store(inverse + ROOM + 1, 0.0)
    tl.debug_barrier()


@triton.jit
def _common_arcs(trees, k, heads, counts, n, size, STARTS: tl.constexpr, SPLITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """counts[r] = how many arcs tree r shares with the heads; 1 for the border."""
    j = tl.arange(0, STARTS)
    head = tl.load(heads + j, mask=j < n, other=0)
    for first in range(0, k + 1, SPLITS):
        r = first + tl.arange(0, SPLITS)
        tree = (r >= 1) & (r <= k)
        there = tree[:, None] & (j < n)[None, :]
        other = tl.load(trees + r[:, None] * size + j[None, :], mask=there, other=-1).to(tl.int32)
        common = tl.sum(tl.where(other == head[None, :], 1.0, 0.0).to(tl.float64), axis=1)
        tl.store(counts + r, tl.where(tree, common, 1.0), mask=r <= k)
    tl.debug_barrier()


@triton.jit
def _multiply(inverse, vector, k, out, ROOM: tl.constexpr, ROWS: tl.constexpr):  # type: ignore[no-untyped-def]
    """out = inverse · vector, on rows 0 … k."""
    c = tl.arange(0, ROOM)
    factor = tl.load(vector + c, mask=c <= k, other=0.0)
    for first in range(0, k + 1, ROWS):
        r = first + tl.arange(0, ROWS)
        there = (r <= k)[:, None] & (c <= k)[None, :]
        tile = tl.load(inverse + r[:, None] * ROOM + c[None, :], mask=there, other=0.0)
        tl.store(out + r, tl.sum(tile * factor[None, :], axis=1), mask=r <= k)
    tl.debug_barrier()


@triton.jit
def _add_outer(inverse, vector, k, factor, ROOM: tl.constexpr, ROWS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Add factor · vector · vectorᵀ to rows and columns 0 … k of the inverse."""
    c = tl.arange(0, ROOM)
    across = tl.load(vector + c, mask=c <= k, other=0.0)
    for first in range(0, k + 1, ROWS):
        r = first + tl.arange(0, ROWS)
        down = tl.load(vector + r, mask=r <= k, other=0.0) * factor
        at = inverse + r[:, None] * ROOM + c[None, :]
        there = (r <= k)[:, None] & (c <= k)[None, :]
        tile = tl.load(at, mask=there, other=0.0)
        tl.store(at, tile + down[:, None] * across[None, :], mask=there)
    tl.debug_barrier()


@triton.jit
def insert(  # type: ignore[no-untyped-def]
    trees, weights, solution, inverse, work, k, heads, value, n, size,
    STARTS: tl.constexpr, SPLITS: tl.constexpr, ROOM: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Add a tree that scores `value`, with weight 0 for now: k + 1, or k if it lies in the hull."""
    counts, column = work, work + ROOM
    _common_arcs(trees, k, heads, counts, n, size, STARTS, SPLITS)
    _multiply(inverse, counts, k, column, ROOM, ROWS)
    c = tl.arange(0, ROOM)
    count = tl.load(counts + c, mask=c <= k, other=0.0)
    d = tl.load(column + c, mask=c <= k, other=0.0)
    here = tl.load(solution + c, mask=c <= k, other=0.0)
    schur = n - tl.sum(d * count, axis=0)
    new = k
    if schur >= EXHAUSTED:
        new = k + 1
        _add_outer(inverse, column, k, 1.0 / schur, ROOM, ROWS)
        tl.store(inverse + new * ROOM + c, -d / schur, mask=c <= k)
        tl.store(inverse + c * ROOM + new, -d / schur, mask=c <= k)
        tl.store(inverse + new * ROOM + new, 1.0 / schur)
        weight = (value - tl.sum(here * count, axis=0)) / schur
        tl.store(solution + c, tl.where(c <= k, here - d * weight, weight), mask=c <= new)
        tl.store(weights + new, 0.0)
        j = tl.arange(0, STARTS)
        tl.store(trees + new * size + j, tl.load(heads + j, mask=j < n, other=0), mask=j < n)
    tl.debug_barrier()
    return new


@triton.jit
def _drop(  # type: ignore[no-untyped-def]
    trees, weights, solution, inverse, work, k, gone, n, size,
    STARTS: tl.constexpr, ROOM: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Remove tree `gone`; the last one takes its place."""
    c = tl.arange(0, ROOM)
    column = tl.load(inverse + gone * ROOM + c, mask=c <= k, other=0.0)
    pivot = tl.load(inverse + gone * ROOM + gone)
    here = tl.load(solution + c, mask=c <= k, other=0.0)
    ratio = tl.load(solution + gone) / pivot
    tl.store(work + c, column, mask=c <= k)
    tl.debug_barrier()
    tl.store(solution + c, here - column * ratio, mask=c <= k)
    _add_outer(inverse, work, k, -1.0 / pivot, ROOM, ROWS)
    last = tl.load(inverse + k * ROOM + c, mask=c <= k, other=0.0)
    corner = tl.load(inverse + k * ROOM + k)
    value, weight = tl.load(solution + k), tl.load(weights + k)
    j = tl.arange(0, STARTS)
    head = tl.load(trees + k * size + j, mask=j < n, other=0)
    tl.debug_barrier()
    last = tl.where(c == gone, corner, last)
    tl.store(inverse + gone * ROOM + c, last, mask=c < k)
    tl.store(inverse + c * ROOM + gone, last, mask=(c < k) & (c != gone))
    tl.store(solution + gone, value)
    tl.store(weights + gone, weight)
    tl.store(trees + gone * size + j, head, mask=j < n)
    tl.debug_barrier()
    return k - 1


@triton.jit
def improve(  # type: ignore[no-untyped-def]
    trees,
    weights,
    solution,
    inverse,
    work,
    k,
    n,
    size,
    STARTS: tl.constexpr,
    ROOM: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Move the weights to the affine minimiser, dropping each tree whose weight would turn negative."""
    c = tl.arange(0, ROOM)
    blocked = k > 0
    while blocked:
        tree = (c >= 1) & (c <= k)
        here = tl.load(weights + c, mask=tree, other=0.0)
        goal = tl.load(solution + c, mask=tree, other=0.0)
        falls = tree & (goal < 0.0)
        step = tl.where(falls, here / tl.where(falls, here - goal, 1.0), 2.0)
        least = tl.min(step, axis=0)
        gone = tl.min(tl.where(step == least, c, ROOM), axis=0)
        blocked = least < 2.0
        here += tl.minimum(least, 1.0) * (goal - here)
        tl.store(weights + c, tl.maximum(here, 0.0), mask=tree)
        tl.debug_barrier()
        if blocked:
            k = _drop(trees, weights, solution, inverse, work, k, gone, n, size, STARTS, ROOM, ROWS)
    return k


@triton.jit
def settle(  # type: ignore[no-untyped-def]
    trees, weights, solution, inverse, work, residual, k, n, size,
    STARTS: tl.constexpr, SPLITS: tl.constexpr, ROOM: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Refine the solution once, and return the score of the mixture under its own residual.

    At the solution each active tree scores τ under the residual and the weights sum to 1. What rounding has
    added up to in the many updates of the inverse shows in both, and the inverse is good enough to take it
    out.
    """
    errors, column = work, work + ROOM
    j = tl.arange(0, STARTS)
    for first in range(0, k + 1, SPLITS):
        r = first + tl.arange(0, SPLITS)
        there = ((r >= 1) & (r <= k))[:, None] & (j < n)[None, :]
        head = tl.load(trees + r[:, None] * size + j[None, :], mask=there, other=0).to(tl.int32)
        score = tl.load(residual + head * size + j[None, :] + 1, mask=there, other=0.0)
        tl.store(errors + r, tl.sum(score, axis=1), mask=r <= k)
    tl.debug_barrier()
    c = tl.arange(0, ROOM)
    tree = (c >= 1) & (c <= k)
    score = tl.load(errors + c, mask=tree, other=0.0)
    total = tl.sum(score * tl.load(weights + c, mask=tree, other=0.0), axis=0)
    here = tl.load(solution + c, mask=c <= k, other=0.0)
    excess = tl.sum(tl.where(tree, here, 0.0), axis=0) - 1.0
    tl.store(errors + c, tl.where(tree, score - tl.load(solution), -excess), mask=c <= k)
    tl.debug_barrier()
    _multiply(inverse, errors, k, column, ROOM, ROWS)
    tl.store(solution + c, here + tl.load(column + c, mask=c <= k, other=0.0), mask=c <= k)
    tl.debug_barrier()
    return total


@triton.jit
def add_mixture(out, trees, weights, k, factor, n, size, STARTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Add factor · Σ_r weights[r] · tree r to `out`, one tree after the other: always the same sum."""
    j = tl.arange(0, STARTS)
    for r in range(1, k + 1):
        weight = tl.load(weights + r) * factor
        head = tl.load(trees + r * size + j, mask=j < n, other=0).to(tl.int32)
        at = out + head * size + j + 1
        tl.store(at, tl.load(at, mask=j < n, other=0.0) + weight, mask=j < n)
        tl.debug_barrier()
