"""The runs that a table is made of, kept beside it: one row or seed more does not train the others again."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.run_folder import changed_options
from trainer.tasks import Task

KEPT_TREES = 2_000
"""Test examples, from the first on, whose trees are kept: enough to say how far two runs agree."""

Run = dict[str, Any]


@dataclass(frozen=True)
class KeptRuns:
    """A file of finished runs, a JSON object on each line: options, times, reports, and packed test trees."""

    path: Path
    task: Task

    def find(self, options: Mapping[str, Any], *, gold: bool) -> Run | None:
        """Return the run with these options, or None.

        Args:
            options: as ``build.options_record`` writes them.
            gold: whether it must have been held against gold heads, if it has trees.

        Raises:
            UserError: if the file is none of ours.
        """
        for entry in self._entries():
            run = entry["run"]
            wanting = gold and run["test"]["trees"] and "gold" not in run
            if self._same(entry["options"], options) and not wanting:
                return _unpacked(run)
        return None

    def add(self, options: Mapping[str, Any], run: Run) -> Run:
        """Keep a run, in place of an earlier one with these options; return it as ``find`` will."""
        packed = _packed(run)
        others = [entry for entry in self._entries() if not self._same(entry["options"], options)]
        lines = [json.dumps(entry) + "\n" for entry in [*others, {"options": options, "run": packed}]]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text("".join(lines))
        part.replace(self.path)
        return _unpacked(packed)

    def _entries(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        entries = []
        for number, line in enumerate(self.path.read_text().splitlines(), start=1):
            try:
                entry = json.loads(line)
                _ = entry["options"]["training"]["threads"], entry["run"]["test"]["trees"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{self.path}, line {number}, is no run that a table kept ({error!r}); move the file "
                    "away, or choose another folder by --results"
                ) from error
            entries.append(entry)
        return entries

    def _same(self, kept: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
        # The number of threads changes nothing but the times, which a table sets side by side.
        threads = [each["training"]["threads"] for each in (kept, options)]
        return threads[0] == threads[1] and not changed_options(kept, options, self.task)


def _packed(run: Run) -> Run:
    """Return a run with its first test trees packed into text, and without its dev trees."""
    trees = json.dumps(run["test"]["heads"][:KEPT_TREES]).encode()
    reports = {split: {**run[split], "heads": []} for split in ("dev", "test")}
    return {**run, **reports, "packed_heads": base64.b85encode(zlib.compress(trees, 9)).decode()}


def _unpacked(run: Run) -> Run:
    heads = json.loads(zlib.decompress(base64.b85decode(run["packed_heads"])))
    found = {name: value for name, value in run.items() if name != "packed_heads"}
    return {**found, "test": {**run["test"], "heads": heads}}
