"""The whole way, with nothing made up in between: bundled models, the real service, a real browser."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .conftest import serving_app
from .fake_service import ROOT
from .test_access import RULES
from .waiting import opened, settle

MODELS = ["sst-marginals", "sst-spigot"]
SENTENCE = "The plot isn't bad at all."
TOKENS = ["The", "plot", "is", "n't", "bad", "at", "all", "."]
PATIENCE = 240  # seconds: the first start on a machine compiles the kernels


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("models")
    for name in MODELS:
        if not (ROOT / "models" / name / "model.safetensors").is_file():
            pytest.skip(f"models/{name} is not here: bundle it with the trainer")
        shutil.copytree(ROOT / "models" / name, folder / name)
    with serving_app(folder) as url:
        for _ in range(PATIENCE):
            answer = httpx.get(f"{url}/readyz", timeout=60)
            if answer.is_success and sorted(answer.json()["models"]) == MODELS:
                break
            time.sleep(1)
        else:
            pytest.fail(f"the service did not get ready: {answer.text}")
        yield url


@pytest.fixture
def real_page(browser: Browser, service: str) -> Iterator[Page]:
    errors: list[str] = []
    with opened(browser, base_url=service) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    assert not errors, errors


def test_a_typed_sentence_is_drawn_as_the_service_parses_it(real_page: Page, service: str) -> None:
    real_page.goto("/")
    real_page.get_by_label("Sentence").fill(SENTENCE)
    real_page.get_by_role("button", name="Show the trees").click()
    expect(real_page.locator(".card")).to_have_count(len(MODELS))
    settle(real_page)
    for model in MODELS:
        body = {"model": model, "inputs": [SENTENCE], "parameters": {"trees": {"min_probability": 0.05}}}
        answer = (
            httpx.post(f"{service}/v1/predict", json=body, timeout=60).raise_for_status().json()["data"][0]
        )
        trees = answer["sentences"][0]["trees"]
        card = real_page.locator(f'.card[data-model="{model}"]')
        expect(card.locator(".card-head .verdict-label")).to_have_text(answer["label"])
        assert card.locator(".main-figure text.word").all_text_contents() == TOKENS
        drawn = {arc.get_attribute("data-arc") for arc in card.locator("path.arc.map").all()}
        assert drawn == {f"{head}>{word}" for word, head in enumerate(trees["map"]["heads"], 1)}
        assert card.locator(".main-figure path.arc.marginals").count() == len(trees["marginals"])


def test_a_forbidden_arc_leaves_every_tree(real_page: Page) -> None:
    real_page.goto("/#task=sst&text=The+plot+is+not+bad+.")
    bundle = real_page.locator('.card[data-model="sst-spigot"] .main-figure .bundle')
    bundle.focus()
    key = bundle.locator('[aria-selected="true"]').get_attribute("data-arc")
    real_page.keyboard.press("Delete")
    expect(real_page.locator(".chip.forbid")).to_have_count(1)
    expect(real_page.locator(f'path[data-arc="{key}"]')).to_have_count(0)
    expect(real_page.locator(".card-head .movement")).to_have_count(len(MODELS))


def test_a_constraint_that_no_tree_fits_is_said_in_words(real_page: Page) -> None:
    real_page.goto("/#task=sst&text=Dull&constraints=-0.1")
    expect(real_page.locator("#status .error")).to_contain_text("Constraint")
    real_page.get_by_role("button", name="Undo the last constraint").click()
    expect(real_page.locator(".card")).to_have_count(len(MODELS))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_address_without_a_page_shows_the_way_back(browser: Browser, service: str, theme: str) -> None:
    with opened(browser, base_url=service, color_scheme=theme) as context:
        page = context.new_page()
        answer = page.goto(f"/models/{'long' * 100}")
        assert answer is not None
        assert answer.status == 404
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, found.generate_report()
        page.get_by_role("link", name="type a sentence").click()
        expect(page.get_by_label("Sentence")).to_be_visible()
