"""Answers as they are shown in a notebook: HTML without script or style sheet."""

from html import escape

from server.aligned import alignment_svg
from server.drawing import mixture_svg, sentence_svg
from server.schemas import Comparison, Prediction


def prediction_html(prediction: Prediction) -> str:
    """Draw an answer: its label and probability, then its sentences' trees and their alignment."""
    score = next(each.score for each in prediction.scores if each.label == prediction.label)
    parts = [f"<p><b>{escape(prediction.label)}</b> {score:.0%}</p>"]
    pictures = [draw(each) for each in prediction.sentences for draw in (sentence_svg, mixture_svg)]
    pictures.append(alignment_svg(prediction))
    parts += [f'<div style="overflow-x: auto; background: #fff">{svg}</div>' for svg in pictures if svg]
    return "".join(parts)


def comparison_html(comparison: Comparison) -> str:
    """Draw every model's answer to one input, under its name."""
    return "".join(f"<h4>{escape(each.model)}</h4>{prediction_html(each)}" for each in comparison.models)
