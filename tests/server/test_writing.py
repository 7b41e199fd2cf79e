"""The compiled part of an answer against `json` itself."""

import json
from typing import Any

import numpy as np
import pytest

from server.predictor import Mixture, SentenceTrees
from server.schemas import TreeParameters
from server.writing import trees_json

ALL = ("map", "marginals", "sparsemap")


def padded_trees(words: int, trees: int) -> SentenceTrees:
    """Trees of one sentence as they lie in a batch whose longest sentence has three words more."""
    rng = np.random.default_rng(words)
    marginals = rng.random((2, words + 4, words + 4), np.float32)[1] ** 4
    heads = rng.integers(0, words + 1, (trees + 1, words + 3))
    weights = np.sort(rng.dirichlet(np.full(trees, 0.1)))[::-1]
    mixture = Mixture(weights, heads[1:].astype(np.int16)[:, :words])
    return SentenceTrees(heads[0, :words], marginals[: words + 1, : words + 1], mixture)


def by_json(tree: SentenceTrees, wanted: TreeParameters) -> dict[str, Any]:
    """The same, with an object for everything, which `json` may write."""
    n = len(tree.heads)
    arcs = [
        {"modifier": m, "head": h, "probability": round(float(tree.marginals[h, m]), 6)}
        for m in range(1, n + 1)
        for h in range(n + 1)
        if h != m and tree.marginals[h, m] >= np.float32(wanted.min_probability)
    ]
    mixture = [
        {"weight": round(weight, 6), "heads": heads}
        for weight, heads in zip(tree.mixture.weights.tolist(), tree.mixture.heads.tolist(), strict=True)
    ]
    found = {
        "map": {"heads": tree.heads.tolist()},
        "marginals": arcs,
        "sparsemap": mixture[: wanted.max_trees],
        "support_size": len(mixture),
    }
    asked = {*wanted.return_, *(["support_size"] if "sparsemap" in wanted.return_ else [])}
    return {name: value if name in asked else None for name, value in found.items()}


@pytest.mark.parametrize("names", [ALL, ("map",), ("marginals",), ("sparsemap",), ()], ids=str)
@pytest.mark.parametrize("least", [0.0, 0.01, 1.0])
@pytest.mark.parametrize(("words", "trees"), [(1, 1), (7, 2), (120, 5)])
def test_trees_are_written_as_json(words: int, trees: int, least: float, names: tuple[str, ...]) -> None:
    tree = padded_trees(words, trees)
    for most in (1, 3, 64):
        wanted = TreeParameters(return_=names, min_probability=least, max_trees=most)
        assert json.loads(trees_json(tree, wanted)) == by_json(tree, wanted)


def test_what_was_not_inferred_is_null() -> None:
    nothing = {"map": None, "marginals": None, "sparsemap": None, "support_size": None}
    assert json.loads(trees_json(SentenceTrees(), TreeParameters(return_=ALL))) == nothing


def test_the_largest_numbers_and_the_least_have_room() -> None:
    heads = np.full(3, 32767)
    mixture = Mixture(np.array([1.0, 4e-7]), np.full((2, 3), 32767, np.int16))
    tree = SentenceTrees(heads, np.ones((4, 4), np.float32), mixture)
    wanted = TreeParameters(return_=ALL)
    assert json.loads(trees_json(tree, wanted)) == by_json(tree, wanted)
