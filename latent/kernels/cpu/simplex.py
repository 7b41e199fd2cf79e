r"""Sparsemax of rows on the CPU, and its backward pass: each row stays in the nearest cache.

The threshold of p = [s - τ]₊, with the best score taken off s, solves Σ_{k: s_k > τ} (s_k - τ) = 1. From
τ = -1, where all that may be in the support is, take τ as if the support were right, until it does not shrink
any more (Michelot 1986).
"""

from __future__ import annotations

from latent.kernels.cpu.jit import compiled, compiled_loosely

# Zeros and ones take the row's own type: counts beside sums of another width would not fit one vector.


@compiled_loosely
def _sum_above(values, keys, bound):  # type: ignore[no-untyped-def]
    """The sum of the values whose keys lie above the bound, and how many there are."""
    zero, one = values.dtype.type(0), values.dtype.type(1)
    total, count = zero, zero
    for k in range(values.size):
        total += values[k] if keys[k] > bound else zero
        count += one if keys[k] > bound else zero
    return total, count


@compiled
def sparsemax_block(scores, best, p, start, step):  # type: ignore[no-untyped-def]
    """Write the sparsemax of the rows in part `start` of `step` parts; `best` is the best score of each."""
    zero, one = p.dtype.type(0), p.dtype.type(1)
    for b in range(start * len(p) // step, (start + 1) * len(p) // step):
        row = p[b]
        for k in range(row.size):
            row[k] = scores[b, k] - best[b]
        tau, support = -one, zero
        while True:
            total, count = _sum_above(row, row, tau)
            if count == support:
                break
            support = count
            tau = max(tau, (total - one) / count)
        for k in range(row.size):
            row[k] = row[k] - tau if row[k] > tau else zero


@compiled
def sparsemax_derivative_block(p, gradient, out, start, step):  # type: ignore[no-untyped-def]
    """out = the gradient minus its mean over the support, on the support; 0 elsewhere."""
    zero = p.dtype.type(0)
    for b in range(start * len(p) // step, (start + 1) * len(p) // step):
        total, count = _sum_above(gradient[b], p[b], zero)
        mean = total / count
        for k in range(p.shape[1]):
            out[b, k] = gradient[b, k] - mean if p[b, k] > zero else zero
