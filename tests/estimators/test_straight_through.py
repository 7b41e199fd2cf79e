"""Straight-through estimators against their formulas, and ReinMax against the exact gradient."""

from __future__ import annotations

import pytest
import torch

from latent.estimators import draws, make_estimator
from latent.estimators.straight_through import conditional_gumbel

from .enumeration import Enumerated
from .gibbs import covariances, gibbs
from .problems import gradient, problem


def sampled(estimator, small):
    """The structures that `gradient(estimator, small)` will use."""
    generator = torch.Generator().manual_seed(0)
    return estimator(small.scores, small.lengths, generator=generator).detach()


def dot(a, b):
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.dim() - 1))


def test_ste_marginals(small):
    z = small.structure.map(small.scores, small.lengths)
    want = covariances(small, small.scores, small.gamma(z))
    torch.testing.assert_close(gradient(make_estimator("ste-marginals", small.structure), small), want)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_perturb_and_map(temperature, small, monkeypatch):
    noise = torch.rand(small.scores.shape, dtype=torch.float64).add_(0.1)
    monkeypatch.setattr(draws, "exponential", lambda like, generator: noise)
    moved = small.scores.detach() - noise.log()
    z = small.structure.map(moved, small.lengths)
    want = covariances(small, moved / temperature, small.gamma(z)) / temperature
    estimator = make_estimator("perturb-and-map", small.structure, temperature=temperature)
    torch.testing.assert_close(sampled(estimator, small), z)
    torch.testing.assert_close(gradient(estimator, small), want)


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_straight_through(temperature, small):
    estimator = make_estimator("straight-through", small.structure, temperature=temperature)
    gamma = small.gamma(sampled(estimator, small))
    want = covariances(small, small.scores / temperature, gamma) / temperature
    torch.testing.assert_close(gradient(estimator, small), want)


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_reinmax(temperature, small):
    estimator = make_estimator("reinmax", small.structure, temperature=temperature)
    z = sampled(estimator, small)
    gamma, smooth = small.gamma(z), small.scores / temperature
    away = z - torch.stack([g.mu for g in gibbs(small, smooth)])
    want = (
        covariances(small, smooth, gamma)
        - 0.5 * covariances(small, small.scores, gamma)
        + 0.5 * dot(away, gamma) * away
    )
    torch.testing.assert_close(gradient(estimator, small), want)


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_reinmax_on_a_categorical_is_the_papers_algorithm(temperature):
    """Algorithm 2 of the paper, line by line, differentiated by autograd."""
    small = problem(Enumerated("categorical"))
    estimator = make_estimator("reinmax", small.structure, temperature=temperature)
    z = sampled(estimator, small)
    theta = small.scores.detach().requires_grad_()
    pi0 = theta.softmax(1)
    pi1 = (z + (theta / temperature).softmax(1)) / 2
    pi1 = ((pi1.log() - theta).detach() + theta).softmax(1)
    pi2 = 2 * pi1 - pi0 / 2
    loss = small.decoder(pi2 - pi2.detach() + z, small.inputs).sum()
    (want,) = torch.autograd.grad(loss, theta)
    torch.testing.assert_close(gradient(estimator, small), want)


def expectation(name, table, scores, losses, monkeypatch):
    """The estimator's gradient averaged over every structure, each forced in turn, and the exact one."""
    structure = Enumerated("projective")
    monkeypatch.setattr(structure, "sample", lambda s, lengths=None, generator=None: table)
    repeated = scores.expand(len(table), *scores.shape).clone().requires_grad_()
    (rows,) = torch.autograd.grad(
        make_estimator(name, structure).loss(repeated, None, losses).sum(), repeated
    )
    p = torch.where(table > 0, scores, 0).flatten(1).sum(1).softmax(0)
    mu = torch.tensordot(p, table, 1)
    exact = torch.tensordot(p * losses(table), table - mu, 1)
    return torch.tensordot(p, rows, 1), exact


def test_reinmax_is_exact_for_a_quadratic_loss_over_all_trees_of_four_words(monkeypatch):
    generator = torch.Generator().manual_seed(4)
    scores, linear = torch.randn(2, 5, 5, generator=generator, dtype=torch.float64)
    square = torch.randn(25, 25, generator=generator, dtype=torch.float64) / 5
    table = Enumerated("projective").table(scores[None], 4)

    def losses(z):
        flat = z.flatten(1)
        return ((flat @ square) * flat).sum(1) + flat @ linear.flatten()

    mean, exact = expectation("reinmax", table, scores, losses, monkeypatch)
    assert len(table) == 30
    assert (mean - exact).abs().max() < 1e-10
    first_order, _ = expectation("straight-through", table, scores, losses, monkeypatch)
    assert (first_order - exact).abs().max() > 0.05


@pytest.mark.parametrize(("temperature", "gap"), [(1.0, 1.0), (0.5, 2.0)])
def test_gapped_straight_through(temperature, gap):
    """Fan et al.: softmax_τ(θ + m1 + m2) with m1 = (max θ - θ·D) D and m2 = -(θ + gap - max θ)₊ (1 - D)."""
    small = problem(Enumerated("categorical"))
    estimator = make_estimator("gapped-st", small.structure, temperature=temperature, gap=gap)
    z = sampled(estimator, small)
    theta = small.scores.detach()
    top = theta.max(1, keepdim=True).values
    lead = (top - (theta * z).sum(1, keepdim=True)) * z
    push = -(theta + gap - top).clamp(min=0) * (1 - z)
    want = covariances(small, (theta + lead + push) / temperature, small.gamma(z)) / temperature
    torch.testing.assert_close(gradient(estimator, small), want)


def test_gumbel_rao_averages_over_its_inner_noise(monkeypatch):
    small = problem(Enumerated("categorical"))
    estimator = make_estimator("gumbel-rao", small.structure, temperature=0.5, inner_samples=3)
    z = sampled(estimator, small)
    noise = torch.rand(12, 6, dtype=torch.float64).add_(0.1)
    inners = iter(noise.split(4))
    monkeypatch.setattr(draws, "exponential", lambda like, generator: next(inners))
    p, want = small.scores.detach().softmax(1), 0
    for inner in noise.split(4):
        winner = (inner * z).sum(1, keepdim=True)
        perturbed = torch.where(z > 0, -winner.log(), -(inner / p + winner).log())
        assert (perturbed.argmax(1) == z.argmax(1)).all()
        want = want + covariances(small, perturbed / 0.5, small.gamma(z)) / 0.5 / 3
    torch.testing.assert_close(gradient(estimator, small), want)


def test_conditional_gumbel_is_gumbel_once_the_condition_is_averaged_out():
    generator = torch.Generator().manual_seed(0)
    theta = torch.tensor([1.0, -0.5, 0.3], dtype=torch.float64).log_softmax(0)
    structure, count = Enumerated("categorical"), 40_000
    p = theta.exp().expand(count, 3)
    z = torch.eye(3, dtype=torch.float64)[torch.multinomial(theta.exp(), count, True, generator=generator)]
    noise = conditional_gumbel(p, z, generator) - theta
    assert (structure.map(noise + theta)[:100] == z[:100]).all()
    euler, variance = 0.5772156649, torch.pi**2 / 6
    standard_error = (variance / count) ** 0.5
    assert (noise.mean(0) - euler).abs().max() < 4 * standard_error
    # The fourth central moment of a Gumbel variable is 5.4 variance².
    assert (noise.var(0) - variance).abs().max() < 4 * variance * (4.4 / count) ** 0.5
    assert torch.corrcoef(noise.T).fill_diagonal_(0).abs().max() < 4 / count**0.5
