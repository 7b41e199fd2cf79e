"""A sentence classifier with a latent dependency tree in the middle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from latent.estimators import ESTIMATORS, make_estimator
from latent.nn.arc_scorer import ArcScorer
from latent.nn.decoder import HeadDecoder, SumDecoder
from latent.nn.encoder import Batch, Encoder, make_batch
from latent.structures import STRUCTURES, Categorical, Structure
from latent.text import Vocabulary

TREES: dict[str, Callable[..., Structure]] = {
    name: kind for name, kind in STRUCTURES.items() if kind is not Categorical
}
"""The structures that give each word a head; each takes ``single_root``."""


class SentenceConfig(BaseModel):
    """What a sentence classifier is made of; kept in its checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: str = "marginals"
    """How the parser is trained: a name of ``latent.estimators.ESTIMATORS``."""
    hyperparameters: dict[str, float | int | str] = Field(default_factory=dict)
    """What the estimator is given beyond its defaults."""
    structure: str = "projective"
    """The latent structure: a name of ``TREES``."""
    embedding_size: int = Field(default=50, ge=1, le=4096)
    """Size of a word's embedding."""
    hidden_size: int = Field(default=100, ge=2, le=4096, multiple_of=2)
    """Size of a word's state, both directions of the LSTM together."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of each embedding's entries dropped in training."""
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


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels, which must be two or more distinct names."""
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ValueError(f"classifier: labels must be two or more distinct names; got {list(labels)}")
    return tuple(labels)


def infer(structure: Structure, scores: Tensor | None, lengths: Tensor, name: str | None) -> Tensor | None:
    """Return a structure's "map", "marginals" or "sparsemap" by name, or None for None."""
    if name is None:
        return None
    if scores is None:
        raise ValueError(f"infer: a classifier without trees has no structure {name!r}")
    match name:
        case "map":
            return structure.map(scores, lengths)
        case "marginals":
            return structure.marginals(scores, lengths)
        case "sparsemap":
            return structure.sparsemap(scores, lengths)
    raise ValueError(f"infer: wanted 'map', 'marginals' or 'sparsemap'; got {name!r}")


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


class Encoding(NamedTuple):
    """What the encoder knows of a batch of sentences."""

    states: Tensor
    """``(batch, n+1, hidden_size)``, the root at index 0."""
    projected: Tensor
    """What the decoder made of them that no structure changes."""
    scores: Tensor | None
    """``(batch, n+1, n+1)`` arc scores, ``[b, head, modifier]``; None for a classifier without trees."""
    lengths: Tensor
    """``(batch,)``: words of each sentence."""


class SentenceClassifier(nn.Module):
    r"""Read a sentence, score its arcs, infer a structure, and classify by each word with its head.

    Embeddings, a BiLSTM, arc scores :math:`v^\top \tanh(W [x_i; x_j] + b)`, a structure, each word with its
    head's vector, an affine layer with ReLU, attention, a linear layer. With the estimator ``none`` there is
    no structure: the words' states are summed and go through a two-layer network.

    Args:
        config: sizes, structure and estimator.
        vocabulary: the words with an embedding of their own.
        labels: the names of the classes, in the order of the logits.

    Raises:
        ValueError: for fewer than two labels, or hyperparameters that the estimator does not have.

    Cost: O(batch · (n² · hidden_size + n³)). Source: understanding-spigot, section 7.2.1.
    """

    Config = SentenceConfig

    def __init__(self, config: SentenceConfig, vocabulary: Vocabulary, labels: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.labels = check_labels(labels)
        self.structure = TREES[config.structure](single_root=True)
        self.estimator = make_estimator(config.estimator, self.structure, **config.hyperparameters)
        self.encoder = Encoder(vocabulary, config.embedding_size, config.hidden_size, config.dropout)
        self.arc_scorer: ArcScorer | None = None
        self.decoder: HeadDecoder | SumDecoder
        if self.forward_structure is None:
            self.decoder = SumDecoder(config.hidden_size, len(labels))
        else:
            self.arc_scorer = ArcScorer(config.hidden_size, config.hidden_size, config.distances)
            self.decoder = HeadDecoder(config.hidden_size, len(labels), config.head_scale)

    @property
    def forward_structure(self) -> str | None:
        """The structure seen in training: "map", "marginals", "sparsemap", or None without trees."""
        return self.estimator.forward_structure

    def look_up(self, sentence: Sequence[str]) -> list[int]:
        """Return the ids of a sentence's tokens: what ``collate`` makes batches of."""
        return self.vocabulary.ids(sentence)

    def collate(self, items: Sequence[list[int]]) -> Batch:
        """Pad sentences that were looked up to one batch, on the host."""
        return make_batch(items)

    def batch(self, sentences: Sequence[Sequence[str]]) -> Batch:
        """Look up and pad sentences given as tokens, on the classifier's device."""
        return self.collate([self.look_up(sentence) for sentence in sentences]).to(self.encoder.root.device)

    def read(self, batch: Batch) -> Tensor:
        """Return the states of the words: the part of ``encode`` that classifiers with one encoder share."""
        states: Tensor = self.encoder(batch)
        return states

    def encode(self, batch: Batch, states: Tensor | None = None) -> Encoding:
        """Return the states of the words, read now unless given, and the scores of the arcs between them.

        Args:
            batch: the sentences.
            states: what ``read`` returned for them, of this classifier or one with an equal encoder.
        """
        if states is None:
            states = self.read(batch)
        scores = None if self.arc_scorer is None else self.arc_scorer(states, batch.lengths)
        return Encoding(states, self.decoder.project(states), scores, batch.lengths)

    def decode(self, encoding: Encoding, structure: Tensor | None) -> Tensor:
        """Classify under a structure; S copies of the batch, one after the other, give S times the logits.

        Args:
            encoding: of ``batch`` sentences.
            structure: ``(S · batch, n+1, n+1)``, or None for a classifier without trees.

        Returns:
            logits ``(S · batch, labels)``.
        """
        logits: Tensor = self.decoder(encoding.projected, structure, encoding.lengths)
        return logits

    def infer(self, encoding: Encoding, name: str | None) -> Tensor | None:
        """Return the structure of that name ("map", "marginals", "sparsemap"), or None for None."""
        return infer(self.structure, encoding.scores, encoding.lengths, name)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits under the structure that the classifier was trained with."""
        encoding = self.encode(batch)
        return self.decode(encoding, self.infer(encoding, self.forward_structure))

    def loss(self, batch: Batch, targets: Tensor) -> Tensor:
        """Return each sentence's cross-entropy; its gradient for the arc scores is the estimator's.

        Args:
            batch: the sentences.
            targets: ``(batch,)``, the index of each one's label, or ``(batch, labels)``, a distribution.
        """
        encoding = self.encode(batch)

        def downstream(structure: Tensor | None) -> Tensor:
            return label_losses(self.decode(encoding, structure), targets)

        scores = cast(Tensor, encoding.scores)  # None reaches only the estimator that looks at no scores
        return self.estimator.loss(scores, encoding.lengths, downstream)
