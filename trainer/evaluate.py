"""How good a classifier is under each structure, and what its trees look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from latent.nn.checkpoint import Classifier
from trainer.data import BatchSampler, Loader, item_length
from trainer.errors import UserError
from trainer.metrics import accuracy_interval, calibration_error, confusion_matrix
from trainer.tasks import Example
from trainer.trees import TreeStatistics, heads_of

STRUCTURES = ("map", "marginals", "sparsemap")
BATCH = 128


@dataclass(frozen=True)
class Report:
    """What an evaluation found; structures go by name, "none" for a classifier without trees."""

    examples: int
    trained: str
    """The structure that the classifier was trained with."""
    accuracy: dict[str, float]
    """Share of right answers under each structure."""
    interval: dict[str, tuple[float, float]]
    """95 % confidence interval of that share."""
    calibration_error: dict[str, float]
    """Expected calibration error, 15 bins."""
    labels: tuple[str, ...]
    confusion: list[list[int]]
    """Examples by true label (rows) and predicted label (columns), under the trained structure."""
    trees: dict[str, float] | None
    """Statistics of the best trees; None without trees."""
    heads: list[list[list[int]]] = field(repr=False)
    """The best trees of each example, one for each of its sentences; empty without trees."""

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON content, without the trees themselves."""
        return {name: value for name, value in asdict(self).items() if name != "heads"}


@torch.inference_mode()
def evaluate(
    classifier: Classifier, examples: Sequence[Example], advance: Callable[[int], None] = lambda _: None
) -> Report:
    """Classify all examples under every structure.

    Args:
        classifier: left in evaluation mode.
        examples: with labels of the classifier; at least one.
        advance: called with the number of examples done since the last call.

    Raises:
        UserError: if there are no examples.
    """
    if not examples:
        raise UserError("evaluate: there are no examples to evaluate on")
    classifier.eval()
    trained = classifier.forward_structure
    names = STRUCTURES if trained else (None,)
    found = {name or "none": np.zeros((len(examples), len(classifier.labels))) for name in names}
    heads: list[list[list[int]]] = [[] for _ in examples] if trained else []
    sampler = BatchSampler([item_length(example.text) for example in examples], BATCH)
    device = next(classifier.parameters()).device
    shares = [share for share, _ in sampler.batches(0)]
    model: Any = classifier  # of sentences or of pairs, as the examples are
    for share, (batch, labels, _) in zip(shares, Loader(classifier, examples, sampler), strict=True):
        encoding = model.encode(batch.to(device))
        for name in names:
            structure = model.infer(encoding, name)
            found[name or "none"][share] = model.decode(encoding, structure).softmax(-1).cpu().numpy()
            if name == "map":
                for index, trees in zip(share, _trees(structure.cpu(), batch.lengths), strict=True):
                    heads[index] = trees
        advance(len(labels))
    return _report(classifier, examples, found, heads)


def _trees(structure: torch.Tensor, lengths: torch.Tensor) -> list[list[list[int]]]:
    """Read the trees of each example of a batch: one of a sentence, two of a pair."""
    flat = heads_of(structure.flatten(0, -3), lengths.flatten())
    sentences = lengths[0].numel()
    return [flat[start : start + sentences] for start in range(0, len(flat), sentences)]


def _report(
    classifier: Classifier, examples: Sequence[Example], found: dict[str, Any], heads: list[list[list[int]]]
) -> Report:
    labels = np.array([example.label for example in examples])
    trained = classifier.forward_structure or "none"
    right = {name: int((table.argmax(1) == labels).sum()) for name, table in found.items()}
    statistics = TreeStatistics()
    for tree in (tree for trees in heads for tree in trees):
        statistics.add(tree)
    return Report(
        examples=len(examples),
        trained=trained,
        accuracy={name: count / len(labels) for name, count in right.items()},
        interval={name: accuracy_interval(count, len(labels)) for name, count in right.items()},
        calibration_error={name: calibration_error(table, labels) for name, table in found.items()},
        labels=classifier.labels,
        confusion=confusion_matrix(found[trained].argmax(1), labels, len(classifier.labels)),
        trees=statistics.summary() if heads else None,
        heads=heads,
    )
