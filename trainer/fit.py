"""One training run: from data and options to a checkpoint of the best epoch."""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from rich.console import Console

from latent.allocator import keep_freed_memory
from latent.nn.checkpoint import Classifier, save
from trainer.build import build, check_model, describe, training_record
from trainer.callbacks import Bar, CheckNumbers, EpochLines, KeepBest, SaveState
from trainer.data import BatchSampler, Loader, item_length
from trainer.learner import Learner, label_weights
from trainer.options import FitOptions, TrainingOptions
from trainer.run_folder import Diverged, FitError, RunFolder, run_folder
from trainer.tasks import Splits, Task

EVALUATION_BATCH = 256
LOOK_EVERY = 50
"""Steps between two looks at the numbers of a step: to look is to wait for an accelerator."""

warnings.filterwarnings("ignore", message=".*(_pytree|LeafSpec).*")
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.ERROR)


@dataclass(frozen=True)
class Run:
    """A finished run."""

    checkpoint: Path
    """The classifier of the best epoch."""
    metrics: dict[str, Any]
    """What that epoch reached on the dev set and its number; median times of an epoch and of a step; the
    ``curve`` of all epochs. Processor time is that of all threads of this process."""


def timing(options: TrainingOptions, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what an epoch and a step took: of a single thread its processor time, else the clock's."""
    kind = "processor_" if options.threads == 1 else ""
    return {
        "timing": "processor time of one thread" if kind else "wall-clock time",
        "seconds_per_epoch": metrics[f"{kind}seconds_per_epoch"],
        "seconds_per_step": metrics[f"{kind}seconds_per_step"],
    }


@dataclass(frozen=True)
class Processes:
    """The processes that share a run, as torchrun tells each of them."""

    rank: int
    count: int
    on_this_machine: int

    @classmethod
    def from_environment(cls) -> Processes:
        """Read torchrun's variables; without them there is one process."""
        names = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_WORLD_SIZE": 1}
        return cls(*(int(os.environ.get(name, default)) for name, default in names.items()))


def fit(task: Task, options: FitOptions, console: Console | None = None) -> Run:
    """Train one classifier and keep the one of the epoch with the best dev accuracy.

    Under torchrun the processes share each batch, and the loss is that of one process.

    Raises:
        FitError: if the run's folder cannot be used, or the loss is no longer finite.
        DataError: if the task's data cannot be read.
    """
    processes = Processes.from_environment()
    console = console or Console(stderr=True)
    if processes.rank:
        console = Console(quiet=True)
    check_model(task, options.model)
    check_hardware(options.training)
    folder = run_folder(task, options)
    if processes.rank == 0:
        folder.prepare(task, options)
    if folder.metrics.is_file():
        console.print(f"{folder.path} holds a finished run")
        return Run(folder.model, json.loads(folder.metrics.read_text()))
    _seed(options.training.seed)
    keep_freed_memory()
    if options.training.threads:
        torch.set_num_threads(options.training.threads)
    splits = task.splits()
    classifier = build(task, splits, options.model)
    for line in (describe(task, splits, classifier), *splits.notes):
        console.print(line, highlight=False)
    record = training_record(task, splits, options)

    def export(metrics: dict[str, float]) -> None:
        save(folder.model, classifier, metrics={"dev": metrics}, seed=options.training.seed, training=record)

    train, dev = _loaders(classifier, splits, options, processes)
    best, lines = KeepBest(export), EpochLines(console)
    callbacks = [best, lines, SaveState(folder.state, options.run.save_every)]
    trainer = _trainer(folder, options, callbacks, len(train), processes)
    weights = label_weights(train.targets, len(splits.labels)) if options.training.balance else None
    learner = Learner(classifier, options.training, train.order, weights)
    try:
        _run(trainer, learner, (train, dev), folder, options)
    finally:
        _leave_group()
    metrics = {**best.best, **_times(lines, len(train)), "curve": lines.curve}
    if processes.rank == 0:
        folder.metrics.write_text(json.dumps(metrics, indent=2))
    return Run(folder.model, metrics)


def _times(lines: EpochLines, steps: int) -> dict[str, float]:
    """Return the median times of an epoch and of one of its steps."""
    seconds, processor = float(np.median(lines.seconds)), float(np.median(lines.processor_seconds))
    return {
        "seconds_per_epoch": seconds,
        "seconds_per_step": seconds / steps,
        "processor_seconds_per_epoch": processor,
        "processor_seconds_per_step": processor / steps,
    }


def _run(
    trainer: pl.Trainer,
    learner: Learner,
    loaders: tuple[Loader, Loader],
    folder: RunFolder,
    options: FitOptions,
) -> None:
    checks = CheckNumbers(LOOK_EVERY)
    trainer.callbacks.insert(0, checks)  # type: ignore[attr-defined]
    try:
        trainer.fit(learner, *loaders, ckpt_path=str(folder.state) if options.run.resume else None)
    except (FloatingPointError, ValueError) as error:
        if checks.cause is None:
            raise
        saved = (
            f"the last good state is {folder.state}" if folder.state.exists() else "no state was saved yet"
        )
        raise Diverged(f"fit: step {learner.global_step}: {checks.cause}; {saved}") from error
    except OSError as error:
        raise FitError(f"fit: could not write to {folder.path}: {error}") from error
    except SystemExit as error:  # Lightning's answer to Ctrl-C
        if not trainer.interrupted:
            raise
        on = "go on by --resume" if folder.state.exists() else "no state was saved yet"
        raise FitError(f"fit: interrupted at step {learner.global_step}; {on}") from error


def _leave_group() -> None:
    """End this process's part in the group: its threads may not outlive the interpreter that they call."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that still draw from the global generator
    torch.manual_seed(seed)


def _loaders(
    classifier: Classifier, splits: Splits, options: FitOptions, processes: Processes
) -> tuple[Loader, Loader]:
    training, share = options.training, {"rank": processes.rank, "processes": processes.count}
    train = BatchSampler(
        [item_length(example.text) for example in splits.train],
        training.batch_size,
        training.tokens,
        seed=training.seed,
        **share,
    )
    dev = BatchSampler([item_length(example.text) for example in splits.dev], EVALUATION_BATCH, **share)
    return Loader(classifier, splits.train, train), Loader(classifier, splits.dev, dev)


def check_hardware(training: TrainingOptions) -> None:
    """Find what this machine cannot train on, before any data is read.

    Raises:
        FitError: with what Lightning says of it.
    """
    try:
        pl.Trainer(
            accelerator=training.accelerator,
            devices=training.devices,
            precision=training.precision,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ImportError, TypeError, ValueError) as error:
        raise FitError(
            f"--accelerator {training.accelerator} --devices {training.devices}: "
            f"{str(error).splitlines()[0]} (cpu is there always; auto takes the best there is)"
        ) from error


def _trainer(
    folder: RunFolder, options: FitOptions, callbacks: list[Any], steps: int, processes: Processes
) -> pl.Trainer:
    training = options.training
    stop = EarlyStopping("dev_accuracy", mode="max", patience=training.patience)
    bar = sys.stderr.isatty() and not options.run.quiet and processes.rank == 0
    several = {
        "strategy": "ddp",
        "devices": processes.on_this_machine,
        "num_nodes": processes.count // processes.on_this_machine,
    }
    return pl.Trainer(
        default_root_dir=folder.path,
        max_epochs=training.epochs,
        accelerator=training.accelerator,
        precision=training.precision,
        gradient_clip_val=training.clip or None,
        callbacks=[*callbacks, stop, *([Bar(LOOK_EVERY)] if bar else [])],
        enable_progress_bar=bar,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=min(LOOK_EVERY, steps),
        logger=[CSVLogger(folder.path, name="logs"), TensorBoardLogger(folder.path, name="logs")],
        **(several if processes.count > 1 else {"devices": training.devices}),
    )
