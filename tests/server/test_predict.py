"""What the service answers, against the classifier called by hand and against the schemas."""

import itertools
import json
from pathlib import Path

import httpx
import pytest
import torch

from latent.nn import checkpoint
from latent.text import tokenize
from server.schemas import Answer, CompareAnswer, PredictAnswer

TEXTS = ["A gripping, funny film.", "Dull.", "It is not bad and the film is funny , of the good kind ."]


def post(client: httpx.Client, path: str, **body: object) -> dict:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def exactly(kind: type[Answer], answer: dict) -> Answer:
    """Read an answer and make sure that the schema says all of it, and no more."""
    read = kind.model_validate(answer)
    assert json.loads(read.model_dump_json(exclude_unset=True)) == answer
    return read


@pytest.fixture(scope="module")
def spigot(model_folder: Path) -> checkpoint.Checkpoint:
    return checkpoint.load(model_folder / "sst-spigot" / "model.safetensors")


def test_labels_and_trees_are_those_of_the_classifier(
    client: httpx.Client, spigot: checkpoint.Checkpoint
) -> None:
    trees = {"min_probability": 0.0, "max_trees": 64}
    answer = exactly(
        PredictAnswer,
        post(client, "/v1/predict", model="sst-spigot", inputs=TEXTS, parameters={"trees": trees}),
    )
    assert len(answer.data) == len(TEXTS)
    classifier = spigot.classifier
    for text, found in zip(TEXTS, answer.data, strict=True):
        words = tokenize(text)
        with torch.no_grad():
            encoding = classifier.encode(classifier.batch([words]))
            for name in ("map", "marginals", "sparsemap"):
                z = getattr(classifier.structure, name)(encoding.scores, encoding.lengths)
                wanted = classifier.decode(encoding, z).softmax(-1)[0].tolist()
                got = [score.score for score in found.by_structure[name].scores]
                assert got == pytest.approx(wanted, abs=1e-3 if name == "sparsemap" else 1e-5)
            heads = classifier.structure.map(encoding.scores)[0, :, 1:].argmax(0).tolist()
            mu = classifier.structure.marginals(encoding.scores)[0]
        (sentence,) = found.sentences
        assert sentence.tokens == words
        assert sentence.trees.map.heads == heads
        n = len(words)
        arcs = {(arc.head, arc.modifier): arc.probability for arc in sentence.trees.marginals}
        assert arcs.keys() == {(h, m) for h, m in itertools.product(range(n + 1), range(1, n + 1)) if h != m}
        assert all(p == pytest.approx(float(mu[arc]), abs=1e-5) for arc, p in arcs.items())
        (support,) = classifier.structure.support(encoding.scores, encoding.lengths)
        weights = [tree.weight for tree in sentence.trees.sparsemap]
        assert weights == pytest.approx([weight for weight, _ in support[:64]], abs=1e-3)
        assert sentence.trees.support_size == pytest.approx(len(support), abs=1)
        assert found.scores == found.by_structure["map"].scores  # spigot is trained with MAP trees
        assert {score.label for score in found.scores} == {"negative", "positive"}
        assert found.label == max(found.scores, key=lambda score: score.score).label
    assert answer.usage.tokens == sum(len(tokenize(text)) for text in TEXTS)


def test_a_batch_equals_its_inputs_one_by_one(client: httpx.Client) -> None:
    together = post(client, "/v1/predict", model="sst-marginals", inputs=TEXTS)["data"]
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = post(client, "/v1/predict", model="sst-marginals", inputs=[text])["data"]
        assert alone["sentences"][0]["tokens"] == found["sentences"][0]["tokens"]
        assert alone["sentences"][0]["trees"]["map"] == found["sentences"][0]["trees"]["map"]
        assert alone["scores"][0]["score"] == pytest.approx(found["scores"][0]["score"], abs=1e-5)


def test_only_what_is_asked_for_is_returned(client: httpx.Client) -> None:
    parameters = {"trees": {"return": ["sparsemap"], "max_trees": 1}}
    (found,) = post(client, "/v1/predict", model="sst-spigot", inputs=[TEXTS[2]], parameters=parameters)[
        "data"
    ]
    trees = found["sentences"][0]["trees"]
    assert found["by_structure"].keys() == {"sparsemap"}
    assert trees["map"] is None
    assert trees["marginals"] is None
    assert len(trees["sparsemap"]) == 1 < trees["support_size"]
    (found,) = post(
        client, "/v1/predict", model="sst-spigot", inputs=["Dull."], parameters={"trees": {"return": []}}
    )["data"]
    assert found["by_structure"] == {}
    assert found["label"] in {"negative", "positive"}


def test_unlikely_arcs_are_left_out(client: httpx.Client) -> None:
    parameters = {"trees": {"min_probability": 0.2}}
    (found,) = post(client, "/v1/predict", model="sst-spigot", inputs=[TEXTS[0]], parameters=parameters)[
        "data"
    ]
    arcs = found["sentences"][0]["trees"]["marginals"]
    assert arcs
    assert all(arc["probability"] >= 0.2 for arc in arcs)


def test_a_model_without_trees_says_so(client: httpx.Client) -> None:
    (found,) = post(client, "/v1/predict", model="sst-none", inputs=["Dull."])["data"]
    assert found["by_structure"] == {}
    assert found["sentences"] == [{"tokens": ["Dull", "."], "trees": None}]


def test_words_of_ones_own_are_not_tokenised(client: httpx.Client) -> None:
    words = ["<script>alert(1)</script>", "ca n't", "🎬", "\u00a0x"]
    (found,) = post(client, "/v1/predict", model="sst-spigot", inputs=[{"tokens": words}])["data"]
    assert found["sentences"][0]["tokens"] == words
    assert len(found["sentences"][0]["trees"]["map"]["heads"]) == 4


def constrained(client: httpx.Client, *constraints: dict) -> dict:
    parameters = {"trees": {"constraints": list(constraints), "max_trees": 64, "min_probability": 1e-6}}
    (found,) = post(client, "/v1/predict", model="sst-spigot", inputs=[TEXTS[0]], parameters=parameters)[
        "data"
    ]
    return found["sentences"][0]["trees"]


def test_constraints_hold_in_every_structure(client: httpx.Client) -> None:
    free = constrained(client)
    best = free["map"]["heads"]
    forced = {"modifier": 2, "head": 3 if best[1] != 3 else 4, "op": "force"}
    forbidden = {"modifier": 5, "head": best[4], "op": "forbid"}
    trees = constrained(client, forced, forbidden)
    for heads in [trees["map"]["heads"], *(tree["heads"] for tree in trees["sparsemap"])]:
        assert heads[1] == forced["head"]
        assert heads[4] != forbidden["head"]
    arcs = {(arc["modifier"], arc["head"]): arc["probability"] for arc in trees["marginals"]}
    assert arcs[2, forced["head"]] == pytest.approx(1)
    assert [head for modifier, head in arcs if modifier == 2] == [forced["head"]]
    assert (5, forbidden["head"]) not in arcs


def test_constraints_that_leave_no_tree_are_an_error_of_their_request_alone(client: httpx.Client) -> None:
    circle = [{"modifier": 1, "head": 2, "op": "force"}, {"modifier": 2, "head": 1, "op": "force"}]
    parameters = {"trees": {"constraints": circle}}
    response = client.post(
        "/v1/predict", json={"model": "sst-spigot", "inputs": ["Dull."], "parameters": parameters}
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/parameters/trees/constraints"
    post(client, "/v1/predict", model="sst-spigot", inputs=["Dull."])


def test_compare_answers_for_every_model_and_measures_agreement(client: httpx.Client) -> None:
    parameters = {"trees": {"min_probability": 0.0}}
    answer = exactly(CompareAnswer, post(client, "/v1/compare", inputs=TEXTS, parameters=parameters))
    ids = [model.id for model in answer.models]
    assert ids == ["sst-marginals", "sst-none", "sst-sparsemap", "sst-spigot"]
    for found in answer.data:
        assert [one.model for one in found.models] == ids
        trees = {one.model: one.sentences[0].trees for one in found.models if one.sentences[0].trees}
        assert {tuple(pair.models) for pair in found.agreement} == set(itertools.combinations(trees, 2))
        for pair in found.agreement:
            p, q = (trees[id_] for id_ in pair.models)
            same = [a == b for a, b in zip(p.map.heads, q.map.heads, strict=True)]
            assert pair.map == pytest.approx(sum(same) / len(same))
            other = {(arc.modifier, arc.head): arc.probability for arc in q.marginals}
            expected = sum(arc.probability * other[arc.modifier, arc.head] for arc in p.marginals)
            assert pair.marginals == pytest.approx(expected / len(same), abs=1e-5)


def test_compare_takes_the_models_that_are_named(client: httpx.Client) -> None:
    answer = post(client, "/v1/compare", inputs=["Dull."], models=["sst-spigot", "sst-none"])
    assert [model["id"] for model in answer["models"]] == ["sst-spigot", "sst-none"]
    assert answer["data"][0]["agreement"] == []


def test_models_are_listed_in_pages(client: httpx.Client) -> None:
    first = client.get("/v1/models", params={"limit": 3}).json()
    rest = client.get("/v1/models", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [model["id"] for page in (first, rest) for model in page["data"]] == [
        "sst-marginals",
        "sst-none",
        "sst-sparsemap",
        "sst-spigot",
    ]
    assert rest["next_cursor"] is None
    spigot = client.get("/v1/models/sst-spigot").json()
    assert spigot["card"] == {"data": "none: untrained"}
    assert spigot["forward_structure"] == "map"
    assert spigot["about"]["gradient_formula"]
    assert spigot["limits"]["max_words"] == 256
