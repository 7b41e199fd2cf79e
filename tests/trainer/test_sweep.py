import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.__main__ import main
from trainer.errors import UserError
from trainer.options import FitOptions, TrainingOptions
from trainer.sweep import Grid, Ledger, Outcome, Trial, sweep
from trainer.tasks.sst import Sst

GRID = Grid(("none", "spigot"), (0.1, 0.01), (0.5, 1.0, 2.0), (0, 1))


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "work", Sst(data=tmp_path), FitOptions())


class Pretend:
    """Trains nothing: each trial reaches what a formula says; counts what it was asked for."""

    def __init__(self, accuracy, limit=None):
        self.accuracy, self.limit, self.asked = accuracy, limit, []

    def __call__(self, trials, ledger):
        for trial in trials:
            if self.limit is not None and len(self.asked) >= self.limit:
                return
            self.asked.append(trial)
            ledger.enter(Outcome(trial, self.accuracy(trial), {}))


def peak(trial):
    """Best at 0.01 and η = 2; only the mean over both seeds says so."""
    seed = {(0.1, 0): 0.9, (0.1, 1): 0.5, (0.01, 0): 0.7, (0.01, 1): 0.8}[trial.learning_rate, trial.seed]
    return seed + 0.01 * (trial.step_size or 0)


def test_learning_rates_first_then_step_sizes_at_the_best(ledger):
    run = Pretend(peak)
    found = sweep(GRID, ledger, run)
    assert found["chosen"]["none"] == {
        "learning_rate": 0.01,
        "step_size": None,
        "dev_accuracy": pytest.approx(0.75),
        "tried": 2,
    }
    assert found["chosen"]["spigot"] == {
        "learning_rate": 0.01,
        "step_size": 2.0,
        "dev_accuracy": pytest.approx(0.77),
        "tried": 4,
    }
    first = [Trial(name, rate, eta, seed) for name, eta in (("none", None), ("spigot", 1.0))
             for rate in (0.1, 0.01) for seed in (0, 1)]  # fmt: skip
    second = [Trial("spigot", 0.01, eta, seed) for eta in (0.5, 2.0) for seed in (0, 1)]
    assert run.asked == first + second
    assert len(found["trials"]) == len(first) + len(second)


@pytest.mark.parametrize("limit", [0, 1, 5, 8, 11])
def test_a_sweep_that_was_cut_short_runs_nothing_twice(ledger, limit):
    whole = sweep(GRID, Ledger(ledger.folder / "whole", ledger.task, ledger.common), Pretend(peak))
    before = Pretend(peak, limit)
    with pytest.raises(UserError, match=r"trials did not finish.*start the same command again"):
        sweep(GRID, ledger, before)
    after = Pretend(peak)
    assert sweep(GRID, ledger, after) == whole
    assert len(before.asked) == limit
    assert sorted(map(str, before.asked + after.asked)) == sorted(
        str(Trial(**{key: trial[key] for key in ("estimator", "learning_rate", "step_size", "seed")}))
        for trial in whole["trials"]
    )


def test_a_configuration_with_a_failed_run_is_never_chosen(ledger):
    failing = Pretend(lambda trial: None if (trial.learning_rate, trial.seed) == (0.01, 1) else peak(trial))
    assert sweep(GRID, ledger, failing)["chosen"]["none"]["learning_rate"] == 0.1
    hopeless = Ledger(ledger.folder / "hopeless", ledger.task, ledger.common)
    with pytest.raises(UserError, match="no run of none kept a finite loss"):
        sweep(GRID, hopeless, Pretend(lambda trial: None))


def test_what_decides_a_run_names_its_folder(ledger, tmp_path):
    """Where a run takes place does not; everything else does."""

    def folder(trial=None, *, data=tmp_path, phrases=False, **training):
        task = Sst(data=data, phrases=phrases)
        common = FitOptions(training=TrainingOptions(**training))
        return Ledger(tmp_path, task, common).run_folder(trial or Trial("spigot", 0.01, 1.0, 0))

    assert folder() == folder(data=tmp_path / "elsewhere") == folder(threads=3) == folder(seed=5)
    others = [
        folder(Trial("spigot", 0.01, 2.0, 0)),
        folder(Trial("spigot", 0.01, 1.0, 1)),
        folder(Trial("spigot", 0.02, 1.0, 0)),
        folder(phrases=True),
        folder(epochs=3),
    ]
    assert len({folder(), *others}) == 6


def arguments(data, tmp_path):
    grid = "--estimators spigot --learning-rates 0.01 --step-sizes 0.5 1"
    small = "--epochs 2 --hidden-size 8 --embedding-size 6 --batch-size 16 --accelerator cpu"
    where = ["--data", str(data), "--work", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
    return ["sweep", "sst", *grid.split(), *small.split(), *where]


KILLED = """
import os, signal, sys
from trainer.__main__ import main
from trainer.sweep import Ledger

enter = Ledger.enter

def enter_and_die(self, outcome):
    enter(self, outcome)
    os.killpg(0, signal.SIGKILL)

Ledger.enter = enter_and_die
main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL to kill a sweep by")
def test_a_killed_sweep_on_ray_goes_on(sst_folder, tmp_path, capsys, monkeypatch):
    """Killed once the first trial is in the ledger; then to the end; a third time, which starts no Ray."""
    given = arguments(sst_folder, tmp_path)

    def outcomes():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("*/outcome.json")}

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *given], start_new_session=True, check=False, timeout=600
    )
    assert killed.returncode == -signal.SIGKILL
    before = outcomes()
    assert len(before) == 1
    assert not (tmp_path / "results").exists()
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *given], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    after = outcomes()
    assert len(after) == 2  # the second stage has one η that the first did not have
    assert {path: time for path, time in after.items() if path in before} == before
    for path in before:  # a second run in the same folder would have left a second log
        assert len(list(path.parent.glob("logs/*/metrics.csv"))) == 1
    found = json.loads((tmp_path / "results" / "sst-sweep.json").read_text())
    assert found["chosen"]["spigot"]["tried"] == 2
    for trial in found["trials"]:
        assert 0 <= trial["dev_accuracy"] <= 1
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(given) == 0
    assert outcomes() == after
    assert "configurations tried" in capsys.readouterr().out.replace("\n", " ")


def test_without_ray_the_error_says_what_to_install(sst_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(arguments(sst_folder, tmp_path)) == 1
    assert "pip install 'understory[sweep]'" in capsys.readouterr().err


def test_unknown_estimators_and_missing_data_are_said_before_anything_runs(sst_folder, tmp_path, capsys):
    given = arguments(sst_folder, tmp_path)
    assert main([*given, "--estimators", "spiggot"]) == 1
    assert "no estimator is called 'spiggot'" in capsys.readouterr().err
    assert main([*arguments(tmp_path / "nowhere", tmp_path)]) == 1
    assert "fetch the data" in capsys.readouterr().err
    assert not Path(tmp_path / "work").exists()
