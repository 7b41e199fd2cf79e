"""Prints what drawing costs. Not a test: times depend on the machine.

python -m tests.page.measure

What is timed is what a reader waits for: from the service's answer to the whole of it drawn and laid out,
controls too. Both the clock and the processor time of the page's own thread are shown (the latter from the
key press on, with the request and its frames); on a busy machine only the least of several is near the truth.
`test_budget.py` weighs the bytes of the first paint.
"""

from statistics import median

from playwright.sync_api import CDPSession, Page, Playwright, sync_playwright

from .conftest import FLAGS, chromium_path
from .fake_service import Fake, serving
from .waiting import poll

BROWSERS = 8
"""Fresh browsers, each of which draws once cold and then warm."""
ROUNDS = 5
MODELS = 12
SENTENCE = " ".join(f"word{k}" for k in range(25))

WATCH = """() => {
    const ask = window.fetch;
    window.fetch = async (...request) => {
        const response = await ask(...request);
        const read = response.json.bind(response);
        response.json = async () => {
            const answer = await read();
            window.began = performance.now();
            return answer;
        };
        return response;
    };
    const view = document.getElementById("view");
    window.took = [];
    new MutationObserver(() => {
        view.getBoundingClientRect();
        window.took.push(performance.now() - window.began);
    }).observe(view, { childList: true });
}"""

REHEARSED = 'async () => (await import("/static/bench.js")).rehearsed'
"""Typing a sentence takes far longer than this does."""


def thread_ms(session: CDPSession) -> float:
    """Processor time of the page's main thread so far, ms."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


def press(page: Page, session: CDPSession, sentence: str) -> tuple[float, float]:
    """(clock, processor) ms of one answer."""
    field = page.get_by_label("Sentence")
    field.fill(sentence)
    drawn, before = page.evaluate("took.length"), thread_ms(session)
    field.press("Enter")
    poll(page, lambda: page.evaluate("took.length") > drawn)
    return page.evaluate("took.at(-1)"), thread_ms(session) - before


def fresh(playwright: Playwright, url: str) -> tuple[list[tuple[float, float]], int]:
    """(clock, processor) ms of each drawing in a browser of its own, and the number of arcs."""
    browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(url)
    page.get_by_label("Sentence").focus()
    page.evaluate(WATCH)
    page.evaluate(REHEARSED)
    times = [press(page, session, SENTENCE) for _ in range(ROUNDS)]
    assert page.locator(".card").count() == MODELS
    arcs = page.locator("path.arc").count()
    browser.close()
    return times, arcs


def main() -> None:
    """Measure and print."""
    fake = Fake(estimators=[f"estimator-{k}" for k in range(MODELS)], tasks=["sst"])
    with serving(fake), sync_playwright() as playwright:
        runs = [fresh(playwright, fake.url) for _ in range(BROWSERS)]
    print(f"drawing {MODELS} models x 3 structures of 25 words, {runs[0][1]} arcs; ms, least (median):")
    for name, rounds in (("cold", slice(0, 1)), ("warm", slice(1, None))):
        clock, processor = zip(*(time for times, _ in runs for time in times[rounds]), strict=True)
        print(f"  {name}: clock {min(clock):.0f} ({median(clock):.0f})", end=", ")
        print(f"processor {min(processor):.0f} ({median(processor):.0f})")


if __name__ == "__main__":
    main()
