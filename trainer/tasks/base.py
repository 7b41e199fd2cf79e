"""What a task is: labelled examples in three parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from trainer.errors import UserError

Text = tuple[str, ...]
"""One sentence as tokens."""


class DataError(UserError):
    """Data that cannot be used; the message names the file, the line and what is wrong there."""


Pair = tuple[Text, Text]
"""A premise and a hypothesis."""


class Example(NamedTuple):
    """A sentence, or a pair of them, and the index of its label."""

    text: Text | Pair
    label: int
    target: tuple[float, ...] | None = None
    """A distribution over the labels to train on, where more is known than the label."""


def sentences_of(text: Text | Pair) -> tuple[Text, ...]:
    """Return the one sentence of a text, or the two of a pair."""
    return (text,) if isinstance(text[0], str) else text


@dataclass(frozen=True)
class Splits:
    """A task's examples."""

    labels: tuple[str, ...]
    train: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example]
    sentences: Sequence[Text] = field(repr=False)
    """Training text in which every word counts once: what the vocabulary is drawn from."""
    notes: Sequence[str] = ()
    """What a user should know of the data, such as rows that could not be used."""


class Task(Protocol):
    """A data set for one kind of classifier; its fields are the options of the command line."""

    name: ClassVar[str]
    kind: ClassVar[str]
    """The kind of classifier: a name of ``latent.nn.checkpoint.CLASSIFIERS``."""
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def splits(self) -> Splits:
        """Read the data.

        Raises:
            DataError: if it is not there or not as it should be.
        """
        ...
