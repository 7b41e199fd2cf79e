"""What every classifier with a latent structure is made of, and how it is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from latent.estimators import ESTIMATORS, make_estimator
from latent.structures import STRUCTURES, Categorical, Structure
from latent.text import Vocabulary

TREES: dict[str, Callable[..., Structure]] = {
    name: kind for name, kind in STRUCTURES.items() if kind is not Categorical
}
"""The structures that give each word a head; each takes ``single_root``."""


class ClassifierConfig(BaseModel):
    """What a classifier is made of; kept in its checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: str = "marginals"
    """How the parser is trained: a name of ``latent.estimators.ESTIMATORS``."""
    hyperparameters: dict[str, float | int | str] = Field(default_factory=dict)
    """What the estimator is given beyond its defaults."""
    structure: str = "projective"
    """The latent structure: a name of ``TREES``."""
    embedding_size: int = Field(default=50, ge=1, le=4096)
    """Size of a word's embedding."""
    distances: int = Field(default=0, ge=0, le=4096)
    """How far apart two words may be for their arc's score to see it; 0: the score sees no distance."""
    head_scale: float = Field(default=1.0, gt=0.0, le=1.0)
    """What a head's vector is multiplied by beside the word's own. Models can be the same with any of them,
    but the smaller it is, the more slowly steps of Adam change what heads count for."""

    @field_validator("estimator")
    @classmethod
    def _known_estimator(cls, name: str) -> str:
        return _known(name, "estimator", ESTIMATORS)

    @field_validator("structure")
    @classmethod
    def _known_structure(cls, name: str) -> str:
        return _known(name, "structure", TREES)


def _known(name: str, kind: str, registry: Mapping[str, Any]) -> str:
    if name not in registry:
        raise ValueError(f"no {kind} is called {name!r}; there are {', '.join(sorted(registry))}")
    return name


def label_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropies ``(S · batch,)`` of logits ``(S · batch, labels)``, S for each target.

    Args:
        logits: copy after copy of the batch.
        targets: ``(batch,)``, the index of each example's label, or ``(batch, labels)``, a distribution.
    """
    copies = len(logits) // len(targets)
    if copies > 1:
        targets = targets.repeat(copies, *[1] * (targets.dim() - 1))
    return cross_entropy(logits, targets, reduction="none")


class Encoded(Protocol):
    """What the encoder knows of a batch: at the least this."""

    @property
    def scores(self) -> Tensor | None:
        """The scores of the structure's parts; None for a classifier without trees."""

    @property
    def lengths(self) -> Tensor:
        """How many words each sentence has."""


B = TypeVar("B")
E = TypeVar("E", bound=Encoded)


class LatentClassifier(nn.Module, ABC, Generic[B, E]):
    """A classifier of batches B that decodes what it encoded, E, under a latent structure.

    Args:
        config: structure, estimator and sizes.
        vocabulary: the words with an embedding of their own.
        labels: the names of the classes, in the order of the logits.
        structure: over the examples of a batch.

    Raises:
        ValueError: for labels that are not two or more distinct names, or hyperparameters that the estimator
            does not have.
    """

    def __init__(
        self, config: ClassifierConfig, vocabulary: Vocabulary, labels: Sequence[str], structure: Structure
    ) -> None:
        super().__init__()
        if len(labels) < 2 or len(set(labels)) != len(labels):
            raise ValueError(f"classifier: labels must be two or more distinct names; got {list(labels)}")
        self.vocabulary = vocabulary
        self.labels = tuple(labels)
        self.structure = structure
        self.estimator = make_estimator(config.estimator, structure, **config.hyperparameters)

    @property
    def forward_structure(self) -> str | None:
        """The structure seen in training: "map", "marginals", "sparsemap", or None without trees."""
        return self.estimator.forward_structure

    @abstractmethod
    def encode(self, batch: B, states: Tensor | None = None) -> E:
        """Return the states of the words, read now unless given, and the scores of the arcs between them."""

    @abstractmethod
    def decode(self, encoding: E, structure: Tensor | None) -> Tensor:
        """Return logits ``(S · batch, labels)`` under S structures for each example, copy after copy."""

    def infer(self, encoding: E, name: str | None) -> Tensor | None:
        """Return the structure of that name ("map", "marginals", "sparsemap"), or None for None."""
        if name is None:
            return None
        if encoding.scores is None:
            raise ValueError(f"infer: a classifier without trees has no structure {name!r}")
        match name:
            case "map":
                return self.structure.map(encoding.scores, encoding.lengths)
            case "marginals":
                return self.structure.marginals(encoding.scores, encoding.lengths)
            case "sparsemap":
                return self.structure.sparsemap(encoding.scores, encoding.lengths)
        raise ValueError(f"infer: wanted 'map', 'marginals' or 'sparsemap'; got {name!r}")

    def forward(self, batch: B) -> Tensor:
        """Return the logits under the structure that the classifier was trained with."""
        encoding = self.encode(batch)
        return self.decode(encoding, self.infer(encoding, self.forward_structure))

    def loss(self, batch: B, targets: Tensor) -> Tensor:
        """Return each example's cross-entropy; its gradient for the arc scores is the estimator's.

        Args:
            batch: the examples.
            targets: ``(batch,)``, the index of each one's label, or ``(batch, labels)``, a distribution.
        """
        encoding = self.encode(batch)

        def downstream(structure: Tensor | None) -> Tensor:
            return label_losses(self.decode(encoding, structure), targets)

        scores = cast(Tensor, encoding.scores)  # None reaches only the estimator that looks at no scores
        return self.estimator.loss(scores, encoding.lengths, downstream)
