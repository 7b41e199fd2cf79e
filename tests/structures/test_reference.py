"""The reference back end against enumeration, and the CPU's kernels against it on longer sentences."""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext

import pytest
import torch
from scipy.stats import chisquare

from latent.kernels import REFERENCE, kernels_of, tree_kernels, use_reference
from latent.structures import NonProjectiveTree, ProjectiveTree
from tests.structures.enumeration import all_trees, as_matrices, project

KINDS = {"projective": ProjectiveTree, "nonprojective": NonProjectiveTree}
ROOTS = pytest.mark.parametrize("single_root", [True, False], ids=["single-root", "multi-root"])
EACH_KIND = pytest.mark.parametrize("name", KINDS)
LENGTHS = torch.tensor([4, 1, 3, 2])
JUNK = torch.tensor([math.nan, math.inf, -math.inf, 1e300], dtype=torch.float64)


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch(seed):
    """Four sentences: ordinary scores, one word, huge and tiny ones; forbidden arcs; junk elsewhere."""
    scores = random(seed, 4, 5, 5) * torch.tensor([1.0, 1.0, 1e4, 1e-8])[:, None, None]
    scores[0, 1, 2] = scores[2, 3, 1] = scores[2, 0, 2] = -math.inf
    parts = ProjectiveTree(single_root=True).mask(scores, LENGTHS)
    scores[~parts] = JUNK.repeat(25)[: (~parts).sum()]
    return scores


def enumerated(scores, name, single_root):
    """Per sentence: all its allowed trees, their scores, and the block of its arcs."""
    for b, n in enumerate(LENGTHS.tolist()):
        trees = as_matrices(all_trees(n, projective=name == "projective", single_root=single_root))
        block = (b, slice(0, n + 1), slice(0, n + 1))
        values = torch.where(trees > 0, scores[block], 0).flatten(1).sum(1)
        yield trees[values > -math.inf], values[values > -math.inf], block


@ROOTS
@EACH_KIND
def test_everything_is_that_of_all_trees(name, single_root):
    kernels, scores, direction = kernels_of(name, REFERENCE), batch(0), random(1, 4, 5, 5)
    before, given = scores.clone(), (scores, LENGTHS)
    best, (mu, log_z) = kernels.map(*given, single_root), kernels.marginals(*given, single_root)
    through = kernels.marginals_vjp(*given, direction, single_root)
    found = kernels.sparsemap(*given, single_root, 1e-12, 1000)
    back = kernels.sparsemap_vjp(found.trees, found.first, found.sizes, LENGTHS, direction)
    values_of, heads_of, counts = kernels.kbest(*given, 5, single_root)
    assert torch.equal(kernels.log_partition(*given, single_root), log_z)
    for trees, values, block in enumerated(scores, name, single_root):
        b, n, p = block[0], trees.shape[1] - 1, values.softmax(0)
        assert torch.equal(best[block], trees[values.argmax()])
        assert log_z[b].item() == pytest.approx(values.logsumexp(0).item(), rel=1e-9)
        torch.testing.assert_close(mu[block], torch.tensordot(p, trees, 1), atol=1e-9, rtol=0)
        along = (trees * direction[block]).flatten(1).sum(1)
        slope = torch.tensordot(p * (along - p @ along), trees, 1)
        torch.testing.assert_close(through[block], slope, atol=1e-9, rtol=0)
        target = torch.where((trees > 0).any(0), scores[block], 0)
        projection = project(trees, target).reshape(n + 1, n + 1)
        torch.testing.assert_close(found.mu[block], projection, atol=1e-7, rtol=0)
        heads = found.trees[found.first[b] : found.first[b] + found.sizes[b], :n]
        W = as_matrices(heads.long().numpy()).flatten(1)
        projected = torch.linalg.pinv(W - W[0]) @ ((W - W[0]) @ direction[block].flatten())
        torch.testing.assert_close(back[block].flatten(), projected, atol=1e-9, rtol=0)
        ranked = values.sort(descending=True).values[:5]
        assert counts[b] == len(ranked)
        torch.testing.assert_close(values_of[b, : len(ranked)], ranked, atol=1e-9, rtol=1e-12)
        assert len({tuple(tree) for tree in heads_of[b, : len(ranked)].tolist()}) == len(ranked)
    parts = ProjectiveTree(single_root=False).mask(scores, LENGTHS)
    assert all((result[~parts] == 0).all() for result in (best, mu, through, found.mu, back))
    assert torch.equal(scores.nan_to_num(7.0), before.nan_to_num(7.0))


@ROOTS
@EACH_KIND
def test_samples_have_the_gibbs_distribution(name, single_root):
    scores, draws = random(2, 4, 4), 1000
    given = scores.expand(draws, 4, 4), torch.full((draws,), 3)
    z = kernels_of(name, REFERENCE).sample(*given, torch.arange(draws), single_root)
    trees = as_matrices(all_trees(3, projective=name == "projective", single_root=single_root))
    which = (z[:, None] == trees).flatten(2).all(2)
    assert (which.sum(1) == 1).all()
    expected = draws * (trees * scores).flatten(1).sum(1).softmax(0)
    rare = expected < 5
    observed = [*which.sum(0)[~rare].tolist(), int(which[:, rare].sum())]
    expected = [*expected[~rare].tolist(), float(expected[rare].sum())]
    if expected[-1] == 0:
        observed, expected = observed[:-1], expected[:-1]
    assert chisquare(observed, expected, sum_check=False).pvalue > 1e-4


@ROOTS
@EACH_KIND
@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_the_kernels_agree_with_it_on_longer_sentences(name, single_root, scale):
    scores, lengths, direction = scale * random(3, 2, 13, 13), torch.tensor([12, 9]), random(4, 2, 13, 13)
    tree, results = KINDS[name](single_root=single_root), []
    for backend in (use_reference, nullcontext):
        leaf = scores.clone().requires_grad_()
        with backend():
            mu, log_z = tree.marginals(leaf, lengths), tree.log_partition(leaf, lengths)
            (gradient,) = torch.autograd.grad((mu * direction).sum() + log_z.sum(), leaf)
            results.append((mu, log_z, gradient, tree.map(leaf, lengths)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-9)


@EACH_KIND
@pytest.mark.parametrize("wrong", [0, 4, math.nan, math.inf, -math.inf])
def test_errors_are_those_of_the_kernels(name, wrong):
    scores, lengths = random(5, 3, 4, 4), torch.tensor([3, 2, 1])
    if isinstance(wrong, int):
        lengths[1] = wrong
    elif wrong == -math.inf:
        scores[1] = wrong
    else:
        scores[1, 1, 2] = wrong
    messages = []
    for kernels in (kernels_of(name, REFERENCE), tree_kernels(name, "cpu")):
        with pytest.raises(ValueError, match="sentence 1 of the batch") as error:
            kernels.marginals(scores, lengths, True)
        messages.append(str(error.value))
        with pytest.raises(ValueError, match="sentence 1 of the batch") as error:
            kernels.map(scores, lengths, True)
        messages.append(str(error.value))
    assert messages[:2] == messages[2:]


def test_it_is_chosen_within_the_block_alone():
    chosen = tree_kernels("projective", "cpu")
    with use_reference():
        assert tree_kernels("projective", "cpu") is kernels_of("projective", REFERENCE)
        with use_reference():
            pass
        assert tree_kernels("nonprojective", "meta") is kernels_of("nonprojective", REFERENCE)
    assert tree_kernels("projective", "cpu") is chosen


def test_it_works_without_gradients():
    scores = random(6, 2, 4, 4)
    tree = ProjectiveTree(single_root=True)
    expected = tree.marginals(scores)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), use_reference():
            torch.testing.assert_close(tree.marginals(scores.clone()), expected)
            assert torch.equal(tree.map(scores.clone()), tree.map(scores))


def test_without_torch_struct_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_struct", None)
    with pytest.raises(ModuleNotFoundError, match="pip install torch-struct"):
        kernels_of("projective", REFERENCE).map(random(7, 1, 3, 3), torch.tensor([2]), True)
