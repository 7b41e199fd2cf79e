"""Accessible to all: axe on every view in both themes, the keyboard alone, narrow and wide screens."""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .fake_service import Fake
from .waiting import eventually, opened, settle

SENTENCE = "A+warm+,+funny+film+."
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
BENCH = f"/#task=sst&text={SENTENCE}&models=sst-none,sst-spigot&constraints=-5.1"
PAIR = "/#task=snli&models=snli-spigot&premise=A+man+sings+.&hypothesis=He+is+silent+."
PLACES = {
    "trees": (f"{BENCH}&view=trees", "#view .main-figure"),
    "difference": (f"{BENCH}&view=difference", "#view .difference"),
    "matrix": (f"{BENCH}&view=matrix", "#view .matrix"),
    "agreement": (f"{BENCH}&view=agreement", "#view .agreement"),
    "agreement of all": ("/#task=sst&text=Dull&view=agreement", "#view .agreement"),
    "no arc is heavy enough": (f"{BENCH}&threshold=0.99", "#view .mixture"),
    "table": (f"{BENCH}&view=table", "#view .table-box"),
    "start": ("/", "#field-text"),
    "pair": (PAIR, "#view .main-figure"),
    "alignment": (f"{PAIR}&view=alignment", "#view .ribbon"),
    "overview": ("/#page=overview", "#other-page .overview"),
    "model": ("/#page=model&id=sst-spigot", "#other-page math"),
}
"""By name: the address, and what is there once the page is drawn."""


def visit(page: Page, place: str) -> None:
    """Open a place, as a page of its own, and wait until it is drawn."""
    path, sign = PLACES[place]
    page.goto("about:blank")
    page.goto(path)
    page.locator(sign).first.wait_for()
    settle(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_axe_finds_nothing(browser: Browser, fake: Fake, place: str, theme: str) -> None:
    with opened(browser, base_url=fake.url, color_scheme=theme, reduced_motion="reduce") as context:
        page = context.new_page()
        visit(page, place)
        if place in ("trees", "pair"):
            page.locator(".explain summary").click()
            page.locator("#explain-sparsemap .diagram").wait_for()
            page.locator(".what-if summary").click()
            settle(page)
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_dialog(browser: Browser, fake: Fake, theme: str) -> None:
    with opened(browser, base_url=fake.url, color_scheme=theme) as context:
        page = context.new_page()
        page.goto(f"/#task=sst&text={SENTENCE}")
        page.get_by_role("button", name="Take it away").click()
        page.locator("#take pre").wait_for()
        settle(page)
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("place", ["model", "no arc is heavy enough"])
def test_what_is_too_wide_scrolls_by_the_keyboard_too(page: Page, place: str) -> None:
    page.set_viewport_size({"width": 130, "height": 740})
    visit(page, place)
    scrolling = """() => [...document.querySelectorAll(".scroller, .formula, .table-box")]
        .filter((each) => each.scrollWidth > each.clientWidth)"""
    assert page.evaluate(f"({scrolling})().length") > 0
    stuck = page.evaluate(f"""({scrolling})()
        .filter((each) => each.tabIndex < 0 && !each.querySelector("[tabindex='0'], a, button"))
        .map((each) => each.outerHTML)""")
    assert stuck == []


def press_until(page: Page, key: str, found: str, most: int = 60) -> None:
    for _ in range(most):
        if page.evaluate("selector => document.activeElement.matches(selector)", found):
            return
        page.keyboard.press(key)
    pytest.fail(f"{key} never reaches {found}")


def test_the_keyboard_alone_goes_all_the_way(page: Page, fake: Fake) -> None:
    """Type, send, change the view, light an arc, forbid it, undo, take it away."""
    page.goto("/")
    page.locator("#field-text").wait_for()
    press_until(page, "Tab", "#field-text")
    page.keyboard.type("A warm , funny film .")
    page.keyboard.press("Enter")
    page.locator(".card").first.wait_for()
    press_until(page, "Tab", "input[name=view]")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".difference")).to_be_visible()
    expect(page.locator("input[name=view][value=difference]")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.locator(".bundle").first.wait_for()
    press_until(page, "Tab", ".bundle")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#tip")).to_be_visible()
    page.keyboard.press("Delete")
    expect(page.locator(".chip")).to_have_count(1)
    page.keyboard.press("Escape")
    press_until(page, "Shift+Tab", "#take-away, .chips-row button, .view, body")
    page.locator(".chips-row button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(0)
    page.locator("#take-away").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#take")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#take")).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(360, 740), (820, 1180), (3840, 2160)])
def test_no_screen_scrolls_sideways(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    for place in PLACES:
        visit(page, place)
        eventually(page, "document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("system", "chosen", "clicks"), [("light", "dark", 2), ("dark", "light", 1)])
def test_the_theme_button_wins_over_the_system_and_is_remembered(
    page: Page, system: Literal["light", "dark"], chosen: str, clicks: int
) -> None:
    colours = """() => [...document.querySelectorAll("body, .field, .try")].map(
        element => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor])"""
    page.emulate_media(color_scheme=system)
    page.goto("/")
    page.locator(".try").first.wait_for()
    before = page.evaluate(colours)
    for _ in range(clicks):
        page.locator("#theme").click()
    expect(page.locator("#theme")).to_have_accessible_name(f"Theme: {chosen}")
    after = page.evaluate(colours)
    assert all(one != other for one, other in zip(before, after, strict=True))
    page.reload()
    page.locator(".try").first.wait_for()
    eventually(page, colours, after)
    page.emulate_media(color_scheme="dark" if system == "light" else "light")
    page.evaluate("delete document.documentElement.dataset.theme")
    eventually(page, colours, after)  # the other system's colours are those of the choice
