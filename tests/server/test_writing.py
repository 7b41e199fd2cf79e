"""The compiled parts of an answer against `json` itself."""

import json

import numpy as np
import pytest

from server.predictor import Mixture
from server.writing import mixture_json


@pytest.mark.parametrize("most", [1, 3, 99])
@pytest.mark.parametrize(("trees", "words"), [(1, 1), (2, 7), (5, 120)])
def test_a_mixture_is_written_as_json(trees: int, words: int, most: int) -> None:
    rng = np.random.default_rng(trees)
    weights = np.sort(rng.dirichlet(np.full(trees, 0.1)))[::-1]
    padded = rng.integers(0, words + 1, (trees, words + 3)).astype(np.int16)
    mixture = Mixture(weights, padded[:, :words])
    wanted = [
        {"weight": round(weight, 6), "heads": heads[:words]}
        for weight, heads in zip(weights.tolist(), padded.tolist(), strict=True)
    ]
    assert json.loads(mixture_json(mixture, most)) == wanted[:most]


def test_the_largest_head_and_the_least_weight_have_room() -> None:
    mixture = Mixture(np.array([1.0, 4e-7]), np.full((2, 3), 32767, np.int16))
    assert json.loads(mixture_json(mixture, 2)) == [
        {"weight": 1.0, "heads": [32767] * 3},
        {"weight": 0.0, "heads": [32767] * 3},
    ]
