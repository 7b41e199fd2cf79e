"""Answers that are all there, written at once: between this server and this application, beside ASGI.

For each part of an answer uvicorn asks what came before it, and it looks each header over for what a header
may not hold: a fortieth of what a request costs. The answers of inference are of one part, and their headers
are the application's own. As a batch ends many of them are there together, and go out a few at a time.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from http import HTTPStatus
from typing import cast
from weakref import ref

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

Write = Callable[[bytes, bytes], bool]
"""Given the lines of the headers and the body: whether both are on their way, or must go the usual way."""

ANSWER = "answer"
"""The type of the one message that such an answer is, with its headers and body."""
MOST_HELD = 4
"""Answers that wait for each other at most."""
_KEY = "write_whole"
_OK = b"HTTP/1.1 200 " + HTTPStatus.OK.phrase.encode() + b"\r\n"


class Outbox:
    """The answers of one event loop on their way out.

    To write to a client of this machine, a proxy say, wakes it, and to wake an idle processor takes a
    thirtieth of a request. One that is busy with the first of a few answers is awake for the others. With
    more of them at a time it would idle meanwhile, and the next batch would start without its requests.
    """

    def __init__(self) -> None:
        self._held: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Write an answer with the next few, or once the event loop has done what it has to do now."""
        self._held.append((transport, answer))
        if len(self._held) == MOST_HELD:
            self.flush()
        elif len(self._held) == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what is held; nothing else may be written to a connection before that."""
        held, self._held = self._held, []
        for transport, answer in held:
            if not transport.is_closing():
                transport.write(answer)


def offer(cycle: RequestResponseCycle, outbox: Outbox) -> None:
    """Let the application write the answer of one request at once."""
    # By a weak reference: the cycle holds the scope, and would be freed by garbage collection only.
    cycle.scope["state"][_KEY] = partial(_write, ref(cycle), outbox)


def offered(scope: Scope) -> Write | None:
    """Return what writes an answer of status 200 at once, where the server has it."""
    return cast(Write | None, scope["state"].get(_KEY))


def lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return headers as they are sent."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _write(of: ref[RequestResponseCycle], outbox: Outbox, head: bytes, body: bytes) -> bool:
    """Do what `cycle.send` does, of a connection that stays and takes what is written."""
    cycle = of()
    if cycle is None or cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive:
        return False
    length = b"content-length: %d\r\n\r\n" % len(body)
    cycle.response_started = cycle.response_complete = True
    outbox.put(cycle.transport, b"".join((_first(tuple(cycle.default_headers)), head, length, body)))
    cycle.message_event.set()
    cycle.on_response()
    return True


@lru_cache(maxsize=16)
def _first(own: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Return the status and the server's own headers, which change once a second."""
    return _OK + lines(own)
