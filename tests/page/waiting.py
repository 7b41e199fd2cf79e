"""Waiting for what a browser does in its own time: by condition; only a real failure meets the limit."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

PATIENCE = 60  # seconds: two slow cores that also do something else

expect.set_options(timeout=PATIENCE * 1000)

STILL = """async () => {
    await document.fonts.ready;
    const frame = () => new Promise(requestAnimationFrame);
    const ends = (each) => each.effect.getComputedTiming().endTime < Infinity;
    do {
        await Promise.allSettled(document.getAnimations().filter(ends).map((each) => each.finished));
        await frame();
        await frame();
    } while (document.getAnimations().some(ends) || document.querySelector("[aria-busy=true]"));
}"""

BOX = "e => { const {x, y, width, height} = e.getBoundingClientRect(); return [x, y, width, height]; }"


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A context of its own that waits as long as these tests do."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE * 1000)
    yield context
    context.close()


def poll(page: Page, look: Callable[[], Any], wanted: object = True) -> None:
    """Wait until `look()` is what is wanted; the browser's events are served meanwhile.

    `Page.wait_for_function` is no use here: it polls with eval, which the page's own policy forbids.
    """
    deadline = time.monotonic() + PATIENCE
    while (found := look()) != wanted:
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {wanted!r}; it is {found!r}"
        page.wait_for_timeout(50)


def eventually(page: Page, script: str, wanted: object = True) -> None:
    """Wait until a script has the wanted value in the page."""
    poll(page, lambda: page.evaluate(script), wanted)


def settle(page: Page) -> None:
    """Wait until type is loaded, nothing is asked for, every transition has ended and frames were drawn."""
    page.evaluate(STILL)


def at_rest(target: Locator) -> Locator:
    """Scroll to an element and wait until it stays where it is: what comes into sight is laid out then."""
    target.scroll_into_view_if_needed()
    places: list[Any] = [None]

    def unmoved() -> bool:
        settle(target.page)
        places.append(target.evaluate(BOX))
        return bool(places[-1] == places[-2])

    poll(target.page, unmoved)
    return target
