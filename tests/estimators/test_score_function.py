"""The score-function estimator: its formula, its baselines, its state, and that none of it is biased."""

from __future__ import annotations

import pytest
import torch

from latent.estimators import make_estimator

from .enumeration import Enumerated
from .gibbs import gibbs
from .problems import Problem, gradient, problem

BASELINES = ["none", "moving-average", "self-critical"]


def test_formula_with_each_baseline(small):
    means = torch.stack([g.mu for g in gibbs(small)])
    best = small.decoder(small.structure.map(small.scores, small.lengths), small.inputs).detach()
    for baseline in BASELINES:
        estimator = make_estimator("score-function", small.structure, baseline=baseline).eval()
        estimator.average.fill_(0.2)
        estimator.updates.fill_(2)
        generator = torch.Generator().manual_seed(0)
        z = estimator(small.scores, small.lengths, generator=generator)
        losses = small.decoder(z, small.inputs).detach()
        b = {"none": 0, "moving-average": 0.2 / (1 - 0.9**2), "self-critical": best}[baseline]
        want = (losses - b).reshape(-1, *[1] * (z.dim() - 1)) * (z - means)
        torch.testing.assert_close(gradient(estimator, small), want, rtol=1e-6, atol=1e-6)


def test_calls_of_the_decoder(small):
    for baseline, calls in (("none", [8]), ("moving-average", [8]), ("self-critical", [8, 4])):
        small.decoder.calls.clear()
        gradient(make_estimator("score-function", small.structure, baseline=baseline, samples=2), small)
        assert small.decoder.calls == calls


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("kind", ["projective", "categorical"])
def test_unbiased(baseline, kind):
    """The mean of many estimates is within four standard errors of the exact gradient, entry by entry."""
    one = problem(Enumerated(kind)).example(0)
    (distribution,) = gibbs(one)
    losses = one.decoder(distribution.z, one.inputs).detach()
    exact = torch.tensordot(distribution.p * losses, distribution.z - distribution.mu, 1)
    count = 4_000
    many = Problem(
        one.structure,
        one.scores.detach().expand(count, *one.scores.shape[1:]).clone().requires_grad_(),
        None if one.lengths is None else one.lengths.expand(count).clone(),
        one.inputs.expand(count, -1),
        one.decoder,
    )
    estimator = make_estimator("score-function", one.structure, baseline=baseline)
    gradient(estimator, many, seed=1)  # gives the moving average something to be
    rows = gradient(estimator, many, seed=2)
    error = rows.std(0) / count**0.5
    assert ((rows.mean(0) - exact).abs() <= 4 * error + 1e-12).all()


def test_moving_average_is_updated_once_per_call_in_training_only():
    small = problem(Enumerated("categorical"))
    estimator = make_estimator("score-function", small.structure)
    seen, average = [], 0.0
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        losses = estimator.loss(small.scores, None, small.downstream, generator=generator)
        seen.append(float(losses.detach().mean()))
        average = 0.9 * average + 0.1 * seen[-1]
    assert float(estimator.average) == pytest.approx(average)
    assert float(estimator.updates) == 3
    debiased = float(estimator.average) / (1 - 0.9**3)
    assert min(seen) <= debiased <= max(seen)
    estimator.eval()
    estimator.loss(small.scores, None, small.downstream)
    assert float(estimator.updates) == 3
    assert set(estimator.state_dict()) == {"average", "updates"}


def test_entropy_bonus(small):
    plain = gradient(make_estimator("score-function", small.structure), small)
    bonus = gradient(make_estimator("score-function", small.structure, entropy_bonus=0.7), small)
    for b, g in enumerate(gibbs(small)):
        # ∇H = -Σ s: the covariance of the structure with its own score
        along = (g.z * torch.where(g.mu > 0, small.scores[b].detach(), 0)).flatten(1).sum(1)
        ascent = -torch.tensordot(g.p * (along - g.p @ along), g.z - g.mu, 1)
        torch.testing.assert_close(bonus[b] - plain[b], -0.7 * ascent, rtol=1e-6, atol=1e-8)


def test_needs_no_gradient_of_the_decoder():
    small = problem(Enumerated("projective"))

    def counting(z):
        return (z.detach()[:, 0].sum(1) * 0 + z.detach()[:, 0, 1]).round()

    for baseline in BASELINES:
        estimator = make_estimator("score-function", small.structure, baseline=baseline, samples=8)
        (got,) = torch.autograd.grad(
            estimator.loss(small.scores, small.lengths, counting).sum(), small.scores
        )
        assert got.abs().max() > 0
