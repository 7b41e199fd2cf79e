import itertools
import json

import pytest
import torch

from latent.nn.checkpoint import read_header
from trainer.__main__ import main
from trainer.commands.table import TableOptions, make_plan
from trainer.kept_runs import KeptRuns
from trainer.published import TABLES
from trainer.syntax import baselines, read_treebank, uas
from trainer.table import agreements, markdown, spread, summarize
from trainer.tasks.sst import Sst
from trainer.trials import agreement


def run(seed, accuracy, heads, seconds=2.0):
    trees = {"mean_depth": 2.0 + seed, "flat_share": 0.5, "mean_arc_length": 1.0}
    report = {"trained": "map", "accuracy": {"map": accuracy}, "trees": trees, "heads": heads}
    return {"seed": seed, "seconds_per_epoch": seconds, "dev": report, "test": report}


def test_agreement_counts_words_not_sentences():
    assert agreement([[[0]], [[2, 0, 2]]], [[[0]], [[3, 3, 0]]]) == 1 / 4
    assert agreement([[[0], [2, 0]]], [[[0], [0, 1]]]) == 1 / 3


def test_rows_are_means_and_sample_deviations_over_seeds():
    runs = [run(0, 0.8, [], seconds=3.0), run(1, 0.9, [], seconds=8.0), run(2, 0.85, [])]
    row = summarize(runs, base={0: 2.0, 1: 4.0})
    assert row["test"] == pytest.approx((0.85, 0.05))
    assert row["time_ratio"] == (3 / 2 + 8 / 4) / 2  # of the seeds that `none` was run with
    assert row["seconds_per_epoch"] == pytest.approx((3 + 8 + 2) / 3)
    assert summarize(runs, base={})["time_ratio"] is None
    assert row["trees"]["mean_depth"] == pytest.approx(3.0)
    assert spread([0.5]) == (0.5, None)


def test_agreement_between_estimators_and_between_seeds():
    one = [run(0, 0.8, [[[0, 1]]]), run(1, 0.8, [[[2, 0]]])]
    other = [run(0, 0.8, [[[0, 1]]]), run(1, 0.8, [[[0, 1]]])]
    table = agreements({"spigot": one, "marginals": other})
    assert table["spigot"]["spigot"] == 0.0
    assert table["marginals"]["marginals"] == 1.0
    assert table["spigot"]["marginals"] == table["marginals"]["spigot"] == 0.5


@pytest.fixture
def treebank(tmp_path):
    path = tmp_path / "gold.conllu"
    rows = ["1-2\tcan't\t_\t_\t_\t_\t_\t_\t_\t_"]
    rows += [
        f"{n}\t{word}\t_\t_\t_\t_\t{head}\t_\t_\t_"
        for n, word, head in [(1, "ca", 3), (2, "n't", 3), (3, "wait", 0)]
    ]
    path.write_text("# text = can't wait\n" + "\n".join(rows) + "\n\n1\tYes\t_\t_\t_\t_\t0\t_\t_\t_\n")
    return path


def test_gold_heads_and_trivial_trees(treebank):
    sentences = read_treebank(treebank)
    assert sentences == [(["ca", "n't", "wait"], [3, 3, 0]), (["Yes"], [0])]
    found = baselines(sentences)
    assert found["left-branching"] == uas([[2, 3, 0], [0]], sentences) == 3 / 4
    assert found["right-branching"] == uas([[0, 1, 2], [0]], sentences) == 1 / 4
    assert read_treebank(treebank, longest=2) == sentences[1:]


def test_random_trees_are_uniform():
    """Over many sentences of three words the expected UAS is the mean over all seven trees."""
    gold = [3, 3, 0]
    trees = []
    for heads in itertools.product(range(4), repeat=3):
        ends = [(min(h, m), max(h, m)) for m, h in enumerate(heads, 1)]
        crossing = any(a < c < b < d for (a, b), (c, d) in itertools.permutations(ends, 2))
        cyclic = any(heads[h - 1] == m for m, h in enumerate(heads, 1) if h)
        if (
            heads.count(0) == 1
            and not crossing
            and not cyclic
            and all(h != m for m, h in enumerate(heads, 1))
        ):
            trees.append(heads)
    assert len(trees) == 7
    wanted = sum(h == g for heads in trees for h, g in zip(heads, gold, strict=True)) / 21
    found = baselines([(["a", "b", "c"], gold)] * 4000, seed=1)["random"]
    assert found == pytest.approx(wanted, abs=4 * (0.25 / 4000) ** 0.5)


def test_the_command_makes_a_table_and_does_not_run_twice(
    sst_folder, treebank, tmp_path, monkeypatch, capsys
):
    (sst_folder / "ud").mkdir()
    treebank.rename(sst_folder / "ud" / "en_ewt-ud-test.conllu")
    monkeypatch.setenv("UNDERSTORY_DATA", str(sst_folder))
    flags = "--estimators none spigot --seeds 0 1 --hyperparameters spigot.step_size=0.5 --tried 7"
    small = "--epochs 1 --hidden-size 8 --embedding-size 6 --threads 1 --accelerator cpu"
    folders = ["--work", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert main(["table", "sst", *flags.split(), *small.split(), *folders]) == 0
    table = json.loads((tmp_path / "results" / "sst.json").read_text())
    assert set(table["rows"]) == {"none", "spigot"}
    assert table["rows"]["none"]["time_ratio"] == 1.0
    runs = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("sst-none-*/metrics.json")]
    processor = [run["processor_seconds_per_epoch"] for run in runs]
    assert table["timing"] == "processor time of one thread"
    assert table["rows"]["none"]["seconds_per_epoch"] == pytest.approx(sum(processor) / 2)
    assert table["options"]["training"]["epochs"] == 1
    headers = [read_header(path).training["commit"] for path in (tmp_path / "runs").rglob("*.safetensors")]
    assert table["made"]["commits"] == sorted({str(commit) for commit in headers})
    assert 0 <= table["rows"]["spigot"]["gold_uas"][0] <= 1
    assert table["treebank"]["sentences"] == 2
    text = (tmp_path / "results" / "sst.md").read_text()
    assert "84.80 ± 1.10" in text
    assert "7 configuration(s)" in text
    assert text == markdown(table)
    assert (tmp_path / "results" / "sst.svg").read_text().count("<svg") == 1
    alone = [
        "table",
        "sst",
        *flags.replace("0 1", "0").replace("none spigot", "spigot").split(),
        *small.split(),
    ]
    assert main([*alone, *folders[:2], "--results", str(tmp_path / "alone")]) == 0
    text = (tmp_path / "alone" / "sst.md").read_text()
    assert "; one seed, accuracy" in text
    assert text.count("±") == 2  # the paper's
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.safetensors")}
    assert len(before) == 4
    capsys.readouterr()
    assert (
        main(["table", "sst", *flags.split(), *small.split(), *folders[:2], "--results", str(tmp_path)]) == 0
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert capsys.readouterr().out.count("holds a finished run") == 4


def test_runs_that_a_table_kept_are_not_trained_again(sst_folder, treebank, tmp_path, monkeypatch, capsys):
    """What was trained elsewhere stands in the results: a row more is the only one that is trained."""
    monkeypatch.setenv("UNDERSTORY_DATA", str(sst_folder))
    flags = "--seeds 0 1 --epochs 1 --hidden-size 8 --embedding-size 6 --threads 1 --accelerator cpu"
    small = flags.split()

    def table(work, *flags):
        folders = ["--work", str(tmp_path / work), "--results", str(tmp_path / "results")]
        assert main(["table", "sst", "--estimators", *flags, *small, *folders]) == 0
        trained = sorted(path.name for path in (tmp_path / work).glob("*"))
        return trained, json.loads((tmp_path / "results" / "sst.json").read_text())

    trained, first = table("first", "none", "spigot")
    assert trained == ["sst-none-0", "sst-none-1", "sst-spigot-0", "sst-spigot-1"]
    trained, again = table("second", "none", "spigot")
    assert trained == []
    assert "trained at" in capsys.readouterr().out
    assert {**again, "made": None} == {**first, "made": None}
    assert again["made"]["commits"] == first["made"]["commits"]
    trained, more = table("third", "none", "spigot", "marginals")
    assert trained == ["sst-marginals-0", "sst-marginals-1"]
    assert more["rows"]["spigot"] == first["rows"]["spigot"]
    assert set(more["agreement"]["marginals"]) == {"spigot", "marginals"}
    trained, _ = table("fourth", "spigot", "--hyperparameters", "spigot.step_size=0.5")
    assert trained == ["sst-spigot-0", "sst-spigot-1"]
    kept = tmp_path / "results" / "sst-runs.jsonl"
    assert len(kept.read_text().splitlines()) == 8
    # Now there is a treebank: its heads are wanted of all runs with trees, whose models are gone.
    (sst_folder / "ud").mkdir()
    treebank.rename(sst_folder / "ud" / "en_ewt-ud-test.conllu")
    trained, gold = table("fifth", "none", "spigot")
    assert trained == ["sst-spigot-0", "sst-spigot-1"]
    assert gold["rows"]["spigot"]["gold_uas"] is not None
    assert len(kept.read_text().splitlines()) == 8
    kept.write_text('{"options": 3}\n')
    assert main(["table", "sst", *small, "--results", str(tmp_path / "results")]) == 1
    assert "sst-runs.jsonl, line 1, is no run that a table kept" in capsys.readouterr().err


def test_kept_runs_hold_the_trees_that_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.kept_runs.KEPT_TREES", 2)
    options = {"task": {}, "model": {"estimator": "spigot"}, "training": {"seed": 3, "threads": 1}}
    heads = [[[2, 0], [0]], [[0], [3, 3, 0]], [[0], [0]]]
    kept = KeptRuns(tmp_path / "new" / "sst-runs.jsonl", Sst(data=tmp_path))
    assert kept.find(options, gold=False) is None
    whole = run(3, 0.5, heads)
    assert kept.add(options, whole)["test"]["heads"] == heads[:2]
    found = kept.find(options, gold=False)
    assert found is not None
    assert found["test"] == {**whole["test"], "heads": heads[:2]}
    assert kept.find(options, gold=True) is None
    other = {**options, "training": {"seed": 3, "threads": 2}}
    assert kept.find(other, gold=False) is None
    # An option that came later: the run did what the default does.
    newer = {**options, "training": {"seed": 3, "threads": 1, "parser_rate": 1.0}}
    assert kept.find(newer, gold=False) == found
    assert kept.find({**newer, "training": {**newer["training"], "parser_rate": 0.1}}, gold=False) is None
    assert kept.find({**options, "task": {"grades": False}}, gold=False) == found
    assert kept.find({**options, "task": {"grades": True}}, gold=False) is None


def test_a_table_takes_up_what_a_sweep_chose(tmp_path, capsys):
    """Learning rate and η of each estimator come from the sweep; what is given by hand beside it wins."""
    found = tmp_path / "sst-sweep.json"
    choices = {"none": (0.01, None, 3), "spigot": (0.002, 0.1, 5), "spigot-ce": (0.03, 10.0, 7)}
    chosen = {
        name: {"learning_rate": rate, "step_size": eta, "dev_accuracy": 0.8, "tried": tried}
        for name, (rate, eta, tried) in choices.items()
    }
    found.write_text(json.dumps({"task": "sst", "chosen": chosen}))
    options = TableOptions(
        estimators=("spigot", "none"), sweep=found, hyperparameters=("spigot.steps=2", "spigot.step_size=0.3")
    )
    plan = make_plan("sst", options)
    assert plan.learning_rates == {"none": 0.01, "spigot": 0.002}
    assert plan.hyperparameters == {"spigot": ("step_size=0.1", "steps=2", "step_size=0.3")}
    assert plan.tried == 8
    for task, estimator, message in (
        ("snli", "none", "is of the task sst, not snli"),
        ("sst", "marginals", "has nothing of marginals; it has: none, spigot, spigot-ce"),
    ):
        assert main(["table", task, "--estimators", estimator, "--sweep", str(found)]) == 1
        assert message in capsys.readouterr().err
    found.write_text("[]")
    assert main(["table", "sst", "--sweep", str(found)]) == 1
    assert "is not what a sweep wrote" in capsys.readouterr().err


def test_published_rows_are_of_estimators_that_exist():
    from latent.estimators import ESTIMATORS

    assert all(name in ESTIMATORS for rows in TABLES.values() for name in rows)
    assert torch.tensor([row.test[0] for row in TABLES["sst"].values()]).max() == pytest.approx(84.80)


def test_unknown_names_are_refused(capsys):
    assert main(["table", "mnli"]) == 1
    assert main(["table", "sst", "--estimators", "spiggot"]) == 1
    assert main(["table", "sst", "--hyperparameters", "step_size=1"]) == 1
    errors = capsys.readouterr().err
    assert "there are: sst, snli, synthetic" in errors
    assert "no estimator is called 'spiggot'" in errors
    assert "wanted ESTIMATOR.NAME=VALUE" in errors
