"""What an option of a run may be: else it is named, with what was wanted, before any data is read."""

import re

import pytest

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
