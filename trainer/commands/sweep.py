"""``python -m trainer sweep TASK …``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from latent.estimators import ESTIMATORS
from trainer.commands.common import check_writable, choose, parse
from trainer.errors import UserError
from trainer.on_ray import OnRay, Resources
from trainer.options import (
    Checked,
    FitOptions,
    ModelOptions,
    NotNegative,
    Positive,
    RunOptions,
    Seeds,
    TrainingOptions,
)
from trainer.published import GRIDS, TABLES
from trainer.sweep import Grid, Ledger, sweep
from trainer.tasks import TASKS


@dataclass(frozen=True)
class SweepOptions(Checked):
    """The grid, and where it runs."""

    estimators: tuple[str, ...] = ()
    """Which estimators; by default all of the paper's table."""
    learning_rates: tuple[Positive, ...] = ()
    """Peak learning rates of the first stage; by default the paper's."""
    step_sizes: tuple[Positive, ...] = ()
    """Step sizes η of the second stage, at the best learning rate; by default the paper's."""
    seeds: Seeds = (0,)
    """One run of each configuration for each seed; the mean over them decides."""
    address: str | None = None
    """A Ray cluster to run on, from one of its machines (`auto`, or HOST:PORT); by default this machine
    alone."""
    cpus: Positive = 1
    """Processors for each trial; as many trials run at once as there is room for."""
    gpus: NotNegative = 0
    """GPUs for each trial; 0.25 lets four share one."""
    work: Path = Path("runs") / "sweep"
    """Where the runs are kept; those that are there are taken up. On a cluster all its machines must share
    it."""
    results: Path = Path("results")
    """Where the choice goes, as TASK-sweep.json: what `table --sweep` reads."""


def main(arguments: Sequence[str]) -> None:
    """Search the grid of one task."""
    name, rest = choose("sweep", "TASK", TASKS, arguments)
    parts: dict[str, Any] = {
        "sweep": SweepOptions,
        "task": TASKS[name],
        "model": ModelOptions,
        "training": TrainingOptions,
    }
    together = make_dataclass(
        "Sweep", [(part, kind, field(default_factory=kind)) for part, kind in parts.items()], frozen=True
    )
    together.__doc__ = (
        "Search the learning rate, then η at the best learning rate, by dev accuracy. "
        "A sweep that was cut short goes on; finished trials are not run again."
    )
    given = parse(together, f"sweep {name}", rest)
    options, console = given.sweep, Console()
    task = _absolute(given.task)
    common = FitOptions(model=_absolute(given.model), training=given.training, run=RunOptions(quiet=True))
    check_writable(options.results, "--results")
    check_writable(options.work, "--work")
    run = OnRay(Resources(options.address, options.cpus, options.gpus), console)
    grid = _grid(name, options)
    task.splits()  # so that data that cannot be read is said here and now, not by every trial
    try:
        found = sweep(grid, Ledger(options.work, task, common), run)
    finally:
        run.close()
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{name}-sweep.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    console.print(_table(found))
    console.print(str(path), soft_wrap=True, highlight=False)


def _absolute(options: Any) -> Any:
    """Return a dataclass of options with absolute paths, which mean the same in processes of Ray's."""

    def absolute(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(absolute, value))
        return value.resolve() if isinstance(value, Path) else value

    return replace(options, **{part.name: absolute(getattr(options, part.name)) for part in fields(options)})


def _grid(task: str, options: SweepOptions) -> Grid:
    estimators = options.estimators or tuple(TABLES.get(task, TABLES["sst"]))
    unknown = [name for name in estimators if name not in ESTIMATORS]
    if unknown:
        raise UserError(f"no estimator is called {unknown[0]!r}; there are: {', '.join(ESTIMATORS)}")
    rates, step_sizes = GRIDS.get(task, GRIDS["sst"])
    return Grid(estimators, options.learning_rates or rates, options.step_sizes or step_sizes, options.seeds)


def _table(found: dict[str, Any]) -> Table:
    table = Table("estimator", "learning rate", "η", "dev accuracy", "configurations tried")
    for estimator, choice in found["chosen"].items():
        step_size = "" if choice["step_size"] is None else f"{choice['step_size']:g}"
        accuracy = f"{choice['dev_accuracy']:.2%}"
        table.add_row(estimator, f"{choice['learning_rate']:g}", step_size, accuracy, str(choice["tried"]))
    return table
