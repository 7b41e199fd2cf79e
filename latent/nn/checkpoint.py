"""One file for one classifier: its tensors in safetensors, everything else as a JSON header inside it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from latent.nn.pair_classifier import PairClassifier
from latent.nn.sentence_classifier import SentenceClassifier
from latent.text import Vocabulary

FORMAT_VERSION = 1
METADATA_KEY = "understory"

Classifier = SentenceClassifier | PairClassifier

CLASSIFIERS: dict[str, type[SentenceClassifier] | type[PairClassifier]] = {
    "sentence": SentenceClassifier,
    "pair": PairClassifier,
}
"""The kinds of classifier that a checkpoint can hold."""

_HALF = ("encoder.embedding.weight",)  # by far the largest tensor, and the least sensitive to rounding


class CheckpointError(ValueError):
    """A file that is not a sound checkpoint; the message names the file and what is wrong with it."""


class Header(BaseModel):
    """What a checkpoint says of itself, beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    kind: str
    """The kind of classifier: a name of ``CLASSIFIERS``."""
    config: dict[str, Any]
    vocabulary: list[str]
    labels: list[str]
    metrics: dict[str, Any]
    seed: int
    training: dict[str, Any]
    """How it was trained; ``training["task"]`` is the name of its task."""
    digest: str = ""
    """SHA-256 over the tensors and the rest of the header."""


@dataclass(frozen=True)
class Checkpoint:
    """A classifier as it was read from its file, ready to predict."""

    classifier: Classifier
    header: Header
    revision: str
    """SHA-256 of the whole file, in hexadecimal."""


def save(
    path: str | os.PathLike[str],
    classifier: Classifier,
    *,
    metrics: dict[str, Any],
    seed: int,
    training: dict[str, Any],
) -> Path:
    """Write a classifier to one file; a file of that name is replaced in one step or not at all.

    Embeddings are rounded to float16. ``metrics`` and ``training`` must be JSON.

    Raises:
        OSError: if the file cannot be written.
        ValueError: if ``metrics`` or ``training`` cannot be written as JSON.
    """
    path = Path(path)
    tensors = {name: _stored(name, tensor) for name, tensor in classifier.state_dict().items()}
    header = Header(
        kind=_kind(classifier),
        config=classifier.config.model_dump(mode="json"),
        vocabulary=list(classifier.vocabulary.words),
        labels=list(classifier.labels),
        metrics=metrics,
        seed=seed,
        training=training,
    )
    header = Header.model_validate_json(header.model_dump_json())  # digest what a reader will see
    header = header.model_copy(update={"digest": _digest(header, tensors)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        part = Path(folder) / path.name
        try:
            part.write_bytes(safetensors.save(tensors, {METADATA_KEY: header.model_dump_json()}))
        except OSError as error:
            raise OSError(f"{path}: could not be written ({error})") from error
        part.replace(path)
    return path


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what a checkpoint says of itself.

    Raises:
        CheckpointError: if the file is missing, truncated, of another version, or no checkpoint at all.
    """
    content, _ = _read(Path(path))
    return _header(Path(path), content)


def load(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Checkpoint:
    """Read a classifier, in evaluation mode and float32.

    The file is read at once and never mapped into memory, so that it may change or shrink meanwhile. Every
    size is checked against the header, and then the digest.

    Raises:
        CheckpointError: if the file is missing, truncated, tampered with, of another version, or does not
            hold the tensors that its header calls for.
    """
    path = Path(path)
    content, tensors = _read(path)
    header = _header(path, content)
    classifier = _build(path, header)
    _check_tensors(path, classifier, tensors)
    if header.digest != _digest(header, tensors):
        raise CheckpointError(f"{path}: the digest does not match: the file was changed after it was saved")
    classifier.load_state_dict({name: _loaded(tensor) for name, tensor in tensors.items()}, assign=True)
    revision = hashlib.sha256(content).hexdigest()
    return Checkpoint(classifier.requires_grad_().to(device).eval(), header, revision)


def _kind(classifier: Classifier) -> str:
    return next(name for name, kind in CLASSIFIERS.items() if type(classifier) is kind)


def _stored(name: str, tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if name in _HALF else tensor


def _loaded(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _digest(header: Header, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(
        json.dumps(header.model_dump(mode="json", exclude={"digest"}), sort_keys=True).encode()
    )
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[bytes, dict[str, Tensor]]:
    """Return a file's bytes, and the tensors in them."""
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file")
    try:
        content = path.read_bytes()
        return content, safetensors.load(content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except (SafetensorError, KeyError) as error:  # KeyError: a dtype that torch does not have
        raise CheckpointError(f"{path}: truncated, or no safetensors file ({error})") from error


def _header(path: Path, file: bytes) -> Header:
    """Read the header from a sound safetensors file: eight bytes that say how long its own is, then that."""
    size = int.from_bytes(file[:8], "little")
    text = json.loads(file[8 : 8 + size]).get("__metadata__", {}).get(METADATA_KEY)
    if text is None:
        raise CheckpointError(f"{path}: a safetensors file, but without the header of an understory model")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CheckpointError(f"{path}: its header is not JSON ({error})") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path}: format version {version!r}; this understory reads {FORMAT_VERSION}")
    try:
        return Header.model_validate(content)
    except ValidationError as error:
        raise CheckpointError(f"{path}: its header is not valid: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"


def _build(path: Path, header: Header) -> Classifier:
    """Make the classifier that a header describes, without memory for its tensors."""
    if header.kind not in CLASSIFIERS:
        raise CheckpointError(f"{path}: no classifier is of kind {header.kind!r}")
    kind: Any = CLASSIFIERS[header.kind]
    try:
        with torch.device("meta"):
            config = kind.Config.model_validate(header.config)
            classifier: Classifier = kind(config, Vocabulary(header.vocabulary), header.labels)
    except ValidationError as error:
        raise CheckpointError(f"{path}: its config is not valid: {_first(error)}") from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: its config is not valid: {error}") from error
    return classifier


def _check_tensors(path: Path, classifier: Classifier, tensors: dict[str, Tensor]) -> None:
    wanted = classifier.state_dict()
    if set(tensors) != set(wanted):
        missing, extra = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
        raise CheckpointError(f"{path}: tensors do not fit the config; missing {missing}, unexpected {extra}")
    for name, tensor in wanted.items():
        shape = tuple(tensors[name].shape)
        if shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{path}: tensor {name} must be {tuple(tensor.shape)} by the config; the file holds {shape}"
            )
