"""The log's own thread: what waits for a slow disk is bounded, and nobody waits with it."""

import json
import logging
import threading
from io import StringIO

import pytest

from server import logs


class SlowDisk(StringIO):
    """A stream whose first write takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.began = threading.Event()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.began.set()
        assert self.go.wait(60)
        return super().write(text)


def record(number: int) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"msg": "line", "levelno": logging.INFO, "levelname": "INFO", "number": number}
    )


def test_behind_a_slow_disk_the_newest_lines_wait_and_the_oldest_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "MOST_WAITING", 5)
    disk = SlowDisk()
    writer = logs.Writer(disk)
    writer.setFormatter(logs.JsonFormatter())
    writer.handle(record(0))
    assert disk.began.wait(60)  # the thread hangs in the write of the first line
    for number in range(1, 21):
        writer.handle(record(number))
    assert len(writer.lines) == 5
    disk.go.set()
    writer.flush()  # after what the thread writes: both hold the same lock
    written = [json.loads(line)["number"] for line in disk.getvalue().splitlines()]
    assert written == [0, 16, 17, 18, 19, 20]
