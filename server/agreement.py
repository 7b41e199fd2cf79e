"""How far the trees of two models agree on one input."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from server.predictor import Prediction, SentenceTrees


def between(found: Sequence[tuple[str, Prediction]]) -> list[dict[str, Any]]:
    """Compare the trees of each pair of models that have any, over all words of an input."""
    with_trees = [(id_, prediction.trees) for id_, prediction in found if prediction.trees]
    return [
        {
            "models": [one, other],
            "map": _mean_agreement([_same_heads(p, q) for p, q in zip(left, right, strict=True)]),
            "marginals": _mean_agreement([_expected(p, q) for p, q in zip(left, right, strict=True)]),
        }
        for (one, left), (other, right) in combinations(with_trees, 2)
    ]


def _same_heads(p: SentenceTrees, q: SentenceTrees) -> tuple[float, int] | None:
    if p.heads is None or q.heads is None:
        return None
    return int((p.heads == q.heads).sum()), len(p.heads)


def _expected(p: SentenceTrees, q: SentenceTrees) -> tuple[float, int] | None:
    if p.marginals is None or q.marginals is None:
        return None
    return float((p.marginals * q.marginals).sum()), len(p.marginals) - 1


def _mean_agreement(sentences: Sequence[tuple[float, int] | None]) -> float | None:
    known = [sentence for sentence in sentences if sentence is not None]
    if len(known) < len(sentences):
        return None
    return sum(agreed for agreed, _ in known) / sum(words for _, words in known)
