"""SparseMAP of each sentence on a GPU: the whole active-set loop in one program, and its backward pass."""

from __future__ import annotations

import triton
import triton.language as tl

from latent.kernels.cuda.active_set import add_mixture, begin, improve, insert, score_of, settle
from latent.kernels.cuda.chart import FINE, NO_TREE, check
from latent.kernels.cuda.viterbi import best_tree

FULL = -1
"""The status of a sentence whose active set wants more room than it has."""
NO_ROOM = tl.constexpr(FULL)
ROUGH = tl.constexpr(1e-4)
"""Only a smaller gap is worth a refined solution."""


@triton.jit
def _fill_arcs(out, scores, n, size, ZERO: tl.constexpr, STARTS: tl.constexpr, SPLITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """out = scores on the arcs among n words, or 0."""
    j = tl.arange(0, STARTS)[None, :]
    for first in range(0, n + 1, SPLITS):
        h = first + tl.arange(0, SPLITS)[:, None]
        there = (h <= n) & (j >= 1) & (j <= n)
        score = tl.zeros([SPLITS, STARTS], tl.float64)
        if not ZERO:
            score = tl.load(scores + h * size + j, mask=there & (h != j), other=0.0).to(tl.float64)
        tl.store(out + h * size + j, score, mask=there)
    tl.debug_barrier()


@triton.jit(do_not_specialize=["size", "tol", "max_iter"])
def sparsemap_kernel(  # type: ignore[no-untyped-def]
    scores, lengths, sentences, chart, trace, heads, trees, weights, solution, inverse, work,
    mu, sizes, iterations, gaps, status, size, tol, max_iter,
    SINGLE_ROOT: tl.constexpr, RESUME: tl.constexpr,
    STARTS: tl.constexpr, SPLITS: tl.constexpr, ROOM: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Alternate a MAP call and a step of the active set, until the gap is small or the room is used up.

    `mu` holds the residual on the way and the projection at the end.
    """
    p = tl.program_id(0).to(tl.int64)
    b = tl.load(sentences + p)
    table = size.to(tl.int64) * size
    scores += b * table
    mu += b * table
    chart += p * 4 * table
    trace += p * 7 * table
    heads += p * size
    trees += p * ROOM * size
    weights += p * ROOM
    solution += p * ROOM
    inverse += p * ROOM * ROOM
    work += p * 2 * ROOM
    length = tl.load(lengths + b)
    code = check(scores, length, size, STARTS, SPLITS)
    n = tl.where(code == FINE, length, 0).to(tl.int32)
    _fill_arcs(mu, scores, n, size, False, STARTS, SPLITS)
    if RESUME:
        k, steps = tl.load(sizes + b), tl.load(iterations + b)
    else:
        total = best_tree(mu, n, chart, trace, heads, size, SINGLE_ROOT, STARTS, SPLITS)
        code = tl.where((code == FINE) & (total == float("-inf")), NO_TREE, code)
        n = tl.where(code == FINE, n, 0)
        begin(
            trees,
            weights,
            solution,
            inverse,
            heads,
            score_of(mu, heads, n, size, STARTS),
            1.0,
            n,
            size,
            STARTS,
            ROOM,
        )
        k, steps = tl.load(sizes + b) + 1, tl.load(iterations + b)
    going = code == FINE
    gap = tl.load(gaps + b)
    while going:
        k = improve(trees, weights, solution, inverse, work, k, n, size, STARTS, ROOM, ROWS)
        _fill_arcs(mu, scores, n, size, False, STARTS, SPLITS)
        add_mixture(mu, trees, weights, k, -1.0, n, size, STARTS)
        best_tree(mu, n, chart, trace, heads, size, SINGLE_ROOT, STARTS, SPLITS)
        best = score_of(mu, heads, n, size, STARTS)
        gap = best - tl.load(solution)
        if gap <= ROUGH:
            gap = best - settle(
                trees, weights, solution, inverse, work, mu, k, n, size, STARTS, SPLITS, ROOM, ROWS
            )
        wanted = (gap > tol) & (steps < max_iter)
        going = wanted & (k + 1 < ROOM)
        code = tl.where(wanted & (k + 1 >= ROOM), NO_ROOM, code)
        if going:
            steps += 1
            value = score_of(scores, heads, n, size, STARTS)
            more = insert(
                trees, weights, solution, inverse, work, k, heads, value, n, size, STARTS, SPLITS, ROOM, ROWS
            )
            going = more > k
            k = more
    tl.debug_barrier()  # the last gap was read from what is written now
    c = tl.arange(0, ROOM)
    weight = tl.load(weights + c, mask=(c >= 1) & (c <= k), other=0.0)
    tl.store(weights + c, weight / tl.sum(weight, axis=0), mask=(c >= 1) & (c <= k))
    _fill_arcs(mu, scores, n, size, True, STARTS, SPLITS)
    add_mixture(mu, trees, weights, k, 1.0, n, size, STARTS)
    tl.store(sizes + b, k)
    tl.store(iterations + b, steps)
    tl.store(gaps + b, tl.maximum(gap, 0.0))
    tl.store(status + b, code)


@triton.jit(do_not_specialize=["size"])
def projection_kernel(  # type: ignore[no-untyped-def]
    support, first, sizes, lengths, gradient, heads, trees, weights, solution, inverse, work, out, size,
    STARTS: tl.constexpr, SPLITS: tl.constexpr, ROOM: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Project the gradient onto the directions of the support's affine hull, into zeros.

    It is the best mixture of the trees for the gradient in place of the scores, with weights that sum to 0 in
    place of 1: the same bordered system.
    """
    b = tl.program_id(0).to(tl.int64)
    table = size.to(tl.int64) * size
    support += tl.load(first + b) * (size - 1)
    gradient += b * table
    out += b * table
    heads += b * size
    trees += b * ROOM * size
    weights += b * ROOM
    solution += b * ROOM
    inverse += b * ROOM * ROOM
    work += b * 2 * ROOM
    n = tl.load(lengths + b).to(tl.int32)
    j = tl.arange(0, STARTS)
    k = 0
    for t in range(0, tl.load(sizes + b).to(tl.int32)):
        head = tl.load(support + t * (size - 1) + j, mask=j < n, other=0)
        tl.store(heads + j, head, mask=j < n)
        tl.debug_barrier()
        value = score_of(gradient, heads, n, size, STARTS)
        if t == 0:
            begin(trees, weights, solution, inverse, heads, value, 0.0, n, size, STARTS, ROOM)
            k = t + 1
        else:
            k = insert(
                trees, weights, solution, inverse, work, k, heads, value, n, size, STARTS, SPLITS, ROOM, ROWS
            )
    add_mixture(out, trees, solution, k, 1.0, n, size, STARTS)
