"""From predictions to the JSON of an answer, in the shape of `server.schemas`.

Plain dicts: the models of `schemas` would check each of the many small parts of an answer again, at a cost
of the order of inference itself. The tests hold these dicts against the schemas.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from server.predictor import Alignment, Item, Prediction, Probabilities, SentenceTrees
from server.schemas import Parameters, TreeParameters

Json = dict[str, Any]


def prediction(labels: Sequence[str], item: Item, found: Prediction, wanted: Parameters) -> Json:
    """Write one model's answer for one input."""
    trees: Sequence[SentenceTrees | None] = found.trees or [None] * len(item.sentences)
    return {
        **_outcome(labels, found.scores),
        "by_structure": {name: _outcome(labels, scores) for name, scores in found.by_structure.items()},
        "sentences": [
            {"tokens": words, "trees": tree and _trees(tree, wanted.trees)}
            for words, tree in zip(item.sentences, trees, strict=True)
        ],
        "alignment": _alignment(found.alignment) if wanted.alignment and found.alignment else None,
    }


def _outcome(labels: Sequence[str], scores: list[float]) -> Json:
    return {
        "label": labels[max(range(len(scores)), key=scores.__getitem__)],
        "scores": [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)],
    }


def _alignment(alignment: Alignment) -> Json:
    there, back = alignment
    return {"premise_to_hypothesis": _rows(there), "hypothesis_to_premise": _rows(back)}


def _rows(probabilities: Probabilities) -> list[list[float]]:
    """Write six decimals: what single precision is worth, in a third of the digits."""
    rows: list[list[float]] = probabilities.astype(np.float64).round(6).tolist()
    return rows


def _trees(tree: SentenceTrees, wanted: TreeParameters) -> Json:
    support = tree.support
    return {
        "map": None if tree.heads is None or "map" not in wanted.return_ else {"heads": tree.heads},
        "marginals": None
        if tree.marginals is None or "marginals" not in wanted.return_
        else _arcs(tree.marginals, wanted.min_probability),
        "sparsemap": None
        if support is None or "sparsemap" not in wanted.return_
        else [{"weight": weight, "heads": heads} for weight, heads in support[: wanted.max_trees]],
        "support_size": None if support is None or "sparsemap" not in wanted.return_ else len(support),
    }


def _arcs(marginals: np.ndarray, least: float) -> list[Json]:
    """List the arcs that can be, by modifier and then head, from `least` on."""
    kept = marginals.T[1:] >= least
    np.einsum("mm->m", kept[:, 1:])[:] = False  # no word is its own head
    modifiers, heads = np.nonzero(kept)
    probabilities = marginals[heads, modifiers + 1]
    return [
        {"modifier": modifier + 1, "head": head, "probability": probability}
        for modifier, head, probability in zip(
            modifiers.tolist(), heads.tolist(), probabilities.tolist(), strict=True
        )
    ]


def agreement(found: Sequence[tuple[str, Prediction]]) -> list[Json]:
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
    return sum(a == b for a, b in zip(p.heads, q.heads, strict=True)), len(p.heads)


def _expected(p: SentenceTrees, q: SentenceTrees) -> tuple[float, int] | None:
    if p.marginals is None or q.marginals is None:
        return None
    return float((p.marginals * q.marginals).sum()), len(p.marginals) - 1


def _mean_agreement(sentences: Sequence[tuple[float, int] | None]) -> float | None:
    known = [sentence for sentence in sentences if sentence is not None]
    if len(known) < len(sentences):
        return None
    return sum(agreed for agreed, _ in known) / sum(words for _, words in known)
