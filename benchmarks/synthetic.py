"""What a training step of the synthetic experiment takes: processor time on one thread, for each row."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
import tyro

from latent.estimators import Estimator, make_estimator
from latent.structures import Categorical
from trainer.experiments.mixture import Models, Run, draw_mixture
from trainer.experiments.synthetic import ROWS, SEVERAL_STEPS, Row


@dataclass(frozen=True)
class Options:
    """What is timed."""

    clusters: tuple[int, ...] = (3, 10)
    rows: tuple[str, ...] = (*ROWS, *SEVERAL_STEPS)
    steps: int = 200
    seeds: int = 4
    """Runs in a batch: the seeds of one grid point, as in the longest part of training."""


def main(options: Options) -> None:
    """Print milliseconds per step, row by row."""
    torch.set_num_threads(1)
    for clusters in options.clusters:
        for name in options.rows:
            milliseconds = measure((ROWS | SEVERAL_STEPS)[name], clusters, options)
            print(f"{clusters:3}/{name:20} {milliseconds:8.2f} ms", flush=True)


def measure(row: Row, clusters: int, options: Options) -> float:
    """Milliseconds of processor time per step."""
    mixture = draw_mixture(clusters, seed=0)
    runs = [Run(seed, 1e-3, "point") for seed in range(options.seeds)]
    estimators: dict[str, Estimator] = {}
    for run in runs:
        estimator = make_estimator(row.estimator, Categorical(), **row.grid[0])
        estimators[run.key if estimator.state_dict() else run.point] = estimator
    models = Models(runs, row.clusters or clusters, mixture.train.x.shape[1])
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        models.step(mixture.train, estimators, generator)
    start = time.process_time()
    for _ in range(options.steps):
        models.step(mixture.train, estimators, generator)
    return 1000 * (time.process_time() - start) / options.steps


if __name__ == "__main__":
    main(tyro.cli(Options))
