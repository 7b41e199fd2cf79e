r"""The Matrix-Tree theorem by elimination of vertices: log-partition, marginals, their JVP.

With w = exp(s), summing over the trees leaves out one vertex v after the other (the words n, …, 1):

$$D_v = \sum_i w_{iv}, \qquad p_i = w_{iv} / D_v, \qquad w_{ij} \leftarrow w_{ij} + p_i w_{vj},
  \qquad Z = \prod_v D_v .$$

It is Gaussian elimination of the Laplacian, but the diagonal is summed anew from the weights (as Grassmann,
Taksar and Heyman do for Markov chains), so Z is exact to rounding however unequal the weights are. For a
single root, weigh the root's arcs by an infinitesimal: they then count in D only where they are all that is
left, which is at the last vertex. That one must reach all others.

The marginals are $\mu = w \odot b$ with $b = \partial \log Z / \partial w$, by undoing the elimination:

$$g_i = \sum_j b_{ij} w_{vj}, \quad b_{iv} = (1 + g_i - p \cdot g) / D_v, \quad b_{vj} = \sum_i p_i b_{ij} .$$

The Jacobian of the marginals is symmetric, so their vector-Jacobian product is the tangent of the two
passes. What all trees have in common is taken off the scores first (`arc_weights.load_scores`). The tables
are of single or double precision; weights too unequal for the one are left to the other, and in the end
to `matrix_tree_log`.

Sources: Tutte 1984; Koo et al. 2007, section 3; Grassmann, Taksar and Heyman 1985.
"""

from __future__ import annotations

from math import log, nan
from typing import Any, NamedTuple

import numpy as np

from latent.kernels.cpu.jit import compiled, leaf
from latent.kernels.cpu.rows import add_rows, affine_row, dot_row, sum_row
from latent.kernels.cpu.simd import LANES32 as LANES
from latent.kernels.cpu.simd import aligned

LEAST, LEAST_SINGLE = -322.0, -32.0
"""Of the sum of the log D_v below zero, in double and in single precision.

What underflows (below e^-708 and e^-87) is then below rounding, after a division by two such products too: a
tree with a lost arc competes with the ways out of all cycles around it, which D_v weigh one by one.
"""


class Elimination(NamedTuple):
    """The tables of one sentence, flat, row v at v · stride; of row v only the columns below v count."""

    w: Any
    """Row v: at first the weights of the arcs out of v, then what they were at v's elimination."""
    p: Any
    """Row v: at first the weights of the arcs into v, then each head's share of them at v's elimination."""
    d: Any
    """d[v]: D_v."""


class Adjoint(NamedTuple):
    """The derivatives of log Z by the weights, flat, in rows by head and in rows by modifier."""

    by_head: Any
    by_modifier: Any


@leaf
def stride_of(n):  # type: ignore[no-untyped-def]
    """Distance between the rows of a table over n words and the root: whole vectors of either precision."""
    return (n + LANES) // LANES * LANES


class Sums(NamedTuple):
    """What the sums over the trees of a sentence are worked out on; room for more words does no harm."""

    w: Any
    """The weights, as they are at first."""
    e: Elimination
    b: Adjoint
    g: Any
    """A row."""
    de: Elimination
    """The tangents of e, b and g."""
    db: Adjoint
    dg: Any


@compiled
def new_sums(n, like):  # type: ignore[no-untyped-def]
    """Room for sentences of up to n words, in the precision of the array `like`."""
    row = stride_of(n)
    size = (n + 1) * row
    memory = aligned(9 * size + 4 * row, like)
    tables = memory[: 9 * size].reshape(9, size)
    w, p, dw, dp, first = tables[0], tables[1], tables[2], tables[3], tables[4]
    rows = memory[9 * size :].reshape(4, row)
    return Sums(
        first,
        Elimination(w, p, rows[0]),
        Adjoint(tables[5], tables[6]),
        rows[1],
        Elimination(dw, dp, rows[2]),
        Adjoint(tables[7], tables[8]),
        rows[3],
    )


@leaf
def _clear(n, b):  # type: ignore[no-untyped-def]
    size = (n + 1) * stride_of(n)
    b.by_head[:size] = 0
    b.by_modifier[:size] = 0


@leaf
def eliminate(n, single_root, e):  # type: ignore[no-untyped-def]
    """Eliminate the words n, …, 1, in place; return log Z, NaN where these numbers cannot hold it.

    Each row takes its sum over the vertices eliminated before it just before its own elimination.
    """
    S = stride_of(n)
    left = -(LEAST_SINGLE if e.w.itemsize == 4 else LEAST)
    log_z = 0.0
    for v in range(n, 0, -1):
        row, last, before = v * S, (v + 1) * S, n - v
        add_rows(e.p, last + v, S, e.w, last, S, before, e.w, row, v)
        add_rows(e.w, last + v, S, e.p, last, S, before, e.p, row, v)
        first = 1 if single_root and v > 1 else 0
        e.d[v] = sum_row(e.p, row, first, v)
        log_d = log(np.float64(e.d[v]))
        left += min(log_d, 0.0)
        if not left > 0.0:
            return nan
        affine_row(e.p, row, e.p, row, 0, 0, 1 / e.d[v], e.p, row, v)
        log_z += log_d
    return log_z


@leaf
def eliminate_tangent(n, single_root, e, de):  # type: ignore[no-untyped-def]
    """The tangent of `eliminate`, whose results e are; de comes with the tangents of the weights."""
    S = stride_of(n)
    for v in range(n, 0, -1):
        row, last, before = v * S, (v + 1) * S, n - v
        add_rows(de.p, last + v, S, e.w, last, S, before, de.w, row, v)
        add_rows(e.p, last + v, S, de.w, last, S, before, de.w, row, v)
        add_rows(de.w, last + v, S, e.p, last, S, before, de.p, row, v)
        add_rows(e.w, last + v, S, de.p, last, S, before, de.p, row, v)
        first = 1 if single_root and v > 1 else 0
        de.d[v] = sum_row(de.p, row, first, v)
        affine_row(de.p, row, e.p, row, 0, -de.d[v], 1 / e.d[v], de.p, row, v)


@leaf
def adjoint(n, single_root, e, b, g):  # type: ignore[no-untyped-def]
    """Set b = ∂ log Z / ∂w; g has room for a row."""
    S = stride_of(n)
    _clear(n, b)
    for v in range(1, n + 1):
        row = v * S
        g[:] = 0.0
        add_rows(e.w, row + 1, 1, b.by_modifier, S, S, v - 1, g, 0, v)
        add_rows(e.p, row, 1, b.by_head, 0, S, v, b.by_head, row, v)
        children = dot_row(e.p, row, g, 0, v)  # the expected number of v's children
        affine_row(g, 0, g, 0, 1 - children, 0, 1 / e.d[v], b.by_modifier, row, v)
        if single_root and v > 1:
            b.by_modifier[row] = g[0] / e.d[v]
        _mirror(v, S, b)


@leaf
def dual_adjoint(n, single_root, e, b, de, db, g, dg):  # type: ignore[no-untyped-def]
    """`adjoint` with its tangent."""
    S = stride_of(n)
    _clear(n, b)
    _clear(n, db)
    for v in range(1, n + 1):
        row = v * S
        g[:] = 0.0
        dg[:] = 0.0
        add_rows(e.w, row + 1, 1, b.by_modifier, S, S, v - 1, g, 0, v)
        add_rows(e.w, row + 1, 1, db.by_modifier, S, S, v - 1, dg, 0, v)
        add_rows(de.w, row + 1, 1, b.by_modifier, S, S, v - 1, dg, 0, v)
        add_rows(e.p, row, 1, b.by_head, 0, S, v, b.by_head, row, v)
        add_rows(e.p, row, 1, db.by_head, 0, S, v, db.by_head, row, v)
        add_rows(de.p, row, 1, b.by_head, 0, S, v, db.by_head, row, v)
        children = dot_row(e.p, row, g, 0, v)
        dchildren = dot_row(de.p, row, g, 0, v) + dot_row(e.p, row, dg, 0, v)
        affine_row(g, 0, g, 0, 1 - children, 0, 1 / e.d[v], b.by_modifier, row, v)
        affine_row(dg, 0, b.by_modifier, row, -dchildren, -de.d[v], 1 / e.d[v], db.by_modifier, row, v)
        if single_root and v > 1:
            b.by_modifier[row] = g[0] / e.d[v]
            db.by_modifier[row] = (dg[0] - b.by_modifier[row] * de.d[v]) / e.d[v]
        _mirror(v, S, b)
        _mirror(v, S, db)


@leaf
def _mirror(v, S, b):  # type: ignore[no-untyped-def]
    """Write the arcs out of v into the rows by modifier, and those into v into the rows by head."""
    b.by_modifier[v * S + v] = 0  # there the row was rounded up to whole vectors
    for j in range(v):
        b.by_modifier[j * S + v] = b.by_head[v * S + j]
        b.by_head[j * S + v] = b.by_modifier[v * S + j]
