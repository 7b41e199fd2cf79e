"""The routes under `/v1`: what they are called, take and answer; inference itself is in `server.infer`."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.routing import APIRoute

from server import infer
from server.access import require_api_key
from server.errors import MEDIA_TYPE
from server.schemas import (
    CompareAnswer,
    CompareRequest,
    ModelEntry,
    ModelList,
    PredictAnswer,
    PredictRequest,
    Problem,
)
from server.service import Service


class InferenceRoute(APIRoute):
    """A route that is documented here and answered by `server.infer`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Replace the framework's handler."""
        answer = infer.ROUTES[self.path]

        async def handle(request: Request) -> Response:
            call = infer.Call(request.app.state, request.scope, request.receive)
            content = await answer(call)
            response = Response(content)
            response.raw_headers += infer.headers(call)
            return response

        return handle


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

router = APIRouter(prefix="/v1", dependencies=[Depends(require_api_key)])


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


inference = APIRouter(prefix="/v1", route_class=InferenceRoute, tags=["predictions"])


@inference.post(
    "/predict", summary="One model, many inputs", response_model=PredictAnswer, responses=POST_PROBLEMS
)
async def predict(body: PredictRequest) -> None:
    """Classify each input and return the trees that the model inferred on the way."""


@inference.post(
    "/compare",
    summary="Many models, one or more inputs",
    response_model=CompareAnswer,
    responses=POST_PROBLEMS,
)
async def compare(body: CompareRequest) -> None:
    """Give each input to each model, and say how far their trees agree."""
