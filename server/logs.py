"""Logs as one JSON object a line, on standard output; never the users' text unless it is asked for."""

import json
import logging
import sys
from datetime import UTC, datetime

log = logging.getLogger("understory")

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


def let_go() -> None:
    """Flush the standard streams; one that cannot be written does not fail a process that ends well."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError):  # a full disk, or closed
            setattr(sys, name, None)


def set_up(level: str) -> None:
    """Send all logs of this process to standard output; a disk that is full costs log lines, not requests."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.raiseExceptions = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "numba", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
