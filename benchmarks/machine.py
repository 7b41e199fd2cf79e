"""What a benchmark's figures depend on: date, hardware, load, versions and commit."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def allocator() -> str:
    """Name what is loaded before the C library's own allocator, with its settings."""
    preloaded = os.environ.get("LD_PRELOAD")
    if not preloaded:
        return platform.libc_ver()[0]
    return f"{Path(preloaded).name} {os.environ.get('MALLOC_CONF', '')}".strip()


def environment(packages: Iterable[str]) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    command = ["git", "rev-parse", "--short", "HEAD"]
    head = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "allocator": allocator(),
        "versions": {name: installed(name) for name in packages},
        "commit": head.stdout.strip(),
    }
