"""``python -m trainer bundle``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from trainer.bundle import RECIPES, bundle, total_bytes
from trainer.commands.common import check_writable, parse
from trainer.errors import UserError
from trainer.paths import ROOT, data_folder


@dataclass(frozen=True)
class Options:
    """Train and evaluate the bundled models; one that was interrupted goes on, a finished one is kept."""

    names: Positional[tuple[str, ...]] = ()
    """Which models, by id; by default all."""
    data: Path = field(default_factory=data_folder)
    """Where data sets live; word vectors are in its folder `glove` (environment: UNDERSTORY_DATA)."""
    out: Path = ROOT / "models"
    """Where the models go, each with its card."""
    work: Path = Path("runs") / "bundle"
    """Where the training runs are kept."""


def main(arguments: Sequence[str]) -> None:
    """Make the bundled models."""
    options: Options = parse(Options, "bundle", arguments)
    unknown = [name for name in options.names if name not in RECIPES]
    if unknown:
        raise UserError(f"no bundled model is called {unknown[0]!r}; there are: {', '.join(RECIPES)}")
    check_writable(options.out, "--out")
    check_writable(options.work, "--work")
    console = Console()
    folders = []
    for name in options.names or RECIPES:
        console.rule(name)
        folders.append(bundle(name, options.data, options.out, options.work, console))
    table = Table("model", "dev", "test", "under", "mean depth", "flat", "MB")
    for folder in folders:
        card = json.loads((folder / "card.json").read_text())
        trained, trees = card["trained_structure"], card["trees"] or {}
        table.add_row(
            card["id"],
            *(f"{card['accuracy'][split][trained]:.2%}" for split in ("dev", "test")),
            trained,
            f"{trees['mean_depth']:.2f}" if trees else "",
            f"{trees['flat_share']:.0%}" if trees else "",
            f"{card['bytes'] / 1e6:.2f}",
        )
    console.print(table)
    console.print(f"{total_bytes(folders) / 1e6:.2f} MB in all")
