"""Logs as one JSON object a line, on standard output; never the users' text unless it is asked for."""

import json
import logging
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

log = logging.getLogger("understory")

PAUSE = 0.1
"""Seconds between two writes."""
MOST_WAITING = 10_000
"""Lines: where a disk is so slow that more wait, the oldest are lost."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """Time, level, message, and whatever `extra` holds."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Writer(logging.Handler):
    """Writes lines from a thread of its own, many at a time, so that no request waits for a disk."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.lines: deque[logging.LogRecord] = deque(maxlen=MOST_WAITING)
        self.came = threading.Event()
        self.writing = threading.Lock()
        threading.Thread(target=self._work, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
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
            self.stream.write("".join(self.format(record) + "\n" for record in records))
            self.stream.flush()


def let_go() -> None:
    """Flush the logs and the standard streams; one that cannot be written fails no process that ends well."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError):  # a full disk, or closed
            setattr(sys, name, None)


def set_up(level: str) -> None:
    """Send all logs of this process to standard output."""
    handler = Writer(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.raiseExceptions = False
    # What no line tells need not be found out for each (the manual of `logging`, under "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "numba", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
