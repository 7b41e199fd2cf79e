"""From a task and options to an untrained classifier, and what is written down about it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from latent.estimators import make_estimator
from latent.nn.checkpoint import CLASSIFIERS, Classifier
from latent.nn.classifier import TREES
from latent.text import Vocabulary
from trainer.commit import commit
from trainer.errors import UserError
from trainer.kept_vectors import KeptVectors
from trainer.options import FitOptions, ModelOptions, plain, said
from trainer.tasks import Splits, Task
from trainer.vectors import initial_embeddings, load_vectors, rows_with_vector

DEFAULT_EMBEDDING = 100


def check_model(task: Task, options: ModelOptions) -> None:
    """Find what no classifier can be made from, before any data is read.

    Raises:
        UserError: for options out of range, or that do not go together.
    """
    for flag, value, usual in (
        ("--embeddings", options.embeddings, "tuned"),
        ("--missing", options.missing, "noise"),
    ):
        if value != usual and not options.vectors:
            raise UserError(f"{flag} {value}: there are no pre-trained vectors; name some by --vectors")
    config = config_of(task, options, options.embedding_size or DEFAULT_EMBEDDING)
    try:
        make_estimator(config.estimator, TREES[config.structure](single_root=True), **config.hyperparameters)
    except ValueError as error:
        raise UserError(f"--set: {error}") from error


def build(task: Task, splits: Splits, options: ModelOptions) -> Classifier:
    """Make an untrained classifier for a task, with pre-trained vectors where the options name a file.

    Raises:
        UserError: for options that do not go together.
    """
    check_model(task, options)
    counts = Vocabulary.from_sentences(splits.sentences)
    vectors = (
        load_vectors(options.vectors, counts.__contains__, options.embedding_size, unit=options.unit_vectors)
        if options.vectors
        else None
    )
    found = set(vectors.words) if vectors else set()
    often = set(Vocabulary.from_sentences(splits.sentences, options.min_count).words)
    vocabulary = Vocabulary(word for word in counts.words if word in often or word in found)
    size = vectors.table.shape[1] if vectors else options.embedding_size or DEFAULT_EMBEDDING
    trained = trained_entries(vocabulary, found, size, options.embeddings)
    kind: Any = CLASSIFIERS[task.kind]
    classifier: Classifier = kind(config_of(task, options, trained.shape[1]), vocabulary, splits.labels)
    table = initial_embeddings(vocabulary, vectors, size)
    if options.missing == "contexts":
        from trainer.context_vectors import context_vectors  # scikit-learn takes a second to import

        rows, guessed = context_vectors(vocabulary, splits.sentences, table, found)
        table[rows] = guessed
    if options.embeddings == "both":
        table = table.repeat(1, 2)
    embedding = classifier.encoder.embedding.weight
    with torch.no_grad():
        embedding.copy_(table)
    if options.embeddings == "frozen":
        classifier.encoder.embedding = KeptVectors(classifier.encoder.embedding, trained[:, 0])
    elif not trained.all():
        # A buffer goes where the classifier goes, so that no step copies it to the device.
        home = classifier.encoder.embedding
        home.register_buffer("trained", trained, persistent=False)
        embedding.register_hook(lambda gradient: gradient * home.trained)  # type: ignore[no-untyped-call]
    return classifier


def trained_entries(vocabulary: Vocabulary, found: Container[str], size: int, embeddings: str) -> Tensor:
    """Tell which entries of an embedding table are trained.

    Args:
        vocabulary: the words of the table's rows, after padding and the unknown word.
        found: the words with a pre-trained vector.
        size: of a vector.
        embeddings: "tuned", "frozen", or "both" for a frozen and a tuned copy side by side.

    Returns:
        booleans ``(len(vocabulary), size)``, or ``(len(vocabulary), 2 · size)`` for "both".
    """
    known = rows_with_vector(vocabulary, found).unsqueeze(1)
    tuned, frozen = torch.ones(len(vocabulary), size, dtype=torch.bool), ~known.expand(-1, size)
    return {"tuned": tuned, "frozen": frozen, "both": torch.cat([frozen, tuned], dim=1)}[embeddings]


def config_of(task: Task, options: ModelOptions, embedding_size: int) -> Any:
    """Return the classifier's configuration.

    Raises:
        UserError: for a value that it cannot have.
    """
    chosen = {name: getattr(options, name) for name in ("hidden_size", "dropout")}
    try:
        return CLASSIFIERS[task.kind].Config(
            estimator=options.estimator,
            hyperparameters=options.hyperparameters(),
            structure=options.structure,
            embedding_size=embedding_size,
            distances=options.distances,
            head_scale=options.head_scale,
            **{name: value for name, value in chosen.items() if value is not None},
        )
    except ValidationError as error:
        raise UserError(said(str(error.errors()[0]["loc"][0]), error)) from error


def describe(task: Task, splits: Splits, classifier: Classifier) -> str:
    """Say in two lines what is about to be trained on what."""
    parameters = sum(p.numel() for n, p in classifier.named_parameters() if "embedding" not in n)
    return (
        f"{task.name}: {len(splits.train):,} / {len(splits.dev):,} / {len(splits.test):,} examples to train, "
        f"develop and test on; labels {', '.join(splits.labels)}\n"
        f"{classifier.config.estimator}: {parameters:,} parameters and "
        f"{len(classifier.vocabulary):,} embeddings of {classifier.config.embedding_size}"
    )


def training_record(task: Task, splits: Splits, options: FitOptions) -> dict[str, Any]:
    """Return what a checkpoint keeps of how it was made."""
    return {
        "task": task.name,
        "examples": {name: len(getattr(splits, name)) for name in ("train", "dev", "test")},
        "options": options_record(task, options),
        "commit": commit(),
    }


def options_record(task: Task, options: FitOptions) -> dict[str, Any]:
    """Return all options as JSON content, without the folders of this machine."""
    return {
        "task": {key: value for key, value in plain(task).items() if key != "data"},
        "model": {**plain(options.model), "vectors": [path.name for path in options.model.vectors]},
        "training": plain(options.training),
    }
