"""Words that are too rare for a vector of their own to be worth its place in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from latent.nn.checkpoint import Classifier
from latent.text import RESERVED, Vocabulary
from trainer.tasks import Splits
from trainer.vectors import read_vectors


def leave_out_rare_words(classifier: Classifier, splits: Splits, least: int, paths: Sequence[Path]) -> None:
    """Make unknown words of those without a pre-trained vector that the training text has too seldom.

    Args:
        classifier: gets a smaller vocabulary and table of embeddings; other words keep their vectors.
        splits: whose training text is counted.
        least: how often a word must occur there.
        paths: the files of pre-trained vectors.
    """
    before = classifier.vocabulary
    kept = set(Vocabulary.from_sentences(splits.sentences, least).words)
    for path in paths:
        kept |= set(read_vectors(path, before.__contains__).words)
    places = [place for place, word in enumerate(before.words) if word in kept]
    rows = [*range(RESERVED), *(place + RESERVED for place in places)]
    embedding = classifier.encoder.embedding
    embedding.weight = nn.Parameter(embedding.weight.detach()[rows])
    embedding.num_embeddings = len(rows)
    classifier.vocabulary = Vocabulary(before.words[place] for place in places)
