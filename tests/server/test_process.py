"""`python -m server` as an operator meets it: its errors, its signals, its workers."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families
from serving import connect, environment, serving, wait_until_ready

from server.settings import Settings

ASK = {"model": "sst-spigot", "inputs": ["A funny film."]}


@pytest.fixture(scope="module")
def offered(model_folder: Path) -> Iterator[str]:
    with serving(model_folder) as (_, url):
        yield url


def start(**settings: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "server"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stderr


def test_what_keeps_it_from_starting_is_said(model_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, message = start(models=model_folder, port=port)
    assert status == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in message
    assert "UNDERSTORY_PORT" in message
    status, message = start(models=tmp_path / "nowhere")
    assert (status, "is no folder" in message) == (1, True)
    status, message = start(models=tmp_path)
    assert (status, "holds no model" in message) == (1, True)
    status, message = start(models=model_folder, max_words="many")
    assert (status, message.startswith("UNDERSTORY_MAX_WORDS: ")) == (1, True)
    assert "Traceback" not in message


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_said_before_any_model_is_read(
    model_folder: Path, device: str, workers: int
) -> None:
    status, message = start(models=model_folder, device=device, workers=workers)
    assert status == 1
    assert f"UNDERSTORY_DEVICE: torch {torch.__version__} cannot use '{device}' here (" in message
    assert "name cpu" in message
    assert "Traceback" not in message
    assert "model" not in message


def test_help_shows_every_setting() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "server", "--help"], capture_output=True, text=True, check=True
    )
    for name in Settings.model_fields:
        assert f"UNDERSTORY_{name.upper()}" in shown.stdout.replace("\n", " ")


COUNTS = """
import atexit, gc, sys
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count(), len(gc.get_objects()), file=sys.stderr))
from server.__main__ import main
main()
"""


def test_what_is_loaded_is_left_out_of_garbage_collection(model_folder: Path) -> None:
    """It is hundreds of thousands of objects, and all requests stop while they are looked over."""
    with serving(model_folder, command=("-c", COUNTS)) as (process, _):
        process.send_signal(signal.SIGTERM)
        collects, left_out, looked_over = process.stderr.read().split()
    assert collects == "True"
    assert int(left_out) > 20 * int(looked_over)


GARBAGE = """
import atexit, gc, sys
gc.set_debug(gc.DEBUG_SAVEALL)
found = lambda: [each for each in gc.garbage if type(each) is dict and "request_id" in each]
atexit.register(lambda: print(len(found()), file=sys.stderr))
atexit.register(gc.collect)
from server.__main__ import main
main()
"""


def test_a_request_is_freed_without_garbage_collection(model_folder: Path) -> None:
    """What refers to itself lies in memory until it is collected, where it is cold and in the way."""
    with serving(model_folder, command=("-c", GARBAGE)) as (process, url):
        with httpx.Client(base_url=url, timeout=60) as client:
            for _ in range(20):
                assert client.post("/v1/predict", json=ASK).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert int(process.stderr.read()) < 5


def test_a_signal_under_load_loses_no_accepted_request(model_folder: Path) -> None:
    with serving(model_folder, drain_seconds=5) as (process, url):
        statuses: list[int] = []
        errors: list[Exception] = []

        def ask() -> None:
            """Ask on one connection until the service says that it ends, as a proxy does."""
            with httpx.Client(base_url=url, timeout=60) as client:
                try:
                    while True:
                        answer = client.post("/v1/predict", json=ASK)
                        statuses.append(answer.status_code)
                        if answer.headers.get("connection") == "close":
                            return
                except httpx.TransportError as error:
                    errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(statuses) < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        draining = httpx.get(f"{url}/readyz", timeout=60)
        assert (draining.status_code, draining.json()["code"]) == (503, "draining")
        assert process.wait(timeout=60) == 0
    assert errors == []
    assert set(statuses) == {200}


def test_numbers_of_two_workers_add_up(model_folder: Path) -> None:
    with serving(model_folder, workers=2) as (process, url):
        for _ in range(40):  # a connection each, so that both workers get some
            assert httpx.post(f"{url}/v1/predict", json=ASK, timeout=60).status_code == 200
        counted = {
            sample.value
            for family in text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=60).text)
            for sample in family.samples
            if sample.name == "understory_requests_total" and sample.labels["route"] == "/v1/predict"
        }
        assert counted == {40}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


DEV_FULL = Path("/dev/full")


@pytest.mark.skipif(not DEV_FULL.exists(), reason="needs Linux's /dev/full, a disk that is always full")
def test_a_disk_that_is_full_costs_log_lines_and_no_requests(model_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with DEV_FULL.open("w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "server"],
            env=environment(models=model_folder, port=port, log_level="debug", log_text=True),
            stdout=full,
            stderr=full,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(process, url)
        # Far more than the buffers before the disk take.
        long = {
            **ASK,
            "inputs": ["a gripping and funny film " * 8] * 16,
            "parameters": {"trees": {"return": ["map"]}},
        }
        statuses = [
            httpx.post(f"{url}/v1/predict", json=asked, timeout=60).status_code
            for asked in [ASK, long] * 10 + [{"model": "x", "inputs": ["a"]}, ASK]
        ]
        assert statuses == [200] * 20 + [404, 200]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


def _rest(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""


def test_slow_clients_are_cut_off_and_half_closed_ones_are_answered(model_folder: Path) -> None:
    with serving(model_folder, header_seconds=0.3, body_seconds=0.3) as (_, url):
        with connect(url) as slow:
            slow.sendall(b"GET /livez HTTP/1.1\r\nHo")
            assert _rest(slow) == b""
        with connect(url) as slow:
            head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            slow.sendall(head + b"Content-Length: 9\r\n\r\n{")
            assert _rest(slow).startswith(b"HTTP/1.1 408 ")
        with connect(url) as half:
            half.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            half.shutdown(socket.SHUT_WR)
            assert half.recv(100).startswith(b"HTTP/1.1 200")
        assert httpx.get(f"{url}/livez", timeout=60).status_code == 200


def test_an_idle_connection_is_kept_as_long_as_is_set(model_folder: Path) -> None:
    with serving(model_folder, keep_alive_seconds=1) as (_, url), connect(url) as idle:
        idle.settimeout(4)  # less than what the server would wait by itself
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        before = time.monotonic()
        assert _rest(idle) == b""
        assert time.monotonic() - before > 0.5


OFFERS = {
    "what Java's client sends": b"Connection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAA\r\n",
    "a web socket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
}


@pytest.mark.parametrize("cut", [None, 20, 150, -3], ids=lambda cut: f"cut at {cut}")
def test_offers_of_another_protocol_are_passed_over(offered: str, cut: int | None) -> None:
    body = json.dumps(ASK).encode()
    post = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    plain = post + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connect(offered) as connection:
        stream = connection.makefile("rb")
        for offer in OFFERS.values():
            chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            for data in (post + offer + plain[len(post) :], post + offer + chunked, plain):
                connection.sendall(data[:cut])
                if cut is not None:
                    time.sleep(0.02)  # so that it comes in two parts
                    connection.sendall(data[cut:])
                assert next(stream).split()[1] == b"200"
                headers = dict(line.rstrip().split(b": ", 1) for line in iter(lambda: next(stream), b"\r\n"))
                answer = json.loads(stream.read(int(headers[b"content-length"])))
                assert answer["data"][0]["sentences"][0]["tokens"] == ["A", "funny", "film", "."]
        stream.close()


def test_many_requests_at_once_may_offer_too(offered: str) -> None:
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
    offer = OFFERS["what Java's client sends"]
    sent = (get + b"\r\n") + (get + offer + b"\r\n") * 300 + (get + b"Connection: close\r\n\r\n")
    with connect(offered) as connection:
        connection.sendall(sent)
        with connection.makefile("rb") as stream:
            assert stream.read().count(b"HTTP/1.1 200 OK") == 302


def test_a_tunnel_is_refused(offered: str) -> None:
    with connect(offered) as connection:
        connection.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 4")
    assert httpx.get(f"{offered}/livez", timeout=60).status_code == 200
