"""Models that share their words are, bit for bit, those that they would be with words of their own."""

import hashlib
import shutil

import pytest
import torch
from checkpoint_files import rewrite
from safetensors import safe_open
from safetensors.torch import save_file

from latent.nn.checkpoint import CheckpointError, load, read_header, save
from latent.nn.pair_classifier import PairClassifier, PairConfig
from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary

WORDS = [f"word{number}" for number in range(38)]
ABOUT = {"metrics": {}, "seed": 7, "training": {"task": "sst"}}


def classifier_of(estimator="marginals", changed=(), words=WORDS, pair=False):
    """A classifier with the vectors that all have here, but for some rows."""
    torch.manual_seed(len(estimator))
    kind, config = (PairClassifier, PairConfig) if pair else (SentenceClassifier, SentenceConfig)
    config = config(estimator=estimator, embedding_size=6, hidden_size=8)
    classifier = kind(config, Vocabulary(words), ["negative", "positive"])
    with torch.no_grad():
        table = torch.randn(len(words) + 2, 6, generator=torch.Generator().manual_seed(1))
        table[list(changed)] += 1
        classifier.encoder.embedding.weight.copy_(table)
    return classifier


def write(models, name, *given, **options):
    return save(models / name / "model.safetensors", classifier_of(*given, **options), **ABOUT, share=True)


def shared_files(models):
    return sorted((models / "shared").iterdir())


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("changed", [(), (1,), (0, 1, 39), (3, 5, 7, 11, 13, 17, 19, 23, 29, 31)])
def test_a_model_is_bit_for_bit_the_same_whether_it_shares_or_not(tmp_path, changed, pair):
    write(tmp_path, "first", pair=pair)
    path = write(tmp_path, "second", "spigot", changed, pair=pair)
    alone = save(
        tmp_path / "alone" / "model.safetensors", classifier_of("spigot", changed, pair=pair), **ABOUT
    )
    one, other = load(path), load(alone)
    assert len(shared_files(tmp_path)) == 1
    assert one.classifier.vocabulary.words == other.classifier.vocabulary.words
    assert one.classifier.config == other.classifier.config
    wanted = other.classifier.state_dict()
    for name, tensor in one.classifier.state_dict().items():
        assert tensor.dtype == wanted[name].dtype
        assert tensor.numpy().tobytes() == wanted[name].numpy().tobytes()
    left_out = {"digest", "shared", "format_version"}
    assert one.header.model_dump(exclude=left_out) == other.header.model_dump(exclude=left_out)
    assert read_header(path) == one.header


def test_the_table_and_the_words_are_stored_once(tmp_path):
    paths = [write(tmp_path, name, changed=rows) for name, rows in (("a", ()), ("b", (1, 4)), ("c", (0, 9)))]
    (shared,) = shared_files(tmp_path)
    assert shared.stem == hashlib.sha256(shared.read_bytes()).hexdigest() == load(paths[1]).header.shared
    for path, rows in zip(paths, ([], [1, 4], [0, 9]), strict=True):
        assert b"word17" not in path.read_bytes()
        with safe_open(path, framework="pt") as file:
            assert file.get_tensor("encoder.embedding.own_rows").tolist() == rows
            assert file.get_tensor("encoder.embedding.own_vectors").shape == (len(rows), 6)
            assert "encoder.embedding.weight" not in file.keys()  # noqa: SIM118


def test_minus_zero_and_numbers_that_are_none_are_kept(tmp_path):
    classifier = classifier_of()
    for name, zero in (("first", 0.0), ("second", -0.0)):
        with torch.no_grad():
            classifier.encoder.embedding.weight[3, 0] = float("nan")
            classifier.encoder.embedding.weight[0] = zero
        path = save(tmp_path / name / "model.safetensors", classifier, **ABOUT, share=True)
    table = load(path).classifier.encoder.embedding.weight
    assert table[3, 0].isnan()
    assert table[0].signbit().all()


@pytest.mark.parametrize(
    "other",
    [{"changed": range(11)}, {"words": WORDS[::-1]}, {"words": WORDS[:-1]}, {"words": [*WORDS, "more"]}],
)
def test_what_differs_in_too_much_makes_words_of_its_own(tmp_path, other):
    first = load(write(tmp_path, "first"))
    second = load(write(tmp_path, "second", **other))
    assert second.header.shared != first.header.shared
    assert len(shared_files(tmp_path)) == 2
    third = load(write(tmp_path, "third", **other))
    assert third.header.shared == second.header.shared


def test_of_several_tables_the_nearest_is_shared(tmp_path):
    write(tmp_path, "first")
    second = load(write(tmp_path, "second", changed=range(11)))
    third = load(write(tmp_path, "third", changed=range(9)))  # 9 rows from the first, 2 from the second
    assert third.header.shared == second.header.shared


def test_saving_again_changes_nothing(tmp_path):
    paths = [write(tmp_path, name, changed=rows) for name, rows in (("a", ()), ("b", (1,)))]
    before = [path.read_bytes() for path in (*paths, *shared_files(tmp_path))]
    paths = [write(tmp_path, name, changed=rows) for name, rows in (("b", (1,)), ("a", ()))][::-1]
    assert [path.read_bytes() for path in (*paths, *shared_files(tmp_path))] == before


def test_a_damaged_file_of_words_is_made_anew(tmp_path):
    first = write(tmp_path, "first")
    (shared,) = shared_files(tmp_path)
    content = shared.read_bytes()
    shared.write_bytes(content[:-1] + b"x")
    with pytest.raises(CheckpointError, match=rf"shares shared/{shared.name}.*its SHA-256 is"):
        load(first)
    write(tmp_path, "first")
    assert shared_files(tmp_path) == [shared]
    assert shared.read_bytes() == content


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_a_file_of_words_that_is_cut_off_is_refused(tmp_path, size):
    path = write(tmp_path, "first")
    (shared,) = shared_files(tmp_path)
    shared.write_bytes(shared.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"model.safetensors: this model shares .*truncated"):
        load(path)


def test_a_model_without_its_words_says_what_to_copy(tmp_path):
    path = write(tmp_path, "first")
    alone = tmp_path / "elsewhere" / "first"
    shutil.copytree(path.parent, alone)
    for read in (load, read_header):
        with pytest.raises(CheckpointError, match=rf"shares shared/{load(path).header.shared}.*copy"):
            read(alone / "model.safetensors")
    shutil.copytree(tmp_path / "shared", tmp_path / "elsewhere" / "shared")
    assert load(alone / "model.safetensors").revision == load(path).revision


def test_the_revision_tells_of_the_shared_part(tmp_path):
    one = load(write(tmp_path / "one", "m"))
    two = load(write(tmp_path / "two", "m", changed=[5]))
    assert one.header.shared != two.header.shared
    assert one.revision != two.revision


ROWS, OWN = "encoder.embedding.own_rows", "encoder.embedding.own_vectors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, t: h.update(shared="../../etc/passwd"), "shared: String should match"),
        (lambda h, t: h.update(shared="../" * 21 + "a"), "shared: String should match"),
        (lambda h, t: h.update(shared=h["shared"].upper()), "shared: String should match"),
        (lambda h, t: h.update(shared=h["shared"] + "\n"), "shared: String should match"),
        (lambda h, t: h.update(shared="0" * 64), "shares shared/000.*copy"),
        (lambda h, t: h.update(shared=None), "version 2 is for models that share"),
        (lambda h, t: h.update(format_version=1), "version 2 is for models that share"),
        (lambda h, t: h["config"].update(embedding_size=7), "embeddings must have 7 entries by the config"),
        (lambda h, t: t.pop(ROWS), "missing .*own_rows"),
        (lambda h, t: t.pop(OWN), "missing .*own_vectors"),
        (lambda h, t: t.update({ROWS: t[ROWS].flip(0)}), "ascending and below 40"),
        (lambda h, t: t.update({ROWS: t[ROWS] * 0}), "ascending and below 40"),
        (lambda h, t: t.update({ROWS: t[ROWS] + 36}), "ascending and below 40"),
        (lambda h, t: t.update({ROWS: t[ROWS] - 2}), "ascending and below 40"),
        (lambda h, t: t.update({ROWS: t[ROWS][:1]}), "own_vectors must be"),
        (lambda h, t: t.update({ROWS: t[ROWS].long()}), "own_rows must be torch.int32"),
        (lambda h, t: t.update({OWN: t[OWN] + 1}), "digest does not match"),
        (lambda h, t: t.update({ROWS: t[ROWS] + 1}), "digest does not match"),
    ],
)
def test_a_model_that_shares_is_checked_as_any_other(tmp_path, change, message):
    write(tmp_path, "first")
    path = write(tmp_path, "second", changed=(1, 4))
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=rf"(?s)model.safetensors: .*{message}"):
        load(path)


def test_other_tensors_under_the_name_of_shared_words_are_refused(tmp_path):
    path = write(tmp_path, "first")
    (shared,) = shared_files(tmp_path)
    save_file({"x": torch.zeros(2)}, shared)
    with pytest.raises(CheckpointError, match="without the words"):
        load(path)
    save_file({"vectors": torch.zeros(2)}, shared, metadata={"understory-words": "[]"})
    with pytest.raises(CheckpointError, match="must hold float16 vectors"):
        load(path)
    save_file({"vectors": torch.zeros(2)}, shared, metadata={"understory-words": '{"a": 1}'})
    with pytest.raises(CheckpointError, match="not a list of texts"):
        load(path)


def test_paths_may_be_relative(tmp_path, monkeypatch):
    path = write(tmp_path, "first")
    monkeypatch.chdir(path.parent)
    assert load("model.safetensors").revision == load(path).revision
