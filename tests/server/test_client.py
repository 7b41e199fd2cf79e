"""The client against the real service, and its manners against a service that is busy."""

import asyncio

import httpx
import pytest

from server.client import AsyncClient, Client, ServiceError
from server.schemas import Pair, Tokens, TreeParameters


def test_it_reads_models_and_predictions(client: httpx.Client) -> None:
    with Client(str(client.base_url)) as typed:
        assert typed.ready().status == "ready"
        assert [model.id for model in typed.models()] == [
            "sst-marginals",
            "sst-none",
            "sst-sparsemap",
            "sst-spigot",
        ]
        assert typed.model("sst-spigot").estimator == "spigot"
        trees = TreeParameters(return_=["map"])
        answer = typed.predict("sst-spigot", ["Dull.", Tokens(tokens=["A", "film"])], trees)
        assert [found.sentences[0].tokens for found in answer.data] == [["Dull", "."], ["A", "film"]]
        assert answer.data[0].sentences[0].trees.marginals is None
        compared = typed.compare(["Dull."], models=["sst-spigot", "sst-marginals"])
        assert compared.data[0].agreement[0].models == ("sst-spigot", "sst-marginals")


def test_it_raises_what_the_service_says(client: httpx.Client) -> None:
    with Client(str(client.base_url)) as typed:
        with pytest.raises(ServiceError, match="404 model_not_found"):
            typed.predict("sst-x", ["Dull."])
        with pytest.raises(ServiceError) as caught:
            typed.predict("sst-spigot", ["Dull.", Pair(premise="a", hypothesis="b")])
        assert caught.value.problem.errors[0].pointer == "/inputs/1"


def test_async_does_the_same(client: httpx.Client) -> None:
    async def ask() -> None:
        async with AsyncClient(str(client.base_url)) as typed:
            answers = await asyncio.gather(*(typed.predict("sst-spigot", [text]) for text in ["Dull."] * 20))
            assert {answer.data[0].label for answer in answers} <= {"negative", "positive"}
            assert len(await typed.models()) == 4
            assert (await typed.model("sst-none")).structure is None
            assert len((await typed.compare(["Dull."], task="sst")).models) == 4
            assert (await typed.ready()).refused == []

    asyncio.run(ask())


BUSY = {"type": "x", "title": "x", "status": 429, "detail": "full", "code": "queue_full", "request_id": "r"}


class Busy:
    """A transport that answers 429 so many times, and then 200."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.left -= 1
        if self.left >= 0:
            return httpx.Response(429, json=BUSY, headers={"retry-after": "7"})
        return httpx.Response(
            200, json={"status": "ready", "models": [], "refused": [], "data": [], "next_cursor": None}
        )


def test_it_comes_back_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []
    monkeypatch.setattr("server.client.time.sleep", slept.append)
    with Client("http://x", transport=httpx.MockTransport(Busy(2))) as typed:
        assert typed.models() == []
    assert len(slept) == 2
    assert all(7 <= seconds <= 7 * 1.25 for seconds in slept)
    impatient = Client("http://x", retries=1, transport=httpx.MockTransport(Busy(2)))
    with impatient, pytest.raises(ServiceError, match="queue_full"):
        impatient.models()


def test_a_page_that_is_no_problem_document_is_an_error_all_the_same() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(502, text="<h1>Bad gateway</h1>"))
    with Client("http://x", transport=transport) as typed, pytest.raises(ServiceError, match="502 unknown"):
        typed.models()


class Breaking:
    """A transport whose connection breaks so many times, and then answers."""

    def __init__(self, times: int, error: type[httpx.TransportError]) -> None:
        self.left = times
        self.error = error

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.left -= 1
        if self.left >= 0:
            raise self.error("broke", request=request)
        return httpx.Response(200, json={"status": "ready", "models": [], "refused": []})


@pytest.mark.parametrize("error", [httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError])
def test_a_request_whose_connection_broke_is_sent_once_more(error: type[httpx.TransportError]) -> None:
    async def ask(transport: httpx.MockTransport) -> None:
        async with AsyncClient("http://x", transport=transport) as typed:
            assert (await typed.ready()).status == "ready"

    with Client("http://x", transport=httpx.MockTransport(Breaking(1, error))) as typed:
        assert typed.ready().status == "ready"
    asyncio.run(ask(httpx.MockTransport(Breaking(1, error))))
    with (
        Client("http://x", transport=httpx.MockTransport(Breaking(2, error))) as typed,
        pytest.raises(error),
    ):
        typed.ready()
    with pytest.raises(error):
        asyncio.run(ask(httpx.MockTransport(Breaking(2, error))))


def test_a_service_that_is_not_there_is_not_asked_twice() -> None:
    asked = Breaking(1, httpx.ConnectError)
    with Client("http://x", transport=httpx.MockTransport(asked)) as typed, pytest.raises(httpx.ConnectError):
        typed.ready()
    assert asked.left == 0
