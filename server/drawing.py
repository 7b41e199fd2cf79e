"""Sentences as pictures outside the page: SVG that stands alone, in the colours of its light theme."""

import unicodedata
from html import escape
from typing import Literal

from server.layout import TEXT_HEIGHT, DrawnArc, Picture, layout
from server.schemas import Sentence, Trees

INK, MARGINALS, SPARSEMAP = "#16211b", "#0a7d6c", "#8a3b86"
FONT = "'Source Serif 4', Georgia, 'Times New Roman', serif"
SIZE, PAD = 17, 8
LEAST = 0.05  # what is lighter is not drawn
NARROW, WIDE = set("ijltfr.,:;'!|()[]`\"-"), set("mwMW@%&")


def text_width(token: str) -> float:
    """Estimate a word's width in px; there is no font to ask, so the SVG stretches the word to fit."""

    def em(sign: str) -> float:
        if unicodedata.east_asian_width(sign) in "WF":
            return 1.0
        if sign in NARROW:
            return 0.32
        return 0.82 if sign in WIDE else 0.64 if sign.isupper() else 0.5

    return max(4.0, SIZE * sum(map(em, token)))


def right_to_left(tokens: list[str]) -> bool:
    """Whether the first letter with a direction is of a right-to-left script."""
    kinds = [unicodedata.bidirectional(sign) for token in tokens for sign in token]
    return next((kind in ("R", "AL") for kind in kinds if kind in ("L", "R", "AL")), False)


def _stroke(arc: DrawnArc) -> float:
    return max(0.6, min(0.5 + 3 * arc.weight, (0.3 + arc.weight) * (arc.step - 1)))


def _arc(arc: DrawnArc, colour: str, weighted: bool) -> str:
    """One arc and its tip; width and opacity carry the weight."""
    width = _stroke(arc) if weighted else 1.4
    opacity = min(1.0, 0.14 + 0.86 * arc.weight) if weighted else 1.0
    size = 2.2 + 2.6 * arc.weight if weighted else 3.6
    up, line = (1, TEXT_HEIGHT) if arc.side == "below" else (-1, 0.0)
    foot = line - up * 3
    back, x = foot + up * size * 1.9, arc.x_modifier
    share = f"<title>{arc.weight:.0%}</title>" if weighted else ""
    return (
        f'<path d="{arc.path}" fill="none" stroke="{colour}" stroke-width="{width:.2f}"'
        f' stroke-opacity="{opacity:.2f}">{share}</path>'
        f'<path d="M{x:.2f} {foot:.2f}L{x - size:.2f} {back:.2f}H{x + size:.2f}Z" fill="{colour}"'
        f' fill-opacity="{opacity:.2f}"/>'
    )


def content(tokens: list[str], picture: Picture, colours: tuple[str, str]) -> str:
    """The words of a picture, stretched to the widths that it was laid out for, and its arcs."""
    words = "".join(
        f'<text x="{x:.2f}" y="{TEXT_HEIGHT * 0.66:.2f}" text-anchor="middle"'
        f' textLength="{text_width(token):.1f}" lengthAdjust="spacingAndGlyphs">{escape(token)}</text>'
        for x, token in zip(picture.words, tokens, strict=True)
    )
    colour = dict(zip(("above", "below"), colours, strict=True))
    arcs = "".join(_arc(arc, colour[arc.side], colour[arc.side] != INK) for arc in picture.arcs)
    direction = "rtl" if right_to_left(tokens) else "ltr"
    return (
        f'<g font-family="{FONT}" font-size="{SIZE}" fill="{INK}" direction="{direction}">{words}</g>{arcs}'
    )


def lay_out(tokens: list[str], arcs: list[DrawnArc]) -> Picture:
    """Where words and arcs go."""
    return layout([text_width(token) for token in tokens], arcs, right_to_left=right_to_left(tokens))


def tall(picture: Picture) -> float:
    """The height of a picture, with what it is padded by."""
    return picture.above + TEXT_HEIGHT + picture.below + 2 * PAD


def alone(title: str, body: str, width: float, height: float, top: float = 0.0) -> str:
    """An SVG document around `body`, whose y begins at `top`."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 {top:.2f} {width:.2f} {height:.2f}" role="img">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _svg(tokens: list[str], arcs: list[DrawnArc], colours: tuple[str, str]) -> str:
    picture = lay_out(tokens, arcs)
    body = content(tokens, picture, colours)
    return alone(" ".join(tokens), body, picture.width, tall(picture), -(picture.above + PAD))


Shares = dict[tuple[int, int], float]
Side = Literal["above", "below"]


def weighted(arcs: Shares, side: Side) -> list[DrawnArc]:
    """Arcs of one side, each as heavy as its share; those above `LEAST`, lightest first."""
    drawn = [
        DrawnArc(head, modifier, weight, side, 1.7 + 3 * weight)
        for (head, modifier), weight in arcs.items()
        if weight >= LEAST
    ]
    return sorted(drawn, key=lambda arc: arc.weight)


def best_tree(trees: Trees, side: Side) -> list[DrawnArc]:
    """The arcs of the MAP tree on one side of the words; none where it was not asked for."""
    heads = trees.map.heads if trees.map else []
    return [DrawnArc(head, word, side=side) for word, head in enumerate(heads, start=1)]


def marginals(trees: Trees) -> Shares:
    """The probability of each arc."""
    return {(arc.head, arc.modifier): arc.probability for arc in trees.marginals or []}


def mixture(trees: Trees) -> Shares:
    """Of each arc the weight of SparseMAP's trees that hold it."""
    shares: Shares = {}
    for tree in trees.sparsemap or []:
        for word, head in enumerate(tree.heads, start=1):
            shares[head, word] = shares.get((head, word), 0.0) + tree.weight
    return shares


def sentence_svg(sentence: Sentence) -> str:
    """Draw a sentence: its MAP tree above the words, its marginals below; "" without trees."""
    trees = sentence.trees
    if trees is None or (trees.map is None and trees.marginals is None):
        return ""
    arcs = [*best_tree(trees, "above"), *weighted(marginals(trees), "below")]
    return _svg(sentence.tokens, arcs, (INK, MARGINALS))


def mixture_svg(sentence: Sentence) -> str:
    """Draw SparseMAP's mixture of trees above the words; "" where there is none."""
    trees = sentence.trees
    if trees is None or not trees.sparsemap:
        return ""
    return _svg(sentence.tokens, weighted(mixture(trees), "above"), (SPARSEMAP, SPARSEMAP))
