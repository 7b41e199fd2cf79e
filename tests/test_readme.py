"""The README's promises: its examples run, its commands and files exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
EXAMPLES = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_python_examples_run(code: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, timeout=300)


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {line.split()[1] for line in COMMANDS if line.startswith("make ")}
    assert {"serve", "test"} <= named <= set(targets)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("python -m trainer")])
def test_trainer_commands_take_the_options_shown(line: str) -> None:
    words = line.split("#")[0].split()[3:]
    named = words[1:2] if words[0] in ("fit", "sweep", "table") else []
    text = subprocess.run(
        [sys.executable, "-m", "trainer", words[0], *named, "--help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for option in (word for word in words if word.startswith("--")):
        assert option in text, f"{line}: {option} is not in --help"


def test_linked_files_exist() -> None:
    for document in (README, (ROOT / "CONTRIBUTING.md").read_text()):
        pictures = re.findall(r'src(?:set)?="([^":]+)"', document)
        for target in [*re.findall(r"\]\(([^)#:]+)\)", document), *pictures]:
            assert (ROOT / target).exists(), f"{target} is linked, but not there"
