import os

import pytest

try:
    import resource
except ImportError:
    resource = None
import torch
from checkpoint_files import rewrite
from safetensors.torch import save_file

from latent.nn import tensor_file
from latent.nn.checkpoint import CheckpointError, load, read_header, save

SENTENCES = [["the", "film", "is", "good"], ["never", "dull"]]
METRICS = {"dev": {"accuracy": 0.8125}}


@pytest.fixture
def saved(make_classifier, tmp_path):
    classifier = make_classifier("spigot", hyperparameters={"step_size": 0.5})
    path = save(
        tmp_path / "m" / "model.safetensors", classifier, metrics=METRICS, seed=7, training={"task": "sst"}
    )
    return classifier, path


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_round_trip(saved):
    classifier, path = saved
    checkpoint = load(path)
    embedding = classifier.encoder.embedding.weight
    embedding.data = embedding.data.half().float()  # the one tensor that is rounded
    classifier.eval()
    batch = classifier.batch(SENTENCES)
    assert torch.equal(checkpoint.classifier(checkpoint.classifier.batch(SENTENCES)), classifier(batch))
    assert checkpoint.classifier.config == classifier.config
    assert checkpoint.classifier.vocabulary.words == classifier.vocabulary.words
    assert checkpoint.classifier.labels == ("negative", "positive")
    assert not checkpoint.classifier.training
    assert checkpoint.header.metrics == METRICS
    assert checkpoint.header.seed == 7
    assert read_header(path) == checkpoint.header
    assert len(checkpoint.revision) == 64


def test_half_precision_of_all_that_is_stored(saved, tmp_path):
    classifier, path = saved
    half = save(tmp_path / "half", classifier, metrics=METRICS, seed=7, training={"task": "sst"}, half=True)
    assert half.stat().st_size < path.stat().st_size
    found = load(half).classifier
    for name, tensor in classifier.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=2**-11, atol=2**-25)
    assert found.encoder.embedding.weight.dtype == torch.float32


def test_a_loaded_classifier_can_be_trained_on(saved):
    classifier = load(saved[1]).classifier.train()
    classifier.loss(classifier.batch(SENTENCES), torch.tensor([1, 0])).sum().backward()
    assert all(parameter.grad is not None for parameter in classifier.parameters())


def test_saving_twice_gives_the_same_file(saved, tmp_path):
    classifier, path = saved
    again = save(tmp_path / "again", classifier, metrics=METRICS, seed=7, training={"task": "sst"})
    assert load(again).header.digest == load(path).header.digest


def test_a_failed_save_leaves_the_old_file(saved, tmp_path):
    classifier, path = saved
    before = path.read_bytes()
    with pytest.raises(ValueError, match="serialize"):
        save(path, classifier, metrics={"bad": object()}, seed=7, training={})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


@pytest.mark.skipif(
    resource is None, reason="this system has no limit on the size of files to try a full disk"
)
def test_a_full_disk_leaves_the_old_file(saved):
    classifier, path = saved
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"model\.safetensors: could not be written"):
            save(path, classifier, metrics=METRICS, seed=8, training={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_checkpoint_has_the_permissions_of_any_new_file(saved, tmp_path, umask):
    before = os.umask(umask)
    try:
        path = save(tmp_path / "new", saved[0], metrics=METRICS, seed=7, training={})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_file_may_be_cut_off_once_it_has_been_read(saved, monkeypatch):
    """Cut off in place before its tensors are used: none of them is mapped into memory."""
    path = saved[1]
    parse = tensor_file.safetensors.load

    def cut_and_parse(content):
        os.truncate(path, 0)
        return parse(content)

    monkeypatch.setattr(tensor_file.safetensors, "load", cut_and_parse)
    checkpoint = load(path)
    assert checkpoint.classifier(checkpoint.classifier.batch(SENTENCES)).isfinite().all()
    with pytest.raises(CheckpointError, match="truncated"):
        load(path)


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.1, 0.5, 0.99])
def test_truncated_file_is_refused(saved, share):
    path = saved[1]
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    for read in (load, read_header):
        with pytest.raises(CheckpointError, match=r"model.safetensors: truncated"):
            read(path)


def test_any_changed_byte_is_refused(saved):
    path = saved[1]
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), max(1, len(content) // 97)):
        changed = bytearray(content)
        changed[place] ^= 0x11
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, t: h.update(format_version=3), "format version 3; this understory reads 1 and 2"),
        (lambda h, t: h.update(format_version=2), "format version 2 is for models that share their words"),
        (lambda h, t: h.pop("format_version"), "format version None"),
        (lambda h, t: h.pop("labels"), "labels: Field required"),
        (lambda h, t: h.update(labels=["up", "down"]), "digest does not match"),
        (lambda h, t: h["metrics"].update(dev=1.0), "digest does not match"),
        (lambda h, t: t["encoder.root"].mul_(2), "digest does not match"),
        (lambda h, t: h.update(kind="triple"), "no classifier is of kind 'triple'"),
        (lambda h, t: h["config"].update(hidden_size=4096), "must be .* by the config; the file holds"),
        (lambda h, t: h["config"].update(hidden_size=10**9), "hidden_size: .*less than or equal to 4096"),
        (lambda h, t: h["config"].update(estimator="x"), "no estimator is called 'x'"),
        (lambda h, t: h["config"].update(hyperparameters={"x": 1}), "config is not valid: .*x"),
        (lambda h, t: h["vocabulary"].append("more"), r"embedding.weight must be \(15, 6\)"),
        (lambda h, t: h["vocabulary"].append("the"), "'the' more than once"),
        (lambda h, t: t.pop("encoder.root"), r"missing \['encoder.root'\]"),
        (lambda h, t: t.update(more=torch.zeros(1)), r"unexpected \['more'\]"),
        (lambda h, t: t.update({"encoder.root": t["encoder.root"].int()}), "root must be torch.float32"),
        (lambda h, t: t.update({"encoder.root": t["encoder.root"].bfloat16()}), "the dtype 'BF16'; wanted"),
        (lambda h, t: h["metrics"].update(x=nested(190)), "digest does not match"),
        (lambda h, t: h["metrics"].update(x=nested(300)), "not JSON"),
        (lambda h, t: h["metrics"].update(x="\ud800"), "not JSON"),
        (lambda h, t: h["labels"].__setitem__(0, "\ud800"), "not JSON"),
    ],
)
def test_a_changed_header_or_tensor_is_refused_by_name(saved, change, message):
    path = saved[1]
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=rf"(?s)model.safetensors: .*{message}"):
        load(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        load(tmp_path / "nothing.safetensors")
    with pytest.raises(CheckpointError, match="no such file"):
        load(tmp_path)
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, other)
    with pytest.raises(CheckpointError, match="without the header"):
        load(other)
    save_file({"x": torch.zeros(2)}, other, metadata={"understory": "{"})
    with pytest.raises(CheckpointError, match="not JSON"):
        read_header(other)
