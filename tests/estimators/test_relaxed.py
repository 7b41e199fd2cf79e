"""Relaxations and sparse expectations against their Jacobians, written out."""

from __future__ import annotations

import pytest
import torch

from latent.estimators import draws, make_estimator
from latent.structures import Categorical, ProjectiveTree

from .enumeration import Enumerated, projection_weights
from .gibbs import covariances, gibbs
from .problems import gradient, problem


def test_marginals(small):
    mu = torch.stack([g.mu for g in gibbs(small)])
    want = covariances(small, small.scores, small.gamma(mu))
    estimator = make_estimator("marginals", small.structure)
    torch.testing.assert_close(estimator(small.scores, small.lengths), mu)
    torch.testing.assert_close(gradient(estimator, small), want)


def test_sparsemap_projects_onto_the_directions_of_its_support(small):
    oracle = Enumerated(small.structure.name)
    mu = oracle.sparsemap(small.scores.detach(), small.lengths)
    gamma, want = small.gamma(mu), torch.zeros_like(mu)
    for b, support in enumerate(oracle.support(small.scores, small.lengths)):
        table = oracle.table(small.scores, oracle.lengths(small.scores, small.lengths)[b])
        items = [item for _, item in support]
        on = torch.stack([z for z in table if oracle.item(z, len(items[0])) in items]).flatten(1)
        directions = on[1:] - on[0]
        onto = torch.linalg.pinv(directions) @ directions
        want[b] = (onto @ gamma[b].flatten()).reshape(gamma[b].shape)
    torch.testing.assert_close(gradient(make_estimator("sparsemap", small.structure), small), want)
    assert want.abs().max() > 1e-2


@pytest.mark.parametrize("alpha", [1.2, 1.5, 3.0])
def test_entmax(alpha):
    small = problem(Enumerated("categorical"))
    estimator = make_estimator("entmax", small.structure, alpha=alpha)
    p = estimator(small.scores).detach()
    # p = [(α-1)s - τ]₊^{1/(α-1)} for some threshold τ; its Jacobian is diag(q) - qqᵀ/Σq with q = p^{2-α}
    threshold = (alpha - 1) * small.scores.detach() - p ** (alpha - 1)
    for row, on in zip(threshold, p > 0, strict=True):
        torch.testing.assert_close(row[on], row[on][:1].expand(int(on.sum())), atol=1e-7, rtol=0)
    torch.testing.assert_close(p.sum(1), torch.ones(4, dtype=torch.float64))
    q = torch.where(p > 0, p ** (2 - alpha), 0)
    gamma = small.gamma(p)
    want = q * gamma - q * (q * gamma).sum(1, keepdim=True) / q.sum(1, keepdim=True)
    torch.testing.assert_close(gradient(estimator, small), want, atol=1e-7, rtol=1e-6)


def test_entmax_at_two_is_sparsemax():
    small = problem(Enumerated("categorical"))
    entmax, sparsemax = (
        gradient(make_estimator(name, small.structure, **options), small)
        for name, options in (("entmax", {"alpha": 2.0}), ("sparsemap", {}))
    )
    torch.testing.assert_close(entmax, sparsemax, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_stochastic_softmax(temperature, small, monkeypatch):
    noise = torch.rand(small.scores.shape, dtype=torch.float64).add_(0.1)
    monkeypatch.setattr(draws, "exponential", lambda like, generator: noise)
    moved = (small.scores.detach() - noise.log()) / temperature
    mu = torch.stack([g.mu for g in gibbs(small, moved)])
    want = covariances(small, moved, small.gamma(mu)) / temperature
    estimator = make_estimator("stochastic-softmax", small.structure, temperature=temperature)
    torch.testing.assert_close(estimator(small.scores, small.lengths), mu)
    torch.testing.assert_close(gradient(estimator, small), want)


def expected_loss(small, scores):
    """Σ_t p_t L(z_t) by another algorithm: non-negative least squares over all structures."""
    oracle, losses = Enumerated(small.structure.name), []
    for b, n in enumerate(oracle.lengths(scores, small.lengths)):
        table = oracle.table(scores, n)
        p = projection_weights(table, torch.where(table > 0, scores[b], 0).flatten(1).sum(1))
        losses.append(p @ small.decoder(table, small.inputs[b : b + 1]))
    return torch.stack(losses)


def test_sparse_expectation(small):
    estimator = make_estimator("sparse-expectation", small.structure)
    losses = estimator.loss(small.scores, small.lengths, small.downstream)
    want = expected_loss(small, small.scores)
    torch.testing.assert_close(losses, want)
    parameters = [small.scores, *small.decoder.parameters()]
    weights = torch.tensor([1.0, 0.0, 2.0, -0.5], dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((weights * losses).sum(), parameters),
        torch.autograd.grad((weights * want).sum(), parameters),
        rtol=1e-7,
        atol=1e-9,
    )


def test_sparse_expectation_by_finite_differences(small):
    got = gradient(make_estimator("sparse-expectation", small.structure), small)
    s, step = small.scores.detach(), 1e-5
    for index in small.structure.mask(s, small.lengths)[0].nonzero():
        moved = torch.zeros_like(s)
        moved[(0, *index)] = step
        up, down = expected_loss(small, s + moved)[0], expected_loss(small, s - moved)[0]
        assert float((up - down).detach()) / (2 * step) == pytest.approx(float(got[(0, *index)]), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [("sparsemap", {}), ("sparse-expectation", {}), ("spigot", {}), ("spigot-ce", {"init": "map"})],
)
@pytest.mark.parametrize("limit", ["tol", "max_iter"])
def test_projections_stop_where_they_are_told_to(name, options, limit):
    """Stopped at once, a projection is the best tree of what it projects."""
    structure = ProjectiveTree(single_root=True)
    scores = 0.1 * torch.randn(2, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.rand(scores.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    estimator = make_estimator(name, structure, **options, **{limit: 1e9 if limit == "tol" else 0})
    if name.startswith("sparse"):
        torch.testing.assert_close(estimator(scores), structure.map(scores))
        assert (make_estimator(name, structure)(scores) - structure.map(scores)).abs().max() > 0.1
        return
    s = scores.clone().requires_grad_()
    estimator.loss(s, None, lambda z: (z * target).flatten(1).sum(1)).sum().backward()
    z, parts = structure.map(scores), structure.mask(scores)
    anchor = z if name == "spigot" else structure.marginals(scores)
    want = anchor - structure.map(z - torch.where(parts, target, 0))
    torch.testing.assert_close(s.grad, torch.where(parts, want, 0))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_weights_of_hundreds_of_structures(threads):
    """Σ c·p over the support of sparsemax: p = (s - mean) + 1/K on it, with the gradient c - mean(c)."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        scores = 1e-3 * torch.randn(2, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        scores.requires_grad_()
        costs = torch.randn(300, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        estimator = make_estimator("sparse-expectation", Categorical())
        losses = estimator.loss(scores, None, lambda z: z @ costs)
        weights = scores - scores.mean(1, keepdim=True) + 1 / 300
        assert (weights > 0).all()
        torch.testing.assert_close(losses, weights @ costs)
        (gradient,) = torch.autograd.grad(losses.sum(), scores)
        torch.testing.assert_close(gradient, (costs - costs.mean()).expand(2, 300))
    finally:
        torch.set_num_threads(before)
