"""A sentence classifier with a latent dependency tree in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field
from torch import Tensor

from latent.nn.arc_scorer import ArcScorer
from latent.nn.classifier import TREES, ClassifierConfig, LatentClassifier
from latent.nn.decoder import HeadDecoder, SumDecoder
from latent.nn.encoder import Batch, Encoder, make_batch
from latent.text import Vocabulary


class SentenceConfig(ClassifierConfig):
    """What a sentence classifier is made of; kept in its checkpoint."""

    hidden_size: int = Field(default=100, ge=2, le=4096, multiple_of=2)
    """Size of a word's state, both directions of the LSTM together."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of each embedding's entries dropped in training."""


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


class SentenceClassifier(LatentClassifier[Batch, Encoding]):
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
        super().__init__(config, vocabulary, labels, TREES[config.structure](single_root=True))
        self.config = config
        self.encoder = Encoder(vocabulary, config.embedding_size, config.hidden_size, config.dropout)
        self.arc_scorer: ArcScorer | None = None
        self.decoder: HeadDecoder | SumDecoder
        if self.forward_structure is None:
            self.decoder = SumDecoder(config.hidden_size, len(labels))
        else:
            self.arc_scorer = ArcScorer(config.hidden_size, config.hidden_size, config.distances)
            self.decoder = HeadDecoder(config.hidden_size, len(labels), config.head_scale)

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
