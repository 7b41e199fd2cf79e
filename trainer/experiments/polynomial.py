"""The polynomial experiment: independent binary variables that should learn a constant."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent.estimators import make_estimator
from latent.structures import Categorical
from trainer.experiments.polynomial_report import report
from trainer.experiments.record import Record

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "straight-through": ("straight-through", {}),
    "st-gumbel": ("perturb-and-map", {}),
    "gapped-st": ("gapped-st", {}),
    "gumbel-rao": ("gumbel-rao", {"inner_samples": 4}),
    "reinmax": ("reinmax", {}),
    "score-function": ("score-function", {"baseline": "moving-average"}),
}


@dataclass(frozen=True)
class Settings:
    """Sizes and training; Adam, as in the paper, and temperature 1 throughout."""

    variables: int = 128
    batch: int = 256
    steps: int = 1_000
    rate: float = 1e-3
    every: int = 50
    powers: tuple[float, ...] = (1.5, 2.0, 3.0)


def run(
    results: Path = Path("results"),
    steps: int = 1_000,
    batch: int = 256,
    threads: int = 1,
    fresh: bool = False,
) -> None:
    """Train every estimator in both settings; write `polynomial.json` and the figure.

    Args:
        results: Where to write.
        steps: Steps of Adam.
        batch: Samples per step; the paper has 256.
        threads: Threads that torch uses.
        fresh: Forget the rows that are there.
    """
    torch.set_num_threads(threads)
    settings = Settings(steps=steps, batch=batch)
    record = Record(results / "polynomial.json", "polynomial", asdict(settings), fresh=fresh)
    for setting in ("A", "B"):
        for power in settings.powers:
            for method in METHODS:
                key = f"{setting}/{power:g}/{method}"
                if key not in record.rows:
                    record.add(key, train(method, constants(setting, settings.variables), power, settings))
                    print(f"{key:28} {record.rows[key]['gap'][-1]:.5f}", flush=True)
    report(record.data, results)


def constants(setting: str, variables: int) -> Tensor:
    r"""c (L,): 0.45 throughout (A), or $(i - 0.5)/L$ (B)."""
    if setting == "A":
        return torch.full((variables,), 0.45)
    return (torch.arange(variables) + 0.5) / variables


def train(method: str, c: Tensor, power: float, settings: Settings) -> dict[str, Any]:
    r"""Minimise $\mathbb{E} \lVert X - c \rVert_p^p / L$ over $\theta$ (L, 2), $X_i$ drawn from softmax.

    The loss is a sum over the variables, so each variable of each sample is an example of its own, with
    its own term. Not for the score function: it gets the loss of the whole sample.
    """
    start = time.monotonic()
    generator = torch.Generator().manual_seed(0)
    theta = torch.empty(len(c), 2).uniform_(-0.01, 0.01, generator=generator).requires_grad_()
    name, options = METHODS[method]
    estimator = make_estimator(name, Categorical(), **options)
    optimizer = torch.optim.Adam([theta], settings.rate)

    def downstream(z: Tensor | None) -> Tensor:
        assert z is not None
        terms = (z[:, 1].reshape(-1, len(c)) - c).abs() ** power / len(c)
        if name == "score-function":
            terms = terms.sum(1, keepdim=True).expand_as(terms)
        return terms.flatten()

    curve = []
    for step in range(settings.steps + 1):
        if step % settings.every == 0:
            curve.append(float(gap(theta.detach(), c, power)))
        scores = theta.expand(settings.batch, *theta.shape).reshape(-1, 2)
        losses = estimator.loss(scores, None, downstream, generator)
        optimizer.zero_grad()
        (losses.sum() / settings.batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {"gap": curve, "optimum": float(optimum(c, power)), "seconds": time.monotonic() - start}


def gap(theta: Tensor, c: Tensor, power: float) -> Tensor:
    """How far the exact objective is above its optimum."""
    one = theta.softmax(1)[:, 1]
    objective = (one * (1 - c).abs() ** power + (1 - one) * c.abs() ** power).mean()
    return objective - optimum(c, power)


def optimum(c: Tensor, power: float) -> Tensor:
    """The least value of the objective: each variable takes the better of its two values."""
    return torch.minimum((1 - c).abs() ** power, c.abs() ** power).mean()
