import json
import shlex

import pytest
from rich.console import Console

from latent.nn.checkpoint import load
from trainer import bundle
from trainer.bundle import Recipe
from trainer.commands.fit import read_options
from trainer.evaluate import evaluate
from trainer.options import ModelOptions, TrainingOptions
from trainer.tasks import TASKS
from trainer.tasks.sst import Sst

QUIET = Console(quiet=True)


@pytest.fixture
def recipe(sst_folder, monkeypatch):
    vectors = sst_folder / "glove" / "tiny.partial.txt"
    vectors.parent.mkdir()
    vectors.write_text("lovely 1 0 0\ndull -1 0 0\n")
    made = Recipe(
        task=Sst,
        task_options={"phrases": True},
        model=ModelOptions(estimator="spigot", set=("step_size=0.5",), hidden_size=8, unit_vectors=True),
        training=TrainingOptions(epochs=3, learning_rate=0.01, seed=3, threads=1, accelerator="cpu"),
        vectors=("tiny",),
        note="Three epochs.",
        published=1000,
    )
    monkeypatch.setitem(bundle.RECIPES, "sst-tiny", made)
    return made


def test_a_bundled_model_and_its_card(recipe, sst_folder, tmp_path):
    """The card says what the training and an evaluation of the model on disk say."""
    where = sst_folder, tmp_path / "models", tmp_path / "work"
    folder = bundle.bundle("sst-tiny", *where, QUIET)
    card, saved = json.loads((folder / "card.json").read_text()), load(folder / "model.safetensors")
    splits = Sst(data=sst_folder, phrases=True).splits()
    for split in ("dev", "test"):
        assert card["accuracy"][split] == evaluate(saved.classifier, getattr(splits, split)).accuracy
    metrics = json.loads((where[2] / "sst-tiny" / "metrics.json").read_text())
    assert card["curve"] == metrics["curve"]
    assert len(card["curve"]) == 3
    assert card["curve"][int(card["epoch"]) - 1]["dev_accuracy"] == card["accuracy"]["dev"]["map"]
    assert card["timing"] == "processor time of one thread"
    assert card["seconds_per_step"] == metrics["processor_seconds_per_step"] > 0
    assert card["revision"] == saved.revision
    assert card["bytes"] == (folder / "model.safetensors").stat().st_size
    share = f"{len(splits.train)} of the 1,000 published examples"
    assert card["note"].startswith(f"Trained on {share}: ")
    assert card["note"].endswith(". Three epochs.")
    assert bundle.note(recipe, 1000) == "Three epochs."
    again = bundle.bundle("sst-tiny", *where, QUIET)
    assert json.loads((again / "card.json").read_text()) == card


@pytest.mark.parametrize("name", list(bundle.RECIPES))
def test_the_command_of_a_card_is_the_recipe(name):
    """What the card tells a reader to type means the same options, word vectors aside."""
    recipe = bundle.RECIPES[name]
    words = shlex.split(recipe.command)
    assert words[:4] == ["python", "-m", "trainer", "fit"]
    task, options = read_options("fit", TASKS[words[4]], words[5:])
    assert type(task) is recipe.task
    assert all(getattr(task, key) == value for key, value in recipe.task_options.items())
    assert [path.stem for path in options.model.vectors] == list(recipe.vectors)
    assert {**vars(options.model), "vectors": ()} == vars(recipe.model)
    assert options.training == recipe.training
