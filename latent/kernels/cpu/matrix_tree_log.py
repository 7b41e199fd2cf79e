r"""The elimination of `matrix_tree` on logarithms, for scores whose exponentials a double cannot hold.

Each logarithm carries its tangent along a direction t, so that one pass gives the log-partition, the
marginals and their Jacobian times t. The weights must be eliminated before a vertex that reaches all others
is left alone: the root's child in the best tree.

The marginals come from the products $f_{ij} = b_{ij} p_i w_{vj}$, the probability that a tree on the
vertices left uses the arc i → j by way of v. They lie in [0, 1], and so does

$$\mu_{iv} = p_i (1 - \textstyle\sum_{ij} f_{ij}) + \sum_j f_{ij},$$

which is the only sum here with a term below zero; its error is absolute, some n roundings of one.
"""

from __future__ import annotations

from math import exp, inf, log

import numpy as np

from latent.kernels.cpu.jit import compiled
from latent.kernels.cpu.matrix_tree import stride_of


@compiled
def _matrix(table, n):  # type: ignore[no-untyped-def]
    S = stride_of(n)
    return table[: (n + 1) * S].reshape(n + 1, S)


@compiled
def _times_exp(factor, x):  # type: ignore[no-untyped-def]
    return 0.0 if factor == 0.0 else factor * exp(x)


@compiled
def log_eliminate(n, single_root, e, de):  # type: ignore[no-untyped-def]
    """`matrix_tree.eliminate` on e = log w, log p, log D, with the tangents de of these logarithms."""
    w, dw, p, dp = (_matrix(e.w, n), _matrix(de.w, n), _matrix(e.p, n), _matrix(de.p, n))
    log_z = 0.0
    for v in range(n, 0, -1):
        first = 1 if single_root and v > 1 else 0
        top = w[first:v, v].max()
        total, tangent = 0.0, 0.0
        for i in range(first, v):
            total += exp(w[i, v] - top)
            tangent += _times_exp(dw[i, v], w[i, v] - top)
        e.d[v], de.d[v] = top + log(total), tangent / total
        log_z += e.d[v]
        for i in range(v):
            p[v, i], dp[v, i] = w[i, v] - e.d[v], dw[i, v] - de.d[v]
            for j in range(1, v):
                by_way = p[v, i] + w[v, j]
                if by_way == -inf:
                    continue
                top = max(w[i, j], by_way)
                both = top + log(exp(w[i, j] - top) + exp(by_way - top))
                share = exp(by_way - both)
                dw[i, j] = share * (dp[v, i] + dw[v, j]) + _times_exp(dw[i, j], w[i, j] - both)
                w[i, j] = both
    return log_z


@compiled
def log_adjoint(n, single_root, e, de, b, db):  # type: ignore[no-untyped-def]
    """Set b = log ∂ log Z / ∂w, -inf where that is zero, and its tangent, from what `log_eliminate` left."""
    w, dw, lp, dlp = (_matrix(e.w, n), _matrix(de.w, n), _matrix(e.p, n), _matrix(de.p, n))
    b, db = _matrix(b, n), _matrix(db, n)
    b[:] = -inf
    db[:] = 0.0
    used, dused = np.empty(n + 1), np.empty(n + 1)
    for v in range(1, n + 1):
        used[:v], dused[:v] = 0.0, 0.0
        for j in range(1, v):
            total, tangent = 0.0, 0.0
            for i in range(v):
                f = exp(b[i, j] + lp[v, i] + w[v, j])
                if f > 0.0:
                    df = f * (db[i, j] + dlp[v, i] + dw[v, j])
                    used[i] += f
                    dused[i] += df
                    total += f
                    tangent += df
            if total > 0.0:
                b[v, j], db[v, j] = log(total) - w[v, j], tangent / total - dw[v, j]
        rest, drest = 1.0 - used[:v].sum(), -dused[:v].sum()
        for i in range(v):
            p = 0.0 if single_root and i == 0 and v > 1 else exp(lp[v, i])
            mu = p * rest + used[i]
            if mu > 0.0:
                dmu = p * (drest + dlp[v, i] * rest) + dused[i]
                b[i, v] = log(mu) - lp[v, i] - e.d[v]
                db[i, v] = dmu / mu - dlp[v, i] - de.d[v]
