"""The notebook's pictures: the Python layout against the page's own, and SVG that parses."""

import json
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest

from server.drawing import mixture_svg, prediction_html, sentence_svg
from server.layout import DrawnArc, layout
from server.schemas import CompareAnswer, Prediction, Sentence

from .fake_service import ROOT, Fake, entry, predict, random_tree

SCRIPT = """
import { layout } from "./static/layout.js";
let text = "";
for await (const chunk of process.stdin) text += chunk;
const drawn = JSON.parse(text).map(({ widths, arcs, rtl }) => layout(widths, arcs, { rtl }));
console.log(JSON.stringify(drawn.map(({ width, above, below, words, arcs }) =>
  ({ width, above, below, words: words.map(({ x }) => x), paths: arcs.map(({ path }) => path) }))));
"""


def numbers(path: str) -> list[float]:
    return [float(text) for text in re.findall(r"-?\d+(?:\.\d+)?", path)]


def test_the_python_layout_draws_what_the_page_draws() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node not found: the two layouts cannot be held against each other")
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
    command = [node, "--input-type=module", "-e", SCRIPT]
    done = subprocess.run(
        command, input=json.dumps(cases), capture_output=True, text=True, cwd=ROOT, check=True
    )
    for case, wanted in zip(cases, json.loads(done.stdout), strict=True):
        arcs = [DrawnArc(a["head"], a["modifier"], 1.0, a["side"], a["room"]) for a in case["arcs"]]
        got = layout(case["widths"], arcs, right_to_left=case["rtl"])
        assert [got.width, got.above, got.below] == pytest.approx(
            [wanted["width"], wanted["above"], wanted["below"]]
        )
        assert got.words == pytest.approx(wanted["words"])
        for arc, path in zip(got.arcs, wanted["paths"], strict=True):
            assert numbers(arc.path) == pytest.approx(numbers(path), abs=0.011)


def prediction(text: str) -> Prediction:
    return Prediction.model_validate(predict(entry("sst", "spigot"), text, []))


@pytest.mark.parametrize("text", ["Dull", 'A <b> & "quoted" film .', "זה סרט טוב", "映画 は 良い"])
def test_the_svg_of_a_sentence_is_xml_with_its_words(text: str) -> None:
    sentence = prediction(text).sentences[0]
    for svg in (sentence_svg(sentence), mixture_svg(sentence)):
        root = ET.fromstring(svg)
        assert [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")] == text.split()


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
