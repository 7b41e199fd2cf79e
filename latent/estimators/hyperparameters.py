"""The hyperparameters of the estimators: each type, range, default and description is written here, once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

StepSize = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, description="Step size η of each inner step on the pulled-back loss."),
]
Steps = Annotated[
    int,
    Field(
        ge=1,
        description="How many inner steps k; all but a free first one call the decoder once more.",
    ),
]
Init = Annotated[
    Literal["map", "marginals", "zero"],
    Field(description="Initial point μ⁰ of the inner steps: the MAP structure, the marginals, or all zeros."),
]
Temperature = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, description="Temperature τ that divides the (perturbed) scores."),
]
SmoothingTemperature = Annotated[
    float,
    Field(ge=1, allow_inf_nan=False, description="Temperature τ of the smoothed marginals in the gradient."),
]
Samples = Annotated[
    int, Field(ge=1, description="How many structures S are sampled per example; the loss is their mean.")
]
Baseline = Annotated[
    Literal["moving-average", "none", "self-critical"],
    Field(description="What is subtracted from the loss: its moving average, nothing, or the loss at MAP."),
]
EntropyBonus = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False, description="Weight of the entropy that the gradient also ascends."),
]
Alpha = Annotated[
    float,
    Field(gt=1, le=4, description="Sparsity α of the mapping: 2 is sparsemax, towards 1 it becomes softmax."),
]
Gap = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, description="Least lead of the sampled part over all others."),
]
Lambda = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, description="Step λ of the finite difference along γ."),
]
Difference = Annotated[
    Literal["central", "forward"],
    Field(description="Two-sided difference (two MAP calls more) or one-sided (one more)."),
]
Noise = Annotated[
    Literal["gumbel", "sum-of-gamma"],
    Field(description="Perturbation: a Gumbel per part, or Gammas that sum to a Gumbel per structure."),
]
NoiseTemperature = Annotated[
    float, Field(ge=0, allow_inf_nan=False, description="Factor on the perturbation; 0 switches it off.")
]
Target = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, description="Wanted number of non-zero entries per example."),
]
UpdateStep = Annotated[
    float, Field(gt=0, allow_inf_nan=False, description="By how much the adaptive step α moves per update.")
]
InnerSamples = Annotated[
    int, Field(ge=1, description="How many perturbations are averaged per sampled structure.")
]
Tolerance = Annotated[
    float,
    Field(
        ge=0,
        allow_inf_nan=False,
        description="Optimality gap at which a SparseMAP projection stops; 0: as exact as it gets.",
    ),
]
Iterations = Annotated[
    int, Field(ge=0, description="Steps after which a SparseMAP projection stops, whatever its gap.")
]


class Hyperparameters(BaseModel):
    """The hyperparameters of an estimator: frozen, validated, without unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoHyperparameters(Hyperparameters):
    """An estimator without hyperparameters."""


class ProjectionOptions(Hyperparameters):
    """When SparseMAP projections stop: early enough for training.

    Scores of a trained parser want fewer steps than these (60 for 40 words with scores from N(0, 1), 170 for
    100). Scores near zero, as an untrained one gives them, would want up to a thousand for gradients that are
    soon forgotten; stopped early, the point is still a mixture of trees, 0.05 away for 40 words, and the
    gradient is that of the trees found so far: its cosine to the exact one is 0.9 for 20 words with scores
    from N(0, 0.1²), 0.7 for 30 and 0.6 for 45 (0.98, 0.93 and 0.91 with scores from N(0, 0.5²)).
    """

    tol: Tolerance = 1e-3
    max_iter: Iterations = 200


class TemperedOptions(Hyperparameters):
    """How smooth, and how many."""

    temperature: Temperature = 1.0
    samples: Samples = 1
