"""What every request passes through: an id, limits on its body, safe headers, counts, compression."""

import asyncio
import math
import random
import re
import time

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import whole
from server.errors import ApiError, problem_response
from server.headers import BODY_CAME, header
from server.infer import ROUTES
from server.logs import log, note_request
from server.metrics import Metrics
from server.service import Running
from server.settings import Settings

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CLIENT_GONE = 499
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
INTERNAL_ERROR = ApiError(500, "internal_error", "an unexpected error; the log has it under the request's id")
SAFE_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
SAFE_LINES = whole.lines(SAFE_HEADERS)
QUIET = {"/livez", "/readyz", "/metrics"}
"""Asked every few seconds by machines: counted, but not logged."""


_ids = random.Random()  # seeded by the system once: an id has to be new, not secret


def request_id(scope: Scope) -> str:
    """Return the client's id for its request where it is a plain word, else a new one."""
    given = header(scope, b"x-request-id")
    return given if REQUEST_ID.fullmatch(given) else f"{_ids.getrandbits(128):032x}"


class CompressReads:
    """Compresses what is read with GET: the page, its files, the list of models, the documentation.

    Answers to POST go as they are: compressing one costs as much as inferring it, and a proxy can do that.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.compressed = GZipMiddleware(app, minimum_size=1000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reads = scope["type"] == "http" and scope["method"] == "GET"
        await (self.compressed if reads else self.app)(scope, receive, send)


class Guard:
    """Stands before the application; nothing but answers with safe headers comes out."""

    def __init__(self, app: ASGIApp, running: Running, metrics: Metrics) -> None:
        self.app = app
        self.running = running
        self.settings: Settings = running.settings
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        id_ = scope.setdefault("state", {})["request_id"] = request_id(scope)
        # Whoever asks with HEAD, as monitors do, is answered as with GET; the server leaves the body out.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        status = 0

        async def send_safely(message: Message) -> None:
            # It may not call itself: it would be freed by garbage collection only, and the request with it.
            nonlocal status
            if message["type"] == whole.ANSWER:
                status = 200
                if self._write_whole(scope, id_, message):
                    return
                length = b"content-length", b"%d" % len(message["body"])
                start = {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [length, *message["headers"]],
                }
                self._add_headers(start, id_)
                await send(start)
                message = {"type": "http.response.body", "body": message["body"]}
            elif message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message, id_)
            await send(message)

        try:
            await self.app(asked, self._limited(asked, receive), send_safely)
        except ApiError as error:  # raised where the framework does not turn it into an answer
            await problem_response(error, id_)(scope, receive, send_safely)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception:
            log.exception("unexpected error", extra={"request_id": id_})
            if status:
                raise  # too late for an answer: the server closes the connection
            await problem_response(INTERNAL_ERROR, id_)(scope, receive, send_safely)
        finally:
            self._note(asked, scope["method"], id_, status, time.perf_counter() - start)

    def _write_whole(self, scope: Scope, id_: str, message: Message) -> bool:
        """Write an answer at once, where the server offers that and need not say that it will be gone."""
        write = whole.offered(scope)
        if write is None or self.running.service.status == "draining":
            return False
        head = b"%bx-request-id: %b\r\n%b" % (whole.lines(message["headers"]), id_.encode(), SAFE_LINES)
        return write(head, message["body"])

    def _add_headers(self, message: Message, id_: str) -> None:
        message["headers"] = [*message.get("headers", ()), (b"x-request-id", id_.encode()), *SAFE_HEADERS]
        service = getattr(self.running, "service", None)
        if service is not None and service.status == "draining":
            MutableHeaders(scope=message)["connection"] = "close"  # so that clients move on by themselves

    def _note(self, scope: Scope, method: str, id_: str, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in ROUTES else getattr(scope.get("route"), "path", "other")
        self.metrics.note_request(route, status, seconds)
        if route not in QUIET:
            note_request(
                {
                    "request_id": id_,
                    "method": method,
                    "path": scope["path"],
                    "status": status,
                    "seconds": round(seconds, 6),
                    **scope["state"].get("timing", {}),
                }
            )

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Count the body as it is read, so that a wrong Content-Length does not help, and time it."""
        if scope["state"].get(BODY_CAME, math.inf) <= self.settings.max_body_bytes:
            return receive
        total, complete = 0, False
        deadline = asyncio.get_running_loop().time() + self.settings.body_seconds

        async def limited() -> Message:
            nonlocal total, complete
            if complete:  # from here on it is about the client going away
                return await receive()
            here = BODY_CAME in scope["state"]
            message = await (receive() if here else self._in_time(receive, deadline))
            total += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if total > self.settings.max_body_bytes:
                detail = f"the body may have {self.settings.max_body_bytes} bytes"
                raise ApiError(413, "body_too_large", detail, headers={"Connection": "close"})
            return message

        return limited

    async def _in_time(self, receive: Receive, deadline: float) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError as error:
            detail = f"the body did not arrive within {self.settings.body_seconds:g} seconds"
            raise ApiError(408, "body_too_slow", detail, headers={"Connection": "close"}) from error
