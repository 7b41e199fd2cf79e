"""Inference for one batch: from words to labels and trees. No HTTP here.

One pass of the encoder serves every structure of a batch; the classifier then reads all structures at once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latent.nn.checkpoint import Classifier
from latent.nn.pair_classifier import PairClassifier
from latent.nn.pair_structure import PairStructure
from latent.structures import Structure
from latent.structures.tree import DependencyTree
from server.schemas import STRUCTURE_NAMES, StructureName

Probabilities = NDArray[np.float32]
Alignment = tuple[Probabilities, Probabilities]
"""Premise to hypothesis, (n, m), and hypothesis to premise, (m, n); rows sum to 1."""


class Mixture(NamedTuple):
    """SparseMAP's trees of one sentence, the heaviest first."""

    weights: NDArray[np.float64]
    """(trees,)"""
    heads: NDArray[np.int16]
    """(trees, n): the head of each word, 0 for the root."""


@dataclass(frozen=True, slots=True)
class ArcRule:
    """One arc that must be (force) or may not be (forbid) in every tree of one sentence of the item."""

    head: int
    modifier: int
    force: bool
    sentence: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One input of a classifier: its sentences (one, or two for a pair), and rules for their arcs."""

    sentences: tuple[tuple[str, ...], ...]
    rules: tuple[ArcRule, ...] = ()

    @property
    def words(self) -> int:
        """How many words the item has in all."""
        return sum(map(len, self.sentences))


@dataclass(slots=True)
class SentenceTrees:
    """What was inferred for one sentence; None for what was not asked for."""

    heads: NDArray[np.int64] | None = None
    """(n,): the head of each word, 0 for the root."""
    marginals: Probabilities | None = None
    """(n+1, n+1), [head, modifier]"""
    mixture: Mixture | None = None


@dataclass(slots=True)
class Prediction:
    """Label probabilities, for the structure of training and for each structure asked for, and the trees."""

    scores: list[float]
    by_structure: dict[StructureName, list[float]] = field(default_factory=dict)
    trees: list[SentenceTrees] | None = None
    alignment: Alignment | None = None
    """Of the words of a pair, under the structure of training."""


Observe = Callable[[str, float], None]
"""Told the name of each stage of a batch, and how many seconds it took."""


PROJECTION_STEPS = 1_000
"""Where a SparseMAP projection stops at the latest. With scores near zero a parser mixes hundreds of trees,
and finding all of them for 240 words takes many minutes; what is found by then lies in the polytope."""


class Reading:
    """The encoder's pass over one batch: made by the first model that wants it, and kept for the others.

    Only for models that have one encoder and one vocabulary; see `server.sharing`.
    """

    def __init__(self) -> None:
        self._batch: Any = None
        self._states: Tensor | None = None

    def of(self, classifier: Classifier, items: Sequence[Item]) -> tuple[Any, Tensor]:
        """Return the batch of ids, and the states of its words."""
        if self._states is None:
            self._batch = _batch(classifier, items)
            self._states = classifier.read(self._batch)
        return self._batch, self._states


class NoTreeError(ValueError):
    """The rules of an item leave no tree that keeps them all."""


def ignore(stage: str, seconds: float) -> None:
    """Observe nothing."""


@torch.inference_mode()
def predict(
    classifier: Classifier,
    items: Sequence[Item],
    wanted: frozenset[StructureName],
    observe: Observe = ignore,
    reading: Reading | None = None,
) -> list[Prediction | NoTreeError]:
    """Classify a batch and infer the wanted structures; an item whose rules no tree keeps gets its error.

    Cost: one encoder pass over (batch, n_max), unless a model with the same encoder made that `reading`
    before; per structure O(n³) inference a sentence and one decoder pass.
    """
    clock = _Clock(observe)
    encoding: Any = classifier.encode(*(reading or Reading()).of(classifier, items))
    clock.stage("encode")
    if encoding.scores is None:
        logits, alignments = _decode(classifier, encoding, None, items)
        clock.stage("decode")
        return [
            Prediction(scores, alignment=alignment)
            for scores, alignment in zip(logits.softmax(-1).tolist(), alignments, strict=True)
        ]
    inference = _Inference(classifier, encoding.scores, encoding.lengths)
    impossible = inference.apply_rules(items)
    forward = classifier.forward_structure
    names = [name for name in STRUCTURE_NAMES if name in wanted or name == forward]
    inferred = []
    for name in names:
        inferred.append(inference.infer(name).view_as(encoding.scores))
        clock.stage(name)
    forward_copy = [name == forward for name in names].index(True)
    logits, alignments = _decode(classifier, encoding, torch.cat(inferred), items, forward_copy)
    probabilities = logits.softmax(-1).view(len(names), len(items), -1).tolist()
    clock.stage("decode")
    by_name = dict(zip(names, probabilities, strict=True))
    each = len(inference.trees) // len(items)
    return [
        impossible.get(b)
        or Prediction(
            by_name[forward][b],
            {name: by_name[name][b] for name in names if name in wanted},
            inference.trees[b * each : (b + 1) * each],
            alignments[b],
        )
        for b in range(len(items))
    ]


def _batch(classifier: Classifier, items: Sequence[Item]) -> Any:
    if isinstance(classifier, PairClassifier):
        return classifier.batch([item.sentences for item in items])
    return classifier.batch([item.sentences[0] for item in items])


def _decode(
    classifier: Classifier, encoding: Any, structures: Tensor | None, items: Sequence[Item], copy: int = 0
) -> tuple[Tensor, list[Alignment | None]]:
    """Return the logits under all structures, and the alignment of each pair under that of one copy."""
    if not isinstance(classifier, PairClassifier):
        return classifier.decode(encoding, structures).float(), [None] * len(items)
    logits, attention = classifier.decode_aligned(encoding, structures)
    first = copy * len(items)
    both = attention[first : first + len(items)].float().cpu().numpy()
    lengths = [(len(item.sentences[0]), len(item.sentences[1])) for item in items]
    alignments: list[Alignment | None] = [
        (there[:n, :m], back[:m, :n]) for (there, back), (n, m) in zip(both, lengths, strict=True)
    ]
    return logits.float(), alignments


class _Clock:
    """Tells an observer how long each stage took."""

    def __init__(self, observe: Observe) -> None:
        self.observe = observe
        self.since = time.perf_counter()

    def stage(self, name: str) -> None:
        now = time.perf_counter()
        self.observe(name, now - self.since)
        self.since = now


class _Inference:
    """Tree inference for all sentences of a batch; the two of a pair are neighbours."""

    def __init__(self, classifier: Classifier, scores: Tensor, lengths: Tensor) -> None:
        structure: Structure = classifier.structure
        self.scores = scores
        if isinstance(structure, PairStructure):
            structure, self.scores = structure.each, scores.flatten(0, 1)
        self.structure = cast(DependencyTree, structure)  # as all structures of classifiers are
        self.lengths = lengths.flatten()
        self.words: list[int] = self.lengths.tolist()
        self.trees = [SentenceTrees() for _ in self.words]

    def infer(self, name: StructureName) -> Tensor:
        """Infer one structure for every sentence, note it in `trees`, and return it as a tensor."""
        if name == "map":
            z = self.structure.map(self.scores, self.lengths)
            for tree, heads, n in zip(self.trees, z.argmax(1).cpu().numpy(), self.words, strict=True):
                tree.heads = heads[1 : n + 1]
            return z
        if name == "marginals":
            mu = self.structure.marginals(self.scores, self.lengths)
            for tree, row, n in zip(self.trees, mu.float().cpu().numpy(), self.words, strict=True):
                tree.marginals = row[: n + 1, : n + 1]
            return mu
        found = self.structure.mixtures(self.scores, self.lengths, max_iter=PROJECTION_STEPS)
        weights, heads, end = found.weights.numpy(), found.heads.numpy(), 0
        for tree, size, n in zip(self.trees, found.sizes.tolist(), self.words, strict=True):
            start, end = end, end + size
            tree.mixture = Mixture(weights[start:end], heads[start:end, :n])
        return found.mean

    def apply_rules(self, items: Sequence[Item]) -> dict[int, NoTreeError]:
        """Forbid arcs by a score of -inf, in place; where no tree is left, take the rules back and say so."""
        impossible = {}
        each = len(self.words) // len(items)
        for b, item in enumerate(items):
            for side in {rule.sentence for rule in item.rules}:
                row = b * each + side
                free = self.scores[row].clone()
                for rule in item.rules:
                    if rule.sentence == side:
                        _apply_rule(self.scores[row], rule)
                # Each alone: one sentence without a tree is an error of the whole batch.
                if not self._has_tree(row):
                    self.scores[row] = free
                    impossible[b] = NoTreeError("no tree keeps all constraints")
        return impossible

    def _has_tree(self, row: int) -> bool:
        try:
            self.structure.map(self.scores[row : row + 1], self.lengths[row : row + 1])
        except ValueError:
            return False
        return True


def _apply_rule(scores: Tensor, rule: ArcRule) -> None:
    if not rule.force:
        scores[rule.head, rule.modifier] = -torch.inf
        return
    kept = scores[rule.head, rule.modifier].clone()
    scores[:, rule.modifier] = -torch.inf
    scores[rule.head, rule.modifier] = kept
