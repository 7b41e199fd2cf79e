"""What the command line makes of what goes wrong in a command."""

import errno
import os

import pytest

from trainer.__main__ import main
from trainer.commands import data


def fail(monkeypatch, error):
    def command(arguments):
        raise error

    monkeypatch.setattr(data, "main", command)


def test_what_the_system_says_is_a_message(monkeypatch, capsys):
    fail(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/state.ckpt"))
    assert main(["data", "sst"]) == 1
    assert capsys.readouterr().err == "trainer data: No space left on device: runs/state.ckpt\n"


def test_an_error_that_the_system_did_not_name_keeps_its_traceback(monkeypatch):
    fail(monkeypatch, OSError("a bug"))
    with pytest.raises(OSError, match="a bug"):
        main(["data", "sst"])
