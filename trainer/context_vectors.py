"""Vectors for words that have none, from the words around them."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
import torch
from scipy.sparse import csr_array  # type: ignore[import-untyped]
from sklearn.linear_model import Ridge  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn.functional import normalize

from latent.text import PADDING, Vocabulary
from trainer.vectors import rows_with_vector

WINDOW = 5
"""How many words to each side are a word's context."""
COMMON = 1e-3
"""A context word of this share of the text counts half, a more common one less."""


def context_vectors(
    vocabulary: Vocabulary, sentences: Sequence[Sequence[str]], table: Tensor, found: Container[str]
) -> tuple[Tensor, Tensor]:
    r"""Guess the vectors that are missing from the contexts in which the training text has their words.

    .. math:: \hat v_w = A u_w + b, \quad u_w = \sum_c n_{wc}\, g_c\, v_c / \sum_c n_{wc}\, g_c

    over the context words c with a vector, of which :math:`n_{wc}` occurrences are near w, and
    :math:`g_c = s / (s + p_c)` for a word that makes up a share :math:`p_c` of the text. A and b are fitted
    to the words with a vector by ridge regression, each with weight log(1 + its occurrences).
    Source: Khodak et al. 2018, section 3, with the weights of Arora et al. 2017 on context words.

    Args:
        vocabulary: the words of the table's rows, after padding and the unknown word.
        sentences: the training text; a sentence that occurs again counts once.
        table: ``(len(vocabulary), size)``; only the rows of words with a vector are read.
        found: the words with a vector.

    Returns:
        the rows of words without a vector that occur near a word with one, ``(rows,)``, the unknown word
        among them; and a vector for each, ``(rows, size)``, float32, of the known ones' mean length.

    Cost: time and memory grow with the pairs of words that occur near each other.
    """
    near, counts = _neighbours(vocabulary, sentences)
    known = rows_with_vector(vocabulary, found).numpy()
    informative = np.where(known, COMMON / (COMMON + counts / max(counts.sum(), 1)), 0.0)
    weights = near @ informative
    vectors = np.where(known[:, None], table.numpy(), 0.0)
    contexts = (near @ (informative[:, None] * vectors)) / np.maximum(weights, 1e-12)[:, None]
    seen = weights > 0
    to_fit, to_guess = (rows.nonzero()[0] for rows in (seen & known, seen & ~known))
    if not len(to_fit) or not len(to_guess):
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, table.shape[1])
    ridge = Ridge().fit(contexts[to_fit], vectors[to_fit], sample_weight=np.log1p(counts[to_fit]))
    guessed = torch.from_numpy(ridge.predict(contexts[to_guess]))
    length = np.linalg.norm(vectors[to_fit], axis=1).mean()
    return torch.from_numpy(to_guess), (normalize(guessed, dim=1) * length).float()


def _neighbours(vocabulary: Vocabulary, sentences: Sequence[Sequence[str]]) -> tuple[csr_array, np.ndarray]:
    """Count how often each two words are near each other, ``(words, words)``, and each word, ``(words,)``."""
    between = [PADDING] * WINDOW
    text = np.array(
        [
            word
            for sentence in dict.fromkeys(map(tuple, sentences))
            for word in [*vocabulary.ids(sentence), *between]
        ]
    )
    size = len(vocabulary)
    near = csr_array((size, size))
    for distance in range(1, WINDOW + 1):
        left, right = text[:-distance], text[distance:]
        within = (left != PADDING) & (right != PADDING)
        ones = np.ones(within.sum())
        near = near + csr_array((ones, (left[within], right[within])), shape=(size, size))
    counts = np.bincount(text, minlength=size)
    counts[PADDING] = 0
    return near + near.T, counts
