"""The state of the code that a result came from."""

from __future__ import annotations

import subprocess

from trainer.paths import ROOT


def commit() -> str | None:
    """Return the commit, marked where code behind results has changed since; None outside a repository."""
    try:
        head = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--", ":/latent", ":/trainer")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}-changed" if changes else head


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
