"""From predictions to plain dicts, which a framework then writes: the answers of `service_rivals.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from server.predictor import Alignment, Item, Mixture, Prediction, Probabilities, SentenceTrees
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
    mixture = tree.mixture
    return {
        "map": None if tree.heads is None or "map" not in wanted.return_ else {"heads": tree.heads.tolist()},
        "marginals": None
        if tree.marginals is None or "marginals" not in wanted.return_
        else _arcs(tree.marginals, wanted.min_probability),
        "sparsemap": None
        if mixture is None or "sparsemap" not in wanted.return_
        else _weighted(mixture, wanted.max_trees),
        "support_size": None
        if mixture is None or "sparsemap" not in wanted.return_
        else len(mixture.weights),
    }


def _weighted(mixture: Mixture, most: int) -> list[Json]:
    trees = zip(mixture.weights[:most].tolist(), mixture.heads[:most].tolist(), strict=True)
    return [{"weight": weight, "heads": heads} for weight, heads in trees]


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
