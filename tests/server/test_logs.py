"""The log's own thread: what waits for a slow disk is bounded, and nobody waits with it."""

import asyncio
import gc
import json
import logging
import threading
from datetime import UTC, datetime
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


def test_what_the_loop_tells_of_a_lost_error_quotes_no_text(caplog: pytest.LogCaptureFixture) -> None:
    """Its messages show futures, and those show the errors that nobody asked them for."""

    async def lose() -> None:
        loop = asyncio.get_running_loop()
        loop.create_future().set_exception(KeyError("zyzzyva"))
        loop.call_soon(lambda word: {}[word], "zyzzyva")
        await asyncio.sleep(0)

    asyncio.run(lose())
    gc.collect()
    written = [json.loads(logs.JsonFormatter().format(record)) for record in caplog.records]
    lost, failed = sorted(written, key=lambda line: line["message"], reverse=True)
    assert lost["message"] == "Future exception was never retrieved"
    assert failed["message"].startswith("Exception in callback ")
    assert lost["exception"] == "builtins.KeyError"  # it was never raised
    assert "test_logs.py" in failed["exception"]
    assert "zyzzyva" in caplog.text
    assert "zyzzyva" not in json.dumps(written)


def test_what_libraries_add_to_records_for_themselves_is_left_out() -> None:
    given = logging.makeLogRecord({"msg": "line", "levelname": "INFO", "_stamp": 1, "model": "m"})
    line = json.loads(logs.JsonFormatter().format(given))
    assert line.keys() == {"time", "level", "message", "model"}


@pytest.mark.parametrize(
    "value",
    ["plain", 'a\n"line"', "naïve \N{OGHAM LETTER BEITH}", "half \ud800", 1e-7, None, ["a", 1]],
    ids=ascii,
)
def test_a_line_is_ascii_whatever_it_tells(value: object) -> None:
    given = logging.makeLogRecord({"msg": "line", "levelname": "INFO", "created": 86400.0625, "told": value})
    line = logs.JsonFormatter().format(given)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-02T00:00:00.062+00:00",
        "level": "info",
        "message": "line",
        "told": value,
    }


def test_what_json_has_no_form_for_is_told_as_text() -> None:
    given = logging.makeLogRecord({"msg": "line", "levelname": "INFO", "error": KeyError("naïve")})
    assert json.loads(logs.JsonFormatter().format(given))["error"] == "'naïve'"


def test_an_error_that_ends_a_thread_is_a_line_too(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threading, "excepthook", logs._thread_ended)
    thread = threading.Thread(target=lambda: {}["zyzzyva"])
    thread.start()
    thread.join()
    (written,) = [json.loads(logs.JsonFormatter().format(record)) for record in caplog.records]
    assert written["message"] == "an error ended a thread"
    assert "test_logs.py" in written["exception"]
    assert "zyzzyva" not in json.dumps(written)
    assert "zyzzyva" not in capsys.readouterr().err


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


def test_a_line_about_a_request_is_left_to_the_writer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream = StringIO()
    writer = logs.Writer(stream)
    monkeypatch.setattr(logs, "_writer", writer)
    with caplog.at_level("INFO", logger="understory"):
        logs.note_request({"status": 200, "path": "/é"})
    with caplog.at_level("WARNING", logger="understory"):
        logs.note_request({"status": 500})
    writer.flush()
    (line,) = map(json.loads, stream.getvalue().splitlines())
    told = datetime.fromisoformat(line.pop("time"))
    assert abs((datetime.now(UTC) - told).total_seconds()) < 60
    assert line == {"level": "info", "message": "request", "status": 200, "path": "/é"}
    assert not caplog.records
