"""The pulled-back estimators against their formulas, step by step on enumerated structures."""

from __future__ import annotations

import pytest
import torch

from latent.estimators import make_estimator
from latent.structures import ProjectiveTree

from .problems import gradient

KINDS = {"ste-identity": "map", "spigot": "map", "spigot-ce": "marginals", "spigot-eg": "marginals"}


def start(problem, init):
    structure, s, lengths = problem.structure, problem.scores.detach(), problem.lengths
    if init == "zero":
        return torch.zeros_like(s)
    return structure.map(s, lengths) if init == "map" else structure.marginals(s, lengths)


def expected(name, problem, step_size, steps, init):
    structure, s, lengths = problem.structure, problem.scores.detach(), problem.lengths
    mu, moved = start(problem, init), s
    for _ in range(steps):
        gamma = problem.gamma(mu)
        if name == "ste-identity":
            mu = mu - step_size * gamma
        elif name == "spigot-eg":
            moved = moved - step_size * gamma
            mu = structure.marginals(moved, lengths)
        else:
            mu = structure.sparsemap(mu - step_size * gamma, lengths)
    anchor = structure.map(s, lengths) if KINDS[name] == "map" else structure.marginals(s, lengths)
    return anchor - mu


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("init", [None, "map", "marginals", "zero"])
def test_gradient_is_the_formula(name, steps, init, small):
    options = {} if init is None else {"init": init}
    estimator = make_estimator(name, small.structure, step_size=0.3, steps=steps, **options)
    want = expected(name, small, 0.3, steps, init or KINDS[name])
    got = gradient(estimator, small)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)
    assert want.abs().max() > 1e-2


@pytest.mark.parametrize(
    ("name", "options", "calls"),
    [
        ("ste-identity", {"steps": 1}, 1),
        ("ste-identity", {"steps": 3}, 3),
        ("spigot", {"steps": 1}, 1),
        ("spigot", {"steps": 4}, 4),
        ("spigot", {"init": "marginals"}, 2),
        ("spigot", {"init": "zero", "steps": 2}, 3),
        ("spigot-ce", {}, 2),
        ("spigot-ce", {"init": "map"}, 1),
        ("spigot-ce", {"steps": 3}, 4),
        ("spigot-eg", {}, 2),
        ("spigot-eg", {"steps": 2}, 3),
        ("spigot-eg", {"init": "map"}, 1),
    ],
)
def test_decoder_calls(name, options, calls, small):
    gradient(make_estimator(name, small.structure, **options), small)
    assert len(small.decoder.calls) == calls


@pytest.mark.parametrize("name", KINDS)
def test_no_extra_calls_where_nobody_wants_a_gradient(name, small):
    with torch.no_grad():
        make_estimator(name, small.structure, steps=3).loss(small.scores, small.lengths, small.downstream)
    assert len(small.decoder.calls) == 1


def test_label_leaves_forbidden_parts_alone(small):
    """Where the scores forbid a part, the label may not use it, however much the loss would like it."""
    if small.lengths is None:
        small.scores.data[:, 1] = -torch.inf
        forbidden = (slice(None), 1)
    else:
        small.scores.data[0, 1, 2] = -torch.inf
        forbidden = (0, 1, 2)
    for name in KINDS:
        got = gradient(make_estimator(name, small.structure, step_size=50.0, steps=2), small)
        assert (got[forbidden] == 0).all(), name
        assert got.isfinite().all(), name
        if (
            name != "ste-identity"
        ):  # a difference of two points of the polytope: nothing is left for other parts
            assert got.sum(1).abs().max() < 1e-9, name


def test_a_step_of_the_cross_entropy_loss_that_stays_inside_is_exact():
    """However loose `tol` is: the gradient is η times γ, less what changes some word's or the root's sum."""
    structure = ProjectiveTree(single_root=True)
    generator = torch.Generator().manual_seed(0)
    s = (0.1 * torch.randn(3, 21, 21, generator=generator, dtype=torch.float64)).requires_grad_()
    target = torch.randn(s.shape, generator=generator, dtype=torch.float64)
    estimator = make_estimator("spigot-ce", structure, step_size=1e-3)
    estimator.loss(s, None, lambda z: (z * target).flatten(1).sum(1)).sum().backward()
    parts = structure.mask(s)[0]
    words = torch.zeros(20, 21, 21, dtype=torch.float64)
    words[torch.arange(20), :, torch.arange(1, 21)] = 1
    root = torch.zeros(1, 21, 21, dtype=torch.float64)
    root[0, 0, 1:] = 1
    sums = torch.cat([words, root])[:, parts]
    onto = torch.eye(int(parts.sum())) - torch.linalg.pinv(sums) @ sums
    torch.testing.assert_close(s.grad[:, parts], 1e-3 * target[:, parts] @ onto)
