"""Runs that belong together: each is trained once, evaluated once, and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from latent.nn.checkpoint import load, read_header
from trainer.evaluate import evaluate
from trainer.fit import fit, timing
from trainer.options import FitOptions
from trainer.tasks import Task
from trainer.trees import Heads

RESULT = "result.json"


def run_trial(task: Task, options: FitOptions, folder: Path, console: Console) -> dict[str, Any]:
    """Train and evaluate one configuration, or take up what there is of it in its folder.

    Returns:
        estimator, seed, commit, times of an epoch and a step, and the reports on the dev and the test set
        with their trees.

    Raises:
        FitError: if the folder holds a run with other options.
    """
    result = folder / RESULT
    resume = (folder / "state.ckpt").is_file()
    run = fit(task, replace(options, run=replace(options.run, out=folder, resume=resume)), console)
    if not result.is_file():
        classifier, splits = load(run.checkpoint).classifier, task.splits()
        content = {
            "estimator": options.model.estimator,
            "seed": options.training.seed,
        }
        for split in ("dev", "test"):
            report = evaluate(classifier, getattr(splits, split))
            content[split] = {**report.as_json(), "heads": report.heads}
        part = result.with_suffix(".part")
        part.write_text(json.dumps(content))
        part.replace(result)
    found: dict[str, Any] = json.loads(result.read_text())
    made = {"commit": read_header(run.checkpoint).training["commit"]}
    return {**found, **timing(options.training, run.metrics), **made}


def agreement(one: Sequence[Sequence[Heads]], other: Sequence[Sequence[Heads]]) -> float:
    """Return the share of words with the same head (UAS) in two lists of examples' trees."""
    pairs = [
        left == right
        for first, second in zip(one, other, strict=True)
        for tree, twin in zip(first, second, strict=True)
        for left, right in zip(tree, twin, strict=True)
    ]
    return sum(pairs) / len(pairs)
