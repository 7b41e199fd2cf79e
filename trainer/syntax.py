"""Is it syntax? Induced trees against the gold heads of a treebank, and against trivial trees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from latent.nn.checkpoint import Classifier
from latent.structures import ProjectiveTree
from trainer.conllu import read_heads
from trainer.errors import UserError
from trainer.trees import Heads, heads_of

BATCH = 128
Sentence = tuple[list[str], list[int]]


def read_treebank(path: Path, longest: int = 100) -> list[Sentence]:
    """Read words and gold heads of a CoNLL-U file, without sentences of more words than ``longest``.

    Raises:
        UserError: if it is no CoNLL-U file.
    """
    with path.open(encoding="utf-8") as file:
        try:
            return [sentence for sentence in read_heads(file) if len(sentence[0]) <= longest]
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error


def baselines(sentences: Sequence[Sentence], seed: int = 0) -> dict[str, float]:
    """Return the UAS of left-branching, right-branching and uniformly random projective trees.

    In a left-branching tree each word hangs on the next one, in a right-branching tree on the one before.
    """
    sizes = [len(words) for words, _ in sentences]
    left = [[*range(2, n + 1), 0] for n in sizes]
    right = [list(range(n)) for n in sizes]
    generator = torch.Generator().manual_seed(seed)
    tree = ProjectiveTree(single_root=True)
    drawn: list[list[int]] = []
    for start in range(0, len(sizes), BATCH):
        lengths = torch.tensor(sizes[start : start + BATCH])
        nodes = int(lengths.max()) + 1
        sample = tree.sample(torch.zeros(len(lengths), nodes, nodes), lengths, generator)
        drawn += heads_of(sample, lengths)
    trees = {"left-branching": left, "right-branching": right, "random": drawn}
    return {name: uas(found, sentences) for name, found in trees.items()}


@torch.inference_mode()
def against_gold(classifier: Classifier, sentences: Sequence[Sentence]) -> float:
    """Return the UAS of a sentence classifier's best trees against gold heads."""
    model: Any = classifier.eval()
    found: list[list[int]] = []
    for start in range(0, len(sentences), BATCH):
        batch = model.batch([words for words, _ in sentences[start : start + BATCH]])
        structure = model.infer(model.encode(batch), "map")
        found += heads_of(structure.cpu(), batch.lengths.cpu())
    return uas(found, sentences)


def uas(trees: Sequence[Heads], sentences: Sequence[Sentence]) -> float:
    """Return the share of words whose head is the gold one."""
    right = [
        mine == gold
        for tree, (_, heads) in zip(trees, sentences, strict=True)
        for mine, gold in zip(tree, heads, strict=True)
    ]
    return sum(right) / len(right)
