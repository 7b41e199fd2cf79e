"""Imports point one way: trainer → latent ← server."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from latent.nn.checkpoint import CLASSIFIERS, save
from latent.text import Vocabulary

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {"latent": {"trainer", "server"}, "trainer": {"server"}, "server": {"trainer"}}
FILES = [path for package in FORBIDDEN for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path):
    """Top-level packages that a file imports, anywhere in it, by statement or by importlib."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            yield ast.unparse(node.args[0]).strip("f'\"").split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_nothing_above_it(path):
    package = path.relative_to(ROOT).parts[0]
    assert not set(imported(path)) & FORBIDDEN[package]


def test_the_check_sees_every_kind_of_import(tmp_path):
    source = tmp_path / "x.py"
    source.write_text(
        "import server.app as s\ndef f():\n  from trainer import fit\n"
        "  importlib.import_module(f'latent.{s}')\n"
    )
    assert set(imported(source)) == {"server", "trainer", "latent"}


def test_help_needs_none_of_the_heavy_libraries():
    code = "import sys; from trainer.__main__ import main; main(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("torch", "numba", "lightning", "tyro", "rich"):
        assert f"'{heavy}'" not in done.stdout


def test_training_starts_without_scikit_learn():
    """Only words without a vector that are guessed want it; it takes a second to import."""
    code = "import sys; import trainer.fit; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("estimator", ["none", "marginals"])
@pytest.mark.parametrize("kind", ["sentence", "pair"])
def test_models_are_loaded_without_torchs_compiler(kind, estimator, tmp_path):
    """It takes a second and 100 MB to import, and arithmetic without memory would."""
    path = tmp_path / "model.safetensors"
    vocabulary = Vocabulary(["good", "bad"])
    model = CLASSIFIERS[kind]
    classifier = model(model.Config(estimator=estimator, hidden_size=4), vocabulary, ["no", "yes"])
    save(path, classifier, metrics={}, seed=0, training={})
    code = (
        f"import sys; from latent.nn.checkpoint import load; load({str(path)!r})\n"
        "print({'torch._dynamo', 'sympy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
