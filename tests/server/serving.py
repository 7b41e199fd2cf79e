"""`python -m server` as a process of its own, on a free port."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


def environment(**settings: object) -> dict[str, str]:
    own = {f"UNDERSTORY_{name.upper()}": str(value) for name, value in settings.items()}
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("UNDERSTORY_")},
        "OMP_NUM_THREADS": "1",
        **own,
    }


@contextmanager
def serving(
    folder: Path, command: tuple[str, ...] = ("-m", "server"), **settings: object
) -> Iterator[tuple[subprocess.Popen, str]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment(models=folder, port=0, **settings),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = re.search(r"http://\S+", process.stderr.readline()).group()
        wait_until_ready(process, url)
        yield process, url
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(process: subprocess.Popen, url: str) -> None:
    deadline = time.monotonic() + 300
    while not ready(url):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def connect(url: str) -> socket.socket:
    return socket.create_connection((httpx.URL(url).host, httpx.URL(url).port), timeout=60)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    except httpx.TransportError:
        return False
