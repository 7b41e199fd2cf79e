"""Attention over a sentence's words, each with its heads, and the gradient, in one pass over the arcs.

    u_m = ReLU(own_m + Σ_h z_hm head_h),    α = softmax_m(q · u_m),    pooled = Σ_m α_m u_m

Sums over arcs go four at a time, so that a row is loaded and stored once for four of them, and pass over
arcs of weight zero: a single tree costs little more than n · d, not n² · d.
"""

from __future__ import annotations

import math

from latent.kernels.cpu.jit import loose_leaf

# Both vectors of a node lie in one array, [b, node, own half | head half], because a slice of it is known to
# be contiguous. Structure s is one of sentence s modulo their number; one thread does all of a sentence.


@loose_leaf
def _add(row, factor, other):  # type: ignore[no-untyped-def]
    for k in range(row.size):
        row[k] += factor * other[k]


@loose_leaf
def _add_four(row, factors, first, second, third, fourth):  # type: ignore[no-untyped-def]
    a, b, c, d = factors
    for k in range(row.size):
        row[k] += (a * first[k] + b * second[k]) + (c * third[k] + d * fourth[k])


@loose_leaf
def _product(row, other):  # type: ignore[no-untyped-def]
    total = row.dtype.type(0)
    for k in range(row.size):
        total += row[k] * other[k]
    return total


@loose_leaf
def _four_products(row, first, second, third, fourth):  # type: ignore[no-untyped-def]
    zero = row.dtype.type(0)
    a, b, c, d = zero, zero, zero, zero
    for k in range(row.size):
        a += row[k] * first[k]
        b += row[k] * second[k]
        c += row[k] * third[k]
        d += row[k] * fourth[k]
    return a, b, c, d


@loose_leaf
def _softmax(row):  # type: ignore[no-untyped-def]
    largest = row[0]
    for x in row:
        largest = max(largest, x)
    total = row.dtype.type(0)
    for m in range(row.size):
        row[m] = math.exp(row[m] - largest)
        total += row[m]
    for m in range(row.size):
        row[m] /= total


@loose_leaf
def _read(u, nodes, tree, m, n):  # type: ignore[no-untyped-def]
    """Write u_m."""
    size = u.size
    for k in range(size):
        u[k] = nodes[m, k]
    fours = (n + 1) // 4 * 4
    for h in range(0, fours, 4):
        a, b, c, d = tree[h, m], tree[h + 1, m], tree[h + 2, m], tree[h + 3, m]
        if a != 0 or b != 0 or c != 0 or d != 0:
            first, second, third, fourth = (
                nodes[h, size:],
                nodes[h + 1, size:],
                nodes[h + 2, size:],
                nodes[h + 3, size:],
            )
            _add_four(u, (a, b, c, d), first, second, third, fourth)
    for h in range(fours, n + 1):
        if tree[h, m] != 0:
            _add(u, tree[h, m], nodes[h, size:])
    for k in range(size):
        u[k] = max(u[k], u.dtype.type(0))


@loose_leaf
def forward(nodes, trees, query, lengths, hidden, attention, pooled, start, step):  # type: ignore[no-untyped-def]
    """Write u and α, and add up the pooled vectors, of the sentences start, start + step …

    Shapes: nodes (batch, n+1, 2d), trees (S · batch, n+1, n+1), query (d,), lengths (batch,), hidden, that is
    u, (S · batch, n, d), attention (S · batch, n), pooled (S · batch, d). Padding is left alone.
    """
    for b in range(start, lengths.size, step):
        n = lengths[b]
        for s in range(b, len(trees), lengths.size):
            for m in range(1, n + 1):
                _read(hidden[s, m - 1], nodes[b], trees[s], m, n)
                attention[s, m - 1] = _product(hidden[s, m - 1], query)
            _softmax(attention[s, :n])
            for m in range(n):
                _add(pooled[s], attention[s, m], hidden[s, m])


@loose_leaf
def _to_word(to_u, u, gradient, query, alpha, centred):  # type: ignore[no-untyped-def]
    """Write the gradient of u_m before its ReLU; `centred` is that of q · u_m."""
    for k in range(u.size):
        inside = alpha * gradient[k] + centred * query[k]
        to_u[k] = inside if u[k] > 0 else u.dtype.type(0)


@loose_leaf
def _to_arcs(to_tree, to_words, nodes, n):  # type: ignore[no-untyped-def]
    """Write the gradient of each arc: that of its modifier times the head's vector."""
    size = to_words.shape[1]
    fours = n // 4 * 4
    for h in range(n + 1):
        head = nodes[h, size:]
        for m in range(0, fours, 4):
            a, b, c, d = _four_products(head, to_words[m], to_words[m + 1], to_words[m + 2], to_words[m + 3])
            to_tree[h, m + 1] = a
            to_tree[h, m + 2] = b
            to_tree[h, m + 3] = c
            to_tree[h, m + 4] = d
        for m in range(fours, n):
            to_tree[h, m + 1] = _product(head, to_words[m])


@loose_leaf
def _to_nodes(to_nodes, to_words, tree, n):  # type: ignore[no-untyped-def]
    """Add the gradient of each node's own vector, and of its vector as a head."""
    size = to_words.shape[1]
    fours = n // 4 * 4
    for m in range(n):
        _add(to_nodes[m + 1, :size], to_words.dtype.type(1), to_words[m])
    for h in range(n + 1):
        head = to_nodes[h, size:]
        for m in range(0, fours, 4):
            a, b, c, d = tree[h, m + 1], tree[h, m + 2], tree[h, m + 3], tree[h, m + 4]
            if a != 0 or b != 0 or c != 0 or d != 0:
                _add_four(head, (a, b, c, d), to_words[m], to_words[m + 1], to_words[m + 2], to_words[m + 3])
        for m in range(fours, n):
            if tree[h, m + 1] != 0:
                _add(head, tree[h, m + 1], to_words[m])


@loose_leaf
def backward(  # type: ignore[no-untyped-def]
    gradients,
    nodes,
    trees,
    query,
    lengths,
    hidden,
    attention,
    pooled,
    to_words,
    to_nodes,
    to_trees,
    to_query,
    start,
    step,
):
    """Write the gradients of the structures; add up those of the nodes, and, by sentences, of the query.

    An array without entries asks for no gradient. `to_words`, (batch, n, d), is for scratch.
    """
    for b in range(start, lengths.size, step):
        n, words = lengths[b], to_words[b]
        for s in range(b, len(trees), lengths.size):
            gradient, mean = gradients[s], _product(gradients[s], pooled[s])
            for m in range(n):
                u, alpha = hidden[s, m], attention[s, m]
                centred = alpha * (_product(gradient, u) - mean)
                _to_word(words[m], u, gradient, query, alpha, centred)
                if to_query.size:
                    _add(to_query[b], centred, u)
            if to_trees.size:
                _to_arcs(to_trees[s], words, nodes[b], n)
            if to_nodes.size:
                _to_nodes(to_nodes[b], words, trees[s], n)
