"""Models that are alike hold their common part once, and one encoder reads a sentence once for all."""

from pathlib import Path

import httpx
import pytest
import torch
from served import WORDS, running, settings_for

from latent.nn import checkpoint
from latent.nn.encoder import Encoder
from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary
from server import infer
from server.app import create_app
from server.registry import Registry

TEXTS = ["A gripping, funny film.", "It is not bad.", "dull", "The film is dull and it is of the bad."]


def write(folder: Path, name: str, estimator: str, words: list[str] = WORDS, change: bool = False) -> None:
    """A model of its own whose encoder is that of all others, or differs in a single weight."""
    config = SentenceConfig(estimator=estimator, embedding_size=8, hidden_size=12)
    torch.manual_seed(len(name) + ord(name[0]))
    classifier = SentenceClassifier(config, Vocabulary(words), ["negative", "positive"]).eval()
    torch.manual_seed(7)
    classifier.encoder = Encoder(classifier.vocabulary, 8, 12)
    if change:
        with torch.no_grad():
            classifier.encoder.lstm.forwards.weight_hh_l0[0, 0] += 1e-3
    path = folder / name / "model.safetensors"
    checkpoint.save(path, classifier, metrics={}, seed=0, training={"task": "sst"})


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alike")
    write(folder, "changed", "marginals", change=True)
    write(folder, "first", "marginals")
    write(folder, "other-words", "marginals", words=WORDS[::-1])
    write(folder, "second", "spigot")
    write(folder, "third", "none")
    return folder


def compare(client: httpx.Client) -> list:
    answer = client.post("/v1/compare", json={"task": "sst", "inputs": TEXTS}, timeout=120)
    assert answer.status_code == 200
    return answer.json()["data"]


def test_what_is_equal_is_held_once(alike: Path) -> None:
    registry = Registry(alike, settings_for(alike).limits())
    changed, first, other_words, second, third = (registry.load(id_).classifier for id_ in registry.folders())
    assert first.encoder is second.encoder is third.encoder
    assert len({id(one.encoder) for one in (changed, first, other_words)}) == 3
    assert len({id(one.vocabulary) for one in (changed, first, second, third)}) == 1
    for one in (changed, other_words):  # alike but for one tensor, or for what the numbers stand for
        assert one.encoder.embedding.weight is first.encoder.embedding.weight
    assert changed.encoder.lstm.forwards.weight_hh_l0 is not first.encoder.lstm.forwards.weight_hh_l0
    assert first.decoder is not second.decoder


def test_an_encoder_reads_a_batch_once_and_answers_stay_as_they_were(
    alike: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    forward = Encoder.forward

    def counted(self, batch):
        read.append(len(batch.lengths))
        return forward(self, batch)

    with running(create_app(settings_for(alike))) as client:
        monkeypatch.setattr(Encoder, "forward", counted)
        shared = compare(client)
        assert read == [len(TEXTS)] * 3  # of five models
        read.clear()
        monkeypatch.setattr(infer, "by_encoder", lambda models: [[place] for place in range(len(models))])
        assert compare(client) == shared
        assert read == [len(TEXTS)] * 5


def test_a_model_that_is_replaced_leaves_the_others_their_encoder(alike: Path, tmp_path: Path) -> None:
    for name, estimator in (("first", "marginals"), ("second", "spigot")):
        write(tmp_path, name, estimator)
    registry = Registry(tmp_path, settings_for(tmp_path).limits())
    second = [registry.load(id_) for id_ in registry.folders()][1].classifier
    write(tmp_path, "first", "marginals", change=True)
    assert registry.load("first").classifier.encoder is not second.encoder
    write(tmp_path, "first", "marginals")
    assert registry.load("first").classifier.encoder is second.encoder
