"""Rows of a user's own file, one at a time: CSV, TSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from trainer.tasks.base import DataError

ENDINGS = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": ""}
csv.field_size_limit(1 << 24)


class Row(NamedTuple):
    """One usable row."""

    line: int
    """Where it starts in its file, counted from 1."""
    values: tuple[str, ...]
    """The wanted columns, none of them empty."""


class Refused(NamedTuple):
    """One row that cannot be used."""

    line: int
    reason: str


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row | Refused]:
    """Read the wanted columns of a file, row by row, in bounded memory.

    CSV and TSV files have a header; JSON lines hold one object a line. Whether a file is one or the other
    follows from its ending.

    Raises:
        DataError: if the file is missing, not UTF-8, of another kind, or lacks a column.
    """
    if path.suffix not in ENDINGS:
        raise DataError(f"{path}: the file's ending must be one of {', '.join(ENDINGS)}")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    rows = _delimited(path, columns) if ENDINGS[path.suffix] else _json_lines(path, columns)
    try:
        yield from rows
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error})") from error


def _delimited(path: Path, columns: Sequence[str]) -> Iterator[Row | Refused]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=ENDINGS[path.suffix], restkey="", strict=True)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            found = ", ".join(reader.fieldnames or ()) or "none"
            raise DataError(f"{path}: there is no column {missing[0]!r}; the columns are: {found}")
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield Refused(line, str(error))
                continue
            if row is None:
                return
            if "" in row:
                yield Refused(line, f"{len(reader.fieldnames or ()) + len(row[''])} fields")
            else:
                yield _row(line, [row[name] for name in columns], columns)


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[Row | Refused]:
    with path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                content = json.loads(text)
            except ValueError as error:
                yield Refused(line, f"not JSON ({error})")
                continue
            if isinstance(content, dict):
                yield _row(line, [content.get(name) for name in columns], columns)
            else:
                yield Refused(line, "not a JSON object")


def _row(line: int, values: Sequence[Any], columns: Sequence[str]) -> Row | Refused:
    texts = []
    for name, value in zip(columns, values, strict=True):
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.strip():
            return Refused(line, f"no {name}")
        texts.append(value.strip())
    return Row(line, tuple(texts))
