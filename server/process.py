"""The process around the application: signals, and several workers on one port."""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

import uvicorn

from latent.allocator import share_heaps
from server import logs
from server.protocol import protocol
from server.settings import Settings


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return."""
    share_heaps()
    gc.disable()  # until all is loaded: little of it is garbage
    from server.app import create_app  # here: a parent of workers needs no torch
    from server.device import DeviceError, check_device

    try:
        check_device(settings.device)
    except DeviceError as error:
        sys.exit(str(error))
    logs.set_up(settings.log_level, settings.log_text)
    app = create_app(settings, when_loaded=_keep_what_is_loaded)
    config = uvicorn.Config(
        app,
        http=protocol(settings.header_seconds),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who the client is
        ws="none",
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=int(settings.grace_seconds),
    )
    _Server(config, settings.drain_seconds).run(sockets=[listener])
    logs.let_go()


def _keep_what_is_loaded() -> None:
    """Leave modules and models out of garbage collection: looking them over stops everything.

    A model that is unloaded later goes all the same, since nothing in it refers to itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # by default it looks after 700 new objects, and requests leave no garbage
    gc.enable()


class _Server(uvicorn.Server):
    """A server that drains on a signal and then ends as after any other work, with exit status 0."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float) -> None:
        super().__init__(config)
        self.drain_seconds = drain_seconds

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Replace the parent's: it raises the signal again in the end, which makes the exit status 143."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain, loop)
        yield

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        service = getattr(self.config.app.state, "service", None)  # type: ignore[union-attr]
        if service is None or service.status == "draining":  # a second signal does not wait
            self.should_exit = True
            return
        service.drain()
        loop.call_later(self.drain_seconds, setattr, self, "should_exit", True)


def serve_with_workers(settings: Settings, listener: socket.socket) -> int:
    """Serve with several processes on one socket; return an exit status once all have ended.

    A signal goes to every worker. A worker that ends by itself ends the others too, with status 1: whatever
    started the service starts it again.
    """
    context = multiprocessing.get_context("spawn")  # a fork after torch ran threads hangs
    stopping = False

    with tempfile.TemporaryDirectory(prefix="understory-metrics-") as folder:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)  # before a worker imports the client
        workers = [context.Process(target=_work, args=(settings, listener)) for _ in range(settings.workers)]

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal stopping
            stopping = True
            _terminate(workers)

        for worker in workers:
            worker.start()
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        wait([worker.sentinel for worker in workers])
        _terminate(workers)
        for worker in workers:
            worker.join()
    ended_well = {0, -signal.SIGTERM}  # the latter: the signal came before the worker could take it
    return 0 if stopping and all(worker.exitcode in ended_well for worker in workers) else 1


def _work(settings: Settings, listener: socket.socket) -> None:
    """Serve as one of several; a worker whose parent is gone, killed say, stops as on a signal."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="parent", daemon=True).start()
    serve(settings, listener)


def _terminate(workers: list[Any]) -> None:
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
