"""Logs as one JSON object a line, on standard output; never the users' text unless it is asked for."""

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import TextIO

from pydantic_core import to_json

log = logging.getLogger("understory")

PAUSE = 0.1
"""Seconds between two writes."""
MOST_WAITING = 10_000
"""Lines: where a disk is so slow that more wait, the oldest are lost."""

MOST_CAUSES = 10
"""Errors told of in one line, of those that led to each other."""

REQUEST = "request"
"""The message of a line about a request."""

Told = tuple[float, dict[str, object]]
"""When a request ended, and what its line tells."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_REPRESENTATION = re.compile(r"[\n<({\[]")
"""Where the loop's messages begin to show tasks and arguments, and with them what these hold."""

_to_ascii = json.JSONEncoder(default=str, separators=(",", ":")).encode

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """Time, level, message, and whatever `extra` holds; messages of exceptions only with the users' text."""

    def __init__(self, log_text: bool = False) -> None:
        super().__init__()
        self.log_text = log_text

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        told = {
            name: value
            for name, value in vars(record).items()
            if name not in _OWN and not name.startswith("_")  # what libraries add to all records
        }
        if record.exc_info:
            told["exception"] = self._exception(record.exc_info)
        return _line(record.created, record.levelname.lower(), self._message(record), told)

    def _message(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if self.log_text or record.name != "asyncio":
            return message
        return _REPRESENTATION.split(message, maxsplit=1)[0].strip()

    def _exception(self, exc_info: ExcInfo) -> str:
        if self.log_text or exc_info[1] is None:
            return self.formatException(exc_info)
        return "\n".join(_places(exc_info[1]))


def _line(created: float, level: str, message: str, told: dict[str, object]) -> str:
    second, fraction = divmod(created, 1)
    moment = f"{_second(second)}.{int(fraction * 1e3):03}+00:00"
    line = {"time": moment, "level": level, "message": message, **told}
    with suppress(ValueError):  # a lone surrogate
        written = to_json(line, fallback=str)
        if written.isascii():  # the stream may not take other characters
            return written.decode()
    return _to_ascii(line)  # takes five times as long


@lru_cache(maxsize=2)
def _second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _places(error: BaseException) -> Iterator[str]:
    """Tell types and places of an error and of those that led to it; their messages may quote a text."""
    cause: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if cause is None:
            return
        yield f"{type(cause).__module__}.{type(cause).__qualname__}"
        for frame in traceback.extract_tb(cause.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


class Writer(logging.Handler):
    """Writes lines from a thread of its own, many at a time, so that no request waits for a disk."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.lines: deque[logging.LogRecord | Told] = deque(maxlen=MOST_WAITING)
        self.came = threading.Event()
        self.writing = threading.Lock()
        threading.Thread(target=self._work, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord | Told) -> None:
        """Leave one record to the thread."""
        self.lines.append(record)
        if not self.came.is_set():
            self.came.set()

    def _work(self) -> None:
        while self.came.wait():
            time.sleep(PAUSE)
            self.flush()

    def flush(self) -> None:
        """Write what waits; a disk that is full costs log lines, not requests."""
        # Not the handler's own lock: whoever logs holds that one, and must not wait for the disk.
        with self.writing, suppress(OSError, ValueError):  # the latter: the stream is closed
            self.came.clear()
            records = [self.lines.popleft() for _ in range(len(self.lines))]
            self.stream.write("".join(self._write(record) + "\n" for record in records))
            self.stream.flush()

    def _write(self, record: logging.LogRecord | Told) -> str:
        if isinstance(record, logging.LogRecord):
            return self.format(record)
        created, told = record
        return _line(created, "info", REQUEST, told)


_writer: Writer | None = None


def note_request(told: dict[str, object]) -> None:
    """Log an answer, straight to the writer where there is one; else that is a fortieth of a request."""
    if not log.isEnabledFor(logging.INFO):
        return
    if _writer is None:
        log.info(REQUEST, extra=told)
    else:
        _writer.emit((time.time(), told))


def let_go() -> None:
    """Flush the logs and the standard streams; one that cannot be written fails no process that ends well."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError):  # a full disk, or closed
            setattr(sys, name, None)


def set_up(level: str, log_text: bool) -> None:
    """Send all logs of this process to standard output, also those of errors that end a thread."""
    global _writer
    _writer = handler = Writer(sys.stdout)
    handler.setFormatter(JsonFormatter(log_text))
    threading.excepthook = _thread_ended
    logging.raiseExceptions = False
    # What no line tells need not be found out for each (the manual of `logging`, under "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "numba", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        log.critical("an error ended a thread", exc_info=args.exc_value)
