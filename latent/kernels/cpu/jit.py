"""Compilation of the CPU kernels: once per machine, kept in a cache that notices every edit."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

logger = logging.getLogger("latent.kernels")

_SOURCES = Path(__file__).parent


@cache
def _sources(path: Path) -> frozenset[Path]:
    """The kernel modules that a module's machine code is made from: itself, and what it imports of them."""
    found = {path}
    for name in re.findall(
        r"^from latent\.kernels\.cpu\.(\w+) import", path.read_text("utf-8"), re.MULTILINE
    ):
        found |= _sources(path.with_name(f"{name}.py"))
    return frozenset(found)


def _digest(path: Path) -> str:
    """A hash of a module's sources: numba's cache does not notice edits in the modules that a kernel
    calls."""
    digest = hashlib.sha256()
    for source in sorted(_sources(path)):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return f"{path.stem}-{digest.hexdigest()[:16]}"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def cache_folder() -> Path:
    """Where compiled kernels are kept: the first writable of $NUMBA_CACHE_DIR, beside the code, the user's
    cache.

    If none of them is, a folder for this process in the system's temporary folder.
    """
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    named = os.environ.get("NUMBA_CACHE_DIR")
    candidates = [Path(named)] if named else []
    candidates += [_SOURCES / "__pycache__", user]
    for candidate in candidates:
        folder = candidate / "understory-kernels"
        if _writable(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix="understory-kernels-"))


CACHE = cache_folder()


def _jit(function: Callable[..., Any], fastmath: set[str] | bool, **options: Any) -> Any:
    folder = CACHE / _digest(Path(function.__code__.co_filename))
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        jit = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=fastmath, **options)
        return jit(function)
    finally:
        config.CACHE_DIR = before


def compiled(function: Callable[..., Any]) -> Any:
    """`numba.njit` that releases the interpreter lock, divides as C does, and is cached in `CACHE`."""
    return _jit(function, False)


ANY_ORDER = {"reassoc", "contract", "nsz", "arcp"}
LEAF: Any = {"_nrt": False}
"""numba's option for functions that make no array and return none: they do not count references to those
that they are given. Counting is an atomic addition for each array of each named tuple in each call, which
for a short sentence takes longer than the work (SparseMAP of ten words: twice as long)."""


def compiled_loosely(function: Callable[..., Any]) -> Any:
    """The same where sums may be taken in another order, so that they run on vectors."""
    return _jit(function, ANY_ORDER)


def leaf(function: Callable[..., Any]) -> Any:
    """`compiled`, for functions that make no array and return none: see `LEAF`."""
    return _jit(function, False, **LEAF)


def loose_leaf(function: Callable[..., Any]) -> Any:
    """`compiled_loosely`, for functions that make no array and return none."""
    return _jit(function, ANY_ORDER, **LEAF)


def announce(module: str) -> None:
    """Say in one log line for all kernel modules that first calls will compile, if nothing of this one is
    cached."""
    if not any((CACHE / _digest(_SOURCES / f"{module}.py")).rglob("*.nbc")):
        _say_once()


@cache
def _say_once() -> None:
    logger.warning(
        "compiling CPU kernels into %s: a minute or so, once per machine "
        "(`python -m latent.kernels` does it ahead of time)",
        CACHE,
    )
