"""Trees as CoNLL-U text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from trainer.trees import Heads


def write_sentence(file: TextIO, name: str, tokens: Sequence[str], heads: Heads) -> None:
    """Write one sentence: a line a word with its head; what is not known is ``_``.

    A space inside a token, which CoNLL-U forbids in an ordinary word's form, becomes an underscore.
    """
    file.write(f"# sent_id = {name}\n# text = {' '.join(tokens)}\n")
    for number, (token, head) in enumerate(zip(tokens, heads, strict=True), start=1):
        form = "_".join(token.split()) or "_"
        relation = "root" if head == 0 else "dep"
        file.write("\t".join([str(number), form, "_", "_", "_", "_", str(head), relation, "_", "_"]) + "\n")
    file.write("\n")


def read_heads(lines: Sequence[str] | TextIO) -> list[tuple[list[str], list[int]]]:
    """Read words and heads of CoNLL-U sentences; ranges and empty nodes are passed over.

    Raises:
        ValueError: if a line is no word of CoNLL-U.
    """
    sentences: list[tuple[list[str], list[int]]] = []
    tokens: list[str] = []
    heads: list[int] = []
    for number, line in enumerate([*lines, ""], start=1):
        text = line.rstrip("\n")
        if not text:
            if tokens:
                sentences.append((tokens, heads))
            tokens, heads = [], []
            continue
        fields = text.split("\t")
        if text.startswith("#") or not fields[0].isdigit():
            continue
        if len(fields) != 10 or not fields[6].isdigit():
            raise ValueError(f"line {number}: wanted ten fields with a head in the seventh; got {text!r}")
        tokens.append(fields[1])
        heads.append(int(fields[6]))
    return sentences
