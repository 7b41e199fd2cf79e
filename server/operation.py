"""The routes for those who run the service: is it alive, is it ready, what does it count, which models."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from server.access import require_admin_key
from server.errors import ApiError, busy
from server.registry import ModelError
from server.routes import problems
from server.schemas import ModelEntry, Readiness
from server.service import Service

router = APIRouter(tags=["operation"])
ModelId = Annotated[str, Path(max_length=100)]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


@router.get("/livez", summary="Whether the process answers")
async def livez() -> dict[str, str]:
    """Say that the process is alive."""
    return {"status": "alive"}


@router.get("/readyz", summary="Whether requests are taken", responses=problems(503))
async def readyz(request: Request) -> Readiness:
    """Answer 200 while at least one model serves; `degraded` and the reasons where others were refused."""
    service = _service(request)
    refused = service.registry.refusals()
    if service.status != "ready":
        raise busy(503, service.status, f"the service is {service.status}")
    if not len(service.registry):
        detail = "; ".join(item.detail for item in refused) or "the models folder is empty"
        raise busy(503, "no_models", f"no model can be served: {detail}", retry_after=10)
    return Readiness(
        status="degraded" if refused else "ready",
        models=[model.id for model in service.registry],
        refused=refused,
    )


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Write the numbers for Prometheus."""
    content = await asyncio.to_thread(_service(request).metrics.render)
    return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post(
    "/v1/models/{id}/load",
    summary="Read a model from its folder, anew or again",
    dependencies=[Depends(require_admin_key)],
    responses=problems(401, 403, 404, 422),
)
async def load_model(request: Request, id: ModelId) -> ModelEntry:
    """Serve what the folder holds now; where that is refused, what was served before stays."""
    service = _service(request)
    if id not in service.registry.folders():
        raise ApiError(404, "model_not_found", f"the models folder has no {id!r}")
    try:
        return (await asyncio.to_thread(service.load, id)).entry
    except ModelError as error:
        raise ApiError(422, "model_refused", str(error)) from error


@router.post(
    "/v1/models/{id}/unload",
    status_code=204,
    summary="Stop serving a model",
    dependencies=[Depends(require_admin_key)],
    responses=problems(401, 403, 404),
)
async def unload_model(request: Request, id: ModelId) -> None:
    """Stop serving a model until it is loaded again or its file changes; running requests are answered."""
    service = _service(request)
    service.model(id)
    service.registry.unload(id)
