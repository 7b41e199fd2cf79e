"""``python -m trainer evaluate CHECKPOINT …``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tyro.conf import Positional

from latent.nn.checkpoint import Header
from trainer.commands.common import check_writable, parse, read_checkpoint
from trainer.conllu import write_sentence
from trainer.errors import UserError
from trainer.evaluate import Report, evaluate
from trainer.paths import data_folder
from trainer.tasks import Example, recorded_task, sentences_of


@dataclass(frozen=True)
class Options:
    """Evaluate a checkpoint on its task: accuracy under each structure, tree statistics."""

    checkpoint: Positional[Path]
    """A model.safetensors, or the folder that holds it."""
    split: Literal["dev", "test", "train"] = "dev"
    """Which part of the data; read the test set once, when everything has been chosen."""
    file: Path | None = None
    """Evaluate on this file of labelled texts instead (CSV, TSV, JSON lines), for models of your own data."""
    data: Path = field(default_factory=data_folder)
    """Where data sets live (environment: UNDERSTORY_DATA)."""
    json: bool = False
    """Print the report as JSON."""
    conllu: Path | None = None
    """Write the best trees to this file, as CoNLL-U."""


def main(arguments: Sequence[str]) -> None:
    """Evaluate one checkpoint."""
    options: Options = parse(Options, "evaluate", arguments)
    checkpoint = read_checkpoint(options.checkpoint)
    if options.conllu:
        if checkpoint.classifier.forward_structure is None:
            raise UserError("--conllu: this classifier has no trees")
        check_writable(options.conllu.parent, "--conllu")
    examples, title = _examples(options, checkpoint.header)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=len(examples))
        report = evaluate(checkpoint.classifier, examples, lambda done: progress.advance(bar, done))
    if options.conllu:
        _write_trees(options.conllu, examples, report)
    if options.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        show(report, f"{checkpoint.classifier.config.estimator} on {title}", Console())


def _examples(options: Options, header: Header) -> tuple[Sequence[Example], str]:
    task = recorded_task(header.training, options.data)
    if options.file is None:
        return getattr(task.splits(), options.split), f"{task.name} {options.split}"
    read = getattr(task, "examples_of", None)
    if read is None:
        raise UserError(f"--file is for models of your own data; this one was trained on {task.name}")
    return read(options.file, tuple(header.labels)), str(options.file)


def _write_trees(path: Path, examples: Sequence[Example], report: Report) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number, (example, trees) in enumerate(zip(examples, report.heads, strict=True), start=1):
            for side, (tokens, heads) in enumerate(zip(sentences_of(example.text), trees, strict=True), 1):
                name = f"{number}.{side}" if len(trees) > 1 else str(number)
                write_sentence(file, name, tokens, heads)


def show(report: Report, title: str, console: Console) -> None:
    """Print a report as tables."""
    table = Table(title=title, title_justify="left")
    for column in ("structure", "accuracy", "95 % interval", "calibration error"):
        table.add_column(column, justify="left" if column == "structure" else "right")
    for name, accuracy in report.accuracy.items():
        mark = " (as trained)" if name == report.trained else ""
        low, high = report.interval[name]
        error = report.calibration_error[name]
        table.add_row(name + mark, f"{accuracy:.2%}", f"{low:.1%} – {high:.1%}", f"{error:.3f}")
    console.print(table)
    confusion = Table("true \\ predicted", *report.labels, title_justify="left")
    for label, counts in zip(report.labels, report.confusion, strict=True):
        confusion.add_row(label, *map(str, counts))
    console.print(confusion)
    if report.trees:
        trees = Table(title="best trees", title_justify="left", show_header=False)
        for name, value in report.trees.items():
            shown = f"{value:.1%}" if name.endswith("share") else f"{value:,.4g}"
            trees.add_row(name.replace("_", " "), shown)
        console.print(trees)
