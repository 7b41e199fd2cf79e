"""The Stanford Natural Language Inference corpus: does a premise entail a hypothesis?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

from latent.text import tokenize
from trainer.paths import data_folder
from trainer.tasks.base import DataError, Example, Splits, Text

NO_GOLD_LABEL = "-"


@cache
def _tokens(text: str) -> Text:
    return tuple(tokenize(text))


@dataclass(frozen=True)
class Snli:
    """SNLI 1.0 (Bowman et al. 2015): entailment, neutral or contradiction.

    Pairs whose annotators did not agree on a label are left out.
    """

    data: Path = field(default_factory=data_folder)
    """Where data sets live; the corpus is in its folder `snli` (environment: UNDERSTORY_DATA)."""

    name: ClassVar[str] = "snli"
    kind: ClassVar[str] = "pair"
    labels: ClassVar[tuple[str, ...]] = ("entailment", "neutral", "contradiction")

    def splits(self) -> Splits:
        """Read the three official files of JSON lines.

        Raises:
            DataError: if a file is missing, or a line of it is no pair.
        """
        train = self._read("train")
        return Splits(
            labels=self.labels,
            train=train,
            dev=self._read("dev"),
            test=self._read("test"),
            sentences=[sentence for example in train for sentence in example.text],  # type: ignore[misc]
        )

    def _read(self, split: str) -> list[Example]:
        path = self.data / "snli" / f"snli_1.0_{split}.jsonl"
        if not path.is_file():
            raise DataError(f"snli: there is no {path}; fetch the data: python -m trainer data snli")
        examples = []
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    pair = json.loads(line)
                    label = pair["gold_label"]
                    texts = _tokens(pair["sentence1"]), _tokens(pair["sentence2"])
                    index = -1 if label == NO_GOLD_LABEL else self.labels.index(label)
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(f"snli: {path}, line {number}: not a labelled pair ({error})") from error
                if index >= 0 and all(texts):
                    examples.append(Example(texts, index))
        return examples
