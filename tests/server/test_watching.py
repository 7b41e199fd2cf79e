"""The models' folder is watched by what its files hold, those that models share among them."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from served import WORDS, running, settings_for

from latent.nn import checkpoint
from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary
from server import watching
from server.app import create_app
from server.metrics import Metrics
from server.registry import ModelError, Registry
from server.service import Service

ADMIN = "the key of the admin"


def write(folder: Path, name: str, change: float = 0.0, share: bool = True) -> Path:
    torch.manual_seed(0)
    config = SentenceConfig(estimator="spigot", embedding_size=8, hidden_size=12)
    classifier = SentenceClassifier(config, Vocabulary(WORDS), ["negative", "positive"]).eval()
    with torch.no_grad():
        classifier.encoder.embedding.weight[1] += change
    about = {"metrics": {}, "seed": 0, "training": {"task": "sst"}}
    return checkpoint.save(folder / name / "model.safetensors", classifier, **about, share=share)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path, settings_for(tmp_path).limits())


def in_place(path: Path, content: bytes) -> None:
    """Change a file's content and leave its size and its times as they were."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file as one at rest, so that only those with other times are read again."""
    monkeypatch.setattr(watching, "AT_REST_NS", -(10**18))


@pytest.mark.parametrize("aged", [False, True])
def test_only_what_a_file_holds_counts(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, aged: bool
) -> None:
    if aged:
        age(monkeypatch)
    path = write(registry.folder, "one", share=False)
    assert registry.changed() == ["one"]
    registry.load("one")
    assert registry.changed() == []
    os.utime(path, ns=(1, 1))
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    copy.replace(path)
    assert registry.changed() == []
    (path.parent / "card.json").write_text("{}")
    assert registry.changed() == ["one"]
    registry.load("one")
    before = path.read_bytes()
    write(registry.folder, "other", change=1.0, share=False)
    in_place(path, (registry.folder / "other" / "model.safetensors").read_bytes())
    assert registry.changed() == ["one", "other"]
    in_place(path, before)
    assert registry.changed() == ["other"]


def test_a_file_at_rest_is_read_once(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    age(monkeypatch)
    write(registry.folder, "one")
    registry.load("one")
    monkeypatch.setattr(watching.hashlib, "file_digest", None)
    assert registry.changed() == []


def test_a_file_that_was_just_written_is_not_taken_by_its_times(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "AT_REST_NS", 10**18)
    path = write(registry.folder, "one", share=False)
    registry.load("one")
    registry.changed()
    assert registry._files._known == {}
    os.utime(path, ns=(1, 1))  # its other time, that of the change of this one, is still now
    registry.changed()
    assert registry._files._known == {}


def test_changed_content_of_equal_size_and_times_is_served_when_loaded(tmp_path: Path) -> None:
    path = write(tmp_path, "one", share=False)
    admin = {"authorization": f"Bearer {ADMIN}"}
    with running(create_app(settings_for(tmp_path, admin_key=ADMIN))) as client:
        before = client.get("/v1/models/one").json()["revision"]
        other = write(tmp_path / "elsewhere", "one", change=1.0, share=False)
        in_place(path, other.read_bytes())
        after = client.post("/v1/models/one/load", headers=admin).json()["revision"]
        assert after != before
        assert client.get("/v1/models/one").json()["revision"] == after


def test_models_that_share_words_are_listed_loaded_and_answer(tmp_path: Path) -> None:
    write(tmp_path, "first")
    write(tmp_path, "second", change=1.0)
    write(tmp_path, "alone", change=1.0, share=False)
    admin = {"authorization": f"Bearer {ADMIN}"}
    with running(create_app(settings_for(tmp_path, admin_key=ADMIN))) as client:
        models = client.get("/v1/models").json()
        assert [model["id"] for model in models["data"]] == ["alone", "first", "second"]
        assert models["refused"] == []
        answer = client.post("/v1/compare", json={"task": "sst", "inputs": ["A funny zebra."]}).json()
        alone, first, second = (model["scores"] for model in answer["data"][0]["models"])
        assert alone == second != first
        assert client.post("/v1/models/second/load", headers=admin).status_code == 200
        assert client.post("/v1/models/shared/load", headers=admin).status_code == 404


def test_the_folder_of_shared_words_is_no_model(registry: Registry) -> None:
    write(registry.folder, "first")
    shutil.copy(write(registry.folder, "second"), registry.folder / "shared")
    assert registry.folders() == ["first", "second"]
    with pytest.raises(ModelError, match="no model, but what models share"):
        registry.load("shared")


def test_a_model_whose_words_come_later_is_served_then(registry: Registry, tmp_path: Path) -> None:
    write(registry.folder, "first")
    (shared,) = (registry.folder / "shared").iterdir()
    elsewhere = tmp_path / "kept"
    shared.rename(elsewhere)
    with pytest.raises(ModelError, match=rf"first/model.safetensors: this model shares shared/{shared.name}"):
        registry.load("first")
    assert str(tmp_path) not in registry.refused["first"]
    assert registry.changed() == []
    shutil.copy(elsewhere, shared)
    assert registry.changed() == ["first"]
    registry.load("first")
    assert registry.refused == {}
    assert registry.changed() == []


def test_a_file_that_fails_unexpectedly_keeps_no_other_from_being_loaded(
    own_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = checkpoint.load

    def failing(path: Path, *given: object) -> checkpoint.Checkpoint:
        if "sst-none" in str(path):
            raise MemoryError
        return load(path, *given)

    monkeypatch.setattr(checkpoint, "load", failing)
    service = Service(settings_for(own_models), Metrics())
    service._refresh()
    assert [model.id for model in service.registry] == ["sst-marginals", "sst-sparsemap", "sst-spigot"]


def test_a_card_that_no_answer_could_hold_is_refused(registry: Registry) -> None:
    path = write(registry.folder, "one")
    for text in ('{"note": "\\ud800"}', "[" * 10**5, "{", "[]"):
        (path.parent / "card.json").write_text(text)
        with pytest.raises(ModelError, match=r"one/card.json: (not JSON|must be a JSON object)"):
            registry.load("one")
    (path.parent / "card.json").write_bytes(b"\xff")
    with pytest.raises(ModelError, match="not JSON"):
        registry.load("one")
