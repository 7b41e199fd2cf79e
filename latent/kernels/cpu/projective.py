"""Blocks of a batch of projective trees: the sentences start, start + step, …, short ones together."""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.eisner import lanes_of, many_sentences, one_sentence
from latent.kernels.cpu.groups import check_all, longest, next_group
from latent.kernels.cpu.inside_outside import (
    add_up,
    log_sums,
    new_workspace,
    numbers_for,
    sample_tree,
    shift_by_heads,
    shift_by_trees,
)
from latent.kernels.cpu.jit import compiled
from latent.kernels.cpu.kbest import kbest_trees
from latent.kernels.cpu.semiring import Dual, LogDual, Real
from latent.kernels.cpu.simd import LANES64
from latent.kernels.cpu.viterbi import best_tree, best_trees, viterbi_workspace
from latent.kernels.status import FINE, HARD, NO_TREE

SHORT = 24
"""Up to this length a vector over sentences is faster than one over the starts of a sentence."""


@compiled
def map_block(scores, lengths, single_root, z, status, start, step):  # type: ignore[no-untyped-def]
    """Write the arcs of each sentence's best tree into z."""
    words, lanes = scores.shape[1] - 1, lanes_of(scores)
    heads, group = np.empty((lanes, words), np.int64), np.empty(lanes, np.int64)
    short = min(words, SHORT)
    alone = viterbi_workspace(words, one_sentence(words + 1, lanes), scores)
    together = viterbi_workspace(short, many_sentences(short + 1, lanes), scores)
    check_all(scores, lengths, status, start, step)
    b = start
    while b < lengths.size:
        count, b = next_group(lengths, status, b, step, SHORT, group)
        total = together.total.value
        if count == 1:
            n, total = lengths[group[0]], alone.total.value
            best_tree(scores[group[0]], n, single_root, heads[0], alone)
        elif count > 1:
            best_trees(scores, lengths, group[:count], single_root, heads, together)
        for lane in range(count):
            mine = group[lane]
            z[mine] = 0
            if total[lane] == -np.inf:
                status[mine] = NO_TREE
                continue
            for j in range(lengths[mine]):
                z[mine, heads[lane, j], j + 1] = 1


@compiled
def _sums(  # type: ignore[no-untyped-def]
    scores, lengths, single_root, direction, alone, together, out, log_z, status, start, step
):
    """Sums over the trees of each sentence, tried twice: see `add_up`. HARD is one for which both fail."""
    group = np.empty(LANES64, np.int64)
    b = start
    while b < lengths.size:
        count, b = next_group(lengths, status, b, step, SHORT, group)
        if out.size:
            for mine in group[:count]:
                out[mine] = 0
        for attempt in range(2):
            if count == 0:
                break
            chosen = group[:count]
            m = longest(lengths, chosen) + (0 if single_root else 1)
            layout = one_sentence(m, LANES64) if count == 1 else many_sentences(m, LANES64)
            workspace = alone if count == 1 else together
            if attempt == 0:
                shift_by_heads(scores, lengths, chosen, workspace)
            else:
                shift_by_trees(scores, lengths, chosen, single_root, workspace)
            add_up(scores, lengths, chosen, single_root, direction, layout, workspace, out, log_z)
            count = 0
            for mine in chosen:
                if not np.isfinite(log_z[mine]):
                    group[count] = mine
                    count += 1
        for mine in group[:count]:
            status[mine] = HARD


@compiled
def sums_block(scores, lengths, single_root, log_z, marginals, status, start, step):  # type: ignore[no-untyped-def]
    """Write each sentence's log-partition, and its marginals unless `marginals` is empty; or set HARD."""
    words = scores.shape[1] - 1
    short = min(words, SHORT)
    one, many = one_sentence(words + 1, LANES64), many_sentences(short + 1, LANES64)
    alone = new_workspace(Real(numbers_for(words, one)), words, one)
    together = new_workspace(Real(numbers_for(short, many)), short, many)
    nothing = np.empty((0, 0, 0))
    check_all(scores, lengths, status, start, step)
    _sums(scores, lengths, single_root, nothing, alone, together, marginals, log_z, status, start, step)


@compiled
def derivative_block(scores, lengths, single_root, direction, out, status, start, step):  # type: ignore[no-untyped-def]
    """Write the Jacobian of each sentence's marginals times the direction; or set HARD."""
    words = scores.shape[1] - 1
    short = min(words, SHORT)
    one, many = one_sentence(words + 1, LANES64), many_sentences(short + 1, LANES64)
    first, second = numbers_for(words, one), numbers_for(short, many)
    alone = new_workspace(Dual(first, first), words, one)
    together = new_workspace(Dual(second, second), short, many)
    log_z = np.empty(lengths.size)
    _sums(scores, lengths, single_root, direction, alone, together, out, log_z, status, start, step)


@compiled
def hard_block(scores, lengths, single_root, direction, log_z, out, status, start, step):  # type: ignore[no-untyped-def]
    """The sums of any scores, for HARD sentences; empty arrays are not given or not wanted."""
    words = scores.shape[1] - 1
    layout = one_sentence(words + 1, LANES64)
    numbers = numbers_for(words, layout)
    workspace = new_workspace(LogDual(numbers, numbers), words, layout)
    nothing = np.empty((0, 0))
    for b in range(start, lengths.size, step):
        ours, to = out[b] if out.size else nothing, direction[b] if direction.size else nothing
        log_z[b] = log_sums(scores[b], lengths[b], single_root, to, workspace, ours)
        status[b] = NO_TREE if log_z[b] == -np.inf else FINE


@compiled
def sample_block(scores, lengths, single_root, seeds, z, status, start, step):  # type: ignore[no-untyped-def]
    """Write the arcs of a draw from each sentence's Gibbs distribution, made with its seed."""
    heads = np.empty(scores.shape[1], np.int64)
    words = scores.shape[1] - 1
    layout = one_sentence(words + 1, LANES64)
    first, second = numbers_for(words, layout), numbers_for(words, layout)
    real = new_workspace(Real(first), words, layout)
    logarithms = new_workspace(LogDual(second, second), words, layout)
    check_all(scores, lengths, status, start, step)
    for b in range(start, lengths.size, step):
        if status[b] != FINE:
            continue
        if not sample_tree(scores, lengths, b, single_root, seeds[b], heads, real, logarithms):
            status[b] = NO_TREE
            continue
        for j in range(lengths[b]):
            z[b, heads[j], j + 1] = 1


@compiled
def kbest_block(scores, lengths, single_root, values, heads, counts, status, start, step):  # type: ignore[no-untyped-def]
    """Write the scores, heads and number of each sentence's best trees."""
    check_all(scores, lengths, status, start, step)
    for b in range(start, lengths.size, step):
        if status[b] == FINE:
            counts[b] = kbest_trees(scores[b], lengths[b], single_root, values[b], heads[b])
            if counts[b] == 0:
                status[b] = NO_TREE
