"""How long a request may wait: it is failed when its client goes away, or when it takes too long.

Most are answered before either is worth a look, and a timer for each would be a fortieth of what a request
costs. So one timer looks after all that wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from server.batcher import Job
from server.errors import ApiError

WATCHED_AFTER = 0.25
"""Seconds after which it is watched whether the client is still there: most are answered before."""
LOOKS = 10
"""In the longest time of a request, at the least."""


class Patience:
    """The requests that wait for inference.

    Args:
        seconds: the longest time of one.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._every = min(WATCHED_AFTER, seconds / LOOKS)
        self._waiting: set[Wait] = set()
        self._looks = False

    def add(self, wait: Wait) -> None:
        """Look after a request from now on."""
        self._waiting.add(wait)
        if not self._looks:
            self._looks = True
            asyncio.get_running_loop().call_later(self._every, self._look)

    def remove(self, wait: Wait) -> None:
        """Let go of a request that was answered, or failed."""
        self._waiting.discard(wait)
        wait.end()

    def _look(self) -> None:
        now = time.monotonic()
        for wait in self._waiting:
            wait.look(now, self.seconds)
        self._looks = bool(self._waiting)
        if self._looks:
            asyncio.get_running_loop().call_later(self._every, self._look)


class Wait:
    """One request, and the jobs that it waits for."""

    __slots__ = ("jobs", "receive", "since", "task")

    def __init__(self, receive: Receive, jobs: Sequence[Job]) -> None:
        self.receive, self.jobs = receive, jobs
        self.since = time.monotonic()
        self.task: asyncio.Task[None] | None = None

    def look(self, now: float, seconds: float) -> None:
        """Fail the request where its time is up; watch its client where it waits for long."""
        waited = now - self.since
        if waited >= seconds:
            self._fail(ApiError(504, "too_slow", f"no answer within {seconds:g} seconds"))
        elif waited >= WATCHED_AFTER and self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._watch())

    def end(self) -> None:
        """Stop watching."""
        if self.task is not None:
            self.task.cancel()
            self.task = None  # else the two hold each other, and all of the request, until garbage collection

    async def _watch(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self._fail(ClientDisconnect())

    def _fail(self, error: Exception) -> None:
        waited_for = next((job.future for job in self.jobs if not job.future.done()), None)
        if waited_for is not None:
            waited_for.set_exception(error)
