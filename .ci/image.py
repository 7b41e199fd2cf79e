#!/usr/bin/env python3
"""Rehearse the Dockerfile where there is no engine to build it: run its steps, then what they made.

The build stage's RUN steps are executed in an empty folder that holds only what COPY brings, and the entry
point is started with the last stage's environment, until the health check's own command says that it is
healthy. Folders below that one stand for the image's /opt/venv, /app, /tmp and /usr/local/bin. Left out are
the last stage's RUN steps, which need to be root. Build arguments come from the environment, as TORCH_INDEX.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[1]
MAPPED = re.compile(r"(?<![\w.])/(opt/venv|app|tmp|usr/local/bin)\b")
INHERITED = re.compile(r"PIP_.*|SSL_.*|REQUESTS_CA_BUNDLE|.*_proxy", re.I)
STEP_SECONDS = 600
READY_SECONDS = 120


@dataclass
class Stage:
    """A stage of the Dockerfile, on the folder that stands for its root."""

    root: Path
    folder: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """Put this machine's folders in the place of the image's."""
        return MAPPED.sub(lambda found: str(self.root / found[1]), text)

    def expand(self, text: str) -> str:
        """Put in the values of variables, as an engine does outside of RUN."""
        return Template(text.strip().strip('"')).safe_substitute(self.arguments | self.environment)

    def run(
        self, command: str | list[str], timeout: float = STEP_SECONDS, quiet: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as RUN and HEALTHCHECK do; a quiet one's output is kept to itself."""
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        return subprocess.run(
            [self.here(word) for word in words],
            cwd=self.here(self.folder),
            env=self.variables(),
            timeout=timeout,
            capture_output=quiet,
            check=False,
            text=True,
        )

    def variables(self) -> dict[str, str]:
        """Return the environment of a command."""
        inherited = {name: value for name, value in os.environ.items() if INHERITED.fullmatch(name)}
        image = {name: self.here(value) for name, value in (self.arguments | self.environment).items()}
        return {**inherited, "HOME": str(self.root), **image}


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions, each on one line."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word]


def perform(stage: Stage, word: str, rest: str, build: bool) -> None:
    """Do what one instruction says."""
    match word:
        case "ARG":
            name, _, default = rest.partition("=")
            stage.arguments[name] = os.environ.get(name, stage.expand(default))
        case "ENV":
            for name, value in re.findall(r'(\w+)=("[^"]*"|\S*)', rest):
                stage.environment[name] = stage.expand(value)
        case "WORKDIR":
            stage.folder = rest
            Path(stage.here(rest)).mkdir(parents=True, exist_ok=True)
        case "COPY" if not rest.startswith("--from"):
            *sources, target = rest.split()
            for source in sources:
                bring(ROOT / source, Path(stage.here(f"{stage.folder}/{target}")))
        case "RUN" if build:
            print(f"--- RUN {rest}", flush=True)
            start = time.monotonic()
            status = stage.run(rest).returncode
            print(f"--- {time.monotonic() - start:.0f} s", flush=True)
            if status:
                sys.exit(f"image: `RUN {rest}` ended with status {status}")


def bring(source: Path, target: Path) -> None:
    """Copy a file into a folder, or a folder's content, as COPY does."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target / source.name if target.is_dir() else target)


def rehearse(root: Path) -> None:
    """Build in a folder, and start what was built."""
    (root / "tmp").mkdir()
    python = root / "usr/local/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{base_python()}" "$@"\n')
    python.chmod(0o755)
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    found = instructions(ROOT / "Dockerfile")
    last = max(place for place, (word, _) in enumerate(found) if word == "FROM")
    stage = Stage(root)
    for place, (word, rest) in enumerate(found):
        if word == "FROM":
            stage = Stage(root, environment=dict(path), arguments=stage.arguments if place < last else {})
        perform(stage, word, rest, build=place < last)
    ends = dict(found[last:])
    start(stage, json.loads(ends["ENTRYPOINT"]), json.loads(ends["HEALTHCHECK"].partition("CMD")[2]))


def base_python() -> str:
    """Return the interpreter itself, whatever virtual environment this runs in."""
    return str(getattr(sys, "_base_executable", sys.executable))


def start(stage: Stage, entry: list[str], healthy: list[str]) -> None:
    """Start the service, wait until it is healthy, and stop it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    usual = stage.environment["UNDERSTORY_PORT"]
    stage.environment |= {"UNDERSTORY_PORT": port, "UNDERSTORY_HOST": "127.0.0.1"}
    healthy = [word.replace(f":{usual}/", f":{port}/") for word in healthy]
    built = kernels(stage.root / "app")
    begun = time.monotonic()
    with subprocess.Popen(
        [stage.here(word) for word in entry], cwd=stage.here(stage.folder), env=stage.variables()
    ) as process:
        try:
            while (check := stage.run(healthy, timeout=60, quiet=True)).returncode:
                if process.poll() is not None or time.monotonic() - begun > READY_SECONDS:
                    told = check.stderr.strip().splitlines()[-1:]
                    sys.exit(f"image: not healthy: {told}; status of the service: {process.poll()}")
                time.sleep(0.5)
            print(f"--- healthy after {time.monotonic() - begun:.1f} s", flush=True)
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=60)
        finally:
            process.kill()
    late = kernels(stage.root / "tmp") - built
    if status or not built or late:
        sys.exit(f"image: status {status} at the end; {len(built)} kernels built, {len(late)} only at start")


def kernels(folder: Path) -> set[str]:
    """Return the names of the compiled kernels below a folder."""
    return {str(path.relative_to(folder)) for path in (folder / "kernels").rglob("*.nbc")}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        rehearse(Path(folder).resolve())
    print("image: built and healthy")
