"""The routes under `/v1`: thin, from a request to an answer."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

import pydantic_core
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from server import answers
from server.access import require_api_key
from server.batcher import Job, QueueFullError, Result
from server.errors import MEDIA_TYPE, ApiError, busy, invalid
from server.inputs import check_work, kind_of, read_items
from server.logs import log
from server.predictor import Item, NoTreeError, Prediction
from server.registry import Model
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
    TreeParameters,
)
from server.service import Service
from server.sharing import by_encoder

MANY_CHARACTERS = 4_000
"""Above it, tokenising leaves the event loop."""
MANY_ARCS = 20_000
"""Above it, writing an answer leaves the event loop, one answer at a time."""


class JsonRequest(Request):
    """A request whose body is read by pydantic's parser: it refuses NaN, deep nesting and lone surrogates."""

    async def json(self) -> Any:
        """Parse the body."""
        try:
            return pydantic_core.from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise ApiError(400, "not_json", f"the body is not JSON: {error}") from error


class JsonRoute(APIRoute):
    """A route that reads its body as `JsonRequest` does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the framework's handler."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            if self.body_field is not None:
                _check_media_type(request)
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(
            415, "unsupported_media_type", f"the body must be application/json; got {media_type or 'no type'}"
        )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document errors that a route may answer with."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"model": Problem, "description": PROBLEMS[status], "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


PROBLEMS = {
    401: "The API key is missing or wrong",
    403: "There is no administration without an admin key",
    400: "The body is not JSON",
    404: "No such model or task",
    408: "The body came too slowly",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "Invalid, or above a limit",
    429: "The queue is full: come back after Retry-After seconds",
    503: "Loading or draining",
    504: "Too slow",
}
POST_PROBLEMS = problems(*(PROBLEMS.keys() - {403}))

router = APIRouter(prefix="/v1", route_class=JsonRoute, dependencies=[Depends(require_api_key)])


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


@router.get(
    "/models", tags=["models"], summary="The models, and what they can do", responses=problems(401, 422)
)
async def list_models(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str, Query(max_length=100, description="`next_cursor` of the page before")] = "",
) -> ModelList:
    """List the models by id; `refused` names the folders whose checkpoint could not be served."""
    service = _service(request)
    after = [model.entry for model in service.registry if model.id > cursor]
    page = after[:limit]
    return ModelList(
        data=page,
        next_cursor=page[-1].id if len(after) > limit else None,
        refused=service.registry.refusals(),
    )


@router.get("/models/{id}", tags=["models"], summary="One model", responses=problems(401, 404, 503))
async def get_model(request: Request, id: str) -> ModelEntry:
    """Describe one model."""
    return _service(request).model(id).entry


@router.post(
    "/predict",
    tags=["predictions"],
    summary="One model, many inputs",
    response_model=PredictAnswer,
    responses=POST_PROBLEMS,
)
async def predict(request: Request, body: PredictRequest) -> Response:
    """Classify each input and return the trees that the model inferred on the way."""
    service = _service(request)
    model, wanted = service.model(body.model), body.parameters
    items = await _read(service, body.inputs, [model], wanted.trees)
    (found,) = await _run(service, request, [model], items, wanted.trees)
    return await _answer(
        request,
        items,
        lambda: {
            "model": model.entry,
            "data": [
                answers.prediction(model.entry.labels, item, one, wanted)
                for item, one in zip(items, found, strict=True)
            ],
        },
    )


@router.post(
    "/compare",
    tags=["predictions"],
    summary="Many models, one or more inputs",
    response_model=CompareAnswer,
    responses=POST_PROBLEMS,
)
async def compare(request: Request, body: CompareRequest) -> Response:
    """Give each input to each model, and say how far their trees agree."""
    service = _service(request)
    models = service.models(body.models, body.task, kind_of(body.inputs[0]))
    if len(models) > service.limits.max_models:
        raise invalid("/models", f"at most {service.limits.max_models} models; got {len(models)}")
    if len({model.id for model in models}) < len(models):
        raise invalid("/models", "each model may be named once")
    if len({model.entry.takes for model in models}) > 1:
        raise invalid("/models", "some of these models take a sentence and some a pair")
    wanted = body.parameters
    items = await _read(service, body.inputs, models, wanted.trees)
    found = await _run(service, request, models, items, wanted.trees)
    return await _answer(
        request,
        items,
        lambda: {
            "models": [model.entry for model in models],
            "data": _compared(models, items, found, wanted),
        },
    )


def _compared(
    models: Sequence[Model],
    items: Sequence[Item],
    found: Sequence[Sequence[Prediction]],
    wanted: Parameters,
) -> list[answers.Json]:
    return [
        {
            "models": [
                {"model": model.id, **answers.prediction(model.entry.labels, item, row[i], wanted)}
                for model, row in zip(models, found, strict=True)
            ],
            "agreement": answers.agreement(
                [(model.id, row[i]) for model, row in zip(models, found, strict=True)]
            ),
        }
        for i, item in enumerate(items)
    ]


async def _read(
    service: Service, inputs: Sequence[Input], models: Sequence[Model], wanted: TreeParameters
) -> list[Item]:
    """Check and tokenise the inputs; off the event loop where there is much of it."""
    limits = service.limits
    if wanted.max_trees > limits.max_trees:
        raise invalid("/parameters/trees/max_trees", f"at most {limits.max_trees}; got {wanted.max_trees}")
    read = (inputs, models[0].entry.takes, wanted.constraints, limits)
    characters = sum(len(value) if isinstance(value, str) else MANY_CHARACTERS for value in inputs)
    items = await asyncio.to_thread(read_items, *read) if characters > MANY_CHARACTERS else read_items(*read)
    check_work(items, len(models), limits)
    if service.settings.log_text:
        log.info("inputs", extra={"inputs": [item.sentences for item in items]})
    return items


async def _run(
    service: Service, request: Request, models: Sequence[Model], items: Sequence[Item], wanted: TreeParameters
) -> list[list[Prediction]]:
    """Infer with every model at once; the first error is the request's."""
    structures = frozenset(wanted.return_)
    groups = by_encoder([model.classifier for model in models])
    jobs: list[Job] = []
    inference: asyncio.Task[None] | None = None
    gone = asyncio.create_task(_gone(request))
    try:
        for group in groups:
            job = service.batcher.submit([models[place] for place in group], items, structures)
            jobs.append(job)  # where the next is refused, this one must be taken back
        inference = asyncio.create_task(_finished(jobs))
        await asyncio.wait(
            (inference, gone), timeout=service.settings.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if not inference.done():
            raise ClientDisconnect if gone.done() else _too_slow(service)
        inference.result()
    except QueueFullError as error:
        raise busy(429, "queue_full", str(error)) from error
    finally:
        gone.cancel()
        if inference is not None:
            inference.cancel()
        for job in jobs:
            job.future.cancel()  # where it is not done, its items leave the queue
    request.state.timing = {
        "queue_seconds": round(max(job.queue_seconds for job in jobs), 6),
        "inference_seconds": round(sum(job.inference_seconds for job in jobs), 6),
    }
    request.app.state.record(jobs)
    found = {
        place: _predictions(results)
        for group, job in zip(groups, jobs, strict=True)
        for place, results in zip(group, job.future.result(), strict=True)
    }
    return [found[place] for place in range(len(models))]


def _too_slow(service: Service) -> ApiError:
    return ApiError(504, "too_slow", f"no answer within {service.settings.timeout_seconds:g} seconds")


async def _finished(jobs: Sequence[Job]) -> None:
    for job in jobs:
        await job.future


async def _gone(request: Request) -> None:
    """Wait until the client goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _predictions(results: Sequence[Result]) -> list[Prediction]:
    found = []
    for i, result in enumerate(results):
        if isinstance(result, NoTreeError):
            raise invalid("/parameters/trees/constraints", f"{result} for /inputs/{i}")
        found.append(result)
    return found


async def _answer(request: Request, items: Sequence[Item], make: Callable[[], answers.Json]) -> Response:
    service = _service(request)
    usage = {"tokens": sum(item.words for item in items)}

    def write() -> bytes:
        return pydantic_core.to_json({"id": request.state.request_id, **make(), "usage": usage})

    if sum(item.words**2 for item in items) > MANY_ARCS:
        async with service.writing:
            content = await asyncio.to_thread(write)
    else:
        content = write()
    spent = ", ".join(
        f"{name.removesuffix('_seconds')};dur={seconds * 1e3:.2f}"
        for name, seconds in request.state.timing.items()
    )
    return Response(content, media_type="application/json", headers={"Server-Timing": spent})
