"""Answers written at once: the same to a client as part by part, whatever its connection is like."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, NamedTuple

import httpx
import pytest
import uvicorn
from serving import connect, serving
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from server import whole
from server.protocol import protocol

ASK = {"model": "sst-spigot", "inputs": ["A funny film."]}


class Got(NamedTuple):
    status: bytes
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def url(model_folder: Path) -> Iterator[str]:
    with serving(model_folder) as (_, url):
        yield url


def request(id_: str, body: object = ASK, version: str = "1.1", more: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = f"POST /v1/predict HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n{more}"
    return f"{head}X-Request-Id: {id_}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def read(stream: BinaryIO) -> Got:
    """Read one answer as the standard says, and not a byte more."""
    status, headers = stream.readline().rstrip(b"\r\n"), {}
    while line := stream.readline().rstrip(b"\r\n").decode():
        name, value = line.split(": ", 1)
        assert name not in headers
        headers[name] = value
    return Got(status, headers, stream.read(int(headers["content-length"])))


def test_it_is_what_uvicorn_sends_part_by_part(url: str, client: httpx.Client) -> None:
    with connect(url) as connection:
        connection.sendall(request("mine"))
        at_once = read(connection.makefile("rb"))
    with connect(str(client.base_url)) as connection:
        connection.sendall(request("mine"))
        in_parts = read(connection.makefile("rb"))
    assert at_once.status == in_parts.status == b"HTTP/1.1 200 OK"
    changes = {"date", "server", "server-timing", "content-length"}
    same = [{k: v for k, v in got.headers.items() if k not in changes} for got in (at_once, in_parts)]
    assert same[0] == same[1]
    assert at_once.headers.keys() | {"server"} == in_parts.headers.keys() | {"server"}
    assert at_once.headers["server-timing"].startswith("queue;dur=")
    ours, theirs = json.loads(at_once.body), json.loads(in_parts.body)
    assert ours.keys() == theirs.keys()
    assert ours["id"] == theirs["id"] == "mine"
    assert ours["data"][0]["sentences"][0]["tokens"] == theirs["data"][0]["sentences"][0]["tokens"]


@pytest.mark.parametrize("how", [{"version": "1.0"}, {"more": "Connection: close\r\n"}])
def test_a_connection_that_is_to_be_closed_is_closed_after_it(url: str, how: dict[str, str]) -> None:
    with connect(url) as connection:
        connection.sendall(request("last", **how))
        stream = connection.makefile("rb")
        got = read(stream)
        assert got.headers["connection"] == "close"
        assert json.loads(got.body)["id"] == "last"
        assert stream.read() == b""


def test_requests_sent_at_once_are_answered_in_order(url: str) -> None:
    ids = [f"request-{i}" for i in range(5)]
    wrong = {"model": "sst-spigot", "inputs": []}
    asked = [request(id_, wrong if id_ == "request-2" else ASK) for id_ in ids]
    with connect(url) as connection:
        connection.sendall(b"".join(asked))
        stream = connection.makefile("rb")
        answers = [read(stream) for _ in ids]
    assert [got.headers["x-request-id"] for got in answers] == ids
    assert [got.status.split()[1] for got in answers] == [b"200", b"200", b"422", b"200", b"200"]


def test_a_client_that_reads_late_gets_all_of_it(url: str) -> None:
    large = {
        "model": "sst-marginals",
        "inputs": ["a gripping and funny film " * 8] * 64,
        "parameters": {"trees": {"return": ["marginals"], "min_probability": 0}},
    }
    ids = [f"request-{i}" for i in range(4)]
    with connect(url) as connection:
        connection.sendall(b"".join(request(id_, large) for id_ in ids))
        assert httpx.post(f"{url}/v1/predict", json=large, timeout=60).status_code == 200  # meanwhile
        stream = connection.makefile("rb")
        answers = [read(stream) for _ in ids]
    sizes = [len(got.body) for got in answers]
    assert sum(sizes) > 10_000_000  # more than sockets hold
    assert [json.loads(got.body)["id"] for got in answers] == ids


class Cycle(SimpleNamespace):
    """What uvicorn has for a request; unlike its parent it may be referred to weakly."""


@pytest.mark.parametrize("reason", ["disconnected", "closes", "paused"])
def test_where_it_cannot_be_written_nothing_is(reason: str) -> None:
    written: list[bytes] = []
    cycle = Cycle(
        scope={"state": {}},
        disconnected=reason == "disconnected",
        keep_alive=reason != "closes",
        flow=SimpleNamespace(write_paused=reason == "paused"),
        transport=SimpleNamespace(write=written.append),
        response_started=False,
    )
    whole.offer(cycle, whole.Outbox())
    assert not whole.offered(cycle.scope)(b"", b"body")
    assert written == []
    assert not cycle.response_started


class Transport(asyncio.Transport):
    """Keeps what it was told to do."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return self.closing


@pytest.mark.parametrize(("answers", "at_once"), [(1, 0), (3, 0), (4, 4), (6, 4), (8, 8)])
def test_answers_go_out_four_at_a_time_or_once_there_are_no_more(answers: int, at_once: int) -> None:
    async def check() -> None:
        outbox, transports = whole.Outbox(), [Transport() for _ in range(answers)]
        for i, transport in enumerate(transports):
            outbox.put(transport, b"%d" % i)
        assert sum(len(transport.told) for transport in transports) == at_once
        await asyncio.sleep(0)
        assert [transport.told for transport in transports] == [[b"%d" % i] for i in range(answers)]

    asyncio.run(check())


def test_no_answer_is_written_to_a_connection_that_is_closed_by_then() -> None:
    async def check() -> None:
        outbox, gone, here = whole.Outbox(), Transport(), Transport()
        outbox.put(gone, b"one")
        outbox.put(here, b"two")
        gone.closing = True
        await asyncio.sleep(0)
        assert (gone.told, here.told) == ([], [b"two"])

    asyncio.run(check())


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        (
            lambda connection: connection.data_received(b"no request\r\n\r\n"),
            [b"200 OK", b"400 Bad", "close"],
        ),
        (lambda connection: connection.shutdown(), [b"200 OK", "close"]),
    ],
)
def test_what_ends_a_connection_comes_after_its_answer(
    then: Callable[[asyncio.Protocol], None], wanted: list[bytes | str]
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert whole.offered(scope)(b"", b"body")

    async def check() -> list[bytes | str]:
        config = uvicorn.Config(app, http=protocol(10.0), ws="none", log_config=None)
        config.load()
        transport, connection = Transport(), config.http_protocol_class(config, ServerState(), {})
        connection.connection_made(transport)
        connection.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0)  # the application has answered
        assert transport.told == []
        then(connection)
        await asyncio.sleep(0)
        return transport.told

    told = asyncio.run(check())
    assert [
        one if isinstance(one, str) else one[9:][: len(want)] for one, want in zip(told, wanted, strict=True)
    ] == wanted
