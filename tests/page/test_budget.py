"""What the page promises about weight and calm: few bytes at first paint, and nothing that jumps."""

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from .conftest import serving_app
from .fake_service import Fake
from .waiting import settle

SHIFTS = """() => {
    window.shift = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
}"""


def test_the_first_paint_transfers_at_most_100_kb(page: Page, fake: Fake, tmp_path: Path) -> None:
    """Of the real application, which compresses what it sends; it needs no model to serve the page."""
    with serving_app(tmp_path) as url:
        measure_first_paint(page, fake, url)


def measure_first_paint(page: Page, fake: Fake, url: str) -> None:
    body = json.dumps(fake.list_models())
    page.route("**/v1/models", lambda route: route.fulfill(body=body, content_type="application/json"))
    page.route("**/readyz", lambda route: route.fulfill(body="{}", content_type="application/json"))
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(url)
    page.locator("#field-text").wait_for()
    page.wait_for_load_state("networkidle")
    assert len(sizes) > 10
    assert sum(sizes) <= 100_000


def test_nothing_shifts_when_results_come(page: Page, fake: Fake) -> None:
    fake.delay = 0.7  # longer than the half second in which a browser forgives shifts after input
    page.goto("/#task=sst&text=A+warm+,+funny+film+.")
    page.evaluate(SHIFTS)
    page.locator(".card").first.wait_for()
    settle(page)
    assert page.evaluate("window.shift") == 0
    page.get_by_label("Sentence").fill("Another film .")
    page.get_by_label("Sentence").press("Enter")
    expect(page.locator(".main-figure").first.locator("text.word")).to_have_text(["Another", "film", "."])
    settle(page)
    assert page.evaluate("window.shift") == 0
