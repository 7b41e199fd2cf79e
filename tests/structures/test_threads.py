"""The CPU back end on threads: torch's own, ordinary ones and one alone give the same."""

import threading

import numba
import numpy as np
import pytest
import torch

from latent.kernels.cpu import team, threads, trees
from latent.structures import NonProjectiveTree, ProjectiveTree

STRUCTURES = [ProjectiveTree(single_root=True), NonProjectiveTree(single_root=False)]


@numba.njit(nogil=True)
def _visit(seen, threads_seen, k, blocks):  # type: ignore[no-untyped-def]
    for i in range(k, seen.size, blocks):
        seen[i] += i
    threads_seen[k] += 1


@numba.njit(nogil=True)
def _fail_at_three(seen, k, blocks):  # type: ignore[no-untyped-def]
    seen[k] = 1
    if k == 3:
        raise ValueError("three")


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setattr(team, "_rests_until", 0.0)
    monkeypatch.setattr(team, "_rest", 0.0)
    monkeypatch.setattr(team, "SHORT_REST", 0.0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def results(tree):
    """Every operation of a structure, on a batch that is worth sharing, with mixed lengths."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(48, 21, 21, dtype=torch.float64, generator=generator, requires_grad=True)
    lengths = torch.randint(1, 21, (48,), generator=generator)
    weights = torch.randn(48, 21, 21, dtype=torch.float64, generator=generator)
    found = [tree.map(scores, lengths), tree.marginals(scores, lengths), tree.sparsemap(scores, lengths)]
    found.append(tree.sample(scores, lengths, torch.Generator().manual_seed(1)))
    found.extend(torch.autograd.grad(((found[1] + found[2]) * weights).sum(), scores))
    return [tensor.detach() for tensor in found], tree.support(scores.detach(), lengths)


def same(one, other):
    tensors = all(torch.equal(a, b) for a, b in zip(one[0], other[0], strict=True))
    return tensors and one[1] == other[1]


@pytest.mark.skipif(not team._found(), reason="this build of torch does not use GNU OpenMP")
def test_a_team_takes_every_block_once(two_threads):
    for blocks in (1, 2, 7, 64):
        seen, counts = np.zeros(1000), np.zeros(blocks, np.int64)
        team.run_in_team(_visit, (seen, counts), blocks, 1.0)
        assert (seen == np.arange(1000)).all()
        assert (counts == 1).all()


@pytest.mark.skipif(not team._found(), reason="this build of torch does not use GNU OpenMP")
def test_a_kernel_that_fails_in_a_team_is_an_error(two_threads):
    with pytest.raises(RuntimeError, match="kernel _fail_at_three failed"):
        team.run_in_team(_fail_at_three, (np.zeros(8),), 8, 1.0)


@pytest.mark.skipif(not team._found(), reason="this build of torch does not use GNU OpenMP")
def test_a_team_that_is_kept_waiting_rests_longer_each_time(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(team, "_rests_until", 0.0)
    monkeypatch.setattr(team, "_rest", team.SHORT_REST)
    monkeypatch.setattr(team, "monotonic", lambda: now[0])

    def rest_after_a_call_that_lasts(seconds):
        ends = iter([now[0], now[0] + seconds])
        monkeypatch.setattr(team, "monotonic", lambda: next(ends))
        team.run_in_team(_visit, (np.zeros(9), np.zeros(3, np.int64)), 3, 1e-3)
        now[0] += seconds
        monkeypatch.setattr(team, "monotonic", lambda: now[0])
        available = team.available()
        rest = team._rests_until - now[0]
        now[0] += max(rest, 0)
        assert team.available()
        return 0 if available else rest

    rests = [rest_after_a_call_that_lasts(seconds) for seconds in (0.5, 0.5, 0.5, 0.001, 0.5)]
    assert rests == pytest.approx([0.02, 0.04, 0.08, 0, 0.08])
    assert max(rest_after_a_call_that_lasts(0.5) for _ in range(20)) == pytest.approx(team.LONG_REST)


@pytest.mark.parametrize("tree", STRUCTURES, ids=repr)
def test_every_way_of_sharing_gives_the_same(tree, two_threads, monkeypatch):
    shared = results(tree)
    monkeypatch.setattr(team, "_forked", True)
    assert not team.available()
    assert same(results(tree), shared)
    assert any(thread.name == "understory-kernel" for thread in threading.enumerate())
    torch.set_num_threads(1)
    assert same(results(tree), shared)


@pytest.mark.parametrize("tree", STRUCTURES, ids=repr)
def test_supports_larger_than_expected_find_room(tree, two_threads, monkeypatch):
    expected = results(tree)
    monkeypatch.setattr(trees, "_trees_expected", lambda words: 1)
    assert same(results(tree), expected)


def test_an_error_on_an_ordinary_thread_reaches_the_caller(two_threads, monkeypatch):
    monkeypatch.setattr(team, "_forked", True)
    with pytest.raises(ValueError, match="three"):
        threads.run(_fail_at_three, (np.zeros(8),), 8, 1.0)
