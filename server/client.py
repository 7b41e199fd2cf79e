"""A typed client for the HTTP API, sync and async, on httpx and the service's own schemas.

>>> with Client("http://127.0.0.1:8000") as client:                      # doctest: +SKIP
...     answer = client.predict("sst-spigot", ["A gripping, funny film."])
...     answer.data[0].label, answer.data[0].sentences[0].trees.map.heads
('positive', [2, 5, 2, 5, 0, 5])
"""

import asyncio
import random
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from server.schemas import (
    CompareAnswer,
    CompareRequest,
    Input,
    ModelEntry,
    ModelList,
    Parameters,
    PredictAnswer,
    PredictRequest,
    Problem,
    Readiness,
    TreeParameters,
)

A = TypeVar("A", bound=BaseModel)
RETRIED = frozenset({429, 503})
BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""What a request meets in a kept connection that the other side is just closing."""


class ServiceError(Exception):
    """An answer that is an error; `problem` has what the service says of it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem


class _Requests:
    """What both clients send, and how they read what comes back."""

    def __init__(self, retries: int, longest_wait: float) -> None:
        self.retries = retries
        self.longest_wait = longest_wait

    def wait_before(self, attempt: int, response: httpx.Response) -> float | None:
        """Return how long to wait before the next attempt, or None where there should be none."""
        if response.status_code not in RETRIED or attempt >= self.retries:
            return None
        asked = response.headers.get("retry-after", "")
        seconds = float(asked) if asked.isdigit() else 2.0**attempt
        return min(seconds, self.longest_wait) * random.uniform(1.0, 1.25)  # apart from the other clients


def _parameters(trees: TreeParameters | None, alignment: bool) -> Parameters:
    return Parameters(trees=trees or TreeParameters(), alignment=alignment)


def _predict_body(model: str, inputs: Sequence[Input], parameters: Parameters) -> dict[str, Any]:
    return _body(PredictRequest.model_validate({"model": model, "inputs": list(inputs)}), parameters)


def _compare_body(
    inputs: Sequence[Input], models: Sequence[str] | None, task: str | None, parameters: Parameters
) -> dict[str, Any]:
    named = None if models is None else list(models)
    request = CompareRequest.model_validate({"models": named, "task": task, "inputs": list(inputs)})
    return _body(request, parameters)


def _body(request: PredictRequest | CompareRequest, parameters: Parameters) -> dict[str, Any]:
    request.parameters = parameters
    return request.model_dump(mode="json", by_alias=True)


def _read(kind: type[A], response: httpx.Response) -> A:
    if response.is_success:
        return kind.model_validate_json(response.content)
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:  # not from the service: a proxy's page, say
        problem = Problem(
            type="about:blank",
            title=response.reason_phrase,
            status=response.status_code,
            detail=response.text[:500],
            code="unknown",
            request_id=response.headers.get("x-request-id", ""),
        )
    raise ServiceError(problem)


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


class Client:
    """A client for programs that wait.

    A request whose connection broke is sent once more in a new one: none of them changes anything.

    Args:
        url: where the service is, `http://127.0.0.1:8000` say.
        api_key: the key, where the service asks for one.
        retries: how often to come back after 429 or 503, as `Retry-After` says.
        longest_wait: the longest pause, in seconds, whatever `Retry-After` says.
        timeout: seconds for one attempt.

    Raises:
        ServiceError: from every method, when the answer is an error.
        httpx.TransportError: from every method, when there is no answer.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        retries: int = 4,
        longest_wait: float = 30.0,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._requests = _Requests(retries, longest_wait)
        self._http = httpx.Client(
            base_url=url, headers=_headers(api_key), timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> Readiness:
        """Tell whether the service takes requests."""
        return _read(Readiness, self._request("GET", "/readyz"))

    def models(self) -> list[ModelEntry]:
        """List all models."""
        entries: list[ModelEntry] = []
        cursor: str | None = ""
        while cursor is not None:
            page = _read(ModelList, self._send("GET", "/v1/models", params={"cursor": cursor}))
            entries += page.data
            cursor = page.next_cursor
        return entries

    def model(self, id: str) -> ModelEntry:
        """Describe one model."""
        return _read(ModelEntry, self._send("GET", f"/v1/models/{id}"))

    def predict(
        self,
        model: str,
        inputs: Sequence[Input],
        trees: TreeParameters | None = None,
        alignment: bool = False,
    ) -> PredictAnswer:
        """Classify inputs with one model; `alignment` asks for the word alignment of pairs."""
        body = _predict_body(model, inputs, _parameters(trees, alignment))
        return _read(PredictAnswer, self._send("POST", "/v1/predict", json=body))

    def compare(
        self,
        inputs: Sequence[Input],
        models: Sequence[str] | None = None,
        task: str | None = None,
        trees: TreeParameters | None = None,
        alignment: bool = False,
    ) -> CompareAnswer:
        """Classify inputs with several models, and compare their trees; `alignment` as in `predict`."""
        body = _compare_body(inputs, models, task, _parameters(trees, alignment))
        return _read(CompareAnswer, self._send("POST", "/v1/compare", json=body))

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        attempt = 0
        while True:
            response = self._request(method, path, **content)
            wait = self._requests.wait_before(attempt, response)
            if wait is None:
                return response
            time.sleep(wait)
            attempt += 1

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **content)
        except BROKEN:
            return self._http.request(method, path, **content)


class AsyncClient:
    """The same client for asyncio; see `Client`."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        retries: int = 4,
        longest_wait: float = 30.0,
        timeout: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._requests = _Requests(retries, longest_wait)
        self._http = httpx.AsyncClient(
            base_url=url, headers=_headers(api_key), timeout=timeout, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ready(self) -> Readiness:
        """Tell whether the service takes requests."""
        return _read(Readiness, await self._request("GET", "/readyz"))

    async def models(self) -> list[ModelEntry]:
        """List all models."""
        entries: list[ModelEntry] = []
        cursor: str | None = ""
        while cursor is not None:
            page = _read(ModelList, await self._send("GET", "/v1/models", params={"cursor": cursor}))
            entries += page.data
            cursor = page.next_cursor
        return entries

    async def model(self, id: str) -> ModelEntry:
        """Describe one model."""
        return _read(ModelEntry, await self._send("GET", f"/v1/models/{id}"))

    async def predict(
        self,
        model: str,
        inputs: Sequence[Input],
        trees: TreeParameters | None = None,
        alignment: bool = False,
    ) -> PredictAnswer:
        """Classify inputs with one model; `alignment` asks for the word alignment of pairs."""
        body = _predict_body(model, inputs, _parameters(trees, alignment))
        return _read(PredictAnswer, await self._send("POST", "/v1/predict", json=body))

    async def compare(
        self,
        inputs: Sequence[Input],
        models: Sequence[str] | None = None,
        task: str | None = None,
        trees: TreeParameters | None = None,
        alignment: bool = False,
    ) -> CompareAnswer:
        """Classify inputs with several models, and compare their trees; `alignment` as in `predict`."""
        body = _compare_body(inputs, models, task, _parameters(trees, alignment))
        return _read(CompareAnswer, await self._send("POST", "/v1/compare", json=body))

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        attempt = 0
        while True:
            response = await self._request(method, path, **content)
            wait = self._requests.wait_before(attempt, response)
            if wait is None:
                return response
            await asyncio.sleep(wait)
            attempt += 1

    async def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return await self._http.request(method, path, **content)
        except BROKEN:
            return await self._http.request(method, path, **content)
