"""What a result says of the code it came from, in a repository made for it."""

import importlib
import subprocess
from pathlib import Path

import pytest

module = importlib.import_module("trainer.commit")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_changed_code_is_marked_and_changed_results_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("latent/a.py", "trainer/b.py", "results/sst.md"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("one\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    assert module.commit() is None  # no repository yet
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert module.commit() == head
    (tmp_path / "results/sst.md").write_text("two\n")
    assert module.commit() == head
    (tmp_path / "latent/new.py").write_text("two\n")
    assert module.commit() == f"{head}-changed"
    (tmp_path / "latent/new.py").unlink()
    assert module.commit() == head
    (tmp_path / "trainer/b.py").write_text("two\n")
    assert module.commit() == f"{head}-changed"
