"""Examples to batches: sentences of like length together, in an order that depends on seed and step alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latent.nn.checkpoint import Classifier
from trainer.tasks import Example, sentences_of


class LabelledBatch(NamedTuple):
    """What a training step reads."""

    batch: Any
    """The classifier's own kind of batch."""
    labels: Tensor
    """``(batch,)``, int64; or ``(batch, labels)``, distributions to train on."""
    total: int
    """Examples in this batch over all processes."""


class BatchSampler:
    """Cut a data set into batches of sentences of like length.

    Lengths get a little noise before sorting, so that neighbours change from epoch to epoch while the number
    of batches stays the same; the batches then come in random order. The order of epoch e depends on the seed
    and e alone, and ``skip_to`` starts at any step: a resumed run sees what an uninterrupted one would.

    Args:
        lengths: the length of each example.
        batch_size: examples in a batch at most.
        tokens: words in a batch at most, padding included; None for no limit.
        seed: of the order; None keeps one order, longest first.
        rank: this process.
        processes: how many processes share each batch.
    """

    JITTER = 1.0

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        tokens: int | None = None,
        seed: int | None = None,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.seed, self.rank, self.processes = seed, rank, processes
        ordered = np.sort(self.lengths)[::-1]
        self.sizes = batch_sizes(ordered.tolist(), batch_size, tokens, at_least=processes)
        self._epoch = 0
        self._offset = 0

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self.sizes)

    def skip_to(self, step: int) -> None:
        """Let the next iteration start at a step counted from the very beginning."""
        self._epoch, self._offset = divmod(step, len(self))

    def batches(self, epoch: int) -> list[tuple[list[int], int]]:
        """Return this process's share of each batch of an epoch, with the size of the whole batch."""
        keys = self.lengths.astype(float)
        generator = np.random.default_rng([0 if self.seed is None else self.seed, epoch])
        if self.seed is not None:
            keys += generator.uniform(0.0, 1.0 + self.JITTER, size=len(keys))
        order = np.argsort(-keys, kind="stable")
        batches = np.split(order, np.cumsum(self.sizes)[:-1])
        shares = [(batch[self.rank :: self.processes].tolist(), len(batch)) for batch in batches]
        if self.seed is not None:
            shares = [shares[index] for index in generator.permutation(len(shares))]
        return shares

    def __iter__(self) -> Iterator[tuple[list[int], int]]:
        batches = self.batches(self._epoch)[self._offset :]
        self._epoch, self._offset = self._epoch + 1, 0
        return iter(batches)


def batch_sizes(lengths: Sequence[int], batch_size: int, tokens: int | None, at_least: int = 1) -> list[int]:
    """Cut lengths, longest first, into batches under both limits; no batch has fewer than ``at_least``."""
    if len(lengths) < at_least:
        raise ValueError(f"data: {at_least} processes need as many examples; got {len(lengths)}")
    sizes = []
    start = 0
    while start < len(lengths):
        fit = batch_size if tokens is None else min(batch_size, tokens // lengths[start])
        size = min(max(fit, at_least), len(lengths) - start)
        sizes.append(size)
        start += size
    if sizes[-1] < at_least:
        sizes[-2:] = [sizes[-2] + sizes[-1]]
    return sizes


class Loader:
    """Yield the batches that a sampler names; every word is looked up once, at the start.

    Args:
        classifier: knows how to look words up and how to pad.
        examples: what the sampler's indices point into.
        sampler: cuts them into batches.
    """

    def __init__(self, classifier: Classifier, examples: Sequence[Example], sampler: BatchSampler) -> None:
        self.order = sampler  # not `sampler`, which Lightning takes for torch's own
        self._collate = classifier.collate
        look_up: Any = classifier.look_up  # of a sentence or of a pair, as the task has them
        self._items = [look_up(example.text) for example in examples]
        self.targets = targets_of(examples, len(classifier.labels))

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self.order)

    def __iter__(self) -> Iterator[LabelledBatch]:
        for share, total in self.order:
            yield LabelledBatch(self._collate([self._items[i] for i in share]), self.targets[share], total)

    def state_dict(self) -> dict[str, int]:
        """Return nothing: where to go on follows from the run's step (``BatchSampler.skip_to``)."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take nothing over; that these two exist tells Lightning that the data can be resumed."""


def targets_of(examples: Sequence[Example], labels: int) -> Tensor:
    """Return what is to be learned of the examples.

    Returns:
        labels ``(N,)``, int64; or distributions over them ``(N, labels)``, float32, if an example has one.
    """
    if all(example.target is None for example in examples):
        return torch.tensor([example.label for example in examples])
    alone = torch.eye(labels).tolist()
    return torch.tensor([example.target or alone[example.label] for example in examples])


def item_length(text: Any) -> int:
    """Return the length that decides where an example is batched: of a pair, that of its longer sentence."""
    return max(map(len, sentences_of(text)))
