"""What the files of a model hold, so that only a change of that counts as one."""

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

from latent.nn.checkpoint import shared_file

AT_REST_NS = 2 * 10**9
"""Age from which a file's times tell of any later change; clocks of file systems tick coarsely."""


class Held(NamedTuple):
    """SHA-256 of each file of a model, None for one that is not there."""

    checkpoint: str | None
    card: str | None
    shared: str | None


class Files:
    """The SHA-256 of files, each read again only where it may hold something else by now."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}
        self._shared: dict[str, Path | None] = {}
        """The file that a checkpoint shares, by the checkpoint's SHA-256."""

    def of(self, checkpoint: Path, card: Path) -> Held:
        """Return what a model's files hold now, with the one that it shares.

        Cost: one SHA-256 over the files that were touched since the last time, or a moment before it.
        """
        digest = self._digest(checkpoint)
        if digest is None:
            return Held(None, None, None)
        if digest not in self._shared:
            self._shared[digest] = shared_file(checkpoint)
        shared = self._shared[digest]
        return Held(digest, self._digest(card), None if shared is None else self._digest(shared))

    def _digest(self, path: Path) -> str | None:
        now = time.time_ns()
        try:
            stat = path.stat()
            stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None
        if now - max(stat.st_mtime_ns, stat.st_ctime_ns) > AT_REST_NS:
            self._known[path] = stamp, digest
        return digest
