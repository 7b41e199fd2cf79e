"""What several commands share: choosing a task, parsing options, reading a checkpoint."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from latent.nn.checkpoint import Checkpoint, CheckpointError, load
from trainer.errors import UserError


def choose(
    command: str, what: str, names: Mapping[str, Any], arguments: Sequence[str]
) -> tuple[str, list[str]]:
    """Take the first argument, which must be one of the names; return it and the rest.

    Raises:
        UserError: if it is another one.
    """
    usage = f"usage: python -m trainer {command} {what} …\n\n{what} is one of: {', '.join(names)}"
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        sys.exit(0)
    if arguments[0] not in names:
        raise UserError(f"no {what.lower()} is called {arguments[0]!r}; there are: {', '.join(names)}")
    return arguments[0], list(arguments[1:])


def parse(options: Any, program: str, arguments: Sequence[str]) -> Any:
    """Make a command line of a dataclass, all of whose fields are flags without prefixes, and read it."""
    return tyro.cli(
        options,
        prog=f"python -m trainer {program}",
        args=list(arguments),
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def with_choices(options: type[Any], **choices: Sequence[str]) -> type[Any]:
    """Return a dataclass whose named text fields take one of the given words only."""
    fields = [
        (name, Literal[tuple(words)], field(default=getattr(options, name)))
        for name, words in choices.items()
    ]
    made = make_dataclass(options.__name__, fields, bases=(options,), frozen=True)
    made.__doc__ = options.__doc__
    return made


def check_writable(folder: Path, flag: str) -> None:
    """See that a folder takes files, or could be made: before the work whose result goes there.

    Raises:
        UserError: if it does not.
    """
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise UserError(f"{flag}: cannot write to {folder}: {error.strerror or error}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, given as a file or as the folder of a run or a model.

    Raises:
        UserError: if it is not sound.
    """
    try:
        return load(path / "model.safetensors" if path.is_dir() else path)
    except CheckpointError as error:
        raise UserError(str(error)) from error
