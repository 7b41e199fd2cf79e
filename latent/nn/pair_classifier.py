"""A classifier of pairs of sentences, with a latent dependency tree on each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from latent.nn.arc_scorer import ArcScorer
from latent.nn.attention_decoder import AttentionDecoder, PairProjection, paired
from latent.nn.classifier import TREES, ClassifierConfig, LatentClassifier
from latent.nn.encoder import word_mask
from latent.nn.pair_structure import PairStructure
from latent.text import PADDING, Vocabulary

SENTENCES_ONLY = {"sparse-expectation"}
"""Estimators that write out a support tree by tree, and do not know where a pair's first sentence ends."""


class PairConfig(ClassifierConfig):
    """What a pair classifier is made of; kept in its checkpoint."""

    hidden_size: int = Field(default=200, ge=2, le=4096)
    """Size of a word's state and of all layers."""
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    """Share dropped in training of embeddings, of words' states, and of what goes into later layers."""

    @field_validator("estimator")
    @classmethod
    def _takes_pairs(cls, name: str) -> str:
        if name in SENTENCES_ONLY:
            raise ValueError(f"the estimator {name!r} takes single sentences only, not pairs")
        return name


class PairBatch(NamedTuple):
    """Pairs of sentences as ids, padded at the end."""

    ids: Tensor
    """``(batch, 2, n)``, int64."""
    lengths: Tensor
    """``(batch, 2)``, int64: words of each sentence."""

    def to(self, device: torch.device | str) -> PairBatch:
        """Copy to a device."""
        return PairBatch(self.ids.to(device, non_blocking=True), self.lengths.to(device, non_blocking=True))


class PairEncoding(NamedTuple):
    """What the encoder knows of a batch of pairs."""

    states: Tensor
    """``(batch, 2, n+1, hidden_size)``, the root at index 0."""
    projected: PairProjection
    """What the decoder made of them that no structure changes."""
    scores: Tensor | None
    """``(batch, 2, n+1, n+1)`` arc scores; None for a classifier without trees."""
    lengths: Tensor
    """``(batch, 2)``: words of each sentence."""


class Aligned(NamedTuple):
    """The logits of a batch of pairs, and how its words were aligned on the way to them."""

    logits: Tensor
    """``(batch, labels)``."""
    alignment: Tensor
    r"""``(batch, 2, n, n)``: ``[b, 0, i, j]`` is :math:`\mathrm{softmax}_j(e_{ij})`, what word i of the first
    sentence takes of word j of the second; ``[b, 1]`` is the other way round. Zeros at padding."""


class WordEncoder(nn.Module):
    """Embed words and project them, each by itself; the root's state is a learned vector."""

    def __init__(self, vocabulary: Vocabulary, embedding_size: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(vocabulary), embedding_size, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(embedding_size, hidden_size, bias=False)
        self.root = nn.Parameter(torch.empty(hidden_size))
        nn.init.normal_(self.root, std=hidden_size**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Return ``(batch, n+1, hidden_size)`` for ids ``(batch, n)``."""
        words = self.project(self.dropout(self.embedding(ids)))
        return torch.cat([self.root.to(words.dtype).expand(len(words), 1, -1), words], dim=1)


class PairClassifier(LatentClassifier[PairBatch, PairEncoding]):
    """Read two sentences, infer a structure on each, and compare their words, each with its head.

    Embeddings, a projection, arc scores within each sentence, a structure, each word with its head's vector,
    decomposable attention. With the estimator ``none`` a word is compared by itself: the attention model
    without intra-attention. A pair is one example: its two trees share one loss.

    Args:
        config: sizes, structure and estimator.
        vocabulary: the words with an embedding of their own.
        labels: the names of the classes, in the order of the logits.

    Source: understanding-spigot, section 7.2.2.
    """

    Config = PairConfig

    def __init__(self, config: PairConfig, vocabulary: Vocabulary, labels: Sequence[str]) -> None:
        super().__init__(config, vocabulary, labels, PairStructure(TREES[config.structure](single_root=True)))
        self.config = config
        size = config.hidden_size
        self.encoder = WordEncoder(vocabulary, config.embedding_size, size, config.dropout)
        trees = self.forward_structure is not None
        self.arc_scorer = ArcScorer(size, size, config.distances) if trees else None
        head_scale = config.head_scale if trees else None
        self.decoder = AttentionDecoder(size, size, len(labels), config.dropout, head_scale)

    def look_up(self, pair: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
        """Return the ids of both sentences' tokens: what ``collate`` makes batches of."""
        first, second = pair
        return self.vocabulary.ids(first), self.vocabulary.ids(second)

    def collate(self, items: Sequence[tuple[list[int], list[int]]]) -> PairBatch:
        """Pad pairs that were looked up to one batch, on the host.

        Raises:
            ValueError: if there is no pair, or a sentence without words.
        """
        lengths = [[len(sentence) for sentence in pair] for pair in items]
        if not items or not all(min(both) for both in lengths):
            raise ValueError("batch: there must be a pair, and at least one word in each of its sentences")
        width = max(map(max, lengths))
        ids = [[[*words, *[PADDING] * (width - len(words))] for words in pair] for pair in items]
        return PairBatch(torch.tensor(ids), torch.tensor(lengths))

    def batch(self, pairs: Sequence[Sequence[Sequence[str]]]) -> PairBatch:
        """Look up and pad pairs of sentences given as tokens, on the classifier's device."""
        return self.collate([self.look_up(pair) for pair in pairs]).to(self.encoder.root.device)

    def read(self, batch: PairBatch) -> Tensor:
        """Return the states of the words: the part of ``encode`` that classifiers with one encoder share."""
        states: Tensor = self.encoder(batch.ids.flatten(0, 1))
        return states

    def encode(self, batch: PairBatch, states: Tensor | None = None) -> PairEncoding:
        """Return the states of the words, read now unless given, and the scores of the arcs in a sentence.

        Args:
            batch: the pairs.
            states: what ``read`` returned for them, of this classifier or one with an equal encoder.
        """
        if states is None:
            states = self.read(batch)
        scores = None
        if self.arc_scorer is not None:
            scores = paired(self.arc_scorer(states, batch.lengths.flatten()))
        states = paired(states)
        return PairEncoding(states, self.decoder.project(states), scores, batch.lengths)

    def decode(self, encoding: PairEncoding, structure: Tensor | None) -> Tensor:
        """Classify under a structure; S copies of the batch, one after the other, give S times the logits.

        Args:
            encoding: of ``batch`` pairs.
            structure: ``(S · batch, 2, n+1, n+1)``, or None for a classifier without trees.

        Returns:
            logits ``(S · batch, labels)``.
        """
        return self._decode(encoding, structure)[0]

    def decode_aligned(self, encoding: PairEncoding, structure: Tensor | None) -> Aligned:
        """Classify as ``decode`` does, in the same pass, and tell how the words were aligned.

        Returns:
            logits ``(S · batch, labels)`` and alignment ``(S · batch, 2, n, n)``; see ``Aligned``.
        """
        logits, attention, mask = self._decode(encoding, structure)
        return Aligned(logits, attention * mask.unsqueeze(-1))

    def _decode(self, encoding: PairEncoding, structure: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, attention, and which words ``(S · batch, 2, n)`` are real."""
        if (structure is None) != (self.arc_scorer is None):
            raise ValueError("decode: a structure is wanted exactly by a classifier with trees")
        copies = 1 if structure is None else len(structure) // len(encoding.lengths)
        lengths = encoding.lengths.repeat(copies, 1)
        mask = paired(word_mask(lengths.flatten(), encoding.states.shape[2] - 1))
        return *self.decoder(encoding.projected, structure, mask), mask
