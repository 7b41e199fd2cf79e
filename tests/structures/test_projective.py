"""Projective trees, against enumeration, closed forms and torch-struct."""

from math import comb

import pytest
import torch
import torch_struct

from latent.kernels import tree_kernels
from latent.kernels.through_cpu import ThroughCpu
from latent.structures import ProjectiveTree
from tests.structures.trees import TreeContract


class TestProjectiveTree(TreeContract):
    kind = ProjectiveTree
    projective = True

    def count(self, n, *, single_root):
        """Yuret 1998, Discovery of linguistic relations, appendix: ternary trees."""
        return comb(3 * n - 2, n - 1) // n if single_root else comb(3 * n, n) // (2 * n + 1)


def random_scores(batch, n, seed=0):
    return torch.randn(batch, n + 1, n + 1, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("single_root", [True, False])
def test_long_sentences_agree_with_torch_struct(single_root):
    """An independent implementation: the root's scores on the diagonal, sums of logarithms, autograd."""
    n, lengths = 24, torch.tensor([24, 7, 15])
    scores, direction = random_scores(3, n), random_scores(3, n, 1)
    leaf = scores[:, 1:, 1:].double()
    leaf.diagonal(dim1=1, dim2=2).copy_(scores[:, 0, 1:])
    crf = torch_struct.DependencyCRF(leaf.requires_grad_(), lengths, multiroot=not single_root)

    def ours(matrix):
        """In torch-struct's layout."""
        moved = matrix[:, 1:, 1:].clone()
        moved.diagonal(dim1=1, dim2=2).copy_(matrix[:, 0, 1:])
        return moved

    tree = ProjectiveTree(single_root=single_root)
    given = scores.double().requires_grad_()
    marginals = tree.marginals(given, lengths)
    weights = torch.where(tree.mask(scores, lengths), direction, 0).double()
    torch.testing.assert_close(ours(marginals), crf.marginals, atol=1e-8, rtol=0)
    torch.testing.assert_close(ours(tree.map(given, lengths)), crf.argmax.double())
    torch.testing.assert_close(tree.log_partition(given, lengths), crf.partition, atol=1e-8, rtol=0)
    (vjp,) = torch.autograd.grad((marginals * weights).sum(), given)
    (theirs,) = torch.autograd.grad((crf.marginals * ours(weights)).sum(), leaf)
    torch.testing.assert_close(ours(vjp), theirs, atol=1e-8, rtol=0)


@pytest.mark.parametrize("scale", [1.0, 300.0, 1e4])
def test_long_sentences_stay_finite_at_any_scale(scale):
    """Where real numbers overflow, logarithms take over: the marginals are those of a common shift anyway."""
    tree, scores = ProjectiveTree(single_root=True), scale * random_scores(2, 90).double()
    mu = tree.marginals(scores.requires_grad_())
    torch.testing.assert_close(mu.sum(1)[:, 1:], torch.ones(2, 90, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(mu.square().sum(), scores)
    assert gradient.isfinite().all()
    # Each tree has one head per modifier, so the derivative along a constant for a modifier vanishes.
    torch.testing.assert_close(gradient.sum(1), torch.zeros(2, 91, dtype=torch.float64), atol=1e-9, rtol=0)


def test_every_device_without_kernels_goes_through_the_cpu():
    """The same code serves any device; here it runs on CPU tensors, which copies do not change."""
    scores, lengths = random_scores(4, 8), torch.tensor([8, 1, 5, 3])
    direct, through = tree_kernels("projective", "cpu"), ThroughCpu("projective")
    seeds = torch.arange(4)
    calls = [
        lambda k: k.map(scores, lengths, True),
        lambda k: k.log_partition(scores, lengths, True),
        lambda k: k.marginals(scores, lengths, True),
        lambda k: k.marginals_vjp(scores, lengths, scores, True),
        lambda k: k.sample(scores, lengths, seeds, True),
        lambda k: k.kbest(scores, lengths, 3, True),
        lambda k: k.sparsemap(scores, lengths, True, 1e-8, 100),
    ]
    for call in calls:
        torch.testing.assert_close(call(direct), call(through))
