"""The folder of a training run: what is in it, and when it may be used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.options import FitOptions, ModelOptions, TrainingOptions, plain
from trainer.tasks import Task


class FitError(UserError):
    """A run that cannot start or go on; the message says what to do."""


class Diverged(FitError):
    """A run whose loss is no longer finite: going on with the same options ends the same."""


@dataclass(frozen=True)
class RunFolder:
    """The files of a run."""

    path: Path

    @property
    def model(self) -> Path:
        """The classifier of the best epoch."""
        return self.path / "model.safetensors"

    @property
    def state(self) -> Path:
        """What a resumed run starts from."""
        return self.path / "state.ckpt"

    @property
    def options(self) -> Path:
        """The options that the run was started with."""
        return self.path / "options.json"

    @property
    def metrics(self) -> Path:
        """What the run reached; there when it is finished."""
        return self.path / "metrics.json"

    def prepare(self, task: Task, options: FitOptions) -> None:
        """Make the folder, or check that the run in it can go on with these options.

        Raises:
            FitError: if there is nothing to resume, a run that would be overwritten, or a run with other
                options.
        """
        wanted = {"task": plain(task), "model": plain(options.model), "training": plain(options.training)}
        if options.run.resume:
            self._check(wanted, task)
            return
        if self.state.exists():
            raise FitError(f"fit: {self.path} holds a run; go on with it by --resume, or choose --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.options.write_text(json.dumps(wanted, indent=2))
        except OSError as error:
            raise FitError(f"fit: cannot write to {self.path}: {error}") from error

    def _check(self, wanted: dict[str, Any], task: Task) -> None:
        if not self.state.is_file():
            raise FitError(f"fit: nothing to resume in {self.path}: there is no {self.state.name}")
        found = json.loads(self.options.read_text())
        changed = changed_options(found, wanted, task)
        if changed:
            raise FitError(
                f"fit: {self.path} was started with other options: {', '.join(changed)}; resume with the same"
            )


def changed_options(before: Mapping[str, Any], now: Mapping[str, Any], task: Task) -> list[str]:
    """Name the options of a run that are others now, but for those that only say where it takes place.

    Args:
        before: by part ("task", "model", "training") and name, perhaps written when there were fewer.
        now: the same, complete.
        task: whose options they are.
    """
    # A run from before there was an option did what its default does.
    of_task = {each.name: each.default for each in fields(task) if each.default is not MISSING}
    defaults = {"task": of_task, "model": plain(ModelOptions()), "training": plain(TrainingOptions())}
    return [
        f"{part}.{name}"
        for part, options in now.items()
        for name, value in options.items()
        if name not in OF_THE_MACHINE and before.get(part, {}).get(name, defaults[part].get(name)) != value
    ]


OF_THE_MACHINE = {"accelerator", "devices", "threads", "data"}
"""Options that say where a run takes place, and not what comes out of it."""


def run_folder(task: Task, options: FitOptions) -> RunFolder:
    """Return the folder of a run: the one asked for, or runs/TASK-ESTIMATOR-SEED."""
    name = f"{task.name}-{options.model.estimator}-{options.training.seed}"
    return RunFolder(options.run.out or Path("runs") / name)
