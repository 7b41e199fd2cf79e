"""The Stanford Sentiment Treebank: is a sentence of a film review positive?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from trainer.paths import data_folder
from trainer.tasks.base import DataError, Example, Splits, Text

NEUTRAL = 2
MOST = 4
FILES = {"train": "train.txt", "dev": "dev.txt", "test": "test.txt"}

# Some tokens hold a no-break space, so only the plain space and the parentheses separate.
_TOKEN = re.compile(r"[()]|[^ ()\n]+")


class Phrase(NamedTuple):
    """A node of a labelled tree."""

    words: Text
    sentiment: int
    """0 very negative, 2 neutral, 4 very positive."""


@dataclass(frozen=True)
class Sst:
    """Stanford Sentiment Treebank (Socher et al. 2013), positive against negative.

    The label is the root's: 6,920 sentences to train on, 872 for development, 1,821 to test, without neutral
    ones. Phrases and grades add to what is trained on.
    """

    data: Path = field(default_factory=data_folder)
    """Where data sets live; the treebank is in its folder `sst` (environment: UNDERSTORY_DATA)."""
    phrases: bool = False
    """Train on every labelled phrase of the training trees too, neutral ones left out."""
    grades: bool = False
    """Train on how positive a text is, by its five grades, and not on its sign alone; on neutral ones too."""

    name: ClassVar[str] = "sst"
    kind: ClassVar[str] = "sentence"
    labels: ClassVar[tuple[str, ...]] = ("negative", "positive")

    def splits(self) -> Splits:
        """Read the three official files of trees.

        Raises:
            DataError: if a file is missing, or a line of it is no labelled tree.
        """
        trees = {split: list(read_trees(self._file(name))) for split, name in FILES.items()}
        sentences = {split: [nodes[0] for nodes in trees[split]] for split in trees}
        phrases = (node for nodes in trees["train"] for node in nodes)
        return Splits(
            labels=self.labels,
            train=(_graded if self.grades else _binary)(phrases if self.phrases else sentences["train"]),
            dev=_binary(sentences["dev"]),
            test=_binary(sentences["test"]),
            sentences=[root.words for root in sentences["train"]],
        )

    def _file(self, name: str) -> Path:
        folder = self.data / "sst"
        for path in (folder / name, folder / "trees" / name):
            if path.is_file():
                return path
        raise DataError(f"sst: there is no {name} in {folder}; fetch the data: python -m trainer data sst")


def _binary(phrases: Iterable[Phrase]) -> list[Example]:
    return [Example(words, int(sentiment > NEUTRAL)) for words, sentiment in phrases if sentiment != NEUTRAL]


def _graded(phrases: Iterable[Phrase]) -> list[Example]:
    """Take each grade for the share of readers who would call the text positive."""
    return [
        Example(words, int(sentiment > NEUTRAL), (1 - sentiment / MOST, sentiment / MOST))
        for words, sentiment in phrases
    ]


def read_trees(path: Path) -> Iterator[list[Phrase]]:
    """Read a file of labelled trees in Penn Treebank brackets, one a line: each tree's nodes, root first.

    Raises:
        DataError: if a line is no such tree.
    """
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield parse_tree(line)
                except ValueError as error:
                    raise DataError(f"sst: {path}, line {number}: {error}") from error


def parse_tree(line: str) -> list[Phrase]:
    """Parse one labelled tree, such as ``(3 (2 It) (4 works))``; its nodes in the order they open.

    >>> [(" ".join(words), sentiment) for words, sentiment in parse_tree("(3 (2 It) (4 works))")]
    [('It works', 3), ('It', 2), ('works', 4)]
    """
    words: list[str] = []
    nodes: list[tuple[int, int, int]] = []  # sentiment, first word, one past the last
    opened: list[int] = []
    tokens = iter(_TOKEN.findall(line))
    for token in tokens:
        if token == "(":
            sentiment = next(tokens, "")
            if sentiment not in {"0", "1", "2", "3", "4"}:
                raise ValueError(f"a bracket must open with a label from 0 to 4; got {sentiment!r}")
            if nodes and not opened:
                raise ValueError("one tree a line; a second one starts after the first has closed")
            opened.append(len(nodes))
            nodes.append((int(sentiment), len(words), len(words)))
        elif not opened:
            raise ValueError(f"{token!r} stands outside of all brackets")
        elif token == ")":
            sentiment_, first, _ = nodes[opened[-1]]
            if first == len(words):
                raise ValueError("a bracket closes without a word in it")
            nodes[opened.pop()] = (sentiment_, first, len(words))
        else:
            words.append(token)
    if opened or not nodes:
        raise ValueError("the tree is not closed" if opened else "there is no tree")
    return [Phrase(tuple(words[first:end]), sentiment) for sentiment, first, end in nodes]
