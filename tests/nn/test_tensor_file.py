"""What a file claims to hold costs nothing until it turns out to hold it."""

import json
import tracemalloc
from pathlib import Path

import pytest

try:
    import resource
except ImportError:
    resource = None

from latent.nn import checkpoint
from latent.nn.checkpoint import CheckpointError, load, read_header, save

CLAIMED = 100 * 10**9
ROOM = 2**28
"""Bytes of address space that reading may take: far less than what is claimed."""


@pytest.fixture
def good(make_classifier, tmp_path):
    path = tmp_path / "m" / "model.safetensors"
    return save(path, make_classifier(), metrics={}, seed=7, training={"task": "sst"})


@pytest.fixture
def little_room(good):
    """Let this process have little more memory than it has; how much it asks for is traced, too."""
    if resource is None or not Path("/proc/self/statm").exists():
        pytest.skip("this system has no limit on memory to try a hostile file with")
    load(good)  # torch imports much of itself only now
    limits = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    tracemalloc.start()
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


def parts_of(path):
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def write(path, header, data, size=None):
    """Write a file with this header; a size beyond its content takes no room on the disk."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)
        if size is not None:
            file.truncate(size)


def enlarged(header, name, shape, claimed=CLAIMED):
    """Let one tensor claim the last ``claimed`` bytes."""
    entry = header[name]
    start = max(
        each["data_offsets"][1] for other, each in header.items() if other[0] != "_" and other != name
    )
    size = entry["data_offsets"][1] - entry["data_offsets"][0]
    for other, each in header.items():
        if other[0] != "_" and each["data_offsets"][0] > entry["data_offsets"][0]:
            each["data_offsets"] = [offset - size for offset in each["data_offsets"]]
    start -= size if entry["data_offsets"][0] < start else 0
    header[name] = {**entry, "shape": shape, "data_offsets": [start, start + claimed]}
    return header, start + claimed


def refused(path, message):
    for read in (load, read_header):
        with pytest.raises(CheckpointError, match=message):
            read(path)


@pytest.mark.parametrize("claimed", [CLAIMED, 2**63, 2**64 - 1])
def test_a_header_cannot_be_longer_than_the_file(good, little_room, claimed):
    good.write_bytes(claimed.to_bytes(8, "little") + good.read_bytes()[8:])
    refused(good, rf"model.safetensors: truncated, or no safetensors file \(a header of {claimed} bytes")


def test_a_header_cannot_be_endless_in_a_file_that_is_large(good, little_room):
    with good.open("wb") as file:
        file.write((CLAIMED - 8).to_bytes(8, "little"))
        file.truncate(CLAIMED)
    refused(good, "it can have 100000000")


def test_tensors_cannot_be_larger_than_the_file(good, little_room):
    header, data = parts_of(good)
    header, _ = enlarged(header, "encoder.root", [CLAIMED // 4])
    write(good, header, data)
    refused(good, "do not lie one after the other")


def test_a_file_that_is_large_must_be_what_its_config_calls_for(good, little_room):
    header, data = parts_of(good)
    header, end = enlarged(header, "encoder.root", [CLAIMED // 4])
    write(good, header, data, 8 + len(json.dumps(header)) + end)
    assert good.stat().st_size > CLAIMED
    with pytest.raises(CheckpointError, match=r"tensor encoder.root must be \(8,\) by the config"):
        load(good)


@pytest.mark.parametrize("sizes", [{"hidden_size": 4096}, {"embedding_size": 4096}])
def test_a_config_that_calls_for_more_than_the_file_holds_is_refused_first(good, little_room, sizes):
    header, data = parts_of(good)
    content = json.loads(header["__metadata__"]["understory"])
    content["config"].update(sizes)
    content["labels"] = [str(number) for number in range(1000)]
    header["__metadata__"]["understory"] = json.dumps(content)
    write(good, header, data)
    with pytest.raises(CheckpointError, match="by the config; the file holds"):
        load(good)


def spoil(name, **fields):
    return lambda header: header[name].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        spoil("encoder.root", data_offsets=[-32, 0]),
        spoil("encoder.root", data_offsets=[0, 32]),
        spoil("encoder.root", data_offsets=[0, 32, 64]),
        spoil("encoder.root", data_offsets="ab"),
        spoil("encoder.root", data_offsets=[0.0, 32.0]),
        spoil("encoder.root", shape=[-8]),
        spoil("encoder.root", shape=[-2, -4]),
        spoil("encoder.root", shape=[8.0]),
        spoil("encoder.root", shape=[True] * 3 + [8]),
        spoil("encoder.root", shape=[1] * 8 + [8]),
        spoil("encoder.root", shape=[2**62] * 4),
        spoil("encoder.root", shape=[10**400]),
        spoil("encoder.root", shape=[9]),
        spoil("encoder.root", shape=None),
        spoil("encoder.root", dtype="F64"),
        spoil("encoder.root", dtype="object"),
        spoil("encoder.root", dtype=["F32"]),
        spoil("encoder.root", more=1),
        lambda header: header.update({"encoder.root": []}),
        lambda header: header.update(__metadata__=[]),
        lambda header: header.update(__metadata__={"understory": {}}),
        lambda header: header.pop("encoder.root"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(good, change):
    header, data = parts_of(good)
    change(header)
    write(good, header, data)
    refused(good, "truncated, or no safetensors file")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"3",
        b"{",
        b'{"a"',
        b"\xff\xfe{}",
        b"[" * 10**6,
        b'{"a":' * 10**6,
        '{"ü": 1}'.encode("utf-16"),
    ],
)
def test_a_header_that_is_no_json_object_is_refused(good, text):
    _, data = parts_of(good)
    write(good, text, data)
    refused(good, "no safetensors file")


def test_a_name_that_occurs_twice_is_refused(good):
    header, data = parts_of(good)
    entry = json.dumps(header["encoder.root"])
    write(good, (json.dumps(header)[:-1] + f', "encoder.root": {entry}}}').encode(), data)
    refused(good, "a name occurs twice")


def test_metadata_that_are_nested_too_deeply_are_refused(good):
    header, data = parts_of(good)
    header["__metadata__"]["understory"] = '{"config":' + "[" * 10**6
    write(good, header, data)
    refused(good, "not JSON")


def test_an_error_quotes_only_so_much_of_a_file(good):
    header, data = parts_of(good)
    content = json.loads(header["__metadata__"]["understory"])
    content["kind"] = "x" * 10**6
    header["__metadata__"]["understory"] = json.dumps(content)
    write(good, header, data)
    with pytest.raises(CheckpointError, match="no classifier is of kind") as raised:
        load(good)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "truncated while it was being read"),
        (lambda content: b"", "truncated while it was being read"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "digest does not match"),
    ],
)
def test_a_file_that_changes_between_its_header_and_its_data_is_refused(good, monkeypatch, change, message):
    build = checkpoint._build

    def change_and_build(path, header):
        good.write_bytes(change(good.read_bytes()))
        return build(path, header)

    monkeypatch.setattr(checkpoint, "_build", change_and_build)
    with pytest.raises(CheckpointError, match=message):
        load(good)
