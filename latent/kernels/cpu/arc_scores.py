"""Arc scores Σ_k v_k tanh(a_ik + b_jk) and their gradient, without a tanh and without an n² · d tensor.

With E = exp(2a) and F = exp(2b), tanh(a + b) = 1 - 2q where q = 1 / (1 + E F): n · d exponentials, and one
division for each of the n² · d terms. The backward pass finds q again; d tanh = 4 q (1 - q).
"""

from __future__ import annotations

from numba import njit

from latent.kernels.cpu.jit import compiled

# The numbers 1 and 0 take the arrays' type: an int beside a float32 would make everything float64. Both ends
# lie in one array, [b, node, head half | modifier half], because a slice of it is known to be contiguous.


@njit(nogil=True, fastmath={"reassoc", "nsz", "contract", "arcp"})
def _saturation(e, f, weight):  # type: ignore[no-untyped-def]
    """Σ_k v_k q_k."""
    one = e.dtype.type(1)
    total = e.dtype.type(0)
    for k in range(e.size):
        total += weight[k] / (one + e[k] * f[k])
    return total


@njit(nogil=True, fastmath={"reassoc", "nsz", "contract", "arcp"})
def _add_gradients(gradient, ends, to_ends, to_weight, b, i, j):  # type: ignore[no-untyped-def]
    """Add g q (1 - q) to both ends and g q to the weight's sum, for one arc.

    Rows are told by their places: counting the references of five slices an arc takes longer than the sum.
    """
    one = ends.dtype.type(1)
    size = to_weight.shape[1]
    for k in range(size):
        q = one / (one + ends[b, i, k] * ends[b, j, size + k])
        whole = gradient * q
        part = whole - whole * q
        to_weight[b, k] += whole
        to_ends[b, i, k] += part
        to_ends[b, j, size + k] += part


@compiled
def forward(ends, weight, lengths, scores, start, step):  # type: ignore[no-untyped-def]
    """Write the scores of the sentences start, start + step, …; entries that are no arcs are left alone."""
    size = weight.size
    total = weight.dtype.type(0)
    for v in weight:
        total += v
    for b in range(start, lengths.size, step):
        for i in range(lengths[b] + 1):
            for j in range(1, lengths[b] + 1):
                if i != j:
                    saturation = _saturation(ends[b, i, :size], ends[b, j, size:], weight)
                    scores[b, i, j] = total - saturation - saturation


@compiled
def _weigh(row, weight):  # type: ignore[no-untyped-def]
    """Multiply by 4 v, which all terms of an end's gradient share."""
    four = row.dtype.type(4)
    for k in range(weight.size):
        row[k] *= four * weight[k]


@compiled
def backward(gradients, ends, weight, lengths, to_ends, to_weight, start, step):  # type: ignore[no-untyped-def]
    """Add up the gradient of both ends, and of each sentence for the weight, over the arcs that have one."""
    size = weight.size
    for b in range(start, lengths.size, step):
        total = weight.dtype.type(0)
        for i in range(lengths[b] + 1):
            for j in range(1, lengths[b] + 1):
                gradient = gradients[b, i, j]
                if i != j and gradient != 0:
                    total += gradient
                    _add_gradients(gradient, ends, to_ends, to_weight, b, i, j)
        for i in range(lengths[b] + 1):
            _weigh(to_ends[b, i, :size], weight)
            _weigh(to_ends[b, i, size:], weight)
        for k in range(size):  # tanh = 1 - 2 q
            to_weight[b, k] = total - to_weight[b, k] - to_weight[b, k]
