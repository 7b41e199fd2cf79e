"""Pairs: two sentences an input, a tree on each, and several tasks side by side."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import httpx
import pytest
import torch
from served import WORDS, running, settings_for, write_model, write_pair_model
from untrained_pairs import heed_heads

from latent.nn import checkpoint
from latent.nn.pair_classifier import PairClassifier, PairConfig
from latent.text import Vocabulary
from server.app import create_app
from server.client import Client
from server.predictor import Item
from server.predictor import predict as infer
from server.schemas import STRUCTURE_NAMES, Pair, Tokens

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


def wanted_alignment(classifier: PairClassifier, sentences: list[list[str]], name: str | None) -> list:
    """Both softmaxes over one pair without padding, from the decoder's own layers."""
    with torch.no_grad():
        encoding = classifier.encode(classifier.batch([sentences]))
        structure = classifier.infer(encoding, name)
        words = [encoding.states[0, side, 1 : len(sentences[side]) + 1] for side in (0, 1)]
        if structure is not None:
            heads = [structure[0, side].T @ encoding.states[0, side] for side in (0, 1)]
            words = [torch.cat([w, h[1 : len(w) + 1]], -1) for w, h in zip(words, heads, strict=True)]
        first, second = map(classifier.decoder.align, words)
        scores = first @ second.T / first.shape[-1] ** 0.5
    return [scores.softmax(1).tolist(), scores.T.softmax(1).tolist()]


def test_the_alignment_comes_where_it_is_asked_for(pairs: httpx.Client, folder: Path) -> None:
    classifier = checkpoint.load(folder / "snli-marginals" / "model.safetensors").classifier
    texts = [("A funny film.", "Dull."), ("Bad", "A dull film.")]
    given = [Pair(premise=premise, hypothesis=hypothesis) for premise, hypothesis in texts]
    with Client(str(pairs.base_url)) as typed:
        found = typed.predict("snli-marginals", given, alignment=True).data
        compared = typed.compare(given, task="snli", alignment=True).data
        assert all(one.alignment is None for one in typed.predict("snli-marginals", given).data)
        sentence = typed.predict("sst-spigot", [Tokens(tokens=["Dull"])], alignment=True)
        assert sentence.data[0].alignment is None
    for one, comparison in zip(found, compared, strict=True):
        wanted = wanted_alignment(classifier, [each.tokens for each in one.sentences], "marginals")
        assert one.alignment is not None
        both = [one.alignment.premise_to_hypothesis, one.alignment.hypothesis_to_premise]
        for rows, those in zip(both, wanted, strict=True):
            assert [len(row) for row in rows] == [len(row) for row in those]
            assert [*chain(*rows)] == pytest.approx([*chain(*those)], abs=2e-6)
            assert [sum(row) for row in rows] == pytest.approx([1] * len(rows), abs=1e-5)
        assert comparison.models[0].alignment == one.alignment


@pytest.mark.parametrize("estimator", ["none", "spigot", "sparsemap"])
def test_the_alignment_is_that_of_the_structure_of_training_in_one_pass(estimator: str) -> None:
    torch.manual_seed(1)
    config = PairConfig(estimator=estimator, embedding_size=8, hidden_size=12)
    classifier = heed_heads(PairClassifier(config, Vocabulary(WORDS), ["entailment", "contradiction"])).eval()
    passes: list[int] = []
    classifier.decoder.register_forward_hook(lambda *_: passes.append(1))
    sentences = [(("a", "funny", "film"), ("dull",)), (("it", "is"), ("it", "is", "not", "bad"))]
    found = infer(classifier, [Item(each) for each in sentences], frozenset(STRUCTURE_NAMES))
    assert len(passes) == 1
    for pair, one in zip(sentences, found, strict=True):
        wanted = wanted_alignment(classifier, [list(each) for each in pair], classifier.forward_structure)
        for rows, those in zip(one.alignment, wanted, strict=True):
            torch.testing.assert_close(torch.from_numpy(rows), torch.tensor(those), atol=1e-4, rtol=0)


def test_models_of_a_comparison_are_those_that_take_the_input(pairs: httpx.Client) -> None:
    for value, id_ in ((PAIR, "snli-marginals"), ("Dull.", "sst-spigot")):
        answer = pairs.post("/v1/compare", json={"inputs": [value]}).json()
        assert [model["id"] for model in answer["models"]] == [id_]
    both = pairs.post("/v1/compare", json={"inputs": ["Dull."], "models": ["snli-marginals", "sst-spigot"]})
    assert (both.status_code, both.json()["errors"][0]["pointer"]) == (422, "/models")
    text = pairs.post("/v1/predict", json={"model": "snli-marginals", "inputs": ["Dull."]})
    assert text.json()["errors"][0]["pointer"] == "/inputs/0"
