"""Prints the page's budgets: bytes at first paint, time to draw. Not a test: times depend on the machine.

python -m tests.page.measure
"""

import statistics

from playwright.sync_api import Browser, sync_playwright

from .conftest import FLAGS, chromium_path
from .fake_service import Fake, serving

DRAW = """async () => {
    const { render } = await import("/static/views/trees.js");
    const { makeResult, withOptions } = await import("/static/result.js");
    const { START } = await import("/static/state.js");
    const text = Array.from({length: 25}, (_, k) => `word${k}`).join(" ");
    const body = JSON.stringify({task: "sst", inputs: [text]});
    const answer = await (await fetch("v1/compare", {method: "POST", body})).json();
    const box = document.getElementById("view");
    document.getElementById("answer").hidden = false;
    const times = [];
    for (let round = 0; round < 15; round += 1) {
        box.replaceChildren();
        await new Promise(requestAnimationFrame);
        const start = performance.now();
        render(box, withOptions(makeResult(answer, START), START));
        box.getBoundingClientRect();
        times.push(performance.now() - start);
    }
    return [times, box.querySelectorAll("path.arc").length, answer.data[0].models.length];
}"""


def first_paint(browser: Browser, url: str) -> None:
    """Bytes over the wire until the page is ready for a sentence, by file."""
    page = browser.new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    names: dict[str, str] = {}
    sizes: dict[str, int] = {}
    session.on("Network.responseReceived", lambda e: names.__setitem__(e["requestId"], e["response"]["url"]))
    session.on("Network.loadingFinished", lambda e: sizes.__setitem__(e["requestId"], e["encodedDataLength"]))
    page.goto(url)
    page.locator("#field-text").wait_for()
    page.wait_for_timeout(500)
    for key, size in sorted(sizes.items(), key=lambda item: -item[1])[:12]:
        print(f"  {size / 1000:7.1f} kB  {names.get(key, '?')}")
    print(f"first paint: {sum(sizes.values()) / 1000:.1f} kB in {len(sizes)} files")
    page.close()


def main() -> None:
    """Measure and print."""
    estimators = ["none"] + [f"estimator-{k}" for k in range(12)]
    with serving(Fake(estimators=estimators[1:], tasks=["sst"])) as fake, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        first_paint(browser, fake.url)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(fake.url)
        page.locator("#field-text").wait_for()
        times, arcs, models = page.evaluate(DRAW)
        print(f"drawing {models} models x 3 structures of 25 words, {arcs} arcs, with layout:")
        print(
            f"  first {times[0]:.0f} ms, median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms"
        )
        browser.close()


if __name__ == "__main__":
    main()
