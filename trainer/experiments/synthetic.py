"""The synthetic experiment: which estimators find the clusters, and which only fit the labels."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from sklearn.metrics import v_measure_score  # type: ignore[import-untyped]
from torch import Tensor

from latent.estimators import Estimator, make_estimator
from latent.structures import Categorical
from trainer.experiments.mixture import Mixture, Models, Run, Split, as_rows, draw_mixture, split_rows
from trainer.experiments.record import Record
from trainer.experiments.synthetic_report import report

Options = dict[str, Any]
STEP_SIZES = [{"step_size": step_size} for step_size in (0.1, 1.0, 2.0)]


@dataclass(frozen=True)
class Row:
    """A row of the table: an estimator and the hyperparameters that are tried."""

    title: str
    estimator: str
    grid: tuple[Options, ...] = ({},)
    clusters: int | None = None
    """How many categories the latent variable has, if not as many as the data."""


ROWS = {
    "linear": Row("Linear model", "marginals", clusters=1),
    "gold": Row("Gold cluster labels", "none"),
    "softmax": Row("Softmax", "marginals"),
    "sparsemax": Row("Sparsemax", "sparsemap"),
    "gumbel-softmax": Row("Gumbel-softmax", "stochastic-softmax"),
    "st-gumbel": Row("ST-Gumbel", "perturb-and-map"),
    "sfe": Row("SFE", "score-function", ({"baseline": "none"},)),
    "sfe-baseline": Row("SFE with baseline", "score-function", ({"baseline": "moving-average"},)),
    "ste-s": Row("STE-S", "ste-marginals"),
    "ste-i": Row("STE-I", "ste-identity"),
    "spigot": Row("SPIGOT", "spigot", tuple(STEP_SIZES)),
    "spigot-ce": Row("SPIGOT-CE", "spigot-ce", tuple(STEP_SIZES)),
    "spigot-eg": Row("SPIGOT-EG", "spigot-eg", tuple(STEP_SIZES)),
    "straight-through": Row("Straight-through", "straight-through"),
    "reinmax": Row("ReinMax", "reinmax"),
    "gapped-st": Row("Gapped ST", "gapped-st"),
    "gumbel-rao": Row("Gumbel-Rao", "gumbel-rao", ({"inner_samples": 4},)),
    "imle": Row("IMLE", "imle", tuple({"lambda_": value} for value in (1.0, 10.0, 100.0))),
    "aimle": Row("AIMLE", "aimle", ({"update_step": 1e-3}, {"update_step": 1e-2})),
}

SEVERAL_STEPS = {
    f"{name} k={steps}": Row(
        f"{ROWS[name].title}, k = {steps}",
        ROWS[name].estimator,
        tuple({**options, "steps": steps} for options in STEP_SIZES),
    )
    for name in ("ste-i", "spigot", "spigot-ce", "spigot-eg")
    for steps in (1, 2, 5)
    if steps > 1 or ROWS[name].grid != tuple(STEP_SIZES)
}
"""The effect of the number of inner steps (Figure 3 of the paper); one step is the row itself, if its grid is
the same."""


@dataclass(frozen=True)
class Settings:
    """How the models are trained and their hyperparameters chosen."""

    seeds: int = 4
    rates: tuple[float, ...] = (1e-4, 1e-3, 2e-3)
    steps: int = 10_000
    every: int = 50
    """Steps between evaluations."""
    patience: int = 1_000
    """Training ends when no run has improved its validation accuracy for as many steps."""
    halving: tuple[int, ...] = (100, 200, 400, 800)
    """Steps after which the worse half of the grid points is dropped, by median validation accuracy."""


@dataclass
class Best:
    """A run at its best validation accuracy."""

    validation: float = -1.0
    step: int = 0
    test: float = 0.0
    v_measure: float = 0.0


def run(
    results: Path = Path("results"),
    clusters: tuple[int, ...] = (3, 10),
    rows: tuple[str, ...] = tuple(ROWS),
    inner_steps: bool = True,
    seeds: int = 4,
    steps: int = 10_000,
    jobs: int = os.cpu_count() or 1,
    threads: int = 1,
    fresh: bool = False,
) -> None:
    """Train every row, write `synthetic.json` row by row, then the figures and the table.

    Args:
        results: Where to write.
        clusters: Numbers of clusters.
        rows: Which rows.
        inner_steps: Whether to try several inner steps too, on the largest number of clusters.
        seeds: How many seeds.
        steps: At most as many steps of full-batch Adam.
        jobs: How many rows are trained side by side, each in a process of its own.
        threads: Threads that torch uses in each.
        fresh: Forget the rows that are there.
    """
    if jobs < 1 or threads < 1:
        raise ValueError(f"synthetic: wants jobs ≥ 1 and threads ≥ 1; got jobs={jobs}, threads={threads}")
    settings = Settings(seeds=seeds, steps=steps)
    record = Record(results / "synthetic.json", "synthetic", asdict(settings), fresh=fresh)
    wanted = {f"{count}/{name}": (count, ROWS[name]) for count in clusters for name in rows}
    if inner_steps:
        wanted |= {f"{max(clusters)}/{name}": (max(clusters), row) for name, row in SEVERAL_STEPS.items()}
    missing = {key: row for key, row in wanted.items() if key not in record.rows}
    for key, row in results_of(missing, settings, jobs, threads):
        record.add(key, row)
        print(f"{key:24} {row['test']['median']:6.2f} {row['v_measure']['median']:6.2f}"
              f"  {row['seconds']:.0f} s", flush=True)  # fmt: skip
    record.arrange(list(wanted))
    report(record.data, results)


def results_of(
    rows: dict[str, tuple[int, Row]], settings: Settings, jobs: int, threads: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train rows (number of clusters and row, by key), `jobs` at a time, and give each as it is done."""
    if jobs == 1 or len(rows) < 2:
        for key, (clusters, row) in rows.items():
            yield key, train_alone(clusters, row, settings, threads)
        return
    # A process that was forked from one with threads may hang: these are started afresh.
    pool = ProcessPoolExecutor(min(jobs, len(rows)), multiprocessing.get_context("spawn"))
    try:
        futures = {pool.submit(train_alone, *rows[key], settings, threads): key for key in rows}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def train_alone(clusters: int, row: Row, settings: Settings, threads: int) -> dict[str, Any]:
    """What `train` gives on the data of so many clusters, in a process that has so many threads."""
    torch.set_num_threads(threads)
    return train(row, draw_mixture(clusters, seed=0), settings)


def train(row: Row, mixture: Mixture, settings: Settings) -> dict[str, Any]:
    """Train all seeds and grid points of a row together; what its best grid point came to."""
    start, busy = time.monotonic(), time.process_time()
    structure = Categorical()
    points = {_name(options): options for options in row.grid}
    runs = [Run(seed, rate, p) for p in points for rate in settings.rates for seed in range(settings.seeds)]
    estimators: dict[str, Estimator] = {}
    for run in runs:
        estimator = make_estimator(row.estimator, structure, **points[run.point])
        estimators[run.key if estimator.state_dict() else run.point] = estimator
    models = Models(runs, row.clusters or mixture.clusters, mixture.train.x.shape[1])
    forward = estimator.forward_structure
    generator = torch.Generator().manual_seed(1)
    best = {run.key: Best() for run in runs}
    curves: dict[str, list[tuple[float, float]]] = {run.key: [] for run in runs}
    for step in range(1, settings.steps + 1):
        models.step(mixture.train, estimators, generator)
        if step % settings.every:
            continue
        evaluate_all(models, structure, forward, mixture, step, best, curves)
        if step in settings.halving:
            halve(models, best)
        if all(step - best[run.key].step >= settings.patience for run in models.runs):
            break
    summary = summarise(models, best, curves, step, settings.every)
    return summary | {"seconds": time.monotonic() - start, "processor_seconds": time.process_time() - busy}


@torch.no_grad()
def evaluate_all(
    models: Models,
    structure: Categorical,
    forward: str | None,
    mixture: Mixture,
    step: int,
    best: dict[str, Best],
    curves: dict[str, list[tuple[float, float]]],
) -> None:
    """Note accuracy and V-measure of every run on validation, and on test where validation is best so far."""
    accuracy, clusters = evaluate(models, structure, forward, mixture.validation)
    test_accuracy, test_clusters = evaluate(models, structure, forward, mixture.test)
    for r, run in enumerate(models.runs):
        curves[run.key].append((float(accuracy[r]), v_measure(mixture.validation, clusters[r])))
        if accuracy[r] > best[run.key].validation:
            best[run.key] = Best(
                float(accuracy[r]),
                step,
                float(test_accuracy[r]),
                v_measure(mixture.test, test_clusters[r]),
            )


def evaluate(
    models: Models, structure: Categorical, forward: str | None, split: Split
) -> tuple[Tensor, Tensor]:
    """Accuracy (runs,) in per cent with the forward structure, and the argmax clusters (runs, N)."""
    scores = models.scores(split.x)
    if forward is None:
        z = models.gold(split, len(models.runs))
    else:
        z = split_rows(getattr(structure, forward)(as_rows(scores)), scores.shape)[:, 0]
    logits = (models.rules(split.x) * z).sum(0) + models.parameters[3][:, None]
    correct = (logits > 0) == (split.y > 0)
    return 100 * correct.float().mean(1), (z if forward is None else scores).argmax(0)


def v_measure(split: Split, clusters: Tensor) -> float:
    """The V-measure in per cent."""
    return 100 * float(v_measure_score(split.cluster.numpy(), clusters.numpy()))


def point_of(run: Run) -> str:
    """What is chosen on validation: learning rate and hyperparameters."""
    return f"{run.point} rate={run.rate:g}"


def ranking(runs: list[Run], best: dict[str, Best]) -> dict[str, float]:
    """The grid points with their median validation accuracy over the seeds, best first."""
    values: dict[str, list[float]] = {}
    for run in runs:
        values.setdefault(point_of(run), []).append(best[run.key].validation)
    return dict(sorted(((p, median(v)) for p, v in values.items()), key=lambda item: -item[1]))


def halve(models: Models, best: dict[str, Best]) -> None:
    """Drop the worse half of the grid points."""
    order = list(ranking(models.runs, best))
    kept = set(order[: -(-len(order) // 2)])
    models.keep(torch.tensor([r for r, run in enumerate(models.runs) if point_of(run) in kept]))


def summarise(
    models: Models,
    best: dict[str, Best],
    curves: dict[str, list[tuple[float, float]]],
    steps: int,
    every: int,
) -> dict[str, Any]:
    """The row of the results: the grid point that validation chose, its runs, and its median curve."""
    order = ranking(models.runs, best)
    point = next(iter(order))
    chosen = [run for run in models.runs if point_of(run) == point]
    length = min(len(curves[run.key]) for run in chosen)
    columns = [[curves[run.key][i] for run in chosen] for i in range(length)]
    return {
        "point": point,
        "validation": order,
        "test": spread([best[run.key].test for run in chosen]),
        "v_measure": spread([best[run.key].v_measure for run in chosen]),
        "best_step": [best[run.key].step for run in chosen],
        "steps": steps,
        "curve": {
            "every": every,
            "accuracy": [median(a for a, _ in column) for column in columns],
            "v_measure": [median(v for _, v in column) for column in columns],
        },
    }


def spread(values: list[float]) -> dict[str, Any]:
    """Median and standard error over the runs."""
    tensor = torch.tensor(values, dtype=torch.float64)
    error = float(tensor.std()) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return {"median": median(values), "standard_error": error, "runs": values}


def _name(options: Options) -> str:
    """A grid point's hyperparameters in a few characters."""
    return " ".join(f"{key}={value}" for key, value in options.items()) or "default"
