"""``python -m trainer table NAME …``: a task's table, or a controlled experiment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.markdown import Markdown

from latent.estimators import ESTIMATORS
from trainer.commands.common import check_writable, choose, parse
from trainer.errors import UserError
from trainer.experiments import EXPERIMENTS
from trainer.kept_runs import KeptRuns
from trainer.options import (
    Checked,
    Count,
    FitOptions,
    ModelOptions,
    RunOptions,
    Seeds,
    TrainingOptions,
)
from trainer.paths import data_folder
from trainer.published import TABLES
from trainer.table import Plan, make_table, write_table
from trainer.tasks import TASKS


@dataclass(frozen=True)
class TableOptions(Checked):
    """The table."""

    estimators: tuple[str, ...] = ()
    """Which estimators; by default all of the paper's table."""
    seeds: Seeds = (0, 1, 2)
    """One run of each estimator for each seed."""
    hyperparameters: tuple[str, ...] = ()
    """Of single estimators, as ESTIMATOR.NAME=VALUE: spigot.step_size=0.1."""
    sweep: Path | None = None
    """What `sweep` found for this task, a file TASK-sweep.json: each estimator's learning rate and η."""
    tried: Count = 1
    """How many configurations were tried on the dev set before these were chosen; the table says so. With
    --sweep it is those of the sweep."""
    work: Path = Path("runs") / "table"
    """Where the runs are kept; those that are there are taken up."""
    results: Path = Path("results")
    """Where the table goes: Markdown, JSON and a figure, and its runs, as TASK-runs.jsonl. Runs that
    this file has already, with the same options, are not trained again."""


def main(arguments: Sequence[str]) -> None:
    """Make a table, or run an experiment."""
    name, rest = choose("table", "NAME", {**dict.fromkeys(TABLES), **EXPERIMENTS}, arguments)
    if name in EXPERIMENTS:
        tyro.cli(EXPERIMENTS[name].run, args=rest, prog=f"python -m trainer table {name}")
        return
    parts: dict[str, Any] = {
        "table": TableOptions,
        "task": TASKS[name],
        "model": ModelOptions,
        "training": TrainingOptions,
    }
    together = make_dataclass(
        "Table", [(part, kind, field(default_factory=kind)) for part, kind in parts.items()], frozen=True
    )
    together.__doc__ = "Train every estimator with several seeds; set the paper's table beside ours."
    given = parse(together, f"table {name}", rest)
    options = FitOptions(model=given.model, training=given.training, run=RunOptions(quiet=True))
    console = Console()
    plan = make_plan(name, given.table)
    check_writable(given.table.results, "--results")
    check_writable(given.table.work, "--work")
    kept = KeptRuns(given.table.results / f"{name}-runs.jsonl", given.task)
    table = make_table(given.task, options, plan, given.table.work, kept, console)
    written = write_table(table, given.table.results)
    console.print(Markdown(written[0].read_text()))
    console.print("  ".join(map(str, written)), soft_wrap=True, highlight=False)


def make_plan(task: str, options: TableOptions) -> Plan:
    """Return what a table is made of; a name or a file that is not as it should be is a ``UserError``."""
    estimators = options.estimators or tuple(TABLES[task])
    unknown = [name for name in estimators if name not in ESTIMATORS]
    if unknown:
        raise UserError(f"no estimator is called {unknown[0]!r}; there are: {', '.join(ESTIMATORS)}")
    hyperparameters: dict[str, tuple[str, ...]] = {}
    for item in options.hyperparameters:
        estimator, dot, assignment = item.partition(".")
        if not dot or estimator not in estimators:
            raise UserError(f"--hyperparameters: wanted ESTIMATOR.NAME=VALUE of a row; got {item!r}")
        hyperparameters[estimator] = (*hyperparameters.get(estimator, ()), assignment)
    rates, tried = {}, options.tried
    if options.sweep:
        chosen = _chosen(options.sweep, task, estimators)
        rates = {name: choice["learning_rate"] for name, choice in chosen.items()}
        tried = sum(choice["tried"] for choice in chosen.values())
        for name, choice in chosen.items():
            if choice["step_size"] is not None:
                given = hyperparameters.get(name, ())
                hyperparameters[name] = (f"step_size={choice['step_size']!r}", *given)
    treebank = data_folder() / "ud" / "en_ewt-ud-test.conllu"
    return Plan(
        estimators,
        options.seeds,
        hyperparameters,
        tried,
        treebank if treebank.is_file() else None,
        rates,
    )


def _chosen(path: Path, task: str, estimators: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what a sweep chose for each of these estimators."""
    try:
        found = json.loads(path.read_text())
        of, chosen = found["task"], found["chosen"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--sweep: {path} is not what a sweep wrote ({error})") from error
    if of != task:
        raise UserError(f"--sweep: {path} is of the task {of}, not {task}")
    missing = [name for name in estimators if name not in chosen]
    if missing:
        raise UserError(f"--sweep: {path} has nothing of {missing[0]}; it has: {', '.join(chosen)}")
    return {name: chosen[name] for name in estimators}
