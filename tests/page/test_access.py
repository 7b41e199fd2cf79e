"""Accessible to all: axe on every view in both themes, the keyboard alone, narrow and wide screens."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .fake_service import Fake

SENTENCE = "A+warm+,+funny+film+."
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
PLACES = {
    **{view: f"/#task=sst&view={view}&text={SENTENCE}&models=sst-none,sst-spigot&constraints=-5.1"
       for view in ("trees", "difference", "matrix", "agreement", "table")},
    "start": "/",
    "pair": "/#task=snli&models=snli-spigot&premise=A+man+sings+.&hypothesis=He+is+silent+.",
    "overview": "/#page=overview",
    "model": "/#page=model&id=sst-spigot",
}  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_axe_finds_nothing(browser: Browser, fake: Fake, place: str, theme: str) -> None:
    context = browser.new_context(base_url=fake.url, color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(PLACES[place])
    page.locator("#view > *, #other-page > *, #field-text").first.wait_for()
    if place in ("trees", "pair"):
        page.locator(".card").first.wait_for()
        page.locator(".explain summary").click()
        page.locator(".what-if summary").click()
    page.wait_for_timeout(250)
    found = Axe().run(page, options=RULES)
    assert found.violations_count == 0, found.generate_report()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_dialog(browser: Browser, fake: Fake, theme: str) -> None:
    context = browser.new_context(base_url=fake.url, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"/#task=sst&text={SENTENCE}")
    page.get_by_role("button", name="Take it away").click()
    page.locator("#take pre").wait_for()
    found = Axe().run(page, options=RULES)
    assert found.violations_count == 0, found.generate_report()
    context.close()


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
    for place, path in PLACES.items():
        page.goto("about:blank")
        page.goto(path)
        page.locator("#view > *, #other-page > *, #field-text").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


def test_the_theme_button_wins_over_the_system_and_is_remembered(page: Page) -> None:
    page.goto("/")
    button = page.locator("#theme")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    button.click()
    button.click()
    expect(button).to_have_accessible_name("Theme: dark")
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    assert page.evaluate(colour) == dark
