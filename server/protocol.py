"""How bytes become requests: uvicorn's protocol with a limit on time, and deaf to offers of another."""

import asyncio
import sys

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from server import whole
from server.headers import BODY_CAME


class TimedProtocol(HttpToolsProtocol):
    """Closes connections whose headers take too long; tells what came whole; has answers written at once."""

    header_seconds: float
    outbox: whole.Outbox
    _headers_due: asyncio.TimerHandle | None = None
    _reads_headers = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Read on, and wait for headers where they did not come whole."""
        self.outbox.flush()  # what cannot be read is answered and closed at once
        super().data_received(data)
        if self._reads_headers and self._headers_due is None:
            self._await_headers()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._headers_came()
        self._reads_headers = True

    def on_headers_complete(self) -> None:
        """Have the request answered."""
        self._headers_came()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Tell how much came."""
        self.scope["state"][BODY_CAME] = len(self.cycle.body)
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._headers_came()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection once its request is answered."""
        self.outbox.flush()
        super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        whole.offer(cycle, self.outbox)
        super()._start_asgi_task(cycle, app)

    def _await_headers(self) -> None:
        self._headers_due = self.loop.call_later(self.header_seconds, self.transport.abort)

    def _headers_came(self) -> None:
        self._reads_headers = False
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None


class Protocol(TimedProtocol):
    """Passes over a client's offer to speak another protocol, as RFC 9110 (7.8) lets a server do.

    Java's client offers HTTP/2 with the first request of each connection. The parser takes all that follows
    the headers for the other protocol's, the body too. So the request is read again, without the offer.
    """

    _latest = b""
    _again = b""
    _offered = False

    def data_received(self, data: bytes) -> None:
        """Read on, and again what held an offer."""
        self._again = data
        while self._again:
            self._latest, self._again = self._again, b""
            super().data_received(self._latest)

    def on_headers_complete(self) -> None:
        """Have the request answered, unless it is to be read again."""
        self._offered = self._offers()
        if not self._offered:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the request, unless it is to be read again."""
        if not self._offered:
            super().on_message_complete()

    def _offers(self) -> bool:
        # The parser takes CONNECT for an offer too.
        return self.parser.should_upgrade() and self._get_upgrade() is not None

    def _unsupported_upgrade_warning(self) -> None:
        """Do more than warn; uvicorn is handling the parser's error, which tells where the headers end."""
        error = sys.exc_info()[1]
        if error is None or not self._offers():
            return
        rest = self._latest[error.args[0] :]
        line = self.parser.get_method() + b" " + self.url + b" HTTP/1.1\r\n"
        head = whole.lines([(name, value) for name, value in self.headers if name != b"upgrade"])
        self._again = line + head + b"\r\n" + rest


def protocol(header_seconds: float) -> type[asyncio.Protocol]:
    """Return the protocol with a limit on the time that a request's headers take."""
    return type("Protocol", (Protocol,), {"header_seconds": header_seconds, "outbox": whole.Outbox()})
