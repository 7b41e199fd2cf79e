"""Answers as pictures, for notebooks: SVG that stands alone, in the colours of the page's light theme."""

import unicodedata
from html import escape

from server.layout import TEXT_HEIGHT, DrawnArc, layout
from server.schemas import Comparison, Prediction, Sentence

INK, MARGINALS, SPARSEMAP = "#16211b", "#0a7d6c", "#8a3b86"
FONT = "'Source Serif 4', Georgia, 'Times New Roman', serif"
SIZE, PAD = 17, 8
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


def _right_to_left(tokens: list[str]) -> bool:
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


def _svg(tokens: list[str], above: list[DrawnArc], below: list[DrawnArc], colours: tuple[str, str]) -> str:
    widths = [text_width(token) for token in tokens]
    rtl = _right_to_left(tokens)
    picture = layout(widths, [*above, *below], right_to_left=rtl)
    height = picture.above + TEXT_HEIGHT + picture.below + 2 * PAD
    words = "".join(
        f'<text x="{x:.2f}" y="{TEXT_HEIGHT * 0.66:.2f}" text-anchor="middle" textLength="{width:.1f}"'
        f' lengthAdjust="spacingAndGlyphs">{escape(token)}</text>'
        for x, width, token in zip(picture.words, widths, tokens, strict=True)
    )
    arcs = "".join(_arc(arc, colours[0], colours[0] != INK) for arc in above)
    arcs += "".join(_arc(arc, colours[1], True) for arc in below)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture.width:.0f}" height="{height:.0f}"'
        f' viewBox="0 {-(picture.above + PAD):.2f} {picture.width:.2f} {height:.2f}" role="img"'
        f' direction="{"rtl" if rtl else "ltr"}"><title>{escape(" ".join(tokens))}</title>'
        f'<g font-family="{FONT}" font-size="{SIZE}" fill="{INK}">{words}</g>{arcs}</svg>'
    )


def _weighted(arcs: dict[tuple[int, int], float], side: str) -> list[DrawnArc]:
    drawn = [
        DrawnArc(head, modifier, weight, "below" if side == "below" else "above", 1.7 + 3 * weight)
        for (head, modifier), weight in arcs.items()
        if weight >= 0.05
    ]
    return sorted(drawn, key=lambda arc: arc.weight)


def sentence_svg(sentence: Sentence) -> str:
    """Draw a sentence: its MAP tree above the words, its marginals below; "" without trees."""
    trees = sentence.trees
    if trees is None or (trees.map is None and trees.marginals is None):
        return ""
    heads = trees.map.heads if trees.map else []
    above = [DrawnArc(head, word) for word, head in enumerate(heads, start=1)]
    shares = {(arc.head, arc.modifier): arc.probability for arc in trees.marginals or []}
    return _svg(sentence.tokens, above, _weighted(shares, "below"), (INK, MARGINALS))


def mixture_svg(sentence: Sentence) -> str:
    """Draw SparseMAP's mixture of trees above the words; "" where there is none."""
    trees = sentence.trees
    if trees is None or not trees.sparsemap:
        return ""
    shares: dict[tuple[int, int], float] = {}
    for tree in trees.sparsemap:
        for word, head in enumerate(tree.heads, start=1):
            shares[head, word] = shares.get((head, word), 0.0) + tree.weight
    return _svg(sentence.tokens, _weighted(shares, "above"), [], (SPARSEMAP, SPARSEMAP))


def prediction_html(prediction: Prediction) -> str:
    """Draw an answer: its label and probability, then the trees of each of its sentences."""
    score = next(each.score for each in prediction.scores if each.label == prediction.label)
    parts = [f"<p><b>{escape(prediction.label)}</b> {score:.0%}</p>"]
    for sentence in prediction.sentences:
        pictures = [sentence_svg(sentence), mixture_svg(sentence)]
        parts += [f'<div style="overflow-x: auto; background: #fff">{svg}</div>' for svg in pictures if svg]
    return "".join(parts)


def comparison_html(comparison: Comparison) -> str:
    """Draw every model's answer to one input, under its name."""
    return "".join(f"<h4>{escape(each.model)}</h4>{prediction_html(each)}" for each in comparison.models)
