"""Constraints: by click, by drag, by keyboard and by form; undone and cleared."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from .fake_service import Fake
from .waiting import at_rest, settle

WORDS = ["A", "warm", ",", "funny", "film", "."]
LINK = "/#task=sst&show=map&text=" + "+".join(WORDS)


@pytest.fixture
def diagram(page: Page) -> Locator:
    page.goto(LINK)
    found = page.locator('.card[data-model="sst-spigot"] svg.diagram')
    found.wait_for()
    settle(page)
    return found


def constraints(fake: Fake) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = fake.requests[-1]["parameters"]["trees"].get("constraints", [])
    return found


def middle_of(diagram: Locator, key: str) -> tuple[float, float]:
    """The top of an arc's curve, in the page's coordinates."""
    x, y = at_rest(diagram).evaluate(
        """(svg, key) => {
            const path = svg.querySelector(`path.arc[data-arc="${key}"]`);
            const middle = path.getPointAtLength(path.getTotalLength() / 2);
            const point = middle.matrixTransform(path.getScreenCTM());
            return [point.x, point.y];
        }""",
        key,
    )
    return x, y


def test_a_click_on_an_arc_forbids_it_and_undo_brings_it_back(
    page: Page, fake: Fake, diagram: Locator
) -> None:
    key = str(diagram.locator("path.arc").last.get_attribute("data-arc"))
    head, modifier = map(int, key.split(">"))
    page.mouse.click(*middle_of(diagram, key))
    expect(page.locator(".chip")).to_have_count(1)
    expect(diagram.locator(f'path.arc[data-arc="{key}"]')).to_have_count(0)
    assert constraints(fake) == [{"op": "forbid", "head": head, "modifier": modifier}]
    expect(page.locator(".movement").first).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".chip")).to_have_count(0)
    expect(diagram.locator(f'path.arc[data-arc="{key}"]')).to_have_count(1)


def free_arc(diagram: Locator) -> tuple[int, int]:
    """Two neighbouring words with no arc from the second to the first."""
    keys = {arc.get_attribute("data-arc") for arc in diagram.locator("path.arc").all()}
    return next((k + 1, k) for k in range(1, len(WORDS)) if f"{k + 1}>{k}" not in keys)


def test_a_drag_from_head_to_word_forces_the_arc(page: Page, fake: Fake, diagram: Locator) -> None:
    head, modifier = free_arc(diagram)
    at_rest(diagram)
    boxes = [diagram.locator(f'[data-word="{word}"]').bounding_box() for word in (head, modifier)]
    (x0, y0), (x1, y1) = [(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2) for b in boxes if b]
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1 - 20, steps=4)
    expect(page.locator("path.band")).to_have_count(1)
    page.mouse.move(x1, y1)
    page.mouse.up()
    expect(page.locator(".chip.force")).to_have_count(1)
    assert constraints(fake) == [{"op": "force", "head": head, "modifier": modifier}]
    expect(diagram.locator(f'path.arc[data-arc="{head}>{modifier}"]')).to_have_count(1)


def test_keys_forbid_and_force_what_the_arrows_reach(page: Page, fake: Fake, diagram: Locator) -> None:
    diagram.locator(".bundle").focus()
    expect(page.locator("#tip")).to_be_visible()
    page.keyboard.press("ArrowRight")
    active = diagram.locator('[aria-selected="true"]')
    head, modifier = map(int, str(active.get_attribute("data-arc")).split(">"))
    page.keyboard.press("f")
    expect(page.locator(".chip.force")).to_have_count(1)
    assert constraints(fake) == [{"op": "force", "head": head, "modifier": modifier}]
    diagram.locator(".bundle").focus()
    page.keyboard.press("Delete")
    expect(page.locator(".chip.forbid")).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".chip")).to_have_count(0)


def test_the_form_adds_what_no_tree_has_yet(page: Page, fake: Fake, diagram: Locator) -> None:
    page.locator(".what-if summary").click()
    form = page.locator(".what-if-form")
    form.get_by_label("Head").select_option("0")
    form.get_by_label("Word").select_option("2")
    form.get_by_role("button", name="Add").click()
    expect(page.locator(".chip")).to_contain_text("root → warm")
    assert constraints(fake) == [{"op": "force", "head": 0, "modifier": 2}]
    expect(diagram.locator('path.arc[data-arc="0>2"]')).to_have_count(1)


def test_a_constraint_that_nothing_fits_is_said_and_can_be_taken_back(
    page: Page, fake: Fake, diagram: Locator
) -> None:
    error = {"pointer": "/parameters/trees/constraints/0", "detail": "no tree fits"}
    problem = {"title": "Unprocessable", "status": 422, "code": "infeasible", "errors": [error]}
    fake.failure = (422, problem, {})
    page.mouse.click(*middle_of(diagram, str(diagram.locator("path.arc").last.get_attribute("data-arc"))))
    expect(page.locator("#status")).to_contain_text("Constraint: no tree fits")
    fake.failure = None
    page.get_by_role("button", name="Undo the last constraint").click()
    expect(page.locator("#status")).to_be_empty()
    expect(page.locator(".chip")).to_have_count(0)


def test_a_pair_constrains_the_side_that_was_meant(page: Page, fake: Fake) -> None:
    page.goto("/#task=snli&show=map&premise=A+man+plays+.&hypothesis=Nobody+plays+.")
    bundle = page.locator('.card[data-model="snli-spigot"] [data-side="hypothesis"] .bundle')
    bundle.focus()
    page.keyboard.press("Delete")
    expect(page.locator(".chip")).to_contain_text("hypothesis")
    assert constraints(fake)[0]["side"] == "hypothesis"
