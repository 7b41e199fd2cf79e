"""`POST /v1/predict` and `/v1/compare`: from a request to the bytes of its answer, without a framework.

FastAPI documents these two routes (`server.routes`). What it does for each request besides takes as long as
inference, so they are served as plain ASGI, behind the same guard.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from server import agreement, writing
from server.access import check_api_key
from server.batcher import Job, QueueFullError, Result
from server.errors import ApiError, busy, invalid, validation_error
from server.headers import header
from server.inputs import check_work, kind_of, read_items
from server.logs import log
from server.patience import Wait
from server.predictor import Item, NoTreeError, Prediction
from server.registry import Model
from server.schemas import CompareRequest, Input, Parameters, PredictRequest, TreeParameters
from server.service import Running, Service
from server.sharing import by_encoder
from server.whole import ANSWER

MANY_CHARACTERS = 4_000
"""Above it, tokenising leaves the event loop."""
MANY_ARCS = 20_000
"""Above it, writing an answer leaves the event loop, one answer at a time."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some editors put before a text."""

B = TypeVar("B", bound=BaseModel)


@dataclass(slots=True)
class Call:
    """One request on its way."""

    running: Running
    scope: Scope
    receive: Receive


Answer = Callable[[Call], Awaitable[bytes]]


async def predict(call: Call) -> bytes:
    """Classify each input and return the trees that the model inferred on the way."""
    body = await _body(call, PredictRequest)
    service, wanted = call.running.service, body.parameters
    model = service.model(body.model)
    items = await _read(service, body.inputs, [model], wanted.trees)
    (found,) = await _run(call, [model], items, wanted.trees)

    def write() -> list[bytes]:
        labels, each = model.classifier.labels, zip(items, found, strict=True)
        data = [writing.prediction(labels, item, one, wanted) for item, one in each]
        return [b'"model":', model.json, b',"data":[', b",".join(data), b"]"]

    return await _answer(call, items, write)


async def compare(call: Call) -> bytes:
    """Give each input to each model, and say how far their trees agree."""
    body = await _body(call, CompareRequest)
    service, wanted = call.running.service, body.parameters
    models = service.models(body.models, body.task, kind_of(body.inputs[0]))
    _check_models(models, service.limits.max_models)
    items = await _read(service, body.inputs, models, wanted.trees)
    found = await _run(call, models, items, wanted.trees)

    def write() -> list[bytes]:
        rows = zip(items, *found, strict=True)
        data = [_comparison(models, item, row, wanted) for item, *row in rows]
        entries = b",".join([model.json for model in models])
        return [b'"models":[', entries, b'],"data":[', b",".join(data), b"]"]

    return await _answer(call, items, write)


def _check_models(models: Sequence[Model], most: int) -> None:
    if len(models) > most:
        raise invalid("/models", f"at most {most} models; got {len(models)}")
    if len({model.id for model in models}) < len(models):
        raise invalid("/models", "each model may be named once")
    if len({model.entry.takes for model in models}) > 1:
        raise invalid("/models", "some of these models take a sentence and some a pair")


def _comparison(
    models: Sequence[Model], item: Item, found: Sequence[Prediction], wanted: Parameters
) -> bytes:
    named = [
        b'{"model":%b,%b'
        % (to_json(model.id), writing.prediction(model.classifier.labels, item, one, wanted)[1:])
        for model, one in zip(models, found, strict=True)
    ]
    agreed = agreement.between([(model.id, one) for model, one in zip(models, found, strict=True)])
    return b'{"models":[%b],"agreement":%b}' % (b",".join(named), to_json(agreed))


async def _body(call: Call, kind: type[B]) -> B:
    """Read a body as what it should be; pydantic's parser refuses NaN, deep nesting and lone surrogates."""
    check_api_key(call.scope, call.running.settings)
    try:
        call.running.service.batcher.check()  # before any work for a request that has no chance
    except QueueFullError as error:
        raise _full(error) from error
    media_type = header(call.scope, b"content-type").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(
            415, "unsupported_media_type", f"the body must be application/json; got {media_type or 'no type'}"
        )
    encoding = header(call.scope, b"content-encoding").strip().lower()
    if encoding not in ("", "identity"):
        raise ApiError(
            415,
            "unsupported_content_encoding",
            f"the body must come as it is, not compressed; got Content-Encoding: {encoding}",
            headers={"Accept-Encoding": "identity"},
        )
    content = await _content(call.receive)
    try:
        value = from_json(content.removeprefix(BYTE_ORDER_MARK), allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, "not_json", f"the body is not JSON: {error}") from error
    try:
        return kind.model_validate(value, from_attributes=True)
    except ValidationError as error:
        raise validation_error(error.errors(include_url=False, include_input=False)) from error


async def _content(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _read(
    service: Service, inputs: Sequence[Input], models: Sequence[Model], wanted: TreeParameters
) -> list[Item]:
    """Check and tokenise the inputs; off the event loop where there is much of it."""
    limits = service.limits
    if wanted.max_trees > limits.max_trees:
        raise invalid("/parameters/trees/max_trees", f"at most {limits.max_trees}; got {wanted.max_trees}")
    read = (inputs, models[0].entry.takes, wanted.constraints, limits)
    characters = sum([len(value) if isinstance(value, str) else MANY_CHARACTERS for value in inputs])
    items = await asyncio.to_thread(read_items, *read) if characters > MANY_CHARACTERS else read_items(*read)
    check_work(items, len(models), limits)
    if service.settings.log_text:
        log.info("inputs", extra={"inputs": [item.sentences for item in items]})
    return items


async def _run(
    call: Call, models: Sequence[Model], items: Sequence[Item], wanted: TreeParameters
) -> list[list[Prediction]]:
    """Infer with every model at once; the first error is the request's."""
    structures = frozenset(wanted.return_)
    groups = by_encoder([model.classifier for model in models]) if len(models) > 1 else [[0]]
    jobs: list[Job] = []
    wait = Wait(call.receive, jobs)
    call.running.service.patience.add(wait)
    try:
        for group in groups:
            job = call.running.service.batcher.submit([models[place] for place in group], items, structures)
            jobs.append(job)  # where the next is refused, this one must be taken back
        for job in jobs:
            await job.future
    except QueueFullError as error:
        raise _full(error) from error
    finally:
        call.running.service.patience.remove(wait)
        for job in jobs:
            job.future.cancel()  # where it is not done, its items leave the queue
    call.running.record(jobs)
    found: list[list[Prediction]] = [[] for _ in models]
    queued = inferred = 0.0
    for group, job in zip(groups, jobs, strict=True):
        queued = max(queued, job.queue_seconds)
        inferred += job.inference_seconds
        for place, results in zip(group, job.future.result(), strict=True):
            found[place] = _predictions(results)
    timing = {"queue_seconds": round(queued, 6), "inference_seconds": round(inferred, 6)}
    call.scope["state"]["timing"] = timing
    return found


def _full(error: QueueFullError) -> ApiError:
    return busy(429, "queue_full", str(error), max(1, math.ceil(error.seconds)))


def _predictions(results: Sequence[Result]) -> list[Prediction]:
    found = []
    for i, result in enumerate(results):
        if isinstance(result, NoTreeError):
            raise invalid("/parameters/trees/constraints", f"{result} for /inputs/{i}")
        found.append(result)
    return found


async def _answer(call: Call, items: Sequence[Item], write: Callable[[], list[bytes]]) -> bytes:
    """Write an answer; off the event loop where it is long."""
    words = [item.words for item in items]
    if sum([n * n for n in words]) > MANY_ARCS:
        async with call.running.service.writing:
            parts = await asyncio.to_thread(write)
    else:
        parts = write()
    # An id is letters, digits, dots, dashes: nothing in it needs an escape.
    id_ = b'{"id":"%b",' % call.scope["state"]["request_id"].encode()
    return b"".join([id_, *parts, b',"usage":{"tokens":%d}}' % sum(words)])


ROUTES: dict[str, Answer] = {"/v1/predict": predict, "/v1/compare": compare}


def headers(call: Call) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer: what it is, and how long the queue and inference took."""
    timing = call.scope["state"]["timing"]
    spent = b"queue;dur=%.2f, inference;dur=%.2f" % (
        timing["queue_seconds"] * 1e3,
        timing["inference_seconds"] * 1e3,
    )
    return [(b"content-type", b"application/json"), (b"server-timing", spent)]


class Infer:
    """The application of these routes: ASGI, but that an answer is one message, `ANSWER`."""

    def __init__(self, running: Running) -> None:
        self.running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or raise `ApiError`."""
        call = Call(self.running, scope, receive)
        content = await ROUTES[scope["path"]](call)
        await send({"type": ANSWER, "headers": headers(call), "body": content})
