"""The alignment of a pair: ribbons between the trees, rows by pointer and by key, the table, the exports."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from untrained_pairs import heed_heads

from latent.nn import checkpoint
from latent.nn.pair_classifier import PairClassifier, PairConfig
from latent.text import Vocabulary

from .conftest import serving_app
from .fake_service import Fake
from .waiting import eventually, poll, settle

PREMISE = "A man plays a guitar on stage ."
HYPOTHESIS = "Nobody plays music ."
SIDES = [PREMISE.split(), HYPOTHESIS.split()]
QUERY = f"premise={PREMISE.replace(' ', '+')}&hypothesis={HYPOTHESIS.replace(' ', '+')}"
LINK = f"/#task=snli&view=alignment&models=snli-spigot&{QUERY}"
ROOM = 16  # px that a word's row is spread over
Rows = list[list[float]]


@pytest.fixture
def card(page: Page) -> Locator:
    page.goto(LINK)
    found = page.locator('.card[data-model="snli-spigot"]')
    found.wait_for()
    settle(page)
    return found


def alignment(fake: Fake) -> tuple[Rows, Rows]:
    found = fake.compare(fake.requests[0])["data"][0]["models"][0]["alignment"]
    return found["premise_to_hypothesis"], found["hypothesis_to_premise"]


def percent(share: float) -> str:
    if 0 < share < 0.01:
        return "<1 %"
    return f"{share:.1%}".replace("%", " %") if 0.995 <= share < 0.9995 else f"{round(share * 100)} %"


def ends(path: str) -> tuple[float, float]:
    """The widths of a ribbon at its top and at its foot."""
    n = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", path)]
    return n[13] - n[0], n[8] - n[6]


def check_ribbons(paths: list[dict[str, str]], there: Rows, back: Rows, least: float) -> None:
    """Each ribbon is as wide at an end as the share; none is missing that is heavy enough."""
    drawn = {(int(p["from"]), int(p["to"])): ends(p["d"]) for p in paths}
    wanted = {
        (i, j): (ROOM * there[i][j], ROOM * back[j][i])
        for i in range(len(there))
        for j in range(len(back))
        if max(there[i][j], back[j][i]) >= least
    }
    assert drawn.keys() == wanted.keys()
    for key, widths in wanted.items():
        assert drawn[key] == pytest.approx(widths, abs=0.03)


TOP_OF_ARC = """path => {
    const middle = path.getPointAtLength(path.getTotalLength() / 2).matrixTransform(path.getScreenCTM());
    return [middle.x, middle.y];
}"""
RIBBONS = """root => [...root.querySelectorAll(".ribbon")].map(
    p => ({from: p.dataset.from, to: p.dataset.to, d: p.getAttribute("d")}))"""


def test_ribbons_are_as_wide_as_the_shares_of_both_directions(page: Page, fake: Fake, card: Locator) -> None:
    assert fake.requests[0]["parameters"]["alignment"] is True
    check_ribbons(card.evaluate(RIBBONS), *alignment(fake), 0.05)
    page.get_by_label("Arcs of at least").fill("0.4")
    poll(page, lambda: card.locator(".ribbon").count() < 16)
    check_ribbons(card.evaluate(RIBBONS), *alignment(fake), 0.4)


def test_each_sentence_has_the_tree_that_is_read_on_its_own_side(card: Locator, fake: Fake) -> None:
    sentences = fake.compare(fake.requests[0])["data"][0]["models"][0]["sentences"]
    for name, sentence in zip(("premise", "hypothesis"), sentences, strict=True):
        side = card.locator(f'[data-side="{name}"]')
        expect(side.locator("text.word")).to_have_text(sentence["tokens"])
        heads = sentence["trees"]["map"]["heads"]
        drawn = side.locator("path.arc").evaluate_all("all => all.map(path => path.dataset.arc)")
        assert sorted(drawn) == sorted(f"{head}>{word}" for word, head in enumerate(heads, start=1))


def test_a_ribbon_ends_under_its_words(card: Locator) -> None:
    """Word and bar stand one above the other, though three drawings are stacked."""
    middle = "e => { const box = e.getBoundingClientRect(); return box.left + box.width / 2; }"
    for side in ("premise", "hypothesis"):
        words = card.locator(f'[data-side="{side}"] text.word').all()
        ports = card.locator(f'[data-line="{side}"] .port').all()
        for word, port in zip(words, ports, strict=True):
            assert port.evaluate(middle) == pytest.approx(word.evaluate(middle), abs=1.5)


def row_labels(row: list[float], others: Rows, index: int) -> list[str]:
    kept = [share for j, share in enumerate(row) if max(share, others[j][index]) >= 0.05 and share >= 0.005]
    return [percent(share) for share in kept]


def test_pointing_at_a_word_shows_its_row(page: Page, fake: Fake, card: Locator) -> None:
    there, back = alignment(fake)
    card.locator('[data-side="premise"] [data-word="3"]').hover()
    expect(card.locator(".row-labels text")).to_have_text(row_labels(there[2], back, 2))
    assert set(card.locator(".ribbon.own").evaluate_all("all => all.map(p => p.dataset.from)")) == {"2"}
    page.mouse.move(*card.locator('[data-side="premise"] path.arc').last.evaluate(TOP_OF_ARC))
    expect(page.locator("#tip")).to_contain_text("→")
    expect(card.locator(".ribbon.own")).to_have_count(0)
    card.locator('[data-side="hypothesis"] [data-word="1"]').hover()
    expect(card.locator(".row-labels text")).to_have_text(row_labels(back[0], there, 0))
    assert set(card.locator(".ribbon.own").evaluate_all("all => all.map(p => p.dataset.to)")) == {"0"}
    page.locator(".legend").hover()
    expect(card.locator(".row-labels text")).to_have_count(0)
    expect(card.locator(".aligned.one")).to_have_count(0)


def test_the_keyboard_walks_the_rows_and_a_reader_hears_them(page: Page, fake: Fake, card: Locator) -> None:
    there, _ = alignment(fake)
    words = card.get_by_role("listbox", name="Words of the premise")
    words.focus()
    for index in (0, 1):
        option = card.locator('[role="option"][aria-selected="true"]')
        heavy = sorted(zip(there[index], SIDES[1], strict=True), reverse=True)
        wanted = ", ".join(f"{word} {percent(share)}" for share, word in heavy if share >= 0.005)
        expect(option).to_have_attribute("aria-label", f"{SIDES[0][index]}: {wanted}")
        assert words.get_attribute("aria-activedescendant") == option.get_attribute("id")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(card.locator(".aligned.one")).to_have_count(0)


def test_the_table_holds_both_directions(page: Page, fake: Fake) -> None:
    page.goto(LINK.replace("view=alignment", "view=table"))
    for name, rows in zip(("premise over hypothesis", "hypothesis over premise"), (0, 1), strict=True):
        table = page.get_by_role("table", name=f"Alignment: snli-spigot, {name}")
        table.wait_for()
        expect(table.locator("tbody th")).to_have_text(SIDES[rows])
        wanted = [percent(share) for row in alignment(fake)[rows] for share in row]
        expect(table.locator("tbody td")).to_have_text(wanted)


def test_a_sentence_has_no_alignment_to_choose(page: Page, fake: Fake) -> None:
    page.goto("/#task=sst&view=alignment&text=A+film+.")
    expect(page.locator(".main-figure").first).to_be_visible()
    expect(page.get_by_role("radio", name="Alignment")).to_have_count(0)
    expect(page.get_by_role("radio", name="Trees")).to_be_checked()
    assert "alignment" not in fake.requests[0]["parameters"]


def test_the_picture_and_the_numbers_are_taken_away(
    page: Page, fake: Fake, card: Locator, tmp_path: Path
) -> None:
    page.get_by_role("button", name="Take it away").click()
    page.locator("#take").get_by_label("Picture").select_option("alignment")

    def download() -> Path:
        with page.expect_download() as got:
            page.get_by_role("button", name="Download").click()
        got.value.save_as(tmp_path / got.value.suggested_filename)
        return tmp_path / got.value.suggested_filename

    root = ET.parse(download()).getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(f"{space}text")]
    assert [text for text in texts if text != "root"] == SIDES[0] + SIDES[1]
    ribbons = [path for path in root.iter(f"{space}path") if path.get("fill") == "#9a6a00"]
    assert len(ribbons) == card.locator(".ribbon").count()
    width, height = (float(str(root.get(name))) for name in ("width", "height"))
    tops = [float(str(part.get("y"))) for part in root.iter(f"{space}svg") if part is not root]
    assert tops == sorted(tops)
    assert all(0 <= top < height for top in tops)
    assert width >= ROOM * len(SIDES[0])
    assert not any({"class", "style", "role", "id"} & set(each.attrib) for each in root.iter())
    page.locator("#take").get_by_label("JSON", exact=True).check()
    assert json.loads(download().read_text(encoding="utf-8")) == fake.compare(fake.requests[0])


def words_of_a_model(folder: Path) -> PairClassifier:
    """An untrained classifier of pairs, served from its checkpoint."""
    torch.manual_seed(2)
    config = PairConfig(estimator="marginals", embedding_size=8, hidden_size=12)
    labels = ["entailment", "neutral", "contradiction"]
    vocabulary = Vocabulary(sorted({*SIDES[0], *SIDES[1]}))
    classifier = heed_heads(PairClassifier(config, vocabulary, labels)).eval()
    path = folder / "snli-marginals" / "model.safetensors"
    path = checkpoint.save(path, classifier, metrics={}, seed=0, training={"task": "snli"})
    loaded = checkpoint.load(path).classifier
    assert isinstance(loaded, PairClassifier)
    return loaded


def test_a_real_model_is_drawn_as_its_decoder_aligns(page: Page, tmp_path: Path) -> None:
    classifier = words_of_a_model(tmp_path)
    with torch.no_grad():
        encoding = classifier.encode(classifier.batch([SIDES]))
        found: Any = classifier.decode_aligned(encoding, classifier.infer(encoding, "marginals"))
    n, m = map(len, SIDES)
    there, back = found.alignment[0, 0, :n, :m].tolist(), found.alignment[0, 1, :m, :n].tolist()
    with serving_app(tmp_path) as url:
        page.goto(f"{url}/#task=snli&view=alignment&threshold=0.1&{QUERY}")
        eventually(page, "document.querySelectorAll('.ribbon').length > 0")
        check_ribbons(page.locator(".card").evaluate(RIBBONS), there, back, 0.1)
