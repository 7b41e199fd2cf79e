"""`latent.text.tokenize` at a tenth of its cost, for text made of pieces that were seen before.

The Treebank rules look beyond a piece between two spaces in few cases: quotation marks of two characters, the
end of a sentence, and spaces other than single ones. Elsewhere what became of a piece is remembered.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from latent import text as rules

MOST_PIECES = 32_768
LONGEST_PIECE = 32
"""Characters: together they bound what is remembered to some ten megabytes."""

_PLAIN = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_CONTRACTIONS = re.compile(r"\b(?:cannot|gimme|gonna|gotta|lemme|wanna)\b", re.IGNORECASE)
"""The only words of plain characters that the rules split."""
_CLOSERS = "])}>\"'»”’"
"""What a full stop that ends a sentence may have after it, with spaces between."""

_QUOTES = ('"', "''", "``")

_Tokens = tuple[str, ...]
_Pieces = dict[str, _Tokens]
_inside: _Pieces = {}
_last: _Pieces = {}


def tokenize(text: str) -> list[str]:
    """Split a text into Penn Treebank tokens: the same as `latent.text.tokenize`, whatever the text.

    Cost: a look-up a piece where all of them are known; else that of `latent.text.tokenize`.
    """
    plain = rules.plain_apostrophes(text)
    pieces = text.split()
    if " ".join(pieces) != text or not _quotes_stand_alone(plain, pieces):
        return rules.tokenize(text)
    sentences = _sentences(text, pieces, rules.sentence_ends(plain))
    if not all(map(_ends_plainly, sentences)):
        return rules.tokenize(text)
    found = _recall(sentences)
    if found is None:
        found = rules.tokenize(text)
        _remember(sentences, iter(found))
    return found


def _quotes_stand_alone(plain: str, pieces: list[str]) -> bool:
    """Whether each quotation mark of two characters is a piece: the rules then make it one token."""
    if '"' not in plain and "''" not in plain:
        return True
    return sum(map(plain.count, _QUOTES)) == sum(map(pieces.count, _QUOTES))


def _ends_plainly(pieces: list[str]) -> bool:
    """Whether no piece but the last can hold the full stop that ends the sentence."""
    return bool(pieces) and (bool(pieces[-1].strip(_CLOSERS)) or (pieces[-1] in _QUOTES and len(pieces) > 1))


def _sentences(text: str, pieces: list[str], ends: list[int]) -> list[list[str]]:
    """Part the pieces of a text into those of its sentences."""
    if len(ends) == 1:
        return [pieces]
    return [text[start:end].split() for start, end in pairwise([0, *ends])]


def _recall(sentences: list[list[str]]) -> list[str] | None:
    """Put the tokens together from what is known of the pieces; None where one is new."""
    tokens: list[str] = []
    for *pieces, last in sentences:
        for piece in pieces:
            found = _inside.get(piece) or _as_it_is(piece, _inside)
            if found is None:
                return None
            tokens += found
        found = _last.get(last) or _as_it_is(last, _last)
        if found is None:
            return None
        tokens += found
    return tokens


def _as_it_is(piece: str, known: _Pieces) -> _Tokens | None:
    """Return a piece that is one token wherever it stands, or None."""
    if not _PLAIN.fullmatch(piece) or _CONTRACTIONS.search(piece):
        return None
    _note(piece, (piece,), known)
    return (piece,)


def _remember(sentences: list[list[str]], tokens: Iterator[str]) -> None:
    """Note which tokens became of each piece: those that have its characters in all."""
    for *pieces, last in sentences:
        for piece in pieces:
            _note(piece, _parts(piece, tokens), _inside)
        _note(last, _parts(last, tokens), _last)


def _parts(piece: str, tokens: Iterator[str]) -> _Tokens:
    parts, missing = [], len(piece)
    while missing:
        parts.append(next(tokens))
        missing -= len(parts[-1])
    return tuple(parts)


def _note(piece: str, tokens: _Tokens, known: _Pieces) -> None:
    if len(piece) <= LONGEST_PIECE:
        if len(known) >= MOST_PIECES:
            known.clear()
        known[piece] = tokens
