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


@pytest.mark.parametrize("single_root", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_short_and_long_sentences_in_one_batch(single_root, dtype):
    """Short ones are done together; long ones, and those that leave the range of a double, one by one."""
    generator = torch.Generator().manual_seed(2)
    lengths = torch.randint(1, 34, (90,), generator=generator)
    scores = random_scores(90, 33, 3).to(dtype)
    scores[::7] *= 1000
    scores[::5, 2, :] = -torch.inf  # the second word heads nothing
    direction = random_scores(90, 33, 4).to(dtype)
    tree = ProjectiveTree(single_root=single_root)

    def all_of(scores, lengths, direction):
        scores = scores.clone().requires_grad_()
        mu = tree.marginals(scores, lengths)
        (vjp,) = torch.autograd.grad((mu * direction).sum(), scores)
        return tree.map(scores, lengths), tree.log_partition(scores, lengths), mu, vjp

    together = all_of(scores, lengths, direction)
    for b, n in enumerate(lengths.tolist()):
        own = slice(b, b + 1), slice(n + 1), slice(n + 1)
        alone = all_of(scores[own], lengths[b : b + 1], direction[own])
        for found, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(found[own] if found.dim() == 3 else found[b : b + 1], expected)


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
