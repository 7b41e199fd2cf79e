"""The fidelity experiment: how close each estimator's gradient is to the exact one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent.estimators import Estimator, make_estimator
from latent.structures import Categorical, ProjectiveTree
from latent.structures.base import Structure
from trainer.experiments.fidelity_report import report
from trainer.experiments.record import Record

Losses = Callable[[Tensor | None], Tensor]

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "marginals": ("marginals", {}),
    "sparsemap": ("sparsemap", {}),
    "sparse-expectation": ("sparse-expectation", {}),
    "ste-identity": ("ste-identity", {}),
    "ste-marginals": ("ste-marginals", {}),
    "spigot": ("spigot", {}),
    "spigot-ce": ("spigot-ce", {}),
    "spigot-eg": ("spigot-eg", {}),
    "perturb-and-map": ("perturb-and-map", {}),
    "stochastic-softmax": ("stochastic-softmax", {}),
    "straight-through": ("straight-through", {}),
    "reinmax": ("reinmax", {}),
    "gapped-st": ("gapped-st", {}),
    "gumbel-rao": ("gumbel-rao", {}),
    "score-function": ("score-function", {"baseline": "none"}),
    "score-function, moving average": ("score-function", {"baseline": "moving-average"}),
    "score-function, self-critical": ("score-function", {"baseline": "self-critical"}),
    "imle, forward": ("imle", {"difference": "forward"}),
    "imle, central": ("imle", {"difference": "central"}),
    "aimle, forward": ("aimle", {"difference": "forward", "update_step": 0.01}),
    "aimle, central": ("aimle", {"difference": "central", "update_step": 0.01}),
}

STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0)
"""The λ of I-MLE that are tried (the sweep of AIMLE's Figures 1 and 4)."""


@dataclass(frozen=True)
class Settings:
    """How much is averaged over."""

    problems: int = 16
    samples: tuple[int, ...] = (1, 10, 100, 1_000, 10_000)
    warm_up: int = 200
    """Calls that let the estimators with a state adapt, on 64 samples each, before they are measured."""
    categories: tuple[int, ...] = (10, 50)
    words: tuple[int, ...] = (3, 4, 5, 6)
    tree_samples: tuple[int, ...] = (1, 10, 100, 1_000)


@dataclass(frozen=True)
class Problem:
    """One example: its scores (1, …), its loss, and the exact gradient of the expected loss."""

    structure: Structure
    scores: Tensor
    losses: Losses
    exact: Tensor


def run(results: Path = Path("results"), problems: int = 16, threads: int = 1, fresh: bool = False) -> None:
    """Measure every estimator on categoricals and on trees; write `fidelity.json` and the figures.

    Args:
        results: Where to write.
        problems: How many random problems are averaged over.
        threads: Threads that torch uses.
        fresh: Forget the rows that are there.
    """
    torch.set_num_threads(threads)
    settings = Settings(problems=problems)
    record = Record(results / "fidelity.json", "fidelity", asdict(settings), fresh=fresh)
    for size in settings.categories:
        drawn = [categorical_problem(size, seed) for seed in range(problems)]
        sweep = {
            f"imle, {kind}, λ={step:g}": ("imle", {"difference": kind, "lambda_": step})
            for kind in ("forward", "central")
            for step in STEPS
        }
        _measure_all(record, f"categorical-{size}", METHODS | sweep, drawn, settings.samples, settings)
    for size in settings.words:
        drawn = [tree_problem(size, seed) for seed in range(problems)]
        _measure_all(record, f"trees-{size}", METHODS, drawn, settings.tree_samples, settings)
    report(record.data, results)


def categorical_problem(size: int, seed: int) -> Problem:
    r"""$L(z) = \lVert z - b \rVert^2$ with $b, s \sim N(0, I)$ (AIMLE, Figure 3)."""
    generator = torch.Generator().manual_seed(seed)
    b, scores = torch.randn(2, 1, size, generator=generator, dtype=torch.float64)
    return _problem(
        Categorical(), scores, torch.eye(size, dtype=torch.float64), _expect(lambda z: (z - b).square())
    )


def tree_problem(words: int, seed: int) -> Problem:
    """A two-layer network with random weights over all arcs of a projective tree with normal scores."""
    generator = torch.Generator().manual_seed(seed)
    structure, shape = ProjectiveTree(single_root=True), (words + 1, words + 1)
    scores = torch.randn(1, *shape, generator=generator, dtype=torch.float64)
    first = torch.randn(words + 1, words + 1, 16, generator=generator, dtype=torch.float64) / words**0.5
    second = torch.randn(16, generator=generator, dtype=torch.float64)
    trees = structure.kbest(scores, None, 10**6)[0]
    table = torch.zeros(len(trees), *shape, dtype=torch.float64)
    for t, (_, heads) in enumerate(trees):
        table[t, heads, range(1, words + 1)] = 1
    hidden = _expect(lambda z: torch.tanh(torch.einsum("bhm,hmk->bk", z, first)) * second)
    return _problem(structure, scores, table, hidden)


def _expect(function: Callable[[Tensor], Tensor]) -> Losses:
    """Losses that are sums over what a function gives for a batch of structures."""

    def losses(z: Tensor | None) -> Tensor:
        if z is None:
            raise ValueError("fidelity: an estimator without structure has no gradient to compare")
        return function(z).sum(-1)

    return losses


def _problem(structure: Structure, scores: Tensor, table: Tensor, losses: Losses) -> Problem:
    r"""The exact gradient is $\sum_z p(z) L(z) (z - \mu)$, over the table of all structures."""
    p = (table * scores.nan_to_num()).flatten(1).sum(1).softmax(0)
    mu = torch.tensordot(p, table, 1)
    return Problem(structure, scores, losses, torch.tensordot(p * losses(table), table - mu, 1))


def _measure_all(
    record: Record,
    group: str,
    methods: dict[str, tuple[str, dict[str, Any]]],
    problems: list[Problem],
    samples: tuple[int, ...],
    settings: Settings,
) -> None:
    structure = problems[0].structure
    for method, (name, options) in methods.items():
        key = f"{group}/{method}"
        try:
            make_estimator(name, structure, **options)
        except ValueError:  # defined on a categorical only
            continue
        if key not in record.rows:
            start = time.monotonic()
            each = [
                measure(make_estimator(name, structure, **options), problem, samples, settings.warm_up, seed)
                for seed, problem in enumerate(problems)
            ]
            record.add(key, {**_average(each), "seconds": time.monotonic() - start})
            print(f"{key:48} {record.rows[key]['cosine']['mean'][-1]:.3f}", flush=True)


def measure(
    estimator: Estimator, problem: Problem, samples: tuple[int, ...], warm_up: int, seed: int
) -> dict[str, Any]:
    """Cosine for each number of samples; relative bias and variance, and sparsity, of a single sample."""
    generator = torch.Generator().manual_seed(seed)
    if _adapts(estimator):
        for _ in range(warm_up):
            estimates(estimator, problem, 64, generator)
        estimator.eval()
    sampling = "samples" in type(estimator.options).model_fields
    rows = estimates(estimator, problem, samples[-1] if sampling else 1, generator)
    exact = problem.exact.flatten()
    means = [rows[:count].mean(0) for count in samples]
    away = rows - rows.mean(0)
    return {
        "cosine": [float(torch.cosine_similarity(mean, exact, dim=0)) for mean in means],
        "bias": float((means[-1] - exact).norm() / exact.norm()),
        "variance": float(away.square().sum(1).mean() / exact.square().sum()),
        "zeros": float((rows[:, problem.exact.flatten() != 0] == 0).to(rows.dtype).mean()),
    }


def _adapts(estimator: Estimator) -> bool:
    """Whether its gradient depends on what it saw before."""
    return estimator.name == "aimle" or getattr(estimator.options, "baseline", "") == "moving-average"


def estimates(estimator: Estimator, problem: Problem, count: int, generator: torch.Generator) -> Tensor:
    """(count, D): that many independent estimates of the gradient, from one call."""
    scores = problem.scores.expand(count, *problem.scores.shape[1:]).clone().requires_grad_()
    losses = estimator.loss(scores, None, problem.losses, generator)
    (rows,) = torch.autograd.grad(losses.sum(), scores)
    return rows.flatten(1)


def _average(each: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard error over the problems."""
    result = {}
    for key in each[0]:
        values = torch.tensor([one[key] for one in each], dtype=torch.float64)
        error = values.std(0) / len(each) ** 0.5
        result[key] = {"mean": values.mean(0).tolist(), "standard_error": error.tolist()}
    return result
