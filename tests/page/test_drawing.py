"""The notebook's pictures: the Python layout against the page's own, and SVG that parses."""

import json
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from server.aligned import alignment_svg
from server.drawing import mixture_svg, sentence_svg
from server.layout import TEXT_HEIGHT, DrawnArc, layout
from server.notebook import prediction_html
from server.ribbons import HEIGHT, ROOM, ribbons
from server.schemas import CompareAnswer, Prediction, Sentence

from .fake_service import ROOT, Fake, entry, predict, random_tree

HEAD = """
import { layout } from "./static/layout.js";
import { ribbons } from "./static/ribbons.js";
let text = "";
for await (const chunk of process.stdin) text += chunk;
const cases = JSON.parse(text);
"""
LAYOUTS = """
const drawn = cases.map(({ widths, arcs, rtl }) => layout(widths, arcs, { rtl }));
console.log(JSON.stringify(drawn.map(({ width, above, below, words, arcs }) =>
  ({ width, above, below, words: words.map(({ x }) => x), paths: arcs.map(({ path }) => path) }))));
"""
RIBBONS = """
const drawn = cases.map(({ upper, lower, down, up }) => ribbons(upper, lower, { down, up }, 0.1));
console.log(JSON.stringify(drawn));
"""
SVG = "{http://www.w3.org/2000/svg}"


def on_the_page(script: str, cases: list[dict[str, Any]]) -> Any:
    """What the page's own code makes of the cases."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node not found: the page's code cannot be held against the notebook's")
    command = [node, "--input-type=module", "-e", HEAD + script]
    done = subprocess.run(
        command, input=json.dumps(cases), capture_output=True, text=True, cwd=ROOT, check=True
    )
    return json.loads(done.stdout)


def numbers(path: str) -> list[float]:
    return [float(text) for text in re.findall(r"-?\d+(?:\.\d+)?", path)]


def test_the_python_layout_draws_what_the_page_draws() -> None:
    draw = random.Random(3)
    cases = []
    for index in range(60):
        trees = [random_tree(draw.randint(1, 40), draw)]
        trees.append(random_tree(len(trees[0]), draw))
        arcs = [
            {"head": head, "modifier": word, "side": side, "room": draw.uniform(1.5, 4.5)}
            for side, tree in zip(("above", "below"), trees, strict=True)
            for word, head in enumerate(tree, start=1)
        ]
        widths = [draw.uniform(5, 90) for _ in trees[0]]
        cases.append({"widths": widths, "arcs": arcs, "rtl": index % 2 == 1})
    for case, wanted in zip(cases, on_the_page(LAYOUTS, cases), strict=True):
        arcs = [DrawnArc(a["head"], a["modifier"], 1.0, a["side"], a["room"]) for a in case["arcs"]]
        got = layout(case["widths"], arcs, right_to_left=case["rtl"])
        assert [got.width, got.above, got.below] == pytest.approx(
            [wanted["width"], wanted["above"], wanted["below"]]
        )
        assert got.words == pytest.approx(wanted["words"])
        for arc, path in zip(got.arcs, wanted["paths"], strict=True):
            assert numbers(arc.path) == pytest.approx(numbers(path), abs=0.011)


def some_row(count: int, draw: random.Random) -> list[float]:
    raw = [draw.random() ** 4 + 1e-4 for _ in range(count)]
    return [value / sum(raw) for value in raw]


def test_the_python_ribbons_are_those_of_the_page() -> None:
    draw = random.Random(5)
    cases = []
    for index in range(40):
        upper, lower = ([20 + 40 * k + draw.random() for k in range(draw.randint(1, 12))] for _ in range(2))
        if index % 3 == 1:
            upper.reverse()  # as right-to-left text stands
        down = [some_row(len(lower), draw) for _ in upper]
        cases.append(
            {"upper": upper, "lower": lower, "down": down, "up": [some_row(len(upper), draw) for _ in lower]}
        )
    for case, wanted in zip(cases, on_the_page(RIBBONS, cases), strict=True):
        got = ribbons(**case, least=0.1)
        assert [(each.upper, each.lower) for each in got] == [(each["from"], each["to"]) for each in wanted]
        for each, other in zip(got, wanted, strict=True):
            assert numbers(each.path) == pytest.approx(numbers(other["path"]), abs=0.011)


def prediction(text: str) -> Prediction:
    return Prediction.model_validate(predict(entry("sst", "spigot"), text, []))


@pytest.mark.parametrize("text", ["Dull", 'A <b> & "quoted" film .', "זה סרט טוב", "映画 は 良い"])
def test_the_svg_of_a_sentence_is_xml_with_its_words(text: str) -> None:
    sentence = prediction(text).sentences[0]
    for svg in (sentence_svg(sentence), mixture_svg(sentence)):
        root = ET.fromstring(svg)
        assert [each.text for each in root.iter(f"{SVG}text")] == text.split()


def test_a_notebook_draws_the_answers_of_the_client() -> None:
    fake = Fake()
    answer = CompareAnswer.model_validate(fake.compare({"task": "sst", "inputs": ["A film ."]}))
    html = answer._repr_html_()
    assert [name in html for name in ("sst-spigot", "sst-none")] == [True, True]
    assert html.count("<svg") == 2 * 4
    sentences = [each.sentences[0] for each in answer.data[0].models]
    assert [bool(each._repr_svg_()) for each in sentences] == [each.trees is not None for each in sentences]


def test_an_answer_shows_its_label_and_no_markup_of_the_input() -> None:
    html = prediction_html(prediction("<script>alert(1)</script> film"))
    assert "<script>" not in html
    assert html.count("<svg") == 2
    assert sentence_svg(Sentence(tokens=["no", "tree"], trees=None)) == ""


def moved(group: ET.Element) -> tuple[float, float]:
    """Where a group is moved to."""
    x, y = numbers(group.attrib["transform"])
    return x, y


PAIRS = [
    ("sst-shaped words , more of them than below .", "A <b> & c"),
    ("short", "A much longer hypothesis than its premise , and to be read from the left"),
    ("זה סרט טוב מאוד", "A good film"),
]


@pytest.mark.parametrize("estimator", ["spigot", "none"])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_pair_is_drawn_with_ribbons_between_its_words(pair: tuple[str, str], estimator: str) -> None:
    """Read back from the SVG: each ribbon leaves within its word's room, as wide as its share of the row."""
    given = dict(zip(("premise", "hypothesis"), pair, strict=True))
    answer = Prediction.model_validate(predict(entry("snli", estimator), given, []))
    assert answer.alignment is not None
    down, up = answer.alignment.premise_to_hypothesis, answer.alignment.hypothesis_to_premise
    root = ET.fromstring(alignment_svg(answer))
    premise, between, hypothesis = root.findall(f"{SVG}g")
    places, words = [], []
    for group in (premise, hypothesis):
        texts = list(group.iter(f"{SVG}text"))
        places.append([float(each.attrib["x"]) + moved(group)[0] for each in texts])
        words.append([each.text for each in texts])
    assert words == [each.split() for each in pair]
    assert [len(group.findall(f"{SVG}path")) for group in (premise, hypothesis)] == (
        [0, 0] if estimator == "none" else [2 * len(each) for each in words]
    )
    drawn = set()
    for path in between.findall(f"{SVG}path"):
        found = numbers(path.attrib["d"])
        a, c, foot, d, b = (found[k] for k in (0, 6, 7, 8, 13))
        i = min(range(len(places[0])), key=lambda k: abs(places[0][k] - (a + b) / 2))
        j = min(range(len(places[1])), key=lambda k: abs(places[1][k] - (c + d) / 2))
        drawn.add((i, j))
        assert foot == HEIGHT
        assert [b - a, d - c] == pytest.approx([ROOM * down[i][j], ROOM * up[j][i]], abs=0.011)
        assert f"{down[i][j]:.0%}" in str(path.findtext(f"{SVG}title"))
    assert drawn == {
        (i, j) for i in range(len(down)) for j in range(len(up)) if max(down[i][j], up[j][i]) >= 0.05
    }
    top, bottom = moved(between)[1], moved(hypothesis)[1]
    assert moved(premise)[1] + TEXT_HEIGHT <= top
    assert top + HEIGHT <= bottom
    _, _, wide, tall = numbers(root.attrib["viewBox"])
    assert all(0 < x < wide for line in places for x in line)
    assert bottom + TEXT_HEIGHT < tall


def test_a_pair_in_a_notebook_shows_its_alignment_where_it_was_asked_for() -> None:
    given = {"premise": "A man sings .", "hypothesis": "He is silent ."}
    for asked in (True, False):
        body = {
            "task": "snli",
            "models": ["snli-spigot"],
            "inputs": [given],
            "parameters": {"alignment": asked},
        }
        html = CompareAnswer.model_validate(Fake().compare(body))._repr_html_()
        assert html.count("<svg") == 4 + asked
