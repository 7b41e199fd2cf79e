"""The models being served: one sub-folder a model, each loaded once, the bad ones refused by name."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from latent.estimators import ESTIMATORS
from latent.nn import checkpoint, shared_words
from latent.nn.checkpoint import Classifier
from latent.nn.pair_classifier import PairClassifier
from server import writing
from server.predictor import Item, NoTreeError, Prediction, predict
from server.schemas import STRUCTURE_NAMES, About, InputKind, Limits, ModelEntry, Parameters, Refused
from server.sharing import Contents
from server.watching import Files, Held

CHECKPOINT = "model.safetensors"
CARD = "card.json"
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
WARM_UP = ("A", "fine", "film", ".")


class ModelError(ValueError):
    """A model that cannot be served; the message names it and says why."""


@dataclass(frozen=True)
class Model:
    """A classifier ready to predict, and what the service says of it."""

    id: str
    classifier: Classifier
    entry: ModelEntry

    @cached_property
    def json(self) -> bytes:
        """The entry as answers hold it."""
        return to_json(self.entry)


class Registry:
    """The models of one folder, by id.

    Models are immutable and replaced whole, so whoever holds one keeps a working model while it is swapped.
    """

    def __init__(self, folder: Path, limits: Limits, device: str = "cpu") -> None:
        self.folder = folder
        self.limits = limits
        self.device = device
        self.refused: dict[str, str] = {}
        self._models: dict[str, Model] = {}
        self._seen: dict[str, Held] = {}
        self._files = Files()
        self._contents = Contents()
        self._loading = threading.Lock()

    def __iter__(self) -> Iterator[Model]:
        return iter([self._models[id_] for id_ in sorted(self._models)])

    def __len__(self) -> int:
        return len(self._models)

    def get(self, id_: str) -> Model | None:
        """Return a model that is being served."""
        return self._models.get(id_)

    def folders(self) -> list[str]:
        """Return the names of the sub-folders that hold a checkpoint, but for that of shared words."""
        found = {path.parent.name for path in self.folder.glob(f"*/{CHECKPOINT}")}
        return sorted(found - {shared_words.FOLDER})

    def changed(self) -> list[str]:
        """Return the ids of the sub-folders whose files are new, or hold other than when they were loaded."""
        return [id_ for id_ in self.folders() if self._seen.get(id_) != self._held(id_)]

    def _held(self, id_: str) -> Held:
        return self._files.of(self.folder / id_ / CHECKPOINT, self.folder / id_ / CARD)

    def load(self, id_: str) -> Model:
        """Read a model from its folder and serve it; on an error whatever was served before stays.

        Raises:
            ModelError: if the id is no name of a sub-folder, or what is in it cannot be served.
        """
        if not MODEL_ID.fullmatch(id_):
            raise ModelError("a model's id must be letters, digits, '.', '_' and '-', at most 100")
        if id_ == shared_words.FOLDER:
            raise ModelError(f"{id_}: no model, but what models share")
        with self._loading:
            self._seen[id_] = self._held(id_)
            try:
                model = _read(self.folder, id_, self.limits, self.device)
            except ModelError as error:
                self.refused[id_] = str(error)
                raise
            self._contents.share(model.classifier)
            self._models = {**self._models, id_: model}
            self.refused.pop(id_, None)
            return model

    def unload(self, id_: str) -> None:
        """Stop serving a model; requests that hold it are still answered."""
        self._models = {other: model for other, model in self._models.items() if other != id_}
        self.refused.pop(id_, None)

    def refusals(self) -> list[Refused]:
        """Return what was refused, and why."""
        return [Refused(id=id_, detail=detail) for id_, detail in sorted(self.refused.items())]


def _read(folder: Path, id_: str, limits: Limits, device: str) -> Model:
    path = (folder / id_ / CHECKPOINT).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelError(f"{id_}: its checkpoint lies outside the models folder")
    loaded = _load(path, device, f"{id_}/{CHECKPOINT}")
    model = Model(id_, loaded.classifier, _entry(id_, loaded, _card(folder / id_ / CARD), limits))
    _warm_up(model)
    return model


def _load(path: Path, device: str, name: str) -> checkpoint.Checkpoint:
    try:
        return checkpoint.load(path, device)
    except checkpoint.CheckpointError as error:
        # Clients see this: the name of the file, not where it lies on this machine.
        raise ModelError(str(error).replace(str(path), name).replace(f"{path.parent.parent}/", "")) from error


def _card(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        card = from_json(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path.parent.name}/{CARD}: not JSON ({error})") from error
    if not isinstance(card, dict):
        raise ModelError(f"{path.parent.name}/{CARD}: must be a JSON object; got {type(card).__name__}")
    return card


def _entry(id_: str, loaded: checkpoint.Checkpoint, card: dict[str, Any], limits: Limits) -> ModelEntry:
    config, header = loaded.classifier.config, loaded.header
    estimator = ESTIMATORS[config.estimator]
    forward = loaded.classifier.forward_structure
    takes: InputKind = "pair" if header.kind == "pair" else "sentence"
    return ModelEntry.model_validate(
        {
            "id": id_,
            "task": header.training.get("task", id_.partition("-")[0]),
            "takes": takes,
            "estimator": config.estimator,
            "about": {name: getattr(estimator, name) for name in About.model_fields},
            "structure": config.structure if forward else None,
            "forward_structure": forward,
            "labels": list(loaded.classifier.labels),
            "metrics": header.metrics,
            "card": card,
            "limits": limits,
            "revision": loaded.revision,
        }
    )


def _warm_up(model: Model) -> None:
    """Answer once: the first call of a kernel is slow, and weights that give no number are found here."""
    try:
        answers = rehearse(model.classifier)
    except ValueError as error:
        raise ModelError(f"{model.id}/{CHECKPOINT}: its weights do not give trees ({error})") from error
    for answer in answers:
        if isinstance(answer, NoTreeError) or not all(0 <= score <= 1 for score in answer.scores):
            raise ModelError(f"{model.id}/{CHECKPOINT}: its weights do not give probabilities")


def rehearse(classifier: Classifier) -> list[Prediction | NoTreeError]:
    """Answer as for a request, with all structures: two inputs, of which one is padded.

    What is padded lies in memory otherwise, and kernels are compiled for each way.
    """
    sides = 2 if isinstance(classifier, PairClassifier) else 1
    items = [Item((words,) * sides) for words in (WARM_UP, WARM_UP[1:])]
    answers = predict(classifier, items, frozenset(STRUCTURE_NAMES))
    for item, answer in zip(items, answers, strict=True):
        if isinstance(answer, Prediction):
            writing.prediction(classifier.labels, item, answer, Parameters())
    return answers
