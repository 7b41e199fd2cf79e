"""Fetch a large file: with progress, and going on where an earlier attempt stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from trainer.errors import UserError

ATTEMPTS = 5
Advance = Callable[[int, int | None], None]
"""Called with the bytes there are so far, and the bytes there will be if the server says."""


def download(url: str, path: Path, advance: Advance = lambda done, total: None, pause: float = 1.0) -> Path:
    """Download a file, unless it is there; what arrives is kept in ``PATH.part`` until it is whole.

    A broken connection is taken up again where it broke, also in a later call, as long as the server still
    has the same file (by its entity tag or date).

    Args:
        url: over HTTP or HTTPS.
        path: where the file goes.
        advance: told of progress.
        pause: seconds to wait after the first failed attempt; twice as long after each further one.

    Raises:
        UserError: if the server has no such file, or the connection keeps failing.
    """
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    problem: Exception | None = None
    for attempt in range(ATTEMPTS):
        try:
            _attempt(url, path, advance)
        except httpx.HTTPStatusError as error:
            if error.response.status_code < 500:
                raise UserError(f"{url}: the server answered {error.response.status_code}") from error
            problem = error
        except httpx.TransportError as error:
            problem = error
        else:
            return path
        time.sleep(pause * 2**attempt)
    part = _part(path)
    raise UserError(
        f"{url}: the connection failed {ATTEMPTS} times, last with {problem!r}; "
        f"{part} keeps what has arrived, and the same command goes on from there"
    )


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _attempt(url: str, path: Path, advance: Advance) -> None:
    part, tag = _part(path), path.with_name(path.name + ".tag")
    have = part.stat().st_size if part.is_file() and tag.is_file() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": tag.read_text()} if have else {}
    headers["Accept-Encoding"] = "identity"
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise httpx.ReadError("the part on disk does not fit the server's file")
        response.raise_for_status()
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            have = 0
        version = response.headers.get("etag") or response.headers.get("last-modified")
        if version and not version.startswith("W/"):
            tag.write_text(version)
        else:
            tag.unlink(missing_ok=True)
        length = response.headers.get("content-length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                have += len(chunk)
                advance(have, total)
    if total is not None and have != total:
        raise httpx.ReadError(f"{have} of {total} bytes arrived")
    part.replace(path)
    tag.unlink(missing_ok=True)
