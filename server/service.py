"""The running service: its models, its queue, and whether it is ready."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from server.batcher import Batcher, Budget, Job
from server.errors import ApiError, busy
from server.logs import log
from server.metrics import Metrics
from server.patience import Patience
from server.registry import Model, ModelError, Registry
from server.settings import Settings


@dataclass
class Running:
    """What the parts of one application share; each look into the framework's `State` costs time."""

    settings: Settings
    service: "Service" = field(init=False)
    """Set once the application starts."""
    record: Callable[[Sequence[Job]], None] = lambda jobs: None
    """Told of the inference of each request."""


class Service:
    """What the routes stand on; made once for each process."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.limits = settings.limits()
        self.registry = Registry(settings.models, self.limits, settings.device)
        budget = Budget(settings.batch_arcs, settings.batch_tokens)
        self.batcher = Batcher(budget, settings.max_queue, metrics, settings.queue_seconds)
        self.status: Literal["loading", "ready", "draining"] = "loading"
        self.patience = Patience(settings.timeout_seconds)
        self.writing = asyncio.Semaphore(1)
        """Held while a large answer is written: one at a time bounds the memory."""
        self.loaded = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None

    def start(self, when_loaded: Callable[[], None]) -> None:
        """Load the models, while `/livez` answers already, and then watch their folder."""
        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        self._tending = asyncio.create_task(self._tend(when_loaded))

    async def _tend(self, when_loaded: Callable[[], None]) -> None:
        await asyncio.to_thread(self._refresh)
        when_loaded()
        if self.status == "loading":
            self.status = "ready"
        self.loaded.set()
        log.info("ready", extra={"models": [model.id for model in self.registry]})
        while self.settings.watch_seconds:
            await asyncio.sleep(self.settings.watch_seconds)
            await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        """Load what is new or changed in the models' folder."""
        try:
            changed = self.registry.changed()
        except Exception as error:  # its message is about files, and tells what to do
            log.exception("looking for changed models failed; it will be tried again: %s", error)
            return
        for id_ in changed:
            try:
                self.load(id_)
            except ModelError:  # logged, and told by /readyz
                continue
            except Exception as error:
                log.exception("loading a model failed: %s", error, extra={"model": id_})

    def load(self, id_: str) -> Model:
        """Read a model and serve it; what was served under its id stays where that fails."""
        try:
            model = self.registry.load(id_)
        except ModelError as error:
            self.metrics.model_loads.labels(id_, "refused").inc()
            log.error("model refused: %s", error, extra={"model": id_})
            raise
        self.metrics.model_loads.labels(id_, "loaded").inc()
        log.info("model loaded", extra={"model": id_, "revision": model.entry.revision})
        return model

    def drain(self) -> None:
        """Stop being ready; requests are answered all the same."""
        self.status = "draining"

    async def stop(self) -> None:
        """Finish what is queued."""
        self.drain()
        if self._tending is not None:
            self._tending.cancel()
        await asyncio.to_thread(self.batcher.close)

    def model(self, id_: str) -> Model:
        """Return a model, or raise what a client should know about its absence."""
        model = self.registry.get(id_)
        if model is not None:
            return model
        if self.status == "loading":
            raise busy(503, "loading", "the models are being loaded")
        if id_ in self.registry.refused:
            raise ApiError(404, "model_refused", f"this model cannot be served: {self.registry.refused[id_]}")
        known = ", ".join(model.id for model in self.registry) or "none"
        raise ApiError(404, "model_not_found", f"no model is called {id_!r}; there are: {known}")

    def models(self, ids: Sequence[str] | None, task: str | None, takes: str) -> list[Model]:
        """Return the models of a comparison: those named, or all of the task, or all that fit the input."""
        if ids is not None:
            return [self.model(id_) for id_ in ids]
        if self.status == "loading":
            raise busy(503, "loading", "the models are being loaded")
        if task is not None:
            found = [model for model in self.registry if model.entry.task == task]
            if not found:
                raise ApiError(404, "task_not_found", f"no model is of task {task!r}")
            return found
        found = [model for model in self.registry if model.entry.takes == takes]
        tasks = sorted({model.entry.task for model in found})
        if len(tasks) > 1:
            raise ApiError(
                422, "task_required", f"models of several tasks fit: name one of {', '.join(tasks)}"
            )
        if not found:
            raise ApiError(404, "model_not_found", f"no model that is being served takes a {takes}")
        return found
