"""Words and their vectors that several models have in common, stored once beside the models' folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latent.nn.tensor_file import CheckpointError, Part, TensorFile, content_of, opened, put, refusal
from latent.text import RESERVED

FOLDER = "shared"
"""Where shared words lie: a folder beside those of the models."""
METADATA_KEY = "understory-words"
MOST_OWN_ROWS = 0.25
"""The share of rows in which a table may differ from one that it is stored as a change of."""

_VECTORS = "vectors"


@dataclass(frozen=True)
class SharedWords:
    """A vocabulary and a vector for each of its ids."""

    words: tuple[str, ...]
    vectors: Tensor
    """``(RESERVED + words, size)``, float16."""
    digest: str
    """SHA-256 of the file, in hexadecimal: its name."""


def folder_beside(checkpoint: Path) -> Path:
    """Return the folder of shared words for a model's file in the model's folder."""
    return checkpoint.resolve().parent.parent / FOLDER


def file_in(folder: Path, digest: str) -> Path:
    """Return where the shared words with this SHA-256 lie, if they do."""
    return folder / f"{digest}.safetensors"


def read(folder: Path, digest: str) -> SharedWords:
    """Read the shared words whose file has this SHA-256.

    Args:
        folder: of shared words; nothing is looked for elsewhere.
        digest: 64 hexadecimal digits.

    Raises:
        CheckpointError: if there is no such file, or it holds something else.
    """
    path = file_in(folder, digest)
    if not path.is_file():
        raise refusal(path, f"missing: a model shares these words; copy {FOLDER}/{path.name} too")
    with opened(path) as file:
        words = _words(file)
        vectors = file.parts.get(_VECTORS, Part(torch.float16, ()))
        fits = len(vectors.shape) == 2 and vectors.shape[0] == RESERVED + len(words)
        if len(file.parts) != 1 or vectors.dtype != torch.float16 or not fits:
            raise refusal(path, f"must hold float16 vectors for {len(words)} words and {RESERVED} more")
        tensors, found = file.read()
    if found != digest:
        raise refusal(path, f"its SHA-256 is {found}, not its name: the file was changed")
    return SharedWords(words, tensors[_VECTORS], digest)


def _words(file: TensorFile) -> tuple[str, ...]:
    words = file.said(METADATA_KEY, "the words of understory models", "its words are")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise refusal(file.path, "its words are not a list of texts")
    return tuple(words)


def find_or_put(folder: Path, words: Sequence[str], vectors: Tensor) -> SharedWords:
    """Return the shared words of which a table is a small change, or make shared words of the table itself.

    Args:
        folder: of shared words.
        words: the vocabulary.
        vectors: ``(RESERVED + words, size)``, float16.

    Returns:
        those with the same words and size from which the fewest rows differ, if these are at most the share
        ``MOST_OWN_ROWS``.

    Raises:
        OSError: if new ones cannot be written.

    Cost: reads every file of the folder.
    """
    alike = [
        (len(own_rows(vectors, each.vectors)[0]), each.digest, each)
        for each in _all(folder)
        if each.words == tuple(words) and each.vectors.shape == vectors.shape
    ]
    if alike:
        count, _, nearest = min(alike, key=lambda found: found[:2])
        if count <= MOST_OWN_ROWS * len(vectors):
            return nearest
    content = content_of({_VECTORS: vectors}, {METADATA_KEY: json.dumps(list(words), ensure_ascii=False)})
    digest = hashlib.sha256(content).hexdigest()
    put(file_in(folder, digest), content)
    return SharedWords(tuple(words), vectors, digest)


def _all(folder: Path) -> list[SharedWords]:
    """Read all shared words of a folder, but for files that no model could use."""
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            found.append(read(folder, path.stem))
        except CheckpointError:
            continue
    return found


def own_rows(table: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows in which a table differs from a shared one in any bit, and what it holds there.

    Shapes: two float16 tables ``(n, size)`` to int32 ``(k,)``, ascending, and float16 ``(k, size)``.
    """
    differ = (table.view(torch.int16) != shared.view(torch.int16)).any(1)
    rows = differ.nonzero().flatten()
    return rows.int(), table[rows].contiguous()


def with_own_rows(shared: Tensor, rows: Tensor, own: Tensor) -> Tensor:
    """Return the table that ``own_rows`` was called with.

    Raises:
        ValueError: if the rows are not distinct, ascending rows of the shared table.
    """
    if len(rows) and (rows[0] < 0 or rows[-1] >= len(shared) or (rows.diff() <= 0).any()):
        raise ValueError(f"rows of its own must be ascending and below {len(shared)}")
    table = shared.clone()
    table[rows.long()] = own
    return table
