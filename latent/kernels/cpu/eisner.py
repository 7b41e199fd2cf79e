r"""Eisner's algorithm over any semiring (Eisner 1996; outside part: Paskin 2001).

Charts are stored by width: row w holds the items over positions i … i+w for all starts i (`Layout`). Then
each step below reads and writes contiguous vectors, over starts or over sentences:

    X[w][i]  = ⊕_{d=0}^{w-1} CR[d][i] ⊗ CL[w-1-d][i+d+1]
    IR[w][i] = X[w][i] ⊗ R[w][i]            IL[w][i] = X[w][i] ⊗ L[w][i]
    CR[w][i] = ⊕_{d=1}^{w}   IR[d][i] ⊗ CR[w-d][i+d]
    CL[w][i] = ⊕_{d=0}^{w-1} CL[d][i] ⊗ IL[w-d][i+d]

C is a complete item, I an incomplete one (its two ends are joined by an arc), R points right (the head is
the left end) and L left. With several roots the root symbol is position 0 of the chart. With a single root
the chart holds the words alone, and the root's one child r joins CL over 0…r and CR over r…m-1.

Where vectors run over starts, lanes that hold 0̄ lie behind each row of the tables that are read from any
start (`clear_edges`; where reads start at multiples of a vector, the arcs' own 0̄ is enough). They stay 0̄ by
induction; so a vector may run over the end of a row, and before its start.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.jit import compiled, leaf
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


@leaf
def lanes_of(array):  # type: ignore[no-untyped-def]
    """How many numbers of the array's type one vector holds."""
    return VECTOR_BYTES // array.itemsize


class Layout(NamedTuple):
    """Where items lie: that over i … i+w of the sentence in lane l at `lanes + w·row + i·pitch + l`.

    With pitch 1 there is one sentence, and vectors run over its starts. With a pitch of `lanes` there are as
    many sentences, and vectors run over them: faster for short ones, whose rows fill no vector.
    """

    lanes: Any
    pitch: Any
    row: Any


@leaf
def one_sentence(m, lanes):  # type: ignore[no-untyped-def]
    """The layout for m positions of one sentence; behind the starts of a row are lanes of 0̄."""
    return Layout(lanes, 1, (m + lanes - 1) // lanes * lanes + lanes)


@leaf
def many_sentences(m, lanes):  # type: ignore[no-untyped-def]
    """The layout for m positions of as many sentences as a vector has lanes."""
    return Layout(lanes, lanes, m * lanes)


@leaf
def table_size(m, layout):  # type: ignore[no-untyped-def]
    """How many numbers one table of a chart over m positions takes."""
    return layout.lanes + (m + 1) * layout.row + layout.lanes


@leaf
def clear_edges(table, m, zero, layout):  # type: ignore[no-untyped-def]
    """Put 0̄ behind the end of each row and before its start, as far as a vector may run over."""
    fill_vector(table, 0, zero)
    for w in range(m + 1):
        row = layout.lanes + w * layout.row
        fill_vector(table, row + m - w, zero)
        fill_vector(table, row + layout.row - layout.lanes, zero)


@leaf
def inside(m, one, chart, layout):  # type: ignore[no-untyped-def]
    """Fill the chart over m positions from its arc weights R and L; `one` is the semiring's 1̄."""
    first, p, S = layout
    R, L, _, CR, CL, IR, IL, X = chart
    fill(CR, first, m * p, one)
    fill(CL, first, m * p, one)
    for w in range(1, m):
        row, before = first + w * S, first + (w - 1) * S
        for o in range(0, (m - w) * p, layout.lanes):
            contract(CR, first + o, S, CL, before + o + p, p - S, w, X, o)
            contract(X, o, 0, R, row + o, 0, 1, IR, row + o)
            contract(X, o, 0, L, row + o, 0, 1, IL, row + o)
        for o in range(0, (m - w) * p, layout.lanes):
            contract(IR, first + S + o, S, CR, before + o + p, p - S, w, CR, row + o)
            contract(CL, first + o, S, IL, row + o, p - S, w, CL, row + o)


@leaf
def outside(m, inner, outer, layout):  # type: ignore[no-untyped-def]
    """Pull the adjoints of all items, widest first; `outer` starts with the adjoints of the goals' items."""
    first, p, S = layout
    for o in range(0, (m - 1) * p, layout.lanes):
        i = o // p
        last = i + layout.lanes // p - 1  # the last start of these vectors
        for w in range(m - 1 - i, 0, -1):
            row, above = first + w * S + o, first + (w + 1) * S + o
            inner_row = first + S + o
            wider = m - 1 - i - w
            if wider > 0:  # this item is the left part of a wider one that starts where it starts
                add_contract(outer.CL, above, S, inner.IL, inner_row + w * p, S, wider, outer.CL, row)
                add_contract(outer.X, above, S, inner.CL, first + o + (w + 1) * p, S, wider, outer.CR, row)
            longer = min(last, m - 1 - w)
            if longer > 0:  # this item is the right part of a wider one that starts up to `longer` before
                back = S - p
                add_contract(outer.X, above - p, back, inner.CR, first + o - p, back, longer, outer.CL, row)
                add_contract(outer.CR, above - p, back, inner.IR, inner_row - p, back, longer, outer.CR, row)
            contract(outer.CR, row, S, inner.CR, first + o + w * p, S, m - i - w, outer.IR, row)
            contract(outer.CL, row, S - p, inner.CL, first + o, S - p, min(last + 1, m - w), outer.IL, row)
            contract(outer.IR, row, 0, inner.R, row, 0, 1, outer.X, row)
            add_contract(outer.IL, row, 0, inner.L, row, 0, 1, outer.X, row)


@leaf
def finish(m, single_root, chart, layout, lane, total):  # type: ignore[no-untyped-def]
    """Put the goal, the ⊕ over all trees of the sentence in this lane, into total[lane]."""
    first, p, S = layout
    CR, CL, X = chart.CR, chart.CL, chart.X
    first += lane
    if not single_root:  # the one item over everything, headed by the root symbol
        set_product(CR, first + (m - 1) * S, CR, first, total, lane)
        return
    for r in range(m):  # the root's child r heads all words before it and all words behind it
        o = r * p + lane
        set_product(CL, first + r * S, CR, first + (m - 1 - r) * S + r * p, X, o)
        add_product(X, o, chart.root, o, total, lane)


@leaf
def start_outside(m, single_root, one, inner, outer, layout, lane):  # type: ignore[no-untyped-def]
    """Set the adjoints of what the goal of the sentence in this lane is made of, after `finish`."""
    first, p, S = layout
    first += lane
    if not single_root:
        outer.CR.value[first + (m - 1) * S] = one
        return
    for r in range(m):
        before, behind, o = first + r * S, first + (m - 1 - r) * S + r * p, r * p + lane
        set_product(inner.CL, before, inner.CR, behind, outer.root, o)
        set_product(inner.CR, behind, inner.root, o, outer.CL, before)
        set_product(inner.CL, before, inner.root, o, outer.CR, behind)


LEFT, RIGHT = 0, 1  # complete items on the stack, by where their arcs point


@compiled
def new_stack(m):  # type: ignore[no-untyped-def]
    """Room for the items that `derive` has still to undo, over up to m positions."""
    return np.empty((2 * m + 2, 3), np.int64)


@leaf
def _push(stack, top, kind, i, w):  # type: ignore[no-untyped-def]
    """Put an item on the stack unless it is a single word's, without a branch; return the new top."""
    stack[top, 0] = kind
    stack[top, 1] = i
    stack[top, 2] = w
    return top + (w > 0)


@leaf
def derive(m, single_root, chart, layout, lane, random, stack, heads):  # type: ignore[no-untyped-def]
    """Undo the recursion in one lane: `pick` a split of each item, from the goal down; write its arcs' heads.

    That is the best tree over (max, +), and a draw from the Gibbs distribution over sums.
    """
    first, p, S = layout
    first += lane
    origin = 1 if single_root else 0  # the scores' index of position 0
    _, _, root, CR, CL, IR, IL, X = chart
    if single_root:
        child = pick(X, lane, p, root, lane, p, m, random)  # X holds CL ⊗ CR since `finish`
        heads[child] = 0
        top = _push(stack, 0, LEFT, 0, child)
        top = _push(stack, top, RIGHT, child, m - 1 - child)
    else:
        top = _push(stack, 0, RIGHT, 0, m - 1)
    while top > 0:
        top -= 1
        kind, i, w = stack[top, 0], stack[top, 1], stack[top, 2]
        o = first + i * p
        if kind == LEFT:  # CL[w][i] = ⊕ CL[d][i] ⊗ IL[w-d][i+d]: the head is i+w, its modifier i+d
            d = pick(CL, o, S, IL, o + w * S, p - S, w, random)
            top = _push(stack, top, LEFT, i, d)
            heads[origin + i + d - 1] = origin + i + w
            i, w = i + d, w - d
        else:  # CR[w][i] = ⊕ IR[d][i] ⊗ CR[w-d][i+d]: the head is i, its modifier i+d
            d = 1 + pick(IR, o + S, S, CR, o + (w - 1) * S + p, p - S, w, random)
            top = _push(stack, top, RIGHT, i + d, w - d)
            heads[origin + i + d - 1] = origin + i
            w = d
        # The incomplete item over i … i+w: ⊕ CR[d][i] ⊗ CL[w-1-d][i+d+1]
        o = first + i * p
        d = pick(CR, o, S, CL, o + (w - 1) * S + p, p - S, w, random)
        top = _push(stack, top, RIGHT, i, d)
        top = _push(stack, top, LEFT, i + d + 1, w - 1 - d)
