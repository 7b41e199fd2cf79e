"""Answers that are all there, written at once: between this server and this application, beside ASGI.

For each part of an answer uvicorn asks what came before it, and it looks each header over for what a header
may not hold: a fortieth of what a request costs. The answers of inference are of one part, and their headers
are the application's own.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from http import HTTPStatus
from typing import cast
from weakref import ref

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

Headers = list[tuple[bytes, bytes]]
Write = Callable[[bytes, bytes], bool]
"""Given the lines of the headers and the body: whether both are written, or must go the usual way."""

ANSWER = "answer"
"""The type of the one message that such an answer is, with its headers and body."""
_KEY = "write_whole"
_OK = b"HTTP/1.1 200 " + HTTPStatus.OK.phrase.encode() + b"\r\n"


def offer(cycle: RequestResponseCycle) -> None:
    """Let the application write the answer of one request at once."""
    # By a weak reference: the cycle holds the scope, and would be freed by garbage collection only.
    cycle.scope["state"][_KEY] = partial(_write, ref(cycle))


def offered(scope: Scope) -> Write | None:
    """Return what writes an answer of status 200 at once, where the server has it."""
    return cast(Write | None, scope["state"].get(_KEY))


def lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return headers as they are sent."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _write(of: ref[RequestResponseCycle], head: bytes, body: bytes) -> bool:
    """Do what `cycle.send` does, of a connection that stays and takes what is written."""
    cycle = of()
    if cycle is None or cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive:
        return False
    length = b"content-length: %d\r\n\r\n" % len(body)
    cycle.response_started = cycle.response_complete = True
    cycle.transport.write(b"".join((_first(tuple(cycle.default_headers)), head, length, body)))
    cycle.message_event.set()
    cycle.on_response()
    return True


@lru_cache(maxsize=16)
def _first(own: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Return the status and the server's own headers, which change once a second."""
    return _OK + lines(own)
