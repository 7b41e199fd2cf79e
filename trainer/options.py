"""The options of a training run; the command line is made from these fields and their help."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from trainer.errors import UserError

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1)]


class Checked:
    """A dataclass of options whose values are held against their types when it is made."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            UserError: for the first that cannot be, named as its flag.
        """
        for name, adapter in _adapters(type(self)).items():  # type: ignore[arg-type]  # a class has a hash
            try:
                adapter.validate_python(getattr(self, name))
            except ValidationError as error:
                raise UserError(said(name, error)) from error


@cache
def _adapters(options: type[Any]) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(options, include_extras=True)
    return {name: TypeAdapter(hint) for name, hint in hints.items()}


def said(name: str, error: ValidationError) -> str:
    """Name the flag of an option, what was wanted of it, and what was given."""
    first = error.errors()[0]
    wanted = first["msg"].removeprefix("Input should be ")
    return f"--{name.replace('_', '-')}: wanted {wanted}; got {first['input']!r}"


@dataclass(frozen=True)
class ModelOptions(Checked):
    """The classifier."""

    estimator: str = "spigot"
    """How the parser is trained (a gradient estimator by name), or `none` for no trees."""
    set: tuple[str, ...] = ()
    """The estimator's hyperparameters, as NAME=VALUE: --set step_size=0.1 steps=2."""
    structure: str = "projective"
    """The latent structure."""
    distances: int = 0
    """Let the score of an arc depend on how many words apart its ends are, up to so many; 0: as in the paper,
    where the score sees the two words' states only."""
    head_scale: float = 1.0
    """What the vector of a word's head is multiplied by, beside the word's own; 1: as in the paper. The
    smaller, the more slowly a model learns to heed heads: for pairs 0.1 is better."""
    hidden_size: int | None = None
    """Size of a word's state; by default 100 for sentences (both directions of the LSTM together) and 200 for
    pairs."""
    embedding_size: Count | None = None
    """Size of an embedding. By default that of the vectors, or 100 without; longer vectors are projected on
    their principal components."""
    vectors: tuple[Path, ...] = ()
    """Pre-trained word vectors in GloVe's text format, several files side by side; without them embeddings
    start at random."""
    unit_vectors: bool = False
    """Scale each pre-trained vector to length one."""
    embeddings: Literal["tuned", "frozen", "both"] = "tuned"
    """Whether pre-trained vectors are trained on; `both` has each vector twice, side by side, one copy frozen
    and one tuned. Words without a vector are always trained."""
    missing: Literal["noise", "contexts"] = "noise"
    """How a word without a pre-trained vector starts, while others have one: at random, or with a guess from
    the words around it in the training text. The fewer words the vectors cover, the more a guess helps."""
    min_count: Count = 2
    """A word needs this many occurrences in the training text, or one and a vector, to be known."""
    dropout: float | None = None
    """Share of entries dropped in training: of the embeddings, by default none of them; for pairs of the
    embeddings, the words' states and the input of every later layer, by default 0.2."""

    def hyperparameters(self) -> dict[str, float | int | str]:
        """Return what --set says, numbers as numbers.

        Raises:
            UserError: for an item that is not NAME=VALUE.
        """
        return dict(_assignment(item) for item in self.set)


def _assignment(item: str) -> tuple[str, float | int | str]:
    name, equals, value = item.partition("=")
    if not (name and equals and value):
        raise UserError(f"--set: each item must be NAME=VALUE, such as step_size=0.1; got {item!r}")
    try:
        number: Any = json.loads(value)
    except ValueError:
        return name, value
    return name, number if isinstance(number, int | float) else value


@dataclass(frozen=True)
class TrainingOptions(Checked):
    """The training run."""

    epochs: Count = 10
    """Passes over the training data at most."""
    patience: Annotated[int, Field(ge=0)] = 3
    """Stop after this many epochs without a better dev accuracy."""
    batch_size: Count = 32
    """Sentences in a batch at most."""
    tokens: Count | None = None
    """Words in a batch at most, padding included."""
    learning_rate: Positive = 1e-3
    """Peak step size of AdamW."""
    parser_rate: NotNegative = 1.0
    """Step size of what scores arcs, as a multiple of the learning rate."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls, over all epochs, after the warm-up."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Share of all steps over which the learning rate rises from zero."""
    weight_decay: NotNegative = 0.01
    """AdamW's weight decay; embeddings have none."""
    balance: bool = False
    """Weigh examples by the rarity of their label, so that every label counts alike."""
    clip: NotNegative = 5.0
    """Norm to which gradients are clipped; 0 for no clipping."""
    seed: Seed = 0
    """Of everything random: initial weights, order of examples, dropout, sampling estimators."""
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "64-true"] = "32-true"
    """Floating point numbers of the layers; charts of trees never go below 32 bits."""
    accelerator: str = "auto"
    """cpu, gpu, mps…; auto takes the best there is."""
    devices: str = "auto"
    """How many devices, or which. Under torchrun every process is one device."""
    threads: Count | None = None
    """CPU threads of this process; by default torch's own choice."""


@dataclass(frozen=True)
class RunOptions(Checked):
    """Where the run is kept."""

    out: Path | None = None
    """The run's folder; by default runs/TASK-ESTIMATOR-SEED."""
    resume: bool = False
    """Go on with the run in that folder."""
    save_every: Count = 500
    """Steps between two saves of the state to resume from."""
    quiet: bool = False
    """No progress bar."""


@dataclass(frozen=True)
class FitOptions:
    """Train one classifier."""

    model: ModelOptions = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    run: RunOptions = field(default_factory=RunOptions)


def plain(options: Any) -> dict[str, Any]:
    """Return a dataclass of options as JSON content."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(options), default=str))
    return content
