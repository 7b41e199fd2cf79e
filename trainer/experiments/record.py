"""Results on disk: numbers as JSON, with all that is needed to make them again."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trainer.commit import commit

PACKAGES = ("torch", "numpy", "scikit-learn", "entmax")


def provenance() -> dict[str, Any]:
    """Git commit, versions, machine and time."""
    return {
        "commit": commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


class Record:
    """A JSON file of rows by key, written after every row, so that a run can stop and go on.

    Rows that were made under another configuration are dropped when the file is opened.
    """

    def __init__(
        self, path: Path, experiment: str, config: Mapping[str, Any], *, fresh: bool = False
    ) -> None:
        self.path = path
        config = json.loads(json.dumps(config))
        self.data: dict[str, Any] = {"experiment": experiment, "config": config, "rows": {}}
        if path.exists() and not fresh:
            found = json.loads(path.read_text())
            if found.get("config") == config:
                self.data = found

    @property
    def rows(self) -> dict[str, Any]:
        """The rows so far."""
        rows: dict[str, Any] = self.data["rows"]
        return rows

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """Add a row, with where it comes from, and write the file."""
        self.rows[key] = {**row, "made": provenance()}
        self._write()

    def arrange(self, keys: Sequence[str]) -> None:
        """Put these rows first, in this order, whenever they were made, and write the file."""
        order = [*(key for key in keys if key in self.rows), *(key for key in self.rows if key not in keys)]
        self.data["rows"] = {key: self.rows[key] for key in order}
        self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(_rounded(self.data), indent=1, ensure_ascii=False) + "\n")
        partial.replace(self.path)


def _rounded(value: Any) -> Any:
    """Floats to six significant digits: results are read by people and diffed by git."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
