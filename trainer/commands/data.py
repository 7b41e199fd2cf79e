"""``python -m trainer data NAME``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from trainer.archives import ARCHIVES, install
from trainer.commands.common import choose, parse
from trainer.download import download
from trainer.paths import data_folder


@dataclass(frozen=True)
class Options:
    """Fetch a data set, or import a local copy of it, and check it."""

    source: Path | None = None
    """A folder or zip file with the data set's files; by default the official archive is downloaded."""
    data: Path = field(default_factory=data_folder)
    """Where data sets live (environment: UNDERSTORY_DATA)."""
    keep: bool = False
    """Keep the downloaded archive once it is unpacked."""


def main(arguments: Sequence[str]) -> None:
    """Put one data set where the tasks look for it."""
    name, rest = choose("data", "NAME", ARCHIVES, arguments)
    options: Options = parse(Options, f"data {name}", rest)
    archive, console = ARCHIVES[name], Console()
    folder = options.data / name.split(".")[0]
    source = options.source or fetch(archive.url, options.data / "downloads", console)
    install(archive, source, folder, lambda line: console.print(line, highlight=False))
    if options.source is None and not options.keep:
        source.unlink()
    console.print(f"[bold]{folder}[/]  (licence: {archive.licence})", soft_wrap=True, highlight=False)


def fetch(url: str, folder: Path, console: Console) -> Path:
    """Download an archive with a progress bar."""
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console.print(url, soft_wrap=True, highlight=False)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=None)
        return download(
            url,
            folder / url.rpartition("/")[2],
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
