"""A search of hyperparameters in two stages: the learning rate, then η at the best learning rate.

What is tried, what is known of it and what follows from that stands here; where trials run, elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from latent.estimators import ESTIMATORS
from trainer.errors import UserError
from trainer.options import FitOptions, plain
from trainer.run_folder import OF_THE_MACHINE
from trainer.tasks import Task

FIRST_STEP_SIZE = 1.0
"""η of the first stage, for estimators that have one."""


@dataclass(frozen=True)
class Trial:
    """One configuration with one seed."""

    estimator: str
    learning_rate: float
    step_size: float | None
    """η, None for an estimator without one."""
    seed: int

    def options(self, common: FitOptions) -> FitOptions:
        """Return the options of its run, from those that all trials share."""
        step_size = () if self.step_size is None else (f"step_size={self.step_size!r}",)
        model = replace(common.model, estimator=self.estimator, set=(*common.model.set, *step_size))
        training = replace(common.training, learning_rate=self.learning_rate, seed=self.seed)
        return replace(common, model=model, training=training)

    def __str__(self) -> str:
        step_size = "" if self.step_size is None else f", η {self.step_size:g}"
        return f"{self.estimator}, learning rate {self.learning_rate:g}{step_size}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What came out of a trial."""

    trial: Trial
    dev_accuracy: float | None
    """None for a run whose loss was no longer finite."""
    metrics: dict[str, Any]


class Ledger:
    """What is known of each trial, one small file each; a trial that stands here is never run again.

    Args:
        folder: of the sweep; the training runs are kept in it too.
        task: on which all trials train.
        common: the options that all trials share.
    """

    def __init__(self, folder: Path, task: Task, common: FitOptions) -> None:
        self.folder, self.task, self.common = folder.resolve(), task, common

    def run_folder(self, trial: Trial) -> Path:
        """Return the folder of a trial's training run, named by a digest of everything that decides it."""
        options = trial.options(self.common)
        parts = {"task": plain(self.task), "model": plain(options.model), "training": plain(options.training)}
        decisive = {
            part: {name: value for name, value in content.items() if name not in OF_THE_MACHINE}
            for part, content in parts.items()
        }
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{self.task.name}-{trial.estimator}-{trial.seed}-{digest[:16]}"

    def _file(self, trial: Trial) -> Path:
        return self.run_folder(trial) / "outcome.json"

    def find(self, trial: Trial) -> Outcome | None:
        """Return what came out of a trial, or None."""
        try:
            content = json.loads(self._file(trial).read_text())
        except FileNotFoundError:
            return None
        return Outcome(trial, content["dev_accuracy"], content["metrics"])

    def enter(self, outcome: Outcome) -> None:
        """Write down what came out of a trial; whole, or not at all."""
        file = self._file(outcome.trial)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps({"dev_accuracy": outcome.dev_accuracy, "metrics": outcome.metrics}))
        part.replace(file)


@dataclass(frozen=True)
class Grid:
    """What a sweep tries."""

    estimators: tuple[str, ...]
    learning_rates: tuple[float, ...]
    step_sizes: tuple[float, ...]
    seeds: tuple[int, ...]

    def first(self) -> list[Trial]:
        """Return the trials of the first stage: every learning rate, η = 1."""
        return [
            Trial(estimator, rate, FIRST_STEP_SIZE if has_step_size(estimator) else None, seed)
            for estimator in self.estimators
            for rate in self.learning_rates
            for seed in self.seeds
        ]

    def second(self, outcomes: Iterable[Outcome]) -> list[Trial]:
        """Return the trials of the second stage: every η at the best learning rate of the first."""
        return [
            Trial(estimator, best.learning_rate, step_size, seed)
            for estimator, best in choose(outcomes).items()
            if has_step_size(estimator)
            for step_size in self.step_sizes
            for seed in self.seeds
        ]


def has_step_size(estimator: str) -> bool:
    """Tell whether an estimator has a step size η."""
    return "step_size" in ESTIMATORS[estimator].Options.model_fields


@dataclass(frozen=True)
class Choice:
    """The configuration of an estimator with the best dev accuracy."""

    learning_rate: float
    step_size: float | None
    dev_accuracy: float
    """Mean over the seeds."""
    tried: int
    """Configurations of this estimator, seeds not counted."""


def choose(outcomes: Iterable[Outcome]) -> dict[str, Choice]:
    """Choose each estimator's configuration by its mean dev accuracy over seeds; of equals the first.

    A configuration of which a run failed is never chosen.

    Raises:
        UserError: if all runs of an estimator failed.
    """
    found: dict[str, dict[tuple[float, float | None], list[float | None]]] = {}
    for outcome in outcomes:
        trial = outcome.trial
        configuration = trial.learning_rate, trial.step_size
        found.setdefault(trial.estimator, {}).setdefault(configuration, []).append(outcome.dev_accuracy)
    chosen = {}
    for estimator, configurations in found.items():
        means = {
            configuration: mean(value for value in values if value is not None)
            for configuration, values in configurations.items()
            if None not in values
        }
        if not means:
            raise UserError(f"sweep: no run of {estimator} kept a finite loss; try smaller learning rates")
        best = max(means, key=lambda configuration: means[configuration])
        chosen[estimator] = Choice(*best, dev_accuracy=means[best], tried=len(configurations))
    return chosen


Runner = Callable[[Sequence[Trial], Ledger], None]
"""Run trials, in any order, and enter what came out of each."""


def sweep(grid: Grid, ledger: Ledger, run: Runner) -> dict[str, Any]:
    """Run both stages, but for trials that stand in the ledger, and say what was chosen.

    Returns:
        JSON content: the choice of each estimator, and all trials.
    """
    first = _stage(grid.first(), ledger, run)
    second = _stage(grid.second(first), ledger, run)
    outcomes = {outcome.trial: outcome for outcome in (*first, *second)}
    return {
        "task": ledger.task.name,
        "seeds": list(grid.seeds),
        "chosen": {estimator: asdict(choice) for estimator, choice in choose(outcomes.values()).items()},
        "trials": [
            {**asdict(outcome.trial), "dev_accuracy": outcome.dev_accuracy} for outcome in outcomes.values()
        ],
    }


def _stage(trials: Sequence[Trial], ledger: Ledger, run: Runner) -> list[Outcome]:
    open_trials = [trial for trial in trials if ledger.find(trial) is None]
    if open_trials:
        run(open_trials, ledger)
    outcomes = [ledger.find(trial) for trial in trials]
    missing = [str(trial) for trial, outcome in zip(trials, outcomes, strict=True) if outcome is None]
    if missing:
        raise UserError(
            f"sweep: {len(missing)} of {len(trials)} trials did not finish, the first of them {missing[0]}; "
            f"start the same command again to go on"
        )
    return [outcome for outcome in outcomes if outcome is not None]
