"""Blocks of a batch of non-projective trees: the sentences start, start + step, … one after the other."""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.checks import check
from latent.kernels.cpu.edmonds import best_tree, new_contraction
from latent.kernels.cpu.jit import compiled
from latent.kernels.cpu.matrix_tree import new_sums
from latent.kernels.cpu.nonprojective_kbest import kbest_trees
from latent.kernels.cpu.tree_sampling import sample_tree
from latent.kernels.cpu.tree_sums import (
    log_partition_and_marginals,
    log_sums,
    marginals_derivative,
)
from latent.kernels.status import FINE, HARD, NO_TREE


@compiled
def map_block(scores, lengths, single_root, z, status, start, step):  # type: ignore[no-untyped-def]
    """Write the arcs of each sentence's best tree into z."""
    heads = np.empty(scores.shape[1], np.int64)
    graph = new_contraction(scores.shape[1] - 1)
    for b in range(start, lengths.size, step):
        n = lengths[b]
        z[b] = 0
        status[b] = check(scores[b], n)
        if status[b] != FINE:
            continue
        if best_tree(scores[b], n, single_root, heads, graph) == -np.inf:
            status[b] = NO_TREE
            continue
        for j in range(n):
            z[b, heads[j], j + 1] = 1


@compiled
def sample_block(scores, lengths, single_root, seeds, z, status, start, step):  # type: ignore[no-untyped-def]
    """Write the arcs of a draw per sentence, with randomness from its seed, into z; it starts as zeros."""
    heads = np.empty(scores.shape[1], np.int64)
    sums = new_sums(scores.shape[1] - 1, np.empty(0))
    for b in range(start, lengths.size, step):
        n = lengths[b]
        status[b] = check(scores[b], n)
        if status[b] != FINE:
            continue
        if not sample_tree(scores[b], n, single_root, seeds[b], heads, sums):
            status[b] = NO_TREE
            continue
        for j in range(n):
            z[b, heads[j], j + 1] = 1


@compiled
def sums_block(scores, lengths, single_root, log_z, marginals, status, start, step):  # type: ignore[no-untyped-def]
    """Write each sentence's log-partition, and its marginals unless `marginals` is empty; or set HARD."""
    words = scores.shape[1] - 1
    ours, doubles = new_sums(words, scores), new_sums(words, np.empty(0))
    for b in range(start, lengths.size, step):
        n = lengths[b]
        status[b] = check(scores[b], n)
        if status[b] != FINE:
            continue
        out = marginals[b] if marginals.size else np.empty((0, 0), marginals.dtype)
        out[:] = 0
        log_z[b] = log_partition_and_marginals(scores[b], n, single_root, ours, out)
        if not np.isfinite(log_z[b]) and scores.itemsize == 4:
            log_z[b] = log_partition_and_marginals(scores[b], n, single_root, doubles, out)
        if not np.isfinite(log_z[b]):
            status[b] = HARD


@compiled
def derivative_block(scores, lengths, single_root, direction, out, status, start, step):  # type: ignore[no-untyped-def]
    """Write the Jacobian of each sentence's marginals times the direction into out; or set HARD."""
    words = scores.shape[1] - 1
    ours, doubles = new_sums(words, scores), new_sums(words, np.empty(0))
    for b in range(start, lengths.size, step):
        n, given = lengths[b], direction[b]
        out[b] = 0
        done = marginals_derivative(scores[b], n, single_root, given, ours, out[b])
        if not done and scores.itemsize == 4:
            done = marginals_derivative(scores[b], n, single_root, given, doubles, out[b])
        if not done:
            status[b] = HARD


@compiled
def hard_block(scores, lengths, single_root, direction, log_z, out, status, start, step):  # type: ignore[no-untyped-def]
    """The sums of any scores, for HARD sentences; empty arrays are not given or not wanted."""
    sums, nothing = new_sums(scores.shape[1] - 1, np.empty(0)), np.empty((0, 0))
    for b in range(start, lengths.size, step):
        ours, to = out[b] if out.size else nothing, direction[b] if direction.size else nothing
        log_z[b] = log_sums(scores[b], lengths[b], single_root, to, sums, ours)
        status[b] = NO_TREE if log_z[b] == -np.inf else FINE


@compiled
def kbest_block(scores, lengths, single_root, values, heads, counts, status, start, step):  # type: ignore[no-untyped-def]
    """Write each sentence's best trees, heads[b, :counts[b], :n] worth values[b, :counts[b]], best first."""
    for b in range(start, lengths.size, step):
        n = lengths[b]
        status[b] = check(scores[b], n)
        if status[b] != FINE:
            continue
        counts[b] = kbest_trees(scores[b], n, single_root, values[b], heads[b])
        if counts[b] == 0:
            status[b] = NO_TREE
