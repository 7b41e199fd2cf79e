"""From text to words, and from words to the rows of an embedding table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from latent.treebank import word_tokenizer

PADDING = 0
UNKNOWN = 1
RESERVED = 2
"""Ids below this one stand for no particular word."""

_tokenizer = word_tokenizer()

# The Treebank rules take a full stop off the end of the text only, so each sentence goes in alone.
# Two lower-case letters before the stop keep "Mr." and "U.S." in one piece. The stop is looked for first.
_SENTENCE_END = re.compile(r"[.!?](?<=[a-z)\]'\"][a-z)\]'\"].)\s+(?=[\"'(\[]*[A-Z])")

_PTB_ESCAPES = {
    "-lrb-": "(",
    "-rrb-": ")",
    "-lsb-": "[",
    "-rsb-": "]",
    "-lcb-": "{",
    "-rcb-": "}",
    "``": '"',
    "''": '"',
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "—": "--",
    "–": "--",
    "…": "...",
}


def tokenize(text: str) -> list[str]:
    """Split a text into Penn Treebank tokens, each exactly as it was typed.

    Contractions and punctuation become tokens of their own, as in the Stanford Sentiment Treebank;
    characters are never replaced, so the tokens are substrings of the text in their order.

    >>> tokenize("It isn't “bad”. I'd see it twice!")
    ['It', 'is', "n't", '“', 'bad', '”', '.', 'I', "'d", 'see', 'it', 'twice', '!']
    """
    return [text[start:end] for start, end in _spans(text)]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    text = plain_apostrophes(text)
    start = 0
    for end in sentence_ends(text):
        for left, right in _tokenizer.span_tokenize(text[start:end]):
            yield start + left, start + right
        start = end


def plain_apostrophes(text: str) -> str:
    """Return the text as the rules read it: they know the plain apostrophe only; places stay the same."""
    return text.replace("’", "'")


def sentence_ends(text: str) -> list[int]:
    """Return the places where a sentence ends, each before a space; the last is the end of the text."""
    return [*(match.start() + 1 for match in _SENTENCE_END.finditer(text)), len(text)]


def normalize(token: str) -> str:
    r"""Return the form under which a token is looked up: lower case, without Treebank escapes.

    >>> normalize("-LRB-"), normalize("``"), normalize("Film"), normalize("and\\/or")
    ('(', '"', 'film', 'and/or')
    """
    token = token.lower()
    return _PTB_ESCAPES.get(token) or token.replace("\\/", "/").replace("\\*", "*").replace("’", "'")


class Vocabulary:
    """The words that a model knows; id 0 is padding, id 1 is any other word.

    Args:
        words: normalised, distinct words; ``words[i]`` gets id ``i + 2``.

    Raises:
        ValueError: if a word occurs twice.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words: tuple[str, ...] = tuple(words)
        self._ids = {word: index for index, word in enumerate(self.words, start=RESERVED)}
        if len(self._ids) != len(self.words):
            repeated = [word for word, count in Counter(self.words).items() if count > 1]
            raise ValueError(f"vocabulary: each word must occur once; got {repeated[0]!r} more than once")

    @classmethod
    def from_sentences(cls, sentences: Iterable[Sequence[str]], min_count: int = 1) -> Vocabulary:
        """Collect the words that occur at least ``min_count`` times, most frequent first."""
        counts = Counter(normalize(token) for sentence in sentences for token in sentence)
        kept = [(word, count) for word, count in counts.items() if count >= min_count]
        return cls(word for word, _ in sorted(kept, key=lambda item: (-item[1], item[0])))

    def __len__(self) -> int:
        """Return the number of ids: the words, padding and the unknown word."""
        return len(self.words) + RESERVED

    def __contains__(self, token: str) -> bool:
        return normalize(token) in self._ids

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.words)} words)"

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """Look up each token by its normalised form; an unfamiliar one gets ``UNKNOWN``."""
        find = self._ids.get
        # A word that is known as it stands is its own normalised form; no word has the id 0.
        return [find(token) or find(normalize(token), UNKNOWN) for token in tokens]
