"""The models that come with the project are served, and answer sensibly."""

import httpx
import pytest
from served import running, settings_for

from server.app import create_app
from server.settings import ROOT

BUNDLED = sorted(path.parent.name for path in (ROOT / "models").glob("*/model.safetensors"))
VERDICTS = {
    "A gripping, funny film with a wonderful cast.": "positive",
    "A dull, lifeless and utterly boring mess.": "negative",
}

PREMISE = "A man is playing a guitar on a stage."
HYPOTHESES = {
    "A man is playing an instrument.": "entailment",
    "The man is playing his favorite song for his friends.": "neutral",
    "A man is sleeping in his bed.": "contradiction",
}


@pytest.mark.skipif(not BUNDLED, reason="no model is bundled in models/")
def test_every_bundled_model_is_served_and_judges_plain_sentences() -> None:
    with running(create_app(settings_for(ROOT / "models"))) as client:
        assert client.get("/readyz").json() == {"status": "ready", "models": BUNDLED, "refused": []}
        ids = [id_ for id_ in BUNDLED if id_.startswith("sst-")]
        answer = client.post("/v1/compare", json={"inputs": list(VERDICTS), "models": ids, "task": None})
        assert answer.status_code == 200
        for wanted, found in zip(VERDICTS.values(), answer.json()["data"], strict=True):
            assert {one["model"]: one["label"] for one in found["models"]} == dict.fromkeys(ids, wanted)


def test_every_bundled_model_of_pairs_judges_plain_ones() -> None:
    ids = [id_ for id_ in BUNDLED if id_.startswith("snli-")]
    if not ids:
        pytest.skip("no model of pairs is bundled in models/")
    pairs = [{"premise": PREMISE, "hypothesis": hypothesis} for hypothesis in HYPOTHESES]
    with running(create_app(settings_for(ROOT / "models"))) as client:
        answer = client.post("/v1/compare", json={"inputs": pairs, "models": ids, "task": None})
        assert answer.status_code == 200
        for wanted, found in zip(HYPOTHESES.values(), answer.json()["data"], strict=True):
            assert {one["model"]: one["label"] for one in found["models"]} == dict.fromkeys(ids, wanted)


def test_the_bundled_models_stay_small() -> None:
    files = [path for path in (ROOT / "models").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40_000_000


def test_a_bundled_model_draws_trees_for_long_and_short_sentences() -> None:
    if "sst-spigot" not in BUNDLED:
        pytest.skip("sst-spigot is not bundled")
    with running(create_app(settings_for(ROOT / "models"))) as client:
        long = " ".join(["the film is good , and"] * 40)
        body = {"model": "sst-spigot", "inputs": ["Dull", long]}
        one, many = httpx.post(f"{client.base_url}/v1/predict", json=body, timeout=120).json()["data"]
        assert one["sentences"][0]["trees"]["map"] == {"heads": [0]}
        heads = many["sentences"][0]["trees"]["map"]["heads"]
        assert len(heads) == 240
        assert heads.count(0) == 1
