"""``python -m trainer fit TASK …``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, make_dataclass
from typing import Any

from rich.console import Console

from latent.estimators import ESTIMATORS
from latent.nn.classifier import TREES
from trainer.commands.common import choose, parse, with_choices
from trainer.fit import Run, fit
from trainer.options import FitOptions, ModelOptions, RunOptions, TrainingOptions
from trainer.tasks import TASKS, Task


def main(arguments: Sequence[str]) -> None:
    """Train one classifier."""
    name, rest = choose("fit", "TASK", TASKS, arguments)
    task, options = read_options(f"fit {name}", TASKS[name], rest)
    console = Console()
    show(fit(task, options, console), console)


def read_options(program: str, task: type[Task], arguments: Sequence[str]) -> tuple[Task, FitOptions]:
    """Read the flags of a task and of a run."""
    model = with_choices(ModelOptions, estimator=tuple(ESTIMATORS), structure=tuple(TREES))
    parts: dict[str, Any] = {"task": task, "model": model, "training": TrainingOptions, "run": RunOptions}
    together = make_dataclass(
        "Fit", [(name, kind, field(default_factory=kind)) for name, kind in parts.items()], frozen=True
    )
    together.__doc__ = f"Train one classifier. {(task.__doc__ or '').split('.')[0]}."
    given = parse(together, program, arguments)
    return given.task, FitOptions(model=given.model, training=given.training, run=given.run)


def show(run: Run, console: Console) -> None:
    """Print what came out of a run."""
    metrics = run.metrics
    console.print(
        f"\n[bold]best dev accuracy {metrics['dev_accuracy']:.2%}[/] in epoch {metrics['epoch']:.0f}"
    )
    console.print(f"{metrics['seconds_per_epoch']:.1f} s an epoch (median)", highlight=False)
    console.print(f"[bold]{run.checkpoint}[/]", soft_wrap=True, highlight=False)
    console.print(f"python -m trainer evaluate {run.checkpoint.parent}", soft_wrap=True, highlight=False)
