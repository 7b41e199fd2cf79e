"""A pair as a picture: both sentences with their trees, and ribbons between the words that are compared."""

from html import escape

from server.drawing import (
    INK,
    LEAST,
    MARGINALS,
    PAD,
    SPARSEMAP,
    Side,
    alone,
    best_tree,
    content,
    lay_out,
    marginals,
    mixture,
    right_to_left,
    tall,
    weighted,
)
from server.layout import DrawnArc, Picture
from server.ribbons import HEIGHT, Ribbon, ribbons
from server.schemas import Prediction, Sentence, Trees

ALIGN = "#9a6a00"
INSET = 160.0  # px at most that the shorter sentence stands in from where the longer one begins


def _one_tree(sentence: Sentence, side: Side) -> tuple[list[DrawnArc], str]:
    """What is drawn on a sentence of a pair, and its colour: the best tree, or else what there is."""
    trees = sentence.trees or Trees()
    if trees.map:
        return best_tree(trees, side), INK
    if trees.marginals:
        return weighted(marginals(trees), side), MARGINALS
    return weighted(mixture(trees), side), SPARSEMAP


def _offset(sentence: Sentence, picture: Picture, width: float) -> float:
    """How far a sentence stands from the left: a short one in the middle, or near a long one's beginning."""
    free = width - picture.width
    inset = min(free / 2, INSET)
    return free - inset if right_to_left(sentence.tokens) else inset


def _ribbon(ribbon: Ribbon, tokens: list[list[str]]) -> str:
    opacity = 0.1 + 0.75 * ribbon.weight
    words = f"{tokens[0][ribbon.upper]} → {tokens[1][ribbon.lower]}"
    return (
        f'<path d="{ribbon.path}" fill="{ALIGN}" fill-opacity="{opacity:.2f}">'
        f"<title>{escape(words)} {ribbon.down:.0%}, back {ribbon.up:.0%}</title></path>"
    )


def alignment_svg(prediction: Prediction) -> str:
    """Draw a pair, ribbons between its words and a tree on either side; "" where it is not aligned."""
    rows = prediction.alignment
    if rows is None:
        return ""
    tokens = [sentence.tokens for sentence in prediction.sentences]
    sides: list[Side] = ["above", "below"]
    trees = [_one_tree(each, side) for each, side in zip(prediction.sentences, sides, strict=True)]
    pictures = [lay_out(words, arcs) for words, (arcs, _) in zip(tokens, trees, strict=True)]
    width = max(picture.width for picture in pictures)
    offsets = [_offset(*both, width) for both in zip(prediction.sentences, pictures, strict=True)]
    places = [[x + left for x in each.words] for each, left in zip(pictures, offsets, strict=True)]
    tops = [PAD + pictures[0].above, tall(pictures[0]) + HEIGHT + PAD]
    parts = [
        f'<g transform="translate({left:.2f} {top:.2f})">{content(words, picture, (colour, colour))}</g>'
        for left, top, words, picture, (_, colour) in zip(offsets, tops, tokens, pictures, trees, strict=True)
    ]
    down, up = rows.premise_to_hypothesis, rows.hypothesis_to_premise
    drawn = ribbons(places[0], places[1], down, up, LEAST)
    between = "".join(_ribbon(each, tokens) for each in drawn)
    parts.insert(1, f'<g transform="translate(0 {tall(pictures[0]):.2f})">{between}</g>')
    height = sum(map(tall, pictures)) + HEIGHT
    return alone(" / ".join(map(" ".join, tokens)), "".join(parts), width, height)
