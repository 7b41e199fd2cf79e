"""Implicit MLE: finite differences, noise, and how the adaptive step adapts."""

from __future__ import annotations

import pytest
import torch

from latent.estimators import draws, make_estimator

from .enumeration import Enumerated
from .problems import gradient, problem


@pytest.fixture
def noise(small, monkeypatch):
    """Fixed noise, and the perturbed scores that it makes at temperature 0.5."""
    values = torch.rand(small.scores.shape, dtype=torch.float64).add_(0.1)
    monkeypatch.setattr(draws, "exponential", lambda like, generator: values)
    return small.scores.detach() - 0.5 * values.log()


def difference(small, moved, step, kind):
    structure, lengths = small.structure, small.lengths
    down = structure.map(moved - step, lengths)
    if kind == "forward":
        return structure.map(moved, lengths) - down
    return (structure.map(moved + step, lengths) - down) / 2


@pytest.mark.parametrize("kind", ["forward", "central"])
@pytest.mark.parametrize("lambda_", [0.3, 3.0])
def test_imle(kind, lambda_, small, noise):
    estimator = make_estimator(
        "imle", small.structure, lambda_=lambda_, difference=kind, noise_temperature=0.5
    )
    z = small.structure.map(noise, small.lengths)
    want = difference(small, noise, lambda_ * small.gamma(z), kind) / lambda_
    torch.testing.assert_close(estimator(small.scores, small.lengths), z)
    torch.testing.assert_close(gradient(estimator, small), want)


@pytest.mark.parametrize("kind", ["forward", "central"])
def test_aimle(kind, small, noise):
    estimator = make_estimator("aimle", small.structure, difference=kind, noise_temperature=0.5).eval()
    estimator.alpha.fill_(1.5)
    gamma = small.gamma(small.structure.map(noise, small.lengths))
    inside = small.structure.mask(small.scores, small.lengths)
    norms = torch.where(inside, small.scores.detach(), 0).flatten(1).norm(dim=1)
    steps = (1.5 * norms / gamma.flatten(1).norm(dim=1)).reshape(-1, *[1] * (gamma.dim() - 1))
    want = difference(small, noise, steps * gamma, kind) / steps
    torch.testing.assert_close(gradient(estimator, small), want)
    assert (want != 0).any()


def test_without_noise_the_forward_value_is_the_map(small):
    z = make_estimator("imle", small.structure, noise_temperature=0)(small.scores, small.lengths)
    torch.testing.assert_close(z, small.structure.map(small.scores, small.lengths))


def test_calls_of_the_decoder(small):
    for name in ("imle", "aimle"):
        small.decoder.calls.clear()
        gradient(make_estimator(name, small.structure, samples=3), small)
        assert small.decoder.calls == [12]


def test_aimle_adapts_as_in_its_algorithm_1():
    small = problem(Enumerated("projective"))
    estimator = make_estimator("aimle", small.structure, update_step=0.2, target=2.0)
    alpha, average = 0.0, 1.0
    moved_down = 0
    for seed in range(40):
        rows = gradient(estimator, small, seed=seed)
        average = 0.9 * average + 0.1 * float((rows != 0).flatten(1).sum(1).double().mean())
        moved_down += average > 2.0
        alpha = max(alpha + (0.2 if average <= 2.0 else -0.2), 0.0)
        assert float(estimator.alpha) == pytest.approx(alpha, abs=1e-5)
        assert float(estimator.non_zeros) == pytest.approx(average, abs=1e-5)
        if seed == 0:
            assert (rows == 0).all()
    assert 0 < moved_down < 40
    assert float(estimator.lambda_) > 0


def test_aimle_state_is_saved_and_only_training_moves_it():
    small = problem(Enumerated("projective"))
    estimator = make_estimator("aimle", small.structure)
    gradient(estimator, small)
    state = {key: value.clone() for key, value in estimator.state_dict().items()}
    assert set(state) == {"alpha", "non_zeros", "lambda_"}
    with torch.no_grad():
        estimator.loss(small.scores, small.lengths, small.downstream)
    gradient(estimator.eval(), small)
    assert estimator.state_dict() == state
    other = make_estimator("aimle", small.structure)
    other.load_state_dict(state)
    assert other.alpha == pytest.approx(1e-3)


def test_aimle_where_the_loss_is_flat(small):
    estimator = make_estimator("aimle", small.structure)
    estimator.alpha.fill_(1.0)
    losses = estimator.loss(
        small.scores, small.lengths, lambda z: small.inputs.sum(1) + 0 * z.flatten(1).sum(1)
    )
    (got,) = torch.autograd.grad(losses.sum(), small.scores)
    assert (got == 0).all()
    assert float(estimator.non_zeros) == pytest.approx(0.9)


def test_aimle_step_does_not_fall_below_zero(small):
    estimator = make_estimator("aimle", small.structure, target=1e-6)
    gradient(estimator, small)
    assert float(estimator.alpha) == 0


@pytest.mark.parametrize("parts", [1, 4])
def test_sum_of_gamma_noise_sums_to_a_gumbel_per_structure(parts):
    """Ten Gammas of shape 1/κ and scale κ/i have mean Σ 1/i and variance κ Σ 1/i²."""
    generator = torch.Generator().manual_seed(0)
    count = 100_000
    like = torch.empty(count, 1, dtype=torch.float64)
    noise = draws.sum_of_gamma(like, torch.tensor(parts), generator)
    orders = range(1, 11)
    mean = (sum(1 / i for i in orders) - torch.log(torch.tensor(10.0)).item()) / parts
    variance = sum(1 / i**2 for i in orders) / parts
    assert float(noise.mean()) == pytest.approx(mean, abs=4 * (variance / count) ** 0.5)
    assert float(noise.var()) == pytest.approx(variance, rel=0.1)
    # κ of them sum to a standard Gumbel variable, whose distribution is exp(-exp(-x))
    total = noise.reshape(-1, parts).sum(1)
    for x in (-1.0, 0.0, 1.0, 2.0):
        below = float((total <= x).double().mean())
        assert below == pytest.approx(float(torch.exp(-torch.exp(torch.tensor(-x)))), abs=0.04)


def test_sum_of_gamma_counts_the_parts_of_each_sentence(monkeypatch):
    seen = []
    original = draws.sum_of_gamma

    def record(like, parts, generator):
        seen.append(parts)
        return original(like, parts, generator)

    monkeypatch.setattr(draws, "sum_of_gamma", record)
    for kind, want in (("projective", [4, 3, 1, 2]), ("categorical", [1, 1, 1, 1])):
        small = problem(Enumerated(kind))
        z = make_estimator("imle", small.structure, noise="sum-of-gamma")(small.scores, small.lengths)
        assert seen[-1].flatten().expand(4).tolist() == want
        assert z.flatten(1).sum(1).tolist() == want
