"""Pre-trained word vectors: read as a stream, put side by side, and brought to size."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latent.text import RESERVED, Vocabulary, normalize
from trainer.tasks import DataError


class Vectors(NamedTuple):
    """Words with a vector each."""

    words: list[str]
    """Normalised."""
    table: np.ndarray
    """``(len(words), size)``, float32."""


def read_vectors(path: Path, wanted: Callable[[str], bool]) -> Vectors:
    """Read the vectors of the wanted words from a file in GloVe's text format.

    The file is read line by line, so that memory is bounded by what is kept. A word that occurs in several
    forms (upper and lower case, say) gets the vector of the form under which words are looked up, or else
    the first one in the file.

    Args:
        path: one word a line, followed by its numbers, separated by single spaces.
        wanted: takes a normalised word.

    Raises:
        DataError: if the file is missing, or a line has another size than the first.
    """
    if not path.is_file():
        raise DataError(f"vectors: there is no file {path}; fetch it: python -m trainer data glove")
    vectors: dict[str, np.ndarray] = {}
    exact: set[str] = set()
    size = 0
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            size = size or len(line.split(" ")) - 1
            # A few words of the 840B file hold spaces themselves, so the numbers are counted from the end.
            word, *numbers = line.rstrip("\n").rsplit(" ", size)
            key = normalize(word)
            if key in exact or (key in vectors and key != word) or not wanted(key):
                continue
            vectors[key] = _parse(numbers, size, path, number)
            if key == word:
                exact.add(key)
    table = np.stack(list(vectors.values())) if vectors else np.zeros((0, size), dtype=np.float32)
    return Vectors(list(vectors), table)


def _parse(numbers: list[str], size: int, path: Path, line: int) -> np.ndarray:
    try:
        vector = np.array(numbers, dtype=np.float32)
    except ValueError as error:
        raise DataError(f"vectors: {path}, line {line}: {error}") from error
    if len(vector) != size or size == 0 or not np.isfinite(vector).all():
        raise DataError(f"vectors: {path}, line {line}: wanted {size} finite numbers; got {len(vector)}")
    return vector


def side_by_side(parts: Sequence[Vectors]) -> Vectors:
    """Concatenate the vectors of each word; a file that lacks it contributes its own mean vector."""
    words = sorted(set().union(*(part.words for part in parts)))
    rows = {word: row for row, word in enumerate(words)}
    blocks = []
    for part in parts:
        block = np.tile(part.table.mean(0, keepdims=True) if part.words else 0.0, (len(words), 1))
        block[[rows[word] for word in part.words]] = part.table
        blocks.append(block.astype(np.float32))
    return Vectors(words, np.concatenate(blocks, axis=1))


def principal_components(vectors: Vectors, size: int) -> Vectors:
    """Project centred vectors on their first principal components.

    Raises:
        DataError: if there are fewer dimensions, or fewer words, than components wanted.
    """
    if min(vectors.table.shape) < size:
        raise DataError(
            f"vectors: wanted embeddings of {size}; got {vectors.table.shape[1]} dimensions for "
            f"{vectors.table.shape[0]} words of the training text"
        )
    centred = vectors.table - vectors.table.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return Vectors(vectors.words, centred @ directions[:, ::-1][:, :size])


def load_vectors(
    paths: Sequence[Path], wanted: Callable[[str], bool], size: int | None, *, unit: bool = False
) -> Vectors:
    """Read vectors from one or several files, side by side, at most ``size`` numbers each.

    With ``unit`` each is scaled to length one; a vector of zeros stays as it is.
    """
    parts = [read_vectors(path, wanted) for path in paths]
    vectors = parts[0] if len(parts) == 1 else side_by_side(parts)
    if size not in (None, vectors.table.shape[1]):
        vectors = principal_components(vectors, size or 0)
    if unit:
        norms = np.linalg.norm(vectors.table, axis=1, keepdims=True)
        vectors = Vectors(vectors.words, vectors.table / np.where(norms > 0, norms, 1))
    return vectors


def rows_with_vector(vocabulary: Vocabulary, found: Container[str]) -> Tensor:
    """Tell which rows of an embedding table, booleans ``(len(vocabulary),)``, are of the words found."""
    return torch.tensor([*[False] * RESERVED, *(word in found for word in vocabulary.words)])


def initial_embeddings(vocabulary: Vocabulary, vectors: Vectors | None, size: int) -> Tensor:
    """Return an embedding table: the word's vector where there is one, else noise of the same spread.

    Returns:
        ``(len(vocabulary), size)``, float32; row 0, padding, holds zeros.
    """
    table = torch.randn(len(vocabulary), size)
    if vectors is not None and vectors.words:
        table *= torch.from_numpy(vectors.table.std(0, keepdims=True))
        rows = {word: row for row, word in enumerate(vocabulary.words, start=RESERVED)}
        known = [index for index, word in enumerate(vectors.words) if word in rows]
        table[[rows[vectors.words[index]] for index in known]] = torch.from_numpy(vectors.table[known])
    table[0] = 0.0
    return table
