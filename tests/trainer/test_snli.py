import json

import pytest

from trainer.__main__ import main
from trainer.tasks import DataError, Example
from trainer.tasks.snli import Snli


@pytest.fixture
def snli_folder(tmp_path):
    """A small corpus of our own in the official format, with a pair that has no gold label."""
    folder = tmp_path / "data" / "snli"
    folder.mkdir(parents=True)
    kinds = [("entailment", "moves"), ("neutral", "is late"), ("contradiction", "sleeps"), ("-", "eats")]
    for split, size in (("train", 12), ("dev", 4), ("test", 4)):
        rows = [
            {
                "gold_label": label,
                "sentence1": f"A {animal} runs.",
                "sentence2": f"The {animal} {verb}.",
                "annotator_labels": [],
            }
            for animal in ("dog", "cat", "horse", "man")[: size // 3 + 1]
            for label, verb in kinds
        ]
        path = folder / f"snli_1.0_{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder.parent


def test_pairs_with_a_gold_label(snli_folder):
    splits = Snli(data=snli_folder).splits()
    assert splits.labels == ("entailment", "neutral", "contradiction")
    assert len(splits.train) == 12
    assert splits.dev[1] == Example((("A", "dog", "runs", "."), ("The", "dog", "is", "late", ".")), 1)
    assert len(splits.sentences) == 2 * len(splits.train)


def test_missing_data_and_bad_lines_are_named(snli_folder, tmp_path):
    path = snli_folder / "snli" / "snli_1.0_dev.jsonl"
    path.write_text('{"gold_label": "maybe", "sentence1": "a", "sentence2": "b"}\n')
    with pytest.raises(DataError, match=r"snli_1.0_dev.jsonl, line 1: not a labelled pair"):
        Snli(data=snli_folder).splits()
    with pytest.raises(DataError, match="python -m trainer data snli"):
        Snli(data=tmp_path / "nowhere").splits()


def test_from_pairs_to_a_report(snli_folder, tmp_path, capsys):
    run = tmp_path / "run"
    flags = (
        "--estimator marginals --epochs 2 --hidden-size 8 --embedding-size 6 --threads 1 --accelerator cpu"
    )
    folders = ["--data", str(snli_folder), "--out", str(run)]
    assert main(["fit", "snli", *flags.split(), *folders]) == 0
    capsys.readouterr()
    trees = tmp_path / "trees.conllu"
    wanted = ["--split", "test", "--json", "--conllu", str(trees)]
    assert main(["evaluate", str(run), "--data", str(snli_folder), *wanted]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["examples"] == 6
    assert report["trees"]["trees"] == 12
    assert trees.read_text().count("# sent_id = 1.2\n") == 1


def test_pairs_of_ones_own(tmp_path):
    path = tmp_path / "pairs.tsv"
    kinds = (("runs", "x"), ("sits", "y"))
    rows = [f"a dog number {n}\tit {verb}\t{label}\n" for n in range(30) for verb, label in kinds]
    path.write_text("left\tright\tlabel\n" + "".join(rows) + "only one\t\tx\n")
    run = tmp_path / "run"
    flags = "--text-column left --second-column right --estimator none --epochs 1 --hidden-size 8 --threads 1"
    assert main(["fit", "pair", "--train", str(path), *flags.split(), "--out", str(run)]) == 0
    assert (run / "model.safetensors").is_file()
    assert main(["evaluate", str(run), "--split", "train"]) == 0
