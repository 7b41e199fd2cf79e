"""From the inputs of a request to items of a batch, held against the limits."""

from collections.abc import Sequence

from server.errors import invalid
from server.predictor import ArcRule, Item
from server.schemas import Constraint, Input, InputKind, Limits, Pair, Tokens
from server.words import tokenize

SIDES = ("premise", "hypothesis")


def read_items(
    inputs: Sequence[Input], takes: InputKind, constraints: Sequence[Constraint], limits: Limits
) -> list[Item]:
    """Tokenise and check every input of a request.

    Raises:
        ApiError: 422 that points at the first thing wrong.
    """
    if len(inputs) > limits.max_inputs:
        raise invalid("/inputs", f"at most {limits.max_inputs} inputs in a request; got {len(inputs)}")
    items = []
    for i, value in enumerate(inputs):
        sentences = _sentences(f"/inputs/{i}", value, takes, limits)
        items.append(Item(sentences, tuple(_rules(constraints, sentences))))
    return items


def check_work(items: Sequence[Item], models: int, limits: Limits) -> None:
    """Refuse a request that is too much work as a whole, though each of its parts is within the limits."""
    arcs = models * sum([len(sentence) ** 2 for item in items for sentence in item.sentences])
    if arcs > limits.max_arcs:
        raise invalid(
            "/inputs",
            f"the squared numbers of words, over all inputs and models, may sum to {limits.max_arcs}; "
            f"got {arcs}: send fewer inputs a request, or shorter ones",
        )


def kind_of(value: Input) -> InputKind:
    """Tell which kind of task an input is for."""
    return "pair" if isinstance(value, Pair) else "sentence"


def _sentences(pointer: str, value: Input, takes: InputKind, limits: Limits) -> tuple[tuple[str, ...], ...]:
    if takes == "pair":
        if not isinstance(value, Pair):
            raise invalid(pointer, "this model takes a pair: {'premise': …, 'hypothesis': …}")
        sides = ((side, getattr(value, side)) for side in SIDES)
        return tuple(_words(f"{pointer}/{side}", sentence, limits) for side, sentence in sides)
    if isinstance(value, Pair):
        raise invalid(pointer, "this model takes one sentence: a text or {'tokens': […]}; got a pair")
    return (_words(pointer, value, limits),)


def _words(pointer: str, value: str | Tokens, limits: Limits) -> tuple[str, ...]:
    if isinstance(value, Tokens):
        pointer += "/tokens"
        for j, token in enumerate(value.tokens):
            _check_text(f"{pointer}/{j}", token)
        _check_size(pointer, "characters", sum(map(len, value.tokens)), limits.max_characters)
        words = tuple(value.tokens)
    else:
        _check_text(pointer, value)
        _check_size(pointer, "characters", len(value), limits.max_characters)  # first: tokenising costs time
        words = tuple(tokenize(value))
    _check_size(pointer, "words", len(words), limits.max_words)
    return words


def _check_size(pointer: str, unit: str, size: int, most: int) -> None:
    if size > most:
        raise invalid(pointer, f"at most {most} {unit} in a sentence; got {size}")


def _check_text(pointer: str, text: str) -> None:
    if not text.strip():
        raise invalid(pointer, "there is no word in it")
    if "\0" in text:
        raise invalid(pointer, "it holds a NUL character: is it binary data?")


def _rules(constraints: Sequence[Constraint], sentences: Sequence[Sequence[str]]) -> list[ArcRule]:
    return [
        _rule(f"/parameters/trees/constraints/{c}", constraint, sentences)
        for c, constraint in enumerate(constraints)
    ]


def _rule(pointer: str, constraint: Constraint, sentences: Sequence[Sequence[str]]) -> ArcRule:
    if (constraint.side is None) != (len(sentences) == 1):
        raise invalid(f"{pointer}/side", "'premise' or 'hypothesis' for a pair, null for a single sentence")
    side = 0 if constraint.side is None else SIDES.index(constraint.side)
    words = len(sentences[side])
    for name, position in (("modifier", constraint.modifier), ("head", constraint.head)):
        if position > words:
            raise invalid(f"{pointer}/{name}", f"the sentence has {words} words; got position {position}")
    if constraint.modifier == constraint.head:
        raise invalid(f"{pointer}/head", "no word is its own head")
    return ArcRule(constraint.head, constraint.modifier, constraint.op == "force", side)
