"""What every estimator keeps to, whatever its formula."""

from __future__ import annotations

import pytest
import torch

from latent.estimators import ESTIMATORS, draws, make_estimator
from latent.structures import Categorical, NonProjectiveTree, ProjectiveTree

from .enumeration import Enumerated
from .noise import FixedNoise
from .problems import gradient, problem

STRUCTURES = ["projective", "nonprojective", "categorical"]
CASES = [
    (name, kind)
    for name, cls in ESTIMATORS.items()
    for kind in STRUCTURES
    if kind == "categorical" or not cls.categorical_only
]


SAMPLING = [(name, kind) for name, kind in CASES if "samples" in ESTIMATORS[name].Options.model_fields]


REAL = {
    "projective": lambda: ProjectiveTree(single_root=True),
    "nonprojective": lambda: NonProjectiveTree(single_root=True),
    "categorical": Categorical,
}


def build(name, kind, real=True, **options):
    """An estimator whose state is not that of its first step, and a problem."""
    structure = REAL[kind]() if real else Enumerated(kind)
    if "tol" in ESTIMATORS[name].Options.model_fields:
        options = {"tol": 1e-12, **options}
    estimator = make_estimator(name, structure, **options)
    with torch.no_grad():
        for buffer, value in {"alpha": 0.8, "average": 0.5, "updates": 3.0}.items():
            if hasattr(estimator, buffer):
                getattr(estimator, buffer).fill_(value)
    return estimator, problem(structure)


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request):
    return build(*request.param)


def test_works_without_arguments_and_gives_a_loss_per_example(case):
    estimator, small = case
    losses = estimator.loss(small.scores, small.lengths, small.downstream)
    assert losses.shape == (4,)
    assert losses.requires_grad or estimator.name == "none"


def test_loss_is_the_downstream_loss_at_the_forward_value(case):
    estimator, small = case
    if estimator.name == "sparse-expectation":
        pytest.skip("its loss is an expectation, not the loss at one point")
    z = estimator(small.scores, small.lengths, generator=torch.Generator().manual_seed(3))
    losses = estimator.loss(
        small.scores, small.lengths, small.downstream, generator=torch.Generator().manual_seed(3)
    )
    torch.testing.assert_close(losses, small.downstream(z), rtol=1e-12, atol=0)


def test_weights_scale_rows_and_nothing_else(case):
    estimator, small = case
    weights = torch.tensor([2.0, 0.0, -3.0, 1e-9], dtype=torch.float64)
    estimator.eval()
    plain = gradient(estimator, small)
    weighted = gradient(estimator, small, weights)
    want = weights.reshape(-1, *[1] * (plain.dim() - 1)) * plain
    torch.testing.assert_close(weighted, want, rtol=1e-9, atol=1e-20)


def test_nothing_outside_the_sentence_matters(case):
    estimator, small = case
    if small.lengths is None:
        pytest.skip("a categorical has no padding")
    estimator.eval()
    clean = gradient(estimator, small)
    small.scores.data[~small.structure.mask(small.scores, small.lengths)] = torch.nan
    dirty = gradient(estimator, small)
    torch.testing.assert_close(dirty, clean, rtol=0, atol=0)
    assert (dirty[~small.structure.mask(small.scores, small.lengths)] == 0).all()


def test_decoder_gets_its_true_gradient(case):
    estimator, small = case
    if estimator.name in ("none", "sparse-expectation"):
        pytest.skip("no single forward value")
    weights = torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=torch.float64)
    z = estimator(small.scores, small.lengths, generator=torch.Generator().manual_seed(3)).detach()
    want = torch.autograd.grad((weights * small.downstream(z)).sum(), list(small.decoder.parameters()))
    losses = estimator.loss(
        small.scores, small.lengths, small.downstream, generator=torch.Generator().manual_seed(3)
    )
    got = torch.autograd.grad((weights * losses).sum(), list(small.decoder.parameters()))
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_gradient_accumulates_over_two_backward_passes(case):
    estimator, small = case
    if estimator.name == "none":
        pytest.skip("no gradient")
    generator = torch.Generator().manual_seed(0)
    losses = estimator.loss(small.scores, small.lengths, small.downstream, generator=generator)
    (first,) = torch.autograd.grad(losses.sum(), small.scores, retain_graph=True)
    (second,) = torch.autograd.grad(2 * losses[1], small.scores)
    torch.testing.assert_close(second[1], 2 * first[1])
    assert (second[[0, 2, 3]] == 0).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_is_an_error_that_names_the_estimator(case, value):
    estimator, small = case

    def broken(z):
        return small.downstream(z) * value

    with pytest.raises(FloatingPointError, match=f"^{estimator.name}: the downstream loss must be finite"):
        estimator.loss(small.scores, small.lengths, broken)


def test_downstream_must_give_a_loss_per_structure(case):
    estimator, small = case
    with pytest.raises(ValueError, match=f"^{estimator.name}: downstream must return one loss per structure"):
        estimator.loss(small.scores, small.lengths, lambda z: small.downstream(z).mean())


class ArcScorer(torch.nn.Module):
    """s(h, m) = v · tanh(U x_h + W x_m + b); for a categorical one tanh layer and a linear one."""

    def __init__(self, categories):
        super().__init__()
        self.head, self.modifier = torch.nn.Linear(3, 4), torch.nn.Linear(3, 4, bias=False)
        self.out = torch.nn.Linear(4, categories) if categories else torch.nn.Linear(4, 1, bias=False)

    def forward(self, words):
        if self.out.out_features > 1:
            return self.out(torch.tanh(self.head(words[:, 0]) + self.modifier(words[:, 1])))
        return self.out(torch.tanh(self.head(words)[:, :, None] + self.modifier(words)[:, None]))[..., 0]


def test_wrong_scores_and_lengths_are_errors_that_name_the_estimator(case):
    estimator, small = case
    if estimator.name == "none" or small.lengths is None:
        pytest.skip("takes anything")
    wrong = torch.zeros(8, 12, 13, dtype=torch.float64)
    message = r": scores must be \(batch, n\+1, n\+1\) with the root at index 0; got \(8, 12, 13\)"
    with pytest.raises(ValueError, match=f"^{estimator.name}{message}"):
        estimator.loss(wrong, None, small.downstream)
    with pytest.raises(ValueError, match=f"^{estimator.name}{message}"):
        estimator(wrong)


def test_gradient_reaches_every_parameter_of_an_arc_scorer(case):
    estimator, small = case
    if estimator.name == "none":
        pytest.skip("gives the scores no gradient")
    if estimator.name == "imle":  # its gradient is zero unless the step is long enough to change a structure
        estimator = make_estimator("imle", small.structure, lambda_=10.0)
    if estimator.name == "aimle":
        estimator.alpha.fill_(10.0)
    generator = torch.Generator().manual_seed(1)
    words = torch.randn(4, 5, 3, dtype=torch.float64, generator=generator)
    scorer = ArcScorer(0 if small.lengths is not None else 6).double()
    with torch.no_grad():
        for parameter in scorer.parameters():
            parameter.uniform_(-0.3, 0.3, generator=generator)
    scores = scorer(words)
    estimator.loss(scores, small.lengths, small.downstream, generator=generator).sum().backward()
    for name, parameter in scorer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-6, name


def test_repr_names_the_hyperparameters(case):
    estimator, _ = case
    for field in type(estimator.options).model_fields:
        assert f"{field}=" in repr(estimator)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_batch_equals_its_examples_without_padding(name, kind, samples, monkeypatch):
    options = {"samples": samples} if (name, kind) in SAMPLING else {}
    estimator, small = build(name, kind, **options)
    noise = FixedNoise(monkeypatch, small.structure)
    estimator.eval()
    losses = estimator.loss(small.scores, small.lengths, small.downstream).detach()
    noise.reset()
    together = gradient(estimator, small)
    for b in range(4):
        noise.reset()
        one = small.example(b)
        alone = gradient(estimator, one)
        inside = tuple(slice(size) for size in alone.shape[1:])
        torch.testing.assert_close(together[b][inside], alone[0], rtol=1e-8, atol=1e-11)
        noise.reset()
        torch.testing.assert_close(losses[b], estimator.loss(one.scores, one.lengths, one.downstream)[0])


# Gumbel-Rao draws its inner noise after all samples: a single sample sees other inner noise.
@pytest.mark.parametrize(("name", "kind"), [case for case in SAMPLING if case[0] != "gumbel-rao"])
def test_several_samples_are_the_mean_of_single_ones_in_one_decoder_call(name, kind, monkeypatch):
    many, small = build(name, kind, samples=3)
    single = type(many)(small.structure)
    single.load_state_dict(many.state_dict())
    many.eval()
    single.eval()
    noise = FixedNoise(monkeypatch, small.structure)
    together = gradient(many, small)
    assert small.decoder.calls == [12]
    noise.reset()
    want = torch.stack([gradient(single, small) for _ in range(3)]).mean(0)
    torch.testing.assert_close(together, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "kind"), SAMPLING)
def test_the_call_gives_the_first_sample_of_the_loss(name, kind, monkeypatch):
    estimator, small = build(name, kind, samples=3)
    original = small.structure.sample, draws.exponential

    # A batch may use up its random numbers in any order; from last to first, say.
    def sample(scores, lengths=None, generator=None):
        backwards = None if lengths is None else lengths.flip(0)
        return original[0](scores.flip(0), backwards, generator).flip(0)

    monkeypatch.setattr(small.structure, "sample", sample)
    monkeypatch.setattr(draws, "exponential", lambda like, generator: original[1](like, generator).flip(0))
    z = estimator(small.scores, small.lengths, generator=torch.Generator().manual_seed(7))
    seen = []

    def downstream(structures):
        seen.append(structures)
        return small.downstream(structures)

    generator = torch.Generator().manual_seed(7)
    estimator.loss(small.scores, small.lengths, downstream, generator=generator)
    torch.testing.assert_close(seen[0][:4], z, rtol=1e-14, atol=0)  # exp may round by place in a batch
    assert len(seen[0]) == 12


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_real_structures_give_the_gradient_that_enumeration_gives(name, kind, monkeypatch):
    estimator, small = build(name, kind)
    plain, _ = build(name, kind, real=False)
    # The two draw their samples by different algorithms: let both use the enumerated one.
    monkeypatch.setattr(small.structure, "sample", plain.structure.sample)
    got = gradient(estimator, small)
    want = gradient(plain, problem(plain.structure))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
