"""Pairs: two sentences an input, a tree on each, and several tasks side by side."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from served import running, settings_for, write_model, write_pair_model

from latent.nn import checkpoint
from server.app import create_app

PAIR = {"premise": "A funny film.", "hypothesis": {"tokens": ["It", "is", "not", "dull", "."]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both")
    write_model(folder, "spigot")
    write_pair_model(folder)
    return folder


@pytest.fixture(scope="module")
def pairs(folder: Path) -> Iterator[httpx.Client]:
    with running(create_app(settings_for(folder))) as client:
        yield client


def predict(client: httpx.Client, *constraints: dict) -> httpx.Response:
    parameters = {"trees": {"constraints": list(constraints)}}
    return client.post(
        "/v1/predict", json={"model": "snli-marginals", "inputs": [PAIR, PAIR], "parameters": parameters}
    )


def test_a_pair_has_two_sentences_with_trees_of_their_own(pairs: httpx.Client, folder: Path) -> None:
    data = predict(pairs).json()["data"]
    assert data[0] == data[1]
    premise, hypothesis = data[0]["sentences"]
    assert premise["tokens"] == ["A", "funny", "film", "."]
    assert hypothesis["tokens"] == PAIR["hypothesis"]["tokens"]
    classifier = checkpoint.load(folder / "snli-marginals" / "model.safetensors").classifier
    with torch.no_grad():
        encoding = classifier.encode(classifier.batch([[premise["tokens"], hypothesis["tokens"]]]))
        mu = classifier.structure.marginals(encoding.scores, encoding.lengths)
        z = classifier.structure.map(encoding.scores, encoding.lengths)
        wanted = classifier.decode(encoding, mu).softmax(-1)[0].tolist()
    assert [one["score"] for one in data[0]["scores"]] == pytest.approx(wanted, abs=1e-5)
    for side, sentence in enumerate((premise, hypothesis)):
        n = len(sentence["tokens"])
        assert sentence["trees"]["map"]["heads"] == z[0, side].argmax(0)[1 : n + 1].tolist()
        for arc in sentence["trees"]["marginals"]:
            assert arc["probability"] == pytest.approx(
                float(mu[0, side, arc["head"], arc["modifier"]]), abs=1e-5
            )


def test_constraints_of_a_pair_name_their_side(pairs: httpx.Client) -> None:
    rule = {"modifier": 2, "head": 4, "op": "force"}
    free = predict(pairs).json()["data"][0]["sentences"]
    ruled = predict(pairs, {**rule, "side": "hypothesis"}).json()["data"][0]["sentences"]
    assert ruled[1]["trees"]["map"]["heads"][1] == 4
    assert ruled[0] == free[0]
    missing = predict(pairs, rule)
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (
        422,
        "/parameters/trees/constraints/0/side",
    )
    circle = [{"modifier": 1, "head": 2, "op": "force", "side": "premise"}]
    circle += [{"modifier": 2, "head": 1, "op": "force", "side": "premise"}]
    assert predict(pairs, *circle).status_code == 422


def test_models_of_a_comparison_are_those_that_take_the_input(pairs: httpx.Client) -> None:
    for value, id_ in ((PAIR, "snli-marginals"), ("Dull.", "sst-spigot")):
        answer = pairs.post("/v1/compare", json={"inputs": [value]}).json()
        assert [model["id"] for model in answer["models"]] == [id_]
    both = pairs.post("/v1/compare", json={"inputs": ["Dull."], "models": ["snli-marginals", "sst-spigot"]})
    assert (both.status_code, both.json()["errors"][0]["pointer"]) == (422, "/models")
    text = pairs.post("/v1/predict", json={"model": "snli-marginals", "inputs": ["Dull."]})
    assert text.json()["errors"][0]["pointer"] == "/inputs/0"
