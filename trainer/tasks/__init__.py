"""The tasks, by name; a new one is a new file and a line here."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.tasks.base import DataError, Example, Splits, Task, Text, sentences_of
from trainer.tasks.own import Classify, OwnPairs
from trainer.tasks.snli import Snli
from trainer.tasks.sst import Sst

TASKS: dict[str, type[Task]] = {
    "sst": Sst,
    "snli": Snli,
    "classify": Classify,
    "pair": OwnPairs,
}


def recorded_task(training: Mapping[str, Any], data: Path) -> Task:
    """Return the task that a checkpoint was trained on, as its header records it.

    Raises:
        UserError: if the header names no task of this version, or options that it does not have.
    """
    name = training.get("task")
    if name not in TASKS:
        raise UserError(f"trained on {name!r}, which is no task; there are: {', '.join(TASKS)}")
    recorded = {**training.get("options", {}).get("task", {}), "data": data}
    known = {part.name: str(part.type) for part in fields(TASKS[name])}
    given = {
        key: Path(value) if isinstance(value, str) and "Path" in known[key] else value
        for key, value in recorded.items()
        if key in known
    }
    try:
        return TASKS[name](**given)
    except TypeError as error:
        raise UserError(f"{name}: the checkpoint does not say how its data is read ({error})") from error


__all__ = ["TASKS", "DataError", "Example", "Splits", "Task", "Text", "recorded_task", "sentences_of"]
