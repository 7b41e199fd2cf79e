"""A safetensors file, read with care: no room is made for what its header only claims."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import torch
from pydantic_core import from_json
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

MAX_HEADER_BYTES = 100_000_000
"""The longest header that the format knows."""

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "I64": torch.int64,
    "I32": torch.int32,
    "BOOL": torch.bool,
}
"""The types of numbers that a checkpoint can hold, as the format calls them."""

MOST_DIMENSIONS = 8
LONGEST_MESSAGE = 500


class CheckpointError(ValueError):
    """A file that is not a sound checkpoint; the message names the file and what is wrong with it."""


def refusal(path: Path, problem: str) -> CheckpointError:
    """Return the error that names a file and what is wrong with it, however much of the file that quotes."""
    if len(problem) > LONGEST_MESSAGE:
        problem = f"{problem[:LONGEST_MESSAGE]} …"
    return CheckpointError(f"{path}: {problem}")


@dataclass(frozen=True)
class Part:
    """What a file's header says of one tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorFile:
    """An open file whose header fits its size, and whose tensors have not been read."""

    path: Path
    metadata: dict[str, str]
    parts: dict[str, Part]
    _file: IO[bytes]
    _head: bytes
    _size: int

    def said(self, key: str, missing: str, called: str) -> Any:
        """Return what the metadata say under a key, which must be JSON.

        Args:
            key: of the metadata.
            missing: what a file without it lacks.
            called: the beginning of the sentence that refuses what is no JSON.

        Raises:
            CheckpointError: if it is missing, or no JSON.
        """
        text = self.metadata.get(key)
        if text is None:
            raise refusal(self.path, f"a safetensors file, but without {missing}")
        try:
            return from_json(text)
        except ValueError as error:
            raise refusal(self.path, f"{called} not JSON ({error})") from error

    def read(self) -> tuple[dict[str, Tensor], str]:
        """Read the file at once, so that it may change or shrink from here on.

        Returns:
            the tensors, and the SHA-256 of the whole file in hexadecimal.

        Raises:
            CheckpointError: if it is shorter than it was when its header was read.
        """
        with _readable(self.path):
            self._file.seek(len(self._head))
            content = self._head + self._file.read(self._size - len(self._head))
            if len(content) < self._size:
                raise refusal(self.path, "truncated while it was being read")
            return safetensors.load(content), hashlib.sha256(content).hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file and read its header.

    Raises:
        CheckpointError: if the file is missing, or its header does not describe a file of just this size.

    Cost: memory for the header, which can be no longer than the file; none for the tensors.
    """
    if not path.is_file():
        raise refusal(path, "there is no such file")
    with _readable(path):
        file = path.open("rb")
    with file:
        with _readable(path):
            size = os.fstat(file.fileno()).st_size
            head = _head(file, size)
            metadata, parts = _layout(head[8:], size - len(head))
        yield TensorFile(path, metadata, parts, file, head, size)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refusal(path, f"cannot be read ({error.strerror})") from error
    except CheckpointError:
        raise
    except RecursionError as error:
        raise refusal(path, "no safetensors file (its header is nested too deeply)") from error
    except (ValueError, SafetensorError) as error:
        raise refusal(path, f"truncated, or no safetensors file ({error})") from error


def _head(file: IO[bytes], size: int) -> bytes:
    """Read the eight bytes that say how long the header is, and the header."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    most = min(size - 8, MAX_HEADER_BYTES)
    if len(start) < 8 or length > most:
        raise ValueError(f"a header of {length} bytes in a file of {size}; it can have {max(most, 0)}")
    return start + file.read(length)


def _layout(header: bytes, data_size: int) -> tuple[dict[str, str], dict[str, Part]]:
    """Return the metadata and the tensors that a header describes, which must fill the data exactly."""
    content = json.loads(header.decode(), object_pairs_hook=_distinct)
    if not isinstance(content, dict):
        raise ValueError("its header is no JSON object")  # noqa: TRY004 - the file is wrong, not a type
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are not texts by name")
    found = {name: _part(name, entry) for name, entry in content.items()}
    spans = [(0, 0), *sorted(span for _, span in found.values()), (data_size, data_size)]
    if any(before[1] != after[0] for before, after in pairwise(spans)):
        raise ValueError(f"its tensors do not lie one after the other in the {data_size} bytes of data")
    return metadata, {name: part for name, (part, _) in found.items()}


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in its header")
    return found


def _part(name: str, entry: Any) -> tuple[Part, tuple[int, int]]:
    """Return what a header says of a tensor, and the bytes from which to which it goes."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r} must have dtype, shape and data_offsets")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"tensor {name!r} has the dtype {dtype!r}; wanted one of {', '.join(DTYPES)}")
    if not _sizes(shape) or not _sizes(span) or len(shape) > MOST_DIMENSIONS or len(span) != 2:
        raise ValueError(f"tensor {name!r} has the shape {shape!r} and the offsets {span!r}")
    if math.prod(shape) * DTYPES[dtype].itemsize != span[1] - span[0]:
        raise ValueError(f"tensor {name!r} of shape {shape!r} cannot lie in the bytes {span!r}")
    return Part(DTYPES[dtype], tuple(shape)), (span[0], span[1])


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)


def content_of(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Return the bytes of a file with these tensors and metadata."""
    return safetensors.save(tensors, metadata)


def put(path: Path, content: bytes) -> None:
    """Write a file in one step or not at all, in place of any of that name.

    Raises:
        OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        part = Path(folder) / path.name
        try:
            part.write_bytes(content)
        except OSError as error:
            raise OSError(f"{path}: could not be written ({error})") from error
        part.replace(path)
