"""A headless Chromium and a fake service for the browser tests; without a Chromium they skip and say so."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from server.app import create_app
from server.settings import Settings

from .fake_service import Fake, serving
from .waiting import opened

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium_path() -> str | None:
    """UNDERSTORY_CHROMIUM if it is set, else a Chromium or Chrome on the PATH."""
    named = os.environ.get("UNDERSTORY_CHROMIUM")
    return (
        named or shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    )


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for these tests, gone after them: while it is open an event loop runs in this thread."""
    path = chromium_path()
    if path is None:
        pytest.skip(
            "no Chromium found: put chromium or google-chrome on the PATH, or set UNDERSTORY_CHROMIUM"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(Fake()) as service:
        yield service


@pytest.fixture
def page(browser: Browser, fake: Fake) -> Iterator[Page]:
    """A page of the fake service; an error in its console fails the test."""
    errors: list[str] = []
    viewport = {"width": 1280, "height": 900}
    with opened(browser, base_url=fake.url, viewport=viewport, reduced_motion="reduce") as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        yield page
    unexpected = [error for error in errors if "status of" not in error and "ERR_" not in error]
    assert not unexpected, unexpected


@contextmanager
def serving_app(models: Path) -> Iterator[str]:
    """The real application on a free port, with the models of a folder; yields its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(Settings(models=models)), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        thread.join(0.05)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()
