"""What happens beside the training steps: the state on disk, the best model, a line an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar
from rich.console import Console

from latent.checks import Pending, all_finite, deferred

REFRESHES_PER_SECOND = 10


class SaveState(Callback):
    """Keep the state of training on disk; the file is replaced in one step, or not at all.

    Args:
        path: of the file.
        every: how many steps lie between two saves; the end of each epoch saves too.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def _save(self, trainer: pl.Trainer) -> None:
        part = self.path.with_name(self.path.name + ".part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            part.replace(self.path)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save after every so many steps."""
        if trainer.global_step % self.every == 0:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after every epoch."""
        self._save(trainer)


class KeepBest(Callback):
    """Export the classifier whenever its dev accuracy is the best so far.

    Args:
        export: writes the classifier, given the metrics of this epoch.
    """

    def __init__(self, export: Callable[[dict[str, float]], None]) -> None:
        self.export = export
        self.best: dict[str, float] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare, and export."""
        metrics = {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("dev_")
        }
        if not self.best or metrics["dev_accuracy"] > self.best["dev_accuracy"]:
            self.best = {**metrics, "epoch": trainer.current_epoch + 1}
            if trainer.is_global_zero:
                self.export(self.best)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run has to know."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over from an interrupted run."""
        self.best = state_dict["best"]


class EpochLines(Callback):
    """Print one line an epoch, and remember what it reached and how long its training steps took.

    Args:
        console: where to print.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []
        self.curve: list[dict[str, float]] = []
        self._start = (0.0, 0.0)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks."""
        self._start = (time.perf_counter(), time.process_time())

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clocks: an epoch's time is that of its training steps."""
        self.seconds.append(time.perf_counter() - self._start[0])
        self.processor_seconds.append(time.process_time() - self._start[1])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's metrics, and put them on the curve."""
        metrics = trainer.callback_metrics
        reached = {name: float(value) for name, value in metrics.items() if name.startswith("dev_")}
        self.curve.append({"epoch": trainer.current_epoch + 1, **reached})
        parts = [f"epoch {trainer.current_epoch + 1:>3}"]
        parts += [f"{name.replace('_', ' ')} {float(value):.4f}" for name, value in sorted(metrics.items())]
        self.console.print("  ".join([*parts, f"{self.seconds[-1]:.1f} s"]), highlight=False)

    def state_dict(self) -> dict[str, Any]:
        """Return the epochs so far."""
        return {
            "seconds": self.seconds,
            "processor_seconds": self.processor_seconds,
            "curve": self.curve,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over from an interrupted run."""
        self.seconds = state_dict["seconds"]
        self.processor_seconds = state_dict["processor_seconds"]
        self.curve = state_dict["curve"]


class CheckNumbers(Callback):
    """Stop a run whose numbers are no longer finite, before they reach the disk.

    On a CPU every step looks at its own. On an accelerator to look is to wait, so the checks of many steps
    are looked at together: every so many steps, after validation, and before the state is saved.

    Args:
        every: how many steps lie between two looks.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._pending: Pending | None = None
        self._deferral = ExitStack()
        self.cause: BaseException | None = None
        """What ended the run, if it was a number that is not finite; inference refuses NaN."""

    def _look(self) -> None:
        if self._pending is not None:
            self._pending.look()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to put checks off, if this is no CPU."""
        if pl_module.device.type != "cpu":
            self._pending = self._deferral.enter_context(deferred())

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look after every so many steps."""
        if trainer.global_step % self.every == 0:
            self._look()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before the classifier is exported."""
        self._look()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look at the checks, and at the weights themselves, whose gradient nobody has looked at."""
        self._look()
        broken = broken_weight(pl_module)
        if broken:
            raise FloatingPointError(f"{broken} is NaN or infinite (try a smaller learning rate)")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for the last time."""
        self._look()
        self._deferral.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Find out whether numbers were the cause, and let checks be made at once again."""
        self._deferral.close()
        if not isinstance(exception, FloatingPointError | ValueError):
            return  # the device itself may have failed
        try:
            self._look()
        except FloatingPointError as error:
            self.cause = error
            return
        if isinstance(exception, FloatingPointError) or broken_weight(pl_module):
            self.cause = exception


def broken_weight(module: torch.nn.Module) -> str | None:
    """Return the name of the first parameter that holds NaN or infinity, or None."""
    return next((name for name, weight in module.named_parameters() if not all_finite(weight.detach())), None)


class Bar(RichProgressBar):
    """A progress bar that looks at the loss every so many steps only: to look is to wait for the device.

    Args:
        every: how many steps lie between two looks.
    """

    def __init__(self, every: int) -> None:
        super().__init__(refresh_rate=REFRESHES_PER_SECOND)
        self.every = every
        self._loss: dict[str, float] = {}

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what stands behind the bar."""
        if trainer.global_step % self.every == 0 and "loss" in trainer.callback_metrics:
            self._loss = {"loss": float(trainer.callback_metrics["loss"])}
        return {**super().get_metrics(trainer, pl_module), **self._loss}
