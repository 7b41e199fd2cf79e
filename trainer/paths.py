"""Where things live on disk."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the packages, and ``models/`` in a checkout."""


def data_folder() -> Path:
    """Where data sets live: the environment's ``UNDERSTORY_DATA``, or ``data`` in the current folder."""
    return Path(os.environ.get("UNDERSTORY_DATA", "data"))
