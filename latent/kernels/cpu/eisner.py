r"""Eisner's algorithm over any semiring, for one sentence (Eisner 1996; outside part: Paskin 2001).

Charts are stored by width: the item over positions i … i+w stands at `row(w) + i`. Then each step below
reads and writes contiguous vectors over all starts i at once:

    X[w][i]  = ⊕_{d=0}^{w-1} CR[d][i] ⊗ CL[w-1-d][i+d+1]
    IR[w][i] = X[w][i] ⊗ R[w][i]            IL[w][i] = X[w][i] ⊗ L[w][i]
    CR[w][i] = ⊕_{d=1}^{w}   IR[d][i] ⊗ CR[w-d][i+d]
    CL[w][i] = ⊕_{d=0}^{w-1} CL[d][i] ⊗ IL[w-d][i+d]

C is a complete item, I an incomplete one (its two ends are joined by an arc), R points right (the head is
the left end) and L left. With several roots the root symbol is position 0 of the chart. With a single root
the chart holds the words alone, and the root's one child r joins CL over 0…r and CR over r…m-1.

Behind each row are lanes that hold 0̄, in the tables that are read from any start (`clear_edges`; where reads
start at multiples of a vector, the arcs' own 0̄ is enough). They stay 0̄ by induction; so a vector may run over
the end of a row, and before its start.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.jit import compiled
from latent.kernels.cpu.semiring import (
    add_contract,
    add_product,
    contract,
    fill,
    fill_vector,
    pick,
    set_product,
)
from latent.kernels.cpu.simd import VECTOR_BYTES


class Chart(NamedTuple):
    """Arc weights (R, L, and by child those of a single root) and items: inside, or adjoints outside."""

    R: Any
    L: Any
    root: Any
    CR: Any
    CL: Any
    IR: Any
    IL: Any
    X: Any


@compiled
def lanes_of(array):  # type: ignore[no-untyped-def]
    """How many numbers of the array's type one vector holds."""
    return VECTOR_BYTES // array.itemsize


@compiled
def row_length(m, lanes):  # type: ignore[no-untyped-def]
    """Distance between the rows of a chart over m positions: the starts, and lanes of 0̄ behind them."""
    return (m + lanes - 1) // lanes * lanes + lanes


@compiled
def chart_size(m, lanes):  # type: ignore[no-untyped-def]
    """How many numbers one table of a chart over m positions takes."""
    return lanes + (m + 1) * row_length(m, lanes) + lanes


@compiled
def clear_edges(table, m, zero, lanes):  # type: ignore[no-untyped-def]
    """Put 0̄ behind the end of each row and before its start, as far as a vector may run over."""
    S = row_length(m, lanes)
    fill_vector(table, 0, zero)
    for w in range(m + 1):
        row = lanes + w * S
        fill_vector(table, row + m - w, zero)
        fill_vector(table, row + S - lanes, zero)


@compiled
def inside(m, one, chart, lanes):  # type: ignore[no-untyped-def]
    """Fill the chart over m positions from its arc weights R and L; `one` is the semiring's 1̄."""
    S = row_length(m, lanes)
    R, L, _, CR, CL, IR, IL, X = chart
    first = lanes
    fill(CR, first, m, one)
    fill(CL, first, m, one)
    for w in range(1, m):
        row, before = first + w * S, first + (w - 1) * S
        for i in range(0, m - w, lanes):
            contract(CR, first + i, S, CL, before + i + 1, 1 - S, w, X, i)
            contract(X, i, 0, R, row + i, 0, 1, IR, row + i)
            contract(X, i, 0, L, row + i, 0, 1, IL, row + i)
        for i in range(0, m - w, lanes):
            contract(IR, first + S + i, S, CR, before + i + 1, 1 - S, w, CR, row + i)
            contract(CL, first + i, S, IL, row + i, 1 - S, w, CL, row + i)


@compiled
def outside(m, inner, outer, lanes):  # type: ignore[no-untyped-def]
    """Pull the adjoints of all items, widest first; `outer` starts with the adjoints of the goal's items."""
    S = row_length(m, lanes)
    first = lanes
    for i in range(0, m - 1, lanes):
        for w in range(m - 1 - i, 0, -1):
            row, above = first + w * S, first + (w + 1) * S
            wider = m - 1 - i - w
            if wider > 0:  # this item is the left part of a wider one that starts where it starts
                add_contract(outer.CL, above + i, S, inner.IL, first + S + i + w, S, wider, outer.CL, row + i)
                add_contract(outer.X, above + i, S, inner.CL, first + i + w + 1, S, wider, outer.CR, row + i)
            longer = min(i + lanes - 1, m - 1 - w)
            if longer > 0:  # this item is the right part of a wider one that starts up to `longer` before
                add_contract(
                    outer.X, above + i - 1, S - 1, inner.CR, first + i - 1, S - 1, longer, outer.CL, row + i
                )
                add_contract(
                    outer.CR,
                    above + i - 1,
                    S - 1,
                    inner.IR,
                    first + S + i - 1,
                    S - 1,
                    longer,
                    outer.CR,
                    row + i,
                )
            contract(outer.CR, row + i, S, inner.CR, first + i + w, S, m - i - w, outer.IR, row + i)
            contract(
                outer.CL, row + i, S - 1, inner.CL, first + i, S - 1, min(i + lanes, m - w), outer.IL, row + i
            )
            contract(outer.IR, row + i, 0, inner.R, row + i, 0, 1, outer.X, row + i)
            add_contract(outer.IL, row + i, 0, inner.L, row + i, 0, 1, outer.X, row + i)


@compiled
def finish(m, single_root, chart, lanes, total):  # type: ignore[no-untyped-def]
    """Put the goal, the ⊕ over all trees, into total[0]."""
    S = row_length(m, lanes)
    CR, CL, X = chart.CR, chart.CL, chart.X
    if not single_root:  # the one item over everything, headed by the root symbol
        set_product(CR, lanes + (m - 1) * S, CR, lanes, total, 0)
        return
    for r in range(m):  # the root's child r heads all words before it and all words behind it
        set_product(CL, lanes + r * S, CR, lanes + (m - 1 - r) * S + r, X, r)
        add_product(X, r, chart.root, r, total, 0)


@compiled
def start_outside(m, single_root, one, inner, outer, lanes):  # type: ignore[no-untyped-def]
    """Set the adjoints of what the goal is made of, after `finish`."""
    S = row_length(m, lanes)
    if not single_root:
        outer.CR.value[lanes + (m - 1) * S] = one
        return
    for r in range(m):
        before, behind = lanes + r * S, lanes + (m - 1 - r) * S + r
        set_product(inner.CL, before, inner.CR, behind, outer.root, r)
        set_product(inner.CR, behind, inner.root, r, outer.CL, before)
        set_product(inner.CL, before, inner.root, r, outer.CR, behind)


LEFT, RIGHT = 0, 1  # complete items on the stack, by where their arcs point


@compiled
def new_stack(m):  # type: ignore[no-untyped-def]
    """Room for the items that `derive` has still to undo, over up to m positions."""
    return np.empty((2 * m + 2, 3), np.int64)


@compiled
def _push(stack, top, kind, i, w):  # type: ignore[no-untyped-def]
    stack[top, 0] = kind
    stack[top, 1] = i
    stack[top, 2] = w


@compiled
def derive(m, single_root, chart, lanes, random, stack, heads):  # type: ignore[no-untyped-def]
    """Undo the recursion: `pick` a split of each item, from the goal down, and write the heads of its arcs.

    That is the best tree over (max, +), and a draw from the Gibbs distribution over sums.
    """
    S = row_length(m, lanes)
    origin = 1 if single_root else 0  # the scores' index of position 0
    _, _, root, CR, CL, IR, IL, X = chart
    if single_root:
        child = pick(X, 0, 1, root, 0, 1, m, random)  # X holds CL ⊗ CR since `finish`
        heads[child] = 0
        _push(stack, 0, LEFT, 0, child)
        _push(stack, 1, RIGHT, child, m - 1 - child)
        top = 2
    else:
        _push(stack, 0, RIGHT, 0, m - 1)
        top = 1
    while top > 0:
        top -= 1
        kind, i, w = stack[top, 0], stack[top, 1], stack[top, 2]
        if w == 0:
            continue
        o = lanes + i
        if kind == LEFT:  # CL[w][i] = ⊕ CL[d][i] ⊗ IL[w-d][i+d]: the head is i+w, its modifier i+d
            d = pick(CL, o, S, IL, o + w * S, 1 - S, w, random)
            _push(stack, top, LEFT, i, d)
            heads[origin + i + d - 1] = origin + i + w
            i, w = i + d, w - d
        else:  # CR[w][i] = ⊕ IR[d][i] ⊗ CR[w-d][i+d]: the head is i, its modifier i+d
            d = 1 + pick(IR, o + S, S, CR, o + (w - 1) * S + 1, 1 - S, w, random)
            _push(stack, top, RIGHT, i + d, w - d)
            heads[origin + i + d - 1] = origin + i
            w = d
        # The incomplete item over i … i+w: ⊕ CR[d][i] ⊗ CL[w-1-d][i+d+1]
        o = lanes + i
        d = pick(CR, o, S, CL, o + (w - 1) * S + 1, 1 - S, w, random)
        _push(stack, top + 1, RIGHT, i, d)
        _push(stack, top + 2, LEFT, i + d + 1, w - 1 - d)
        top += 3
