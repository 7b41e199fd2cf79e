"""Puts the application together."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from server import infer, operation, pages, routes
from server.errors import MEDIA_TYPE, problem_response, validation_error
from server.metrics import Metrics
from server.middleware import CompressReads, Guard
from server.service import Running, Service
from server.settings import ROOT, Settings


class Application(FastAPI):
    """The framework's application, but for the routes that infer: see `server.infer`."""

    direct: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        infers = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in infer.ROUTES
        if infers and self.direct is not None:
            await self.direct(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None, when_loaded: Callable[[], None] = lambda: None) -> FastAPI:
    """Make the application; the models are loaded once it starts, and `when_loaded` is called after that."""
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running.service = service = Service(settings, metrics)
        service.start(when_loaded)
        if settings.workers > 1:  # the port is shared: whoever takes a request must have the models
            await service.loaded.wait()
        yield
        await service.stop()

    app = Application(
        title="Understory",
        description="Text classifiers with a latent dependency tree in the middle.",
        version=version("understory"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.openapi = partial(_document, app)  # type: ignore[method-assign]
    running = Running(settings)
    app.state = running  # type: ignore[assignment]
    app.include_router(routes.router)
    app.include_router(routes.inference)
    app.include_router(operation.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=ROOT / "static"), name="static")
    app.add_middleware(CompressReads)
    app.add_middleware(Guard, running=running, metrics=metrics)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    if settings.trace:
        from server.tracing import trace  # an extra: opentelemetry

        running.record = trace(app)
    else:  # what traces requests stands in the framework's stack
        app.direct = Guard(infer.Infer(running), running, metrics)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """Describe the API; the framework would add to each problem the media type of a success."""
    document = FastAPI.openapi(app)
    for path in document["paths"].values():
        for described in path.values():
            for response in described["responses"].values():
                if MEDIA_TYPE in response.get("content", {}):
                    response["content"].pop("application/json", None)
    return document


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and pages.wants_page(request):
        return pages.missing(request)
    return problem_response(error, request.state.request_id)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{**each, "loc": each["loc"][1:]} for each in error.errors()]  # without "query" or "path"
    return problem_response(validation_error(errors), request.state.request_id)
