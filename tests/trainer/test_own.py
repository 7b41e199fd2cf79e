import json

import pytest
from rich.console import Console

from latent.nn.checkpoint import load
from trainer.__main__ import main
from trainer.tasks import DataError, Example
from trainer.tasks.own import Classify
from trainer.tasks.rows import Refused, Row, read_rows

QUIET = Console(quiet=True)


def test_csv_with_quotes_newlines_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('\ufefftext,label\n"one, two\nthree",x\n plain ,y\n"say ""so""",z\n')
    rows = list(read_rows(path, ["text", "label"]))
    assert rows == [Row(2, ("one, two\nthree", "x")), Row(4, ("plain", "y")), Row(5, ('say "so"', "z"))]


def test_rows_that_cannot_be_used_are_named_by_line(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("label\ttext\nx\tfine\n\tno label\ny\t \nx\tone\tmore\ny\nx\tlast\n")
    rows = list(read_rows(path, ["text", "label"]))
    assert [row.line for row in rows] == [2, 3, 4, 5, 6, 7]
    assert [row.reason for row in rows if isinstance(row, Refused)] == [
        "no label",
        "no text",
        "3 fields",
        "no text",
    ]


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 3}\n\n[1]\n{"text": null, "label": "x"}\n{"te\n')
    rows = list(read_rows(path, ["text", "label"]))
    assert rows[0] == Row(1, ("a", "3"))
    refused = [(row.line, row.reason[:8]) for row in rows[1:]]
    assert refused == [(3, "not a JS"), (4, "no text"), (5, "not JSON")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"", r"ending must be one of \.csv"),
        ("a.csv", b"text,tag\na,b\n", "no column 'label'; the columns are: text, tag"),
        ("a.csv", b"", "no column 'text'; the columns are: none"),
        ("a.csv", b"text,label\n\xff\xfe,b\n", "not UTF-8"),
        (None, b"", "no such file"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, content, message):
    path = tmp_path / (name or "b.csv")
    if name:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(path, ["text", "label"]))


@pytest.fixture
def reviews(tmp_path):
    """Sixty labelled texts, and a few rows that cannot be used."""
    path = tmp_path / "my.csv"
    words = {"good": ["fine", "great", "lovely"], "bad": ["dull", "awful"], "so-so": ["okay"]}
    rows = [
        f"a {word} thing number {number},{label}\n"
        for number in range(10)
        for label, these in words.items()
        for word in these
    ]
    path.write_text("text,label\n" + "".join(rows) + ",good\n" + "long " * 300 + ",bad\n")
    return path


def test_splits_of_ones_own_file(reviews, tmp_path):
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label\na great thing,good\na strange thing,weird\n")
    splits = Classify(train=reviews, dev=dev).splits()
    assert splits.labels == ("bad", "good", "so-so")
    assert len(splits.train) == len(splits.sentences) == 60
    assert splits.dev == [Example(("a", "great", "thing"), 1)]
    assert (
        f"{reviews}: 2 of 62 rows not used: line 62: no text; line 63: 300 words of text" in splits.notes[0]
    )
    assert "1 rows not used: labels not in" in splits.notes[1]
    assert "weird" in splits.notes[1]


def test_without_a_dev_file_some_rows_are_held_out(reviews):
    splits = Classify(train=reviews).splits()
    assert 1 <= len(splits.dev) <= 20
    assert len(splits.dev) + len(splits.train) == 60
    assert not {example.text for example in splits.train} & {example.text for example in splits.dev}
    assert Classify(train=reviews).splits().dev == splits.dev


def test_one_label_is_not_enough(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text {number},x\n" for number in range(30)))
    with pytest.raises(DataError, match=r"labels \['x'\]; wanted two"):
        Classify(train=path).splits()


def test_from_a_file_to_a_checkpoint_with_the_commands(reviews, tmp_path, capsys):
    run = tmp_path / "models" / "mine"
    flags = "--estimator marginals --hidden-size 8 --epochs 12 --learning-rate 0.02 --patience 12 --threads 1"
    files = ["--train", str(reviews), "--test", str(reviews), "--out", str(run)]
    assert main(["fit", "classify", *files, *flags.split()]) == 0
    printed = capsys.readouterr()
    assert "line 62: no text" in printed.out.replace("\n", " ")
    checkpoint = load(run / "model.safetensors")
    assert checkpoint.classifier.labels == ("bad", "good", "so-so")
    assert checkpoint.header.training["task"] == "classify"
    assert main(["evaluate", str(run), "--split", "test", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"]["marginals"] > 0.9
    other = tmp_path / "other.csv"
    other.write_text("text,label\nan awful thing,bad\na lovely thing,good\n")
    assert main(["evaluate", str(run), "--file", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 2
