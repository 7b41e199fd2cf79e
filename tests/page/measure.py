"""Prints what drawing costs. Not a test: times depend on the machine.

python -m tests.page.measure

Both the clock and the processor time of the page's own thread are shown: on a busy machine only the second
says something about the page. `test_budget.py` weighs the bytes of the first paint.
"""

import statistics

from playwright.sync_api import Browser, CDPSession, sync_playwright

from .conftest import FLAGS, chromium_path
from .fake_service import Fake, serving

PAGES = 5
"""Fresh pages, each of which draws once cold and then warm."""
ROUNDS = 10

PREPARE = """async () => {
    await (await import("/static/bench.js")).ready;
    const { render } = await import("/static/views/trees.js");
    const { makeResult, withOptions } = await import("/static/result.js");
    const { START } = await import("/static/state.js");
    const inputs = [Array.from({length: 25}, (_, k) => `word${k}`).join(" ")];
    const body = JSON.stringify({task: "sst", inputs});
    const answer = await (await fetch("v1/compare", {method: "POST", body})).json();
    const box = document.getElementById("view");
    document.getElementById("answer").hidden = false;
    window.draw = () => {
        box.replaceChildren();
        const start = performance.now();
        render(box, withOptions(makeResult(answer, START), START));
        box.getBoundingClientRect();
        return performance.now() - start;
    };
}"""


def thread_ms(session: CDPSession) -> float:
    """Processor time of the page's main thread so far, ms."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


def draw(browser: Browser, url: str) -> tuple[list[tuple[float, float]], int, int]:
    """(clock, processor) ms of each drawing on a fresh page, the number of arcs, and of models."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    session = page.context.new_cdp_session(page)
    page.goto(url)
    page.evaluate(PREPARE)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    times = []
    for _ in range(ROUNDS):
        before = thread_ms(session)
        clock = page.evaluate("window.draw()")
        times.append((clock, thread_ms(session) - before))
    arcs = page.locator("path.arc").count()
    cards = page.locator(".card").count()
    page.close()
    return times, arcs, cards


def main() -> None:
    """Measure and print."""
    fake = Fake(estimators=[f"estimator-{k}" for k in range(12)], tasks=["sst"])
    with serving(fake), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        runs = [draw(browser, fake.url) for _ in range(PAGES)]
        browser.close()
    _, arcs, cards = runs[0]
    print(f"drawing {cards} models x 3 structures of 25 words, {arcs} arcs, with layout; median ms:")
    for name, rounds in (("cold", slice(0, 1)), ("warm", slice(1, None))):
        clock, processor = zip(*(time for times, *_ in runs for time in times[rounds]), strict=True)
        print(f"  {name}: clock {statistics.median(clock):.0f}, processor {statistics.median(processor):.0f}")


if __name__ == "__main__":
    main()
