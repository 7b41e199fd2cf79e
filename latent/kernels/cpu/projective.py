"""Blocks of a batch of projective trees: the sentences start, start + step, … one after the other."""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.checks import check
from latent.kernels.cpu.inside_outside import (
    dual_workspace,
    log_partition_and_marginals,
    marginals_derivative,
    real_workspace,
    sample_tree,
)
from latent.kernels.cpu.jit import compiled
from latent.kernels.cpu.kbest import kbest_trees
from latent.kernels.cpu.viterbi import best_tree, viterbi_workspace
from latent.kernels.status import FINE, NO_TREE


@compiled
def map_block(scores, lengths, single_root, z, status, start, step):  # type: ignore[no-untyped-def]
    """Write the arcs of each sentence's best tree into z, which starts as zeros."""
    heads = np.empty(scores.shape[1], np.int64)
    workspace = viterbi_workspace(scores.shape[1] - 1, scores)
    for b in range(start, lengths.size, step):
        n = lengths[b]
        status[b] = check(scores[b], n)
        if status[b] != FINE:
            continue
        if best_tree(scores[b], n, single_root, heads, workspace) == -np.inf:
            status[b] = NO_TREE
            continue
        for j in range(n):
            z[b, heads[j], j + 1] = 1


@compiled
def sums_block(scores, lengths, single_root, log_z, marginals, status, start, step):  # type: ignore[no-untyped-def]
    """Write each sentence's log-partition, and its marginals unless `marginals` is empty."""
    workspace = real_workspace(scores.shape[1] - 1)
    for b in range(start, lengths.size, step):
        n = lengths[b]
        status[b] = check(scores[b], n)
        if status[b] != FINE:
            continue
        out = marginals[b] if marginals.size else np.empty((0, 0), marginals.dtype)
        log_z[b] = log_partition_and_marginals(scores[b], n, single_root, workspace, out)
        if log_z[b] == -np.inf:
            status[b] = NO_TREE


@compiled
def derivative_block(scores, lengths, single_root, direction, out, start, step):  # type: ignore[no-untyped-def]
    """Write the Jacobian of each sentence's marginals times the direction."""
    workspace = dual_workspace(scores.shape[1] - 1)
    for b in range(start, lengths.size, step):
        marginals_derivative(scores[b], lengths[b], single_root, direction[b], workspace, out[b])


@compiled
def sample_block(scores, lengths, single_root, seeds, z, status, start, step):  # type: ignore[no-untyped-def]
    """Write the arcs of a draw from each sentence's Gibbs distribution, made with its seed."""
    heads = np.empty(scores.shape[1], np.int64)
    workspace = real_workspace(scores.shape[1] - 1)
    for b in range(start, lengths.size, step):
        n = lengths[b]
        status[b] = check(scores[b], n)
        if status[b] != FINE:
            continue
        if not sample_tree(scores[b], n, single_root, seeds[b], heads, workspace):
            status[b] = NO_TREE
            continue
        for j in range(n):
            z[b, heads[j], j + 1] = 1


@compiled
def kbest_block(scores, lengths, single_root, values, heads, counts, status, start, step):  # type: ignore[no-untyped-def]
    """Write the scores, heads and number of each sentence's best trees."""
    for b in range(start, lengths.size, step):
        n = lengths[b]
        status[b] = check(scores[b], n)
        if status[b] == FINE:
            counts[b] = kbest_trees(scores[b], n, single_root, values[b], heads[b])
            if counts[b] == 0:
                status[b] = NO_TREE
