"""Words to vectors in context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from latent.text import PADDING, Vocabulary


class Batch(NamedTuple):
    """Sentences as ids, padded at the end."""

    ids: Tensor
    """``(batch, n)``, int64."""
    lengths: Tensor
    """``(batch,)``, int64: words of each sentence."""

    def to(self, device: torch.device | str) -> Batch:
        """Copy to a device."""
        return Batch(self.ids.to(device, non_blocking=True), self.lengths.to(device, non_blocking=True))


def make_batch(sentences: Sequence[Sequence[int]]) -> Batch:
    """Pad lists of ids to one tensor.

    Raises:
        ValueError: if there is no sentence, or one without words.
    """
    lengths = [len(sentence) for sentence in sentences]
    if not lengths or min(lengths) == 0:
        where = f"sentence {lengths.index(0)} has none" if lengths else "got no sentences"
        raise ValueError(f"batch: every sentence must have at least one word; {where}")
    width = max(lengths)
    padded = [[*sentence, *[PADDING] * (width - len(sentence))] for sentence in sentences]
    return Batch(torch.tensor(padded), torch.tensor(lengths))


def word_mask(lengths: Tensor, width: int) -> Tensor:
    """Return ``(batch, width)``, True at the words and False at padding."""
    return torch.arange(width, device=lengths.device) < lengths.unsqueeze(1)


def check_lengths(lengths: Tensor, nodes: int) -> None:
    """Raise unless each sentence has from one to ``nodes - 1`` words: kernels read what lengths tell them to.

    Raises:
        ValueError: naming the first sentence that does not.
    """
    for b, length in enumerate(lengths.tolist()):
        if not 1 <= length < nodes:
            raise ValueError(
                f"lengths: a sentence has from 1 to {nodes - 1} words, one less than there are states; "
                f"got {length} for sentence {b}"
            )


class BiLSTM(nn.Module):
    """Read each sentence in both directions, so that padding never reaches a word.

    The backward direction reads each sentence turned around within its own length, which leaves all padding
    at the end for both; that is cheaper than packed sequences and needs no lengths on the host.

    Shapes: ``(batch, n, input_size)`` and lengths ``(batch,)`` to ``(batch, n, 2 * hidden_size)``, zeros at
    padding.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backwards = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Return each word's two states, side by side."""
        mask = word_mask(lengths, vectors.shape[1])
        places = torch.arange(vectors.shape[1], device=vectors.device)
        turned = torch.where(mask, lengths.unsqueeze(1) - 1 - places, places)
        left, _ = self.forwards(vectors)
        right, _ = self.backwards(_reorder(vectors, turned))
        return torch.cat([left, _reorder(right, turned)], dim=-1) * mask.unsqueeze(-1)


def _reorder(vectors: Tensor, order: Tensor) -> Tensor:
    return vectors.gather(1, order.unsqueeze(-1).expand(-1, -1, vectors.shape[-1]))


class Encoder(nn.Module):
    """Embed the words of a sentence, read them with a BiLSTM, and set the root before them.

    Shapes: a batch of ids ``(batch, n)`` to states ``(batch, n+1, hidden_size)``; index 0 is the root, whose
    state is a learned vector; zeros at padding.

    Args:
        vocabulary: the words that have an embedding.
        embedding_size: size of an embedding.
        hidden_size: size of a state, both directions together; even.
        dropout: share of an embedding's entries dropped in training.
    """

    def __init__(
        self, vocabulary: Vocabulary, embedding_size: int, hidden_size: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(vocabulary), embedding_size, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.lstm = BiLSTM(embedding_size, hidden_size // 2)
        self.root = nn.Parameter(torch.empty(hidden_size))
        nn.init.normal_(self.root, std=hidden_size**-0.5)

    def forward(self, batch: Batch) -> Tensor:
        """Return the states of the root and the words."""
        vectors = self.embedding(batch.ids)
        states = self.lstm(self.dropout(vectors) if self.dropout.p else vectors, batch.lengths)
        return torch.cat([self.root.to(states.dtype).expand(len(states), 1, -1), states], dim=1)
