"""What is taken away is read back by something else: an XML parser, `conllu`, a PNG header, a shell."""

import json
import shlex
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import conllu
import pytest
from playwright.sync_api import Page

from .fake_service import Fake
from .waiting import settle

WORDS = ["A", "<b>", "50%", "film", "&", "."]
LINK = "/#task=sst&models=sst-spigot&text=A+%3Cb%3E+50%25+film+%26+."
Take = Callable[..., Path]


@pytest.fixture
def take(page: Page, tmp_path: Path) -> Take:
    def take_it(title: str, picture: str | None = None) -> Path:
        page.goto(LINK)
        page.locator(".card").first.wait_for()
        settle(page)
        page.get_by_role("button", name="Take it away").click()
        page.locator("#take").get_by_label(title, exact=True).check()
        if picture:
            page.locator("#take").get_by_label("Picture").select_option(picture)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    return take_it


def trees(fake: Fake) -> dict[str, Any]:
    found: dict[str, Any] = fake.compare(fake.requests[0])["data"][0]["models"][0]["sentences"][0]["trees"]
    return found


def test_svg_is_xml_with_the_words_the_arcs_and_no_rest_of_the_page(take: Take, fake: Fake) -> None:
    root = ET.parse(take("SVG", "map")).getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(f"{space}text")]
    assert [text for text in texts if text != "root"] == WORDS
    strokes = [path for path in root.iter(f"{space}path") if path.get("stroke")]
    assert len(strokes) == len(WORDS)
    for element in root.iter():
        assert not {"class", "style", "role", "tabindex"} & set(element.attrib)
    x, y, width, height = map(float, str(root.get("viewBox")).split())
    for path in strokes:
        numbers = [float(n) for n in str(path.get("d")).replace("A", " ").replace("H", " ").replace("M", " ")
                   .replace("V", " ").split()]  # fmt: skip
        assert all(-1 <= n <= max(x + width, height) or y <= n for n in numbers)


def test_png_is_a_picture_three_pixels_to_one(take: Take, page: Page) -> None:
    data = take("PNG", "both").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    box = page.locator(".main-figure svg").first.evaluate(
        "svg => [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height]"
    )
    assert abs(width - 3 * box[0]) <= 3
    assert abs(height - 3 * box[1]) <= 3


def test_conllu_is_read_by_the_conllu_package(take: Take, fake: Fake) -> None:
    sentences = conllu.parse(take("CoNLL-U").read_text(encoding="utf-8"))
    wanted = trees(fake)
    assert [token["form"] for token in sentences[0]] == WORDS
    assert [token["head"] for token in sentences[0]] == wanted["map"]["heads"]
    assert [[token["head"] for token in s] for s in sentences[1:]] == [
        t["heads"] for t in wanted["sparsemap"]
    ]
    weights = [float(s.metadata["weight"]) for s in sentences[1:]]
    assert weights == pytest.approx([t["weight"] for t in wanted["sparsemap"]], abs=1e-4)
    for token in sentences[0]:
        shown = {int(h): float(p) for h, p in (part.split(":") for part in token["misc"]["Heads"].split(","))}
        marginals = {a["head"]: a["probability"] for a in wanted["marginals"] if a["modifier"] == token["id"]}
        assert shown == pytest.approx(marginals, abs=1e-4)
        assert float(token["misc"]["Prob"]) == pytest.approx(marginals[token["head"]], abs=1e-4)


def test_json_is_the_answer(take: Take, fake: Fake) -> None:
    assert json.loads(take("JSON").read_text(encoding="utf-8")) == fake.compare(fake.requests[0])


def test_the_curl_command_sends_what_the_page_sent(take: Take, fake: Fake) -> None:
    words = shlex.split(take("curl").read_text(encoding="utf-8"))
    assert f"{fake.url}/v1/compare" in words
    assert json.loads(words[words.index("-d") + 1]) == fake.requests[0]


def test_tikz_has_an_edge_for_each_word(take: Take) -> None:
    text = take("TikZ", "map").read_text(encoding="utf-8")
    assert text.count(r"\depedge") + text.count(r"\deproot") == len(WORDS)
    assert r"A \& <b> \& 50\% \& film \& \& \& . \\" in text
