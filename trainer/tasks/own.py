"""A user's own texts and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from latent.text import tokenize
from trainer.tasks.base import DataError, Example, Splits, Text
from trainer.tasks.rows import Refused, Row, read_rows

MAX_WORDS = 256
NAMED = 10
"""So many unusable rows of a file are named one by one."""
HELD_OUT = 10
"""Without a dev file, about one training row in so many is held out."""


@cache
def _tokens(text: str) -> Text:
    return tuple(tokenize(text))


@dataclass(frozen=True)
class _Own:
    train: Path
    """Labelled rows to train on: a CSV or TSV file with a header, or JSON lines."""
    dev: Path | None = None
    """Labelled rows to choose the best epoch on; by default a tenth of the training rows is held out."""
    test: Path | None = None
    """Labelled rows for a last test."""
    label_column: str = "label"
    """The column with the label."""
    max_words: int = MAX_WORDS
    """A longer text is not used."""

    def _columns(self) -> tuple[str, ...]:
        raise NotImplementedError

    def splits(self) -> Splits:
        """Read the files; rows that cannot be used are counted and named.

        Raises:
            DataError: if a file cannot be read, or there are fewer than two labels, or none to train on.
        """
        notes: list[str] = []
        train = self._usable(self.train, notes)
        if self.dev is None:
            held_out = [row for row in train if _held_out(row)]
            train = [row for row in train if not _held_out(row)]
        else:
            held_out = self._usable(self.dev, notes)
        labels = tuple(sorted({row[-1] for row in train}))
        if len(labels) < 2:
            raise DataError(
                f"{self.train}: {len(train):,} rows to train on, with the labels {list(labels)}; "
                "wanted two labels or more"
            )
        if not held_out:
            raise DataError(
                f"{self.dev or self.train}: no row to choose the best epoch on; name one by --dev"
            )
        return Splits(
            labels=labels,
            train=[self._example(row, labels) for row in train],
            dev=self._known(self.dev or self.train, held_out, labels, notes),
            test=self._known(self.test, self._usable(self.test, notes), labels, notes) if self.test else [],
            sentences=[_tokens(text) for row in train for text in row[:-1]],
            notes=notes,
        )

    def examples_of(self, path: Path, labels: tuple[str, ...]) -> list[Example]:
        """Read another file of the same columns; every row of it must be usable.

        Raises:
            DataError: if one is not, or has a label that is not among these.
        """
        notes: list[str] = []
        examples = self._known(path, self._usable(path, notes), labels, notes)
        if notes:
            raise DataError(notes[0])
        return examples

    def _usable(self, path: Path, notes: list[str]) -> list[tuple[str, ...]]:
        """Read the rows of one file; note those that cannot be used."""
        rows: list[tuple[str, ...]] = []
        refused: list[Refused] = []
        for row in read_rows(path, (*self._columns(), self.label_column)):
            problem = row if isinstance(row, Refused) else self._problem(row)
            if problem:
                refused.append(problem)
            elif isinstance(row, Row):
                rows.append(row.values)
        if refused:
            named = "; ".join(f"line {line}: {reason}" for line, reason in refused[:NAMED])
            more = "; …" if len(refused) > NAMED else ""
            notes.append(
                f"{path}: {len(refused):,} of {len(rows) + len(refused):,} rows not used: {named}{more}"
            )
        return rows

    def _problem(self, row: Row) -> Refused | None:
        for name, text in zip(self._columns(), row.values, strict=False):
            words = len(_tokens(text))
            if not 1 <= words <= self.max_words:
                return Refused(row.line, f"{words:,} words of {name}, more than {self.max_words}")
        return None

    def _known(
        self, path: Path, rows: Sequence[tuple[str, ...]], labels: tuple[str, ...], notes: list[str]
    ) -> list[Example]:
        """Make examples of the rows whose label occurs in training; note the others."""
        unknown = sorted({row[-1] for row in rows} - set(labels))
        if unknown:
            count = sum(row[-1] in unknown for row in rows)
            notes.append(f"{path}: {count:,} rows not used: labels not in {self.train}: {', '.join(unknown)}")
        return [self._example(row, labels) for row in rows if row[-1] in labels]

    def _example(self, row: tuple[str, ...], labels: tuple[str, ...]) -> Example:
        texts = tuple(_tokens(text) for text in row[:-1])
        text: Any = texts if len(texts) == 2 else texts[0]
        return Example(text, labels.index(row[-1]))


def _held_out(row: tuple[str, ...]) -> bool:
    """Decide by the text alone, so that equal texts stay together and every run decides the same."""
    return hashlib.sha256("\0".join(row[:-1]).encode()).digest()[0] % HELD_OUT == 0


@dataclass(frozen=True)
class Classify(_Own):
    """Your own texts, each with a label."""

    text_column: str = "text"
    """The column with the text."""

    name: ClassVar[str] = "classify"
    kind: ClassVar[str] = "sentence"

    def _columns(self) -> tuple[str, ...]:
        return (self.text_column,)


@dataclass(frozen=True)
class OwnPairs(_Own):
    """Your own pairs of texts, each with a label."""

    text_column: str = "premise"
    """The column with the first text."""
    second_column: str = "hypothesis"
    """The column with the second text."""

    name: ClassVar[str] = "pair"
    kind: ClassVar[str] = "pair"

    def _columns(self) -> tuple[str, ...]:
        return (self.text_column, self.second_column)
