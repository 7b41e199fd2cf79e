"""One file for one classifier: its tensors in safetensors, everything else as a JSON header inside it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor
from torch.overrides import TorchFunctionMode

from latent.nn import shared_words
from latent.nn.pair_classifier import PairClassifier
from latent.nn.sentence_classifier import SentenceClassifier
from latent.nn.shared_words import SharedWords
from latent.nn.tensor_file import CheckpointError as CheckpointError
from latent.nn.tensor_file import Part, TensorFile, content_of, opened, put, refusal
from latent.text import Vocabulary

FORMAT_VERSIONS = (1, 2)
"""The second one says that a model shares its words; a file that shares nothing is of the first."""
METADATA_KEY = "understory"

Classifier = SentenceClassifier | PairClassifier

CLASSIFIERS: dict[str, type[SentenceClassifier] | type[PairClassifier]] = {
    "sentence": SentenceClassifier,
    "pair": PairClassifier,
}
"""The kinds of classifier that a checkpoint can hold."""

EMBEDDING = "encoder.embedding.weight"
"""By far the largest tensor, and the least sensitive to rounding: it is stored in half precision."""
OWN_ROWS, OWN_VECTORS = "encoder.embedding.own_rows", "encoder.embedding.own_vectors"
"""What a file holds in its place where the model shares its words: the rows that differ."""


class Header(BaseModel):
    """What a checkpoint says of itself, beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1, 2] = 1
    kind: str
    """The kind of classifier: a name of ``CLASSIFIERS``."""
    config: dict[str, Any]
    vocabulary: list[str]
    """The words; in the file, none if they are shared."""
    labels: list[str]
    metrics: dict[str, Any]
    seed: int
    training: dict[str, Any]
    """How it was trained; ``training["task"]`` is the name of its task."""
    digest: str = ""
    """SHA-256 over the tensors and the rest of the header, put together with what is shared."""
    shared: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """SHA-256 of the file of the words and vectors that the model shares with others, if it does."""

    @model_validator(mode="after")
    def _version_tells_of_sharing(self) -> Self:
        if (self.format_version == 2) != (self.shared is not None):
            raise ValueError("format version 2 is for models that share their words, and for those only")
        return self

    def unsaid(self) -> set[str]:
        """Return the names of the fields that are not written: files of version 1 know of no sharing."""
        return set() if self.shared else {"shared"}


@dataclass(frozen=True)
class Checkpoint:
    """A classifier as it was read from its file, ready to predict."""

    classifier: Classifier
    header: Header
    revision: str
    """SHA-256 of the whole file, in hexadecimal; what the model shares is in it by its own SHA-256."""


def save(
    path: str | os.PathLike[str],
    classifier: Classifier,
    *,
    metrics: dict[str, Any],
    seed: int,
    training: dict[str, Any],
    share: bool = False,
    half: bool = False,
) -> Path:
    """Write a classifier to one file; a file of that name is replaced in one step or not at all.

    Embeddings are rounded to float16, with ``half`` all numbers are. ``metrics`` and ``training`` must be
    JSON. With ``share`` the words and
    their embeddings go to a file in the folder ``shared`` beside the model's folder, and the model's own file
    keeps the rows that differ from it. The first model of a kind makes that file; later ones with the same
    words, and at most a quarter of the rows otherwise, use it. Loading gives the same classifier either way.

    Raises:
        OSError: if the file cannot be written.
        ValueError: if ``metrics`` or ``training`` cannot be written as JSON.
    """
    path = Path(path)
    tensors = {
        name: _stored(tensor, half or name == EMBEDDING) for name, tensor in classifier.state_dict().items()
    }
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
    shared = None
    if share:
        folder = shared_words.folder_beside(path)
        shared = shared_words.find_or_put(folder, header.vocabulary, tensors[EMBEDDING])
        header = header.model_copy(update={"format_version": 2, "shared": shared.digest})
    header = header.model_copy(update={"digest": _digest(header, tensors)})
    if shared is not None:
        header = header.model_copy(update={"vocabulary": []})
        rows, vectors = shared_words.own_rows(tensors.pop(EMBEDDING), shared.vectors)
        tensors |= {OWN_ROWS: rows, OWN_VECTORS: vectors}
    put(path, content_of(tensors, {METADATA_KEY: header.model_dump_json(exclude=header.unsaid())}))
    return path


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what a checkpoint says of itself, and no tensors but shared ones.

    Raises:
        CheckpointError: if the file is missing, truncated, of another version, or no checkpoint at all.
    """
    with opened(Path(path)) as file:
        return _whole_header(file)[0]


def load(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Checkpoint:
    """Read a classifier, in evaluation mode and float32.

    First comes the file's header, and whether the tensors that it describes are those that its config calls
    for and fill the file; then the tensors, at once, so that the file may change or shrink from there on;
    then the digest. The file of words that the model shares must lie in the folder ``shared`` beside the
    model's folder.

    Raises:
        CheckpointError: if the file, or the one that it shares, is missing, truncated, tampered with, of
            another version, or does not hold the tensors that its header calls for.

    Cost: no memory for tensors before the file is known to hold them.
    """
    path = Path(path)
    with opened(path) as file:
        header, shared = _whole_header(file)
        classifier = _build(path, header)
        _check_parts(path, _wanted(classifier, file, shared), file.parts)
        tensors, revision = file.read()
    if shared is not None:
        tensors[EMBEDDING] = _put_together(path, shared, tensors.pop(OWN_ROWS), tensors.pop(OWN_VECTORS))
    _check_digest(path, header, tensors)
    classifier.load_state_dict({name: _loaded(tensor) for name, tensor in tensors.items()}, assign=True)
    return Checkpoint(classifier.requires_grad_().to(device).eval(), header, revision)


def shared_file(path: str | os.PathLike[str]) -> Path | None:
    """Return the file of words that a checkpoint shares with others, there or not; None for one of its own.

    A file that is no checkpoint shares nothing.
    """
    try:
        with opened(Path(path)) as file:
            digest = _header(file).shared
    except CheckpointError:
        return None
    return None if digest is None else shared_words.file_in(shared_words.folder_beside(Path(path)), digest)


def _kind(classifier: Classifier) -> str:
    return next(name for name, kind in CLASSIFIERS.items() if type(classifier) is kind)


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor


def _loaded(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _digest(header: Header, tensors: dict[str, Tensor]) -> str:
    said = header.model_dump(mode="json", exclude={"digest", *header.unsaid()})
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _whole_header(file: TensorFile) -> tuple[Header, SharedWords | None]:
    """Return a file's header with its vocabulary in it, and the shared words that this was taken from."""
    header = _header(file)
    if header.shared is None:
        return header, None
    try:
        shared = shared_words.read(shared_words.folder_beside(file.path), header.shared)
    except CheckpointError as error:
        name = f"{shared_words.FOLDER}/{header.shared}.safetensors"
        raise refusal(file.path, f"this model shares {name}, beside its folder; {error}") from error
    return header.model_copy(update={"vocabulary": list(shared.words)}), shared


def _header(file: TensorFile) -> Header:
    """Read the header of a checkpoint from the metadata of its file."""
    path = file.path
    content = file.said(METADATA_KEY, "the header of an understory model", "its header is")
    version = content.get("format_version") if isinstance(content, dict) else None
    if version not in FORMAT_VERSIONS:
        known = " and ".join(map(str, FORMAT_VERSIONS))
        raise refusal(path, f"format version {version!r}; this understory reads {known}")
    try:
        return Header.model_validate(content)
    except ValidationError as error:
        raise refusal(path, f"its header is not valid: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"


def _build(path: Path, header: Header) -> Classifier:
    """Make the classifier that a header describes, without memory for its tensors."""
    if header.kind not in CLASSIFIERS:
        raise refusal(path, f"no classifier is of kind {header.kind!r}")
    kind: Any = CLASSIFIERS[header.kind]
    try:
        with torch.device("meta"), _Uninitialised():
            config = kind.Config.model_validate(header.config)
            classifier: Classifier = kind(config, Vocabulary(header.vocabulary), header.labels)
    except ValidationError as error:
        raise refusal(path, f"its config is not valid: {_first(error)}") from error
    except (ValueError, TypeError) as error:
        raise refusal(path, f"its config is not valid: {error}") from error
    return classifier


class _Uninitialised(TorchFunctionMode):
    """Within it, nothing is written into a tensor: there is no memory for initial values.

    Torch's compiler is what does arithmetic on the meta device, and to import it takes a second, and 100 MB.
    """

    def __torch_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        options = options or {}
        name = getattr(function, "__name__", "")
        in_place = name.endswith("_") and not name.startswith("__")  # as is all of torch.nn.init
        if in_place and name != "requires_grad_":
            return arguments[0] if arguments else options["tensor"]
        return function(*arguments, **options)


def _wanted(classifier: Classifier, file: TensorFile, shared: SharedWords | None) -> dict[str, Part]:
    """Return the tensors that a classifier's file must hold."""
    wanted = {name: Part(each.dtype, tuple(each.shape)) for name, each in classifier.state_dict().items()}
    if shared is not None:
        size = wanted.pop(EMBEDDING).shape[1]
        if shared.vectors.shape[1] != size:
            raise refusal(
                file.path,
                f"embeddings must have {size} entries by the config; those shared have "
                f"{shared.vectors.shape[1]}",
            )
        rows = file.parts.get(OWN_ROWS, Part(torch.int32, (0,)))
        wanted[OWN_ROWS] = Part(torch.int32, (math.prod(rows.shape),))
        wanted[OWN_VECTORS] = Part(torch.float16, (math.prod(rows.shape), size))
    return wanted


def _check_parts(path: Path, wanted: dict[str, Part], found: dict[str, Part]) -> None:
    if set(found) != set(wanted):
        missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        raise refusal(path, f"tensors do not fit the config; missing {missing}, unexpected {extra}")
    for name, part in wanted.items():
        if found[name].shape != part.shape:
            raise refusal(
                path, f"tensor {name} must be {part.shape} by the config; the file holds {found[name].shape}"
            )
        # Any precision will do, but a number is no count and a count no number.
        dtype = found[name].dtype
        if dtype != part.dtype and not (dtype.is_floating_point and part.dtype.is_floating_point):
            raise refusal(path, f"tensor {name} must be {part.dtype}; the file holds {dtype}")


def _check_digest(path: Path, header: Header, tensors: dict[str, Tensor]) -> None:
    try:
        digest = _digest(header, tensors)
    except (ValueError, RecursionError) as error:  # what no header that was saved here can hold
        raise refusal(path, f"its header cannot be written again ({error})") from error
    if header.digest != digest:
        raise refusal(path, "the digest does not match: the file was changed after it was saved")


def _put_together(path: Path, shared: SharedWords, rows: Tensor, vectors: Tensor) -> Tensor:
    try:
        return shared_words.with_own_rows(shared.vectors, rows, vectors)
    except ValueError as error:
        raise refusal(path, str(error)) from error
