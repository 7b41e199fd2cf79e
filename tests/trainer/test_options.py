"""What an option of a run may be: else it is named, with what was wanted, before any data is read."""

import re

import pytest

from latent.nn.checkpoint import save
from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary
from trainer.__main__ import main
from trainer.errors import UserError
from trainer.options import RunOptions, TrainingOptions

WRONG = {
    "--epochs 0": "greater than or equal to 1; got 0",
    "--patience -1": "greater than or equal to 0; got -1",
    "--batch-size 0": "greater than or equal to 1; got 0",
    "--tokens 0": "greater than or equal to 1; got 0",
    "--learning-rate 0": "greater than 0; got 0.0",
    "--learning-rate nan": "a finite number; got nan",
    "--parser-rate -1": "greater than or equal to 0; got -1.0",
    "--warmup 1.5": "less than or equal to 1; got 1.5",
    "--weight-decay inf": "a finite number; got inf",
    "--clip -1": "greater than or equal to 0; got -1.0",
    "--seed -1": "greater than or equal to 0; got -1",
    "--threads 0": "greater than or equal to 1; got 0",
    "--save-every 0": "greater than or equal to 1; got 0",
    "--min-count 0": "greater than or equal to 1; got 0",
    "--embedding-size 0": "greater than or equal to 1; got 0",
    "--hidden-size 3": "a multiple of 2; got 3",
    "--dropout 1": "less than 1; got 1.0",
    "--distances -1": "greater than or equal to 0; got -1",
    "--head-scale 0": "greater than 0; got 0.0",
    "--set steps": "must be NAME=VALUE",
    "--set steps=0": "steps: input should be greater than or equal to 1; got 0",
    "--set hops=3": "unknown hyperparameter 'hops'",
    "--missing contexts": "no pre-trained vectors",
    "--embeddings both": "no pre-trained vectors",
    "--accelerator abacus": "invalid accelerator name",
    "--devices 0": "not a valid input",
    "--devices many": "should be an int > 0",
}


@pytest.mark.parametrize("given", WRONG)
def test_what_cannot_be_is_named_before_any_data_is_read(given, tmp_path, capsys):
    flag, value = given.split()
    rest = [] if flag == "--accelerator" else ["--accelerator", "cpu"]
    command = ["fit", "sst", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run"), *rest]
    try:
        status = main([*command, flag, value])
    except SystemExit as ended:  # of what reads the command line
        status = ended.code
    told = re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert status
    assert flag in told
    assert WRONG[given] in told
    assert not (tmp_path / "run").exists()


def test_options_made_in_python_are_checked_too():
    with pytest.raises(UserError, match="--learning-rate: wanted greater than 0; got -1"):
        TrainingOptions(learning_rate=-1)
    with pytest.raises(UserError, match=r"--save-every: wanted a valid integer, .*; got 'often'"):
        RunOptions(save_every="often")


ELSEWHERE = {
    "table sst --seeds": "at least 1 item",
    "table sst --seeds -1": "greater than or equal to 0",
    "table sst --tried 0": "greater than or equal to 1; got 0",
    "table sst --estimators none spigot --hyperparameters spigot.hops=3": "unknown hyperparameter 'hops'",
    "table sst --results FILE/results": "--results: cannot write to",
    "table sst --work FILE/work": "--work: cannot write to",
    "sweep sst --learning-rates 0.1 0": "greater than 0; got 0.0",
    "sweep sst --step-sizes inf": "a finite number; got inf",
    "sweep sst --cpus 0": "greater than 0; got 0.0",
    "sweep sst --results FILE/results": "--results: cannot write to",
    "bundle --out FILE/models": "--out: cannot write to",
    "bundle --work FILE/work": "--work: cannot write to",
    "evaluate MODEL --conllu FILE/trees.conllu": "--conllu: cannot write to",
    "evaluate NONE --conllu trees.conllu": "--conllu: this classifier has no trees",
}


@pytest.mark.parametrize("given", ELSEWHERE)
def test_what_other_commands_cannot_do_is_said_before_they_begin(given, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDERSTORY_DATA", str(tmp_path / "nowhere"))
    places = {"FILE": tmp_path / "file", "MODEL": tmp_path / "spigot", "NONE": tmp_path / "none"}
    places["FILE"].write_text("not a folder")
    for estimator in ("spigot", "none"):
        model = SentenceClassifier(SentenceConfig(estimator=estimator), Vocabulary(["a"]), ["x", "y"])
        (tmp_path / estimator).mkdir()
        save(tmp_path / estimator / "model.safetensors", model, metrics={}, seed=0, training={"task": "sst"})
    words = [re.sub("FILE|MODEL|NONE", lambda name: str(places[name[0]]), word) for word in given.split()]
    try:
        status = main(words)
    except SystemExit as ended:
        status = ended.code
    told = re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert status
    assert ELSEWHERE[given] in told
