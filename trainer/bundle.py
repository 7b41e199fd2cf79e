"""The models that come with the service: how each was trained, and the one function that makes it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from latent.nn.checkpoint import Checkpoint, load, save
from trainer.evaluate import Report, evaluate
from trainer.fit import Run, fit, timing
from trainer.options import FitOptions, ModelOptions, RunOptions, TrainingOptions
from trainer.rare_words import leave_out_rare_words
from trainer.tasks import Splits, Task
from trainer.tasks.snli import Snli
from trainer.tasks.sst import Sst


@dataclass(frozen=True)
class Recipe:
    """One bundled model: what it is trained on, and the options, chosen on the dev set."""

    task: type[Task]
    task_options: dict[str, Any]
    model: ModelOptions
    training: TrainingOptions
    vectors: tuple[str, ...]
    """Names of the files of word vectors, without their ending, below ``glove`` in the data folder."""
    note: str = ""
    """What a reader of the card should know of the training."""
    least_count: int = 0
    """Words without a pre-trained vector that the training text has less often are left out of the file."""
    published: int | None = None
    """Examples of the whole training set, where a part of it may stand in."""

    @property
    def command(self) -> str:
        """The ``fit`` command that trains the same model."""
        return " ".join(["python -m trainer fit", self.task.name, *_flags(self)])


def _flags(recipe: Recipe) -> list[str]:
    flags = [f"--{name.replace('_', '-')}" for name, value in recipe.task_options.items() if value]
    for options, defaults in ((recipe.model, ModelOptions()), (recipe.training, TrainingOptions())):
        for name, value in vars(options).items():
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                flags.append(flag)
            elif value != getattr(defaults, name) or name == "estimator":
                flags.append(f"{flag} {' '.join(value) if isinstance(value, tuple) else value}")
    return [*flags, "--vectors", *(f"data/glove/{name}.txt" for name in recipe.vectors)]


_SST = Recipe(
    task=Sst,
    task_options={"phrases": True, "grades": True},
    model=ModelOptions(hidden_size=200, embedding_size=100, dropout=0.3),
    training=TrainingOptions(epochs=2, batch_size=64, learning_rate=2e-3, seed=1, threads=1),
    vectors=("glove.840B.300d", "glove.6B.300d", "glove.6B.50d"),
    note="Trained on the treebank's five grades as shares of positive readers, neutral texts too.",
)


_SWEPT = (
    "The step size was chosen on the dev set out of 0.1, 0.3 and 1, without grades, with embeddings of 200."
)
_COMPARED = "The step size was chosen on the dev set out of 0.1 and 1, without grades."


def _sst(estimator: str, step_size: float | None = None, chosen: str = _SWEPT) -> Recipe:
    if step_size is None:
        return replace(_SST, model=replace(_SST.model, estimator=estimator))
    model = replace(_SST.model, estimator=estimator, set=(f"step_size={step_size:g}",))
    return replace(_SST, model=model, note=f"{_SST.note} {chosen}")


_SELDOM = 20

_SNLI = Recipe(
    task=Snli,
    task_options={},
    model=ModelOptions(
        head_scale=0.1,
        hidden_size=150,
        embedding_size=200,
        embeddings="frozen",
        missing="contexts",
        dropout=0.0,
        unit_vectors=True,
    ),
    training=TrainingOptions(
        epochs=6,
        batch_size=64,
        learning_rate=2e-3,
        balance=True,
        precision="bf16-mixed",
        seed=1,
        threads=1,
    ),
    vectors=_SST.vectors,
    note=(
        "Pairs are weighed so that every label counts alike. Options were chosen on the dev set with a few "
        "of the estimators, out of some forty configurations; the test set was read once a run. "
        f"Words without a pre-trained vector that the training text has fewer than {_SELDOM} times were "
        "left out after the training, as unknown ones; 5, 10, 15, 25 and 30 were tried on the dev set."
    ),
    least_count=_SELDOM,
    published=549_367,
)


def _snli(estimator: str, step_size: float | None = None) -> Recipe:
    hyperparameters = () if step_size is None else (f"step_size={step_size:g}",)
    return replace(_SNLI, model=replace(_SNLI.model, estimator=estimator, set=hyperparameters))


RECIPES = {
    "sst-none": _sst("none"),
    "sst-marginals": _sst("marginals"),
    "sst-sparsemap": _sst("sparsemap"),
    "sst-perturb-and-map": _sst("perturb-and-map"),
    "sst-ste-marginals": _sst("ste-marginals"),
    "sst-ste-identity": _sst("ste-identity", 0.1),
    "sst-spigot": _sst("spigot", 1.0),
    "sst-spigot-ce": _sst("spigot-ce", 0.1, _COMPARED),
    "sst-spigot-eg": _sst("spigot-eg", 0.3),
    "snli-none": _snli("none"),
    "snli-marginals": _snli("marginals"),
    "snli-sparsemap": _snli("sparsemap"),
    "snli-perturb-and-map": _snli("perturb-and-map"),
    "snli-ste-marginals": _snli("ste-marginals"),
    "snli-ste-identity": _snli("ste-identity", 0.1),
    "snli-spigot": _snli("spigot", 0.1),
    "snli-spigot-ce": _snli("spigot-ce", 0.1),
    "snli-spigot-eg": _snli("spigot-eg", 0.3),
}
"""The bundled models by id; a new one is a line here."""


def bundle(name: str, data: Path, out: Path, work: Path, console: Console) -> Path:
    """Train one bundled model, or go on with its training, and put it with its card into its folder.

    The test set is read here, once, by the final classifier.

    Args:
        name: of ``RECIPES``.
        data: where data sets live.
        out: the folder of all models; this one goes into its folder ``name``.
        work: where the training run is kept.
        console: where to print.

    Returns:
        the model's folder.
    """
    recipe = RECIPES[name]
    task = recipe.task(data=data, **recipe.task_options)  # type: ignore[call-arg]
    splits = task.splits()
    vectors = tuple(find_vectors(data, part) for part in recipe.vectors)
    run = _train(recipe, task, work / name, vectors, console)
    checkpoint = load(run.checkpoint)
    classifier = checkpoint.classifier.half().float()  # what will be in the file is judged
    if recipe.least_count:
        leave_out_rare_words(classifier, splits, recipe.least_count, vectors)
    dev, test = (evaluate(classifier, part) for part in (splits.dev, splits.test))
    folder = out / name
    metrics = {
        "dev_accuracy": dev.accuracy[dev.trained],
        "test_accuracy": test.accuracy[test.trained],
        "test_accuracy_by_structure": test.accuracy,
    }
    training = {**checkpoint.header.training, "command": recipe.command}
    save(
        folder / "model.safetensors",
        classifier,
        metrics=metrics,
        seed=checkpoint.header.seed,
        training=training,
        share=recipe.model.embeddings == "frozen",
        half=True,
    )
    card = make_card(name, recipe, load(folder / "model.safetensors"), run, splits, dev, test)
    card["bytes"] = (folder / "model.safetensors").stat().st_size
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    return folder


def find_vectors(data: Path, name: str) -> Path:
    """Return the file of word vectors of that name, or a part of it (``NAME.partial.txt``)."""
    whole, part = (data / "glove" / f"{name}{ending}" for ending in (".txt", ".partial.txt"))
    return part if part.is_file() and not whole.is_file() else whole


def _train(recipe: Recipe, task: Task, folder: Path, vectors: tuple[Path, ...], console: Console) -> Run:
    options = FitOptions(
        model=replace(recipe.model, vectors=vectors),
        training=recipe.training,
        run=RunOptions(out=folder, resume=(folder / "state.ckpt").is_file()),
    )
    return fit(task, options, console)


def make_card(
    name: str,
    recipe: Recipe,
    checkpoint: Checkpoint,
    run: Run,
    splits: Splits,
    dev: Report,
    test: Report,
) -> dict[str, Any]:
    """Return a model's card: what it is, what it was made from, how good it is."""
    classifier, training = checkpoint.classifier, checkpoint.header.training
    return {
        "id": name,
        "task": recipe.task.name,
        "about": " ".join((recipe.task.__doc__ or "").split()),
        "estimator": classifier.config.estimator,
        "hyperparameters": classifier.config.hyperparameters,
        "labels": list(splits.labels),
        "data": {"examples": training["examples"], "phrases": recipe.task_options.get("phrases", False)},
        "vectors": training["options"]["model"]["vectors"],
        "sizes": {
            "vocabulary": len(classifier.vocabulary.words),
            "embedding": classifier.config.embedding_size,
            "hidden": classifier.config.hidden_size,
            "parameters": sum(parameter.numel() for parameter in classifier.parameters()),
        },
        "seed": checkpoint.header.seed,
        "command": recipe.command,
        "commit": training["commit"],
        "epoch": run.metrics["epoch"],
        "curve": run.metrics["curve"],
        **timing(recipe.training, run.metrics),
        "trained_structure": test.trained,
        "accuracy": {"dev": dev.accuracy, "test": test.accuracy},
        "trees": test.trees,
        "revision": checkpoint.revision,
        "note": note(recipe, training["examples"]["train"]),
    }


def note(recipe: Recipe, examples: int) -> str:
    """Return what a reader of a card should know, given how many examples there were to train on."""
    if recipe.published is None or examples >= recipe.published:
        return recipe.note
    part = (
        f"Trained on {examples:,} of the {recipe.published:,} published examples: "
        "compare these models with each other, not with published numbers."
    )
    return f"{part} {recipe.note}".strip()


def total_bytes(folders: Sequence[Path]) -> int:
    """Return the size of all files in the models' folders."""
    return sum(file.stat().st_size for folder in folders for file in folder.iterdir())
