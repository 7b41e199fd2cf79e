"""What the page promises about weight and calm: few bytes at first paint, and nothing that jumps."""

import json
from pathlib import Path

import httpx
import torch
from playwright.sync_api import Page, expect

from latent.nn import checkpoint
from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary

from .conftest import serving_app
from .fake_service import Fake, card
from .waiting import poll, settle

SHIFTS = """() => {
    window.shift = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
}"""


MODELS = 12
"""As many as a comparison takes; each has a card as long as a trained one's."""


def write_models(folder: Path) -> None:
    """Tiny untrained models: their weights never travel, their entries do."""
    torch.manual_seed(0)
    config = SentenceConfig(estimator="none", embedding_size=2, hidden_size=2)
    classifier = SentenceClassifier(config, Vocabulary(["film"]), ["negative", "positive"]).eval()
    for k in range(MODELS):
        path = folder / f"sst-{k}" / "model.safetensors"
        checkpoint.save(path, classifier, metrics={}, seed=k, training={"task": "sst"})
        path.with_name("card.json").write_text(json.dumps(card("sst", f"estimator-{k}", 0.8), indent=1))


def test_the_first_paint_transfers_at_most_100_kb(page: Page, tmp_path: Path) -> None:
    """Everything that a browser with an empty cache fetches, headers too, until the form takes a sentence."""
    write_models(tmp_path)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: dict[str, int] = {}
    names: dict[str, str] = {}
    session.on("Network.requestWillBeSent", lambda e: names.__setitem__(e["requestId"], e["request"]["url"]))
    session.on("Network.loadingFinished", lambda e: sizes.__setitem__(e["requestId"], e["encodedDataLength"]))
    with serving_app(tmp_path) as url:
        poll(page, lambda: httpx.get(f"{url}/readyz").status_code, 200)
        page.goto(url)
        page.locator("#field-text").wait_for()
        settle(page)
        poll(page, lambda: names.keys() - sizes.keys(), set())
        served = httpx.get(f"{url}/v1/models").json()["data"]
    assert len(served) == MODELS
    assert {"v1/models", "static/main.js"} <= {name.removeprefix(f"{url}/") for name in names.values()}
    heaviest = sorted(((size, names[key]) for key, size in sizes.items()), reverse=True)
    assert sum(sizes.values()) <= 100_000, heaviest


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
