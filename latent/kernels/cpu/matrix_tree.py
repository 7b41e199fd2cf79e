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
passes. What all trees have in common is taken off the scores first (`arc_weights.load_scores`), and those
that a double cannot bear even so are left to `matrix_tree_log`.

Sources: Tutte 1984; Koo et al. 2007, section 3; Grassmann, Taksar and Heyman 1985.
"""

from __future__ import annotations

from math import log, nan
from typing import Any, NamedTuple

from latent.kernels.cpu.jit import compiled, leaf
from latent.kernels.cpu.rows import add_rows
from latent.kernels.cpu.simd import LANES64 as LANES

SMALLEST = 1e-140
"""Of a sum of weights: the product of two of them is still a normal double."""


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
    """Distance between the rows of a table over n words and the root: whole vectors."""
    return (n + LANES) // LANES * LANES


@leaf
def table_size(n):  # type: ignore[no-untyped-def]
    """How many doubles a table takes."""
    return (n + 1) * stride_of(n)


@compiled
def elimination_in(memory, n):  # type: ignore[no-untyped-def]
    """An elimination of n words at the start of the memory, and the memory behind it."""
    size, stride = table_size(n), stride_of(n)
    tables = Elimination(memory[:size], memory[size : 2 * size], memory[2 * size : 2 * size + stride])
    return tables, memory[2 * size + stride :]


@compiled
def adjoint_in(memory, n):  # type: ignore[no-untyped-def]
    """Adjoints, set to zero, at the start of the memory, and the memory behind it."""
    size = table_size(n)
    memory[: 2 * size] = 0.0
    return Adjoint(memory[:size], memory[size : 2 * size]), memory[2 * size :]


@leaf
def eliminate(n, single_root, e):  # type: ignore[no-untyped-def]
    """Eliminate the words n, …, 1, in place; return log Z, NaN where a double cannot hold it.

    Each row takes its sum over the vertices eliminated before it just before its own elimination.
    """
    S = stride_of(n)
    log_z = 0.0
    for v in range(n, 0, -1):
        row, last, before = v * S, (v + 1) * S, n - v
        add_rows(e.p, last + v, S, e.w, last, S, before, e.w, row, v)
        add_rows(e.w, last + v, S, e.p, last, S, before, e.p, row, v)
        total = e.p[row] if not single_root or v == 1 else 0.0
        for i in range(1, v):
            total += e.p[row + i]
        if not total > SMALLEST:
            return nan
        for i in range(v):
            e.p[row + i] /= total
        e.d[v] = total
        log_z += log(total)
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
        total = de.p[row] if not single_root or v == 1 else 0.0
        for i in range(1, v):
            total += de.p[row + i]
        de.d[v] = total
        for i in range(v):
            de.p[row + i] = (de.p[row + i] - e.p[row + i] * total) / e.d[v]


@leaf
def adjoint(n, single_root, e, b, g):  # type: ignore[no-untyped-def]
    """Set b = ∂ log Z / ∂w; b must come as zeros, and g has room for a row."""
    S = stride_of(n)
    for v in range(1, n + 1):
        row = v * S
        g[:] = 0.0
        add_rows(e.w, row + 1, 1, b.by_modifier, S, S, v - 1, g, 0, v)
        add_rows(e.p, row, 1, b.by_head, 0, S, v, b.by_head, row, v)
        children = 0.0  # the expected number of v's children, p·g
        for i in range(v):
            children += e.p[row + i] * g[i]
        _close(g, 1.0 - children, e.d[v], b.by_modifier[row : row + v])
        if single_root and v > 1:
            b.by_modifier[row] = g[0] / e.d[v]
        _mirror(v, S, b)


@leaf
def dual_adjoint(n, single_root, e, b, de, db, g, dg):  # type: ignore[no-untyped-def]
    """`adjoint` with its tangent; b and db must come as zeros."""
    S = stride_of(n)
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
        children, dchildren = 0.0, 0.0
        for i in range(v):
            children += e.p[row + i] * g[i]
            dchildren += de.p[row + i] * g[i] + e.p[row + i] * dg[i]
        into_v = b.by_modifier[row : row + v]
        _close(g, 1.0 - children, e.d[v], into_v)
        _close_tangent(dg, dchildren, into_v, de.d[v], e.d[v], db.by_modifier[row : row + v])
        if single_root and v > 1:
            b.by_modifier[row] = g[0] / e.d[v]
            db.by_modifier[row] = (dg[0] - b.by_modifier[row] * de.d[v]) / e.d[v]
        _mirror(v, S, b)
        _mirror(v, S, db)


@leaf
def _close(g, rest, d, out):  # type: ignore[no-untyped-def]
    """out = (g + rest) / d: a function of its own, and the next, so that the compiler sees what overlaps."""
    for i in range(out.size):
        out[i] = (g[i] + rest) / d


@leaf
def _close_tangent(dg, dchildren, b, dd, d, out):  # type: ignore[no-untyped-def]
    """out = (dg - dchildren - b · dd) / d."""
    for i in range(out.size):
        out[i] = (dg[i] - dchildren - b[i] * dd) / d


@leaf
def _mirror(v, S, b):  # type: ignore[no-untyped-def]
    """Write the arcs out of v into the rows by modifier, and those into v into the rows by head."""
    for j in range(v):
        b.by_modifier[j * S + v] = b.by_head[v * S + j]
        b.by_head[j * S + v] = b.by_modifier[v * S + j]
