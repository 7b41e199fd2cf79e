"""The official archives: where each is, which of its files are wanted, and how these are checked."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from trainer.errors import UserError
from trainer.tasks.sst import read_trees

Check = Callable[[Path], str]
"""Look at a file; return what it is in a few words, or raise ``UserError``."""


@dataclass(frozen=True)
class Archive:
    """One data set as its authors publish it."""

    url: str
    licence: str
    files: dict[str, Check]
    """Wanted files by name, each with its check."""
    parts: bool = False
    """Whether files named ``STEM.partial.ENDING`` stand in for whole ones."""


def sst_check(trees: int, digest: str) -> Check:
    """Check a file of trees by their number, and by a digest over their words and labels."""

    def check(path: Path) -> str:
        content = hashlib.sha256()
        count = 0
        for nodes in read_trees(path):
            count += 1
            content.update(json.dumps(nodes).encode())
        if (count, content.hexdigest()) != (trees, digest):
            raise UserError(
                f"{path}: not the published file: {count:,} trees, digest {content.hexdigest()[:12]}…; "
                f"wanted {trees:,} with {digest[:12]}…"
            )
        return f"{count:,} trees, as published"

    return check


def snli_check(pairs: int, digest: str | None) -> Check:
    """Check a file of pairs by the number of those with a gold label, and by a digest over these."""

    def check(path: Path) -> str:
        content = hashlib.sha256()
        count = 0
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    pair = json.loads(line)
                    fields = [pair[name] for name in ("gold_label", "sentence1", "sentence2")]
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(f"{path}, line {number}: not a pair of SNLI ({error!r})") from error
                if fields[0] != "-":
                    count += 1
                    content.update(json.dumps(fields).encode())
        if count < pairs:
            return f"{count:,} pairs, a part of the {pairs:,} published"
        if count > pairs or (digest and content.hexdigest() != digest):
            raise UserError(f"{path}: not the published file: {count:,} pairs; wanted {pairs:,}")
        return f"{count:,} pairs, as published"

    return check


def glove_check(words: int, size: int) -> Check:
    """Check word vectors by their number and size."""

    def check(path: Path) -> str:
        count = 0
        with path.open(encoding="utf-8", newline="\n") as lines:
            for count, line in enumerate(lines, start=1):
                if line.count(" ") < size:
                    raise UserError(
                        f"{path}, line {count}: wanted a word and {size} numbers; got {line[:40]!r}"
                    )
        if count > words or not count:
            raise UserError(f"{path}: not the published file: {count:,} words; wanted {words:,}")
        return f"{count:,} words, " + ("as published" if count == words else f"a part of {words:,}")

    return check


ARCHIVES = {
    "sst": Archive(
        url="https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip",
        licence="for research, see https://nlp.stanford.edu/sentiment",
        files={
            "train.txt": sst_check(8544, "f35c03759e1f0cb533af173ac1681b015f7161ea4d1b09cf3cf91d9dcc94f491"),
            "dev.txt": sst_check(1101, "dd714085923b9c085edfa66571e5dc847718c8fdbd63984860d5a275b1dbef9f"),
            "test.txt": sst_check(2210, "4ca6d919ff8760ebeb99c066fa57dd305f3dfee4f829bbeb0b367c8817df061d"),
        },
    ),
    "snli": Archive(
        url="https://nlp.stanford.edu/projects/snli/snli_1.0.zip",
        licence="CC BY-SA 4.0",
        files={
            "snli_1.0_train.jsonl": snli_check(549_367, None),
            "snli_1.0_dev.jsonl": snli_check(
                9_842, "63e771b481a60fa48c1374a6fa22368751eb55ff1c00bab8461796ca5acea443"
            ),
            "snli_1.0_test.jsonl": snli_check(
                9_824, "0de1195ac2ca1c7d0c740c187977ea654d17554b0aecb98ca65a148b6ca1ee6a"
            ),
        },
    ),
    "glove": Archive(
        url="https://nlp.stanford.edu/data/glove.6B.zip",
        licence="public domain (PDDL)",
        files={f"glove.6B.{size}d.txt": glove_check(400_000, size) for size in (50, 100, 200, 300)},
        parts=True,
    ),
    "glove.840B": Archive(
        url="https://nlp.stanford.edu/data/glove.840B.300d.zip",
        licence="public domain (PDDL)",
        files={"glove.840B.300d.txt": glove_check(2_196_017, 300)},
        parts=True,
    ),
}
"""What ``python -m trainer data`` can fetch, by name."""


def install(archive: Archive, source: Path, folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Copy an archive's wanted files from a zip file or a folder into a folder, and check each.

    A file reaches its place only after its check.

    Returns:
        the files.

    Raises:
        UserError: if the source holds none of them, or one is not what it should be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    with _opened(source) as members:
        for name, check in archive.files.items():
            for wanted in _names(archive, name):
                if wanted not in members:
                    continue
                part = folder / f"{wanted}.part"
                with members[wanted]() as given, part.open("wb") as file:
                    shutil.copyfileobj(given, file, 1 << 20)
                try:
                    say(f"{wanted}: {check(part)}")
                except UserError:
                    part.unlink()
                    raise
                done.append(part.replace(folder / wanted))
    if not done:
        raise UserError(f"{source}: holds none of {', '.join(archive.files)}")
    return done


def _names(archive: Archive, name: str) -> list[str]:
    stem, _, ending = name.rpartition(".")
    return [name, f"{stem}.partial.{ending}"] if archive.parts else [name]


def _reader(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


@contextmanager
def _opened(source: Path) -> Iterator[dict[str, Callable[[], IO[bytes]]]]:
    """Yield the files of a zip or a folder by their bare name; the first of each name, folders in order."""
    if source.is_dir():
        paths = sorted((path for path in source.rglob("*") if path.is_file()), reverse=True)
        yield {path.name: _reader(path) for path in paths}
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as file:
            infos = [info for info in file.infolist() if "__MACOSX" not in info.filename]
            yield {Path(info.filename).name: partial(file.open, info) for info in infos}
    else:
        raise UserError(f"{source}: neither a folder nor a zip file")
