"""Every gradient estimator by name, on one interface."""

from __future__ import annotations

from typing import Any

from latent.estimators.base import Downstream, Estimator
from latent.estimators.expectation import SparseExpectation
from latent.estimators.implicit import AIMLE, IMLE
from latent.estimators.no_structure import NoStructure
from latent.estimators.pulled_back import Spigot, SpigotCE, SpigotEG, StraightThroughIdentity
from latent.estimators.relaxed import Entmax, Marginals, SparseMAP, StochasticSoftmax
from latent.estimators.score_function import ScoreFunction
from latent.estimators.straight_through import (
    GappedStraightThrough,
    GumbelRao,
    PerturbAndMAP,
    ReinMax,
    SampledStraightThrough,
    StraightThroughMarginals,
)
from latent.structures.base import Structure

ESTIMATORS: dict[str, type[Estimator]] = {
    "none": NoStructure,
    "marginals": Marginals,
    "sparsemap": SparseMAP,
    "entmax": Entmax,
    "sparse-expectation": SparseExpectation,
    "ste-identity": StraightThroughIdentity,
    "ste-marginals": StraightThroughMarginals,
    "spigot": Spigot,
    "spigot-ce": SpigotCE,
    "spigot-eg": SpigotEG,
    "perturb-and-map": PerturbAndMAP,
    "stochastic-softmax": StochasticSoftmax,
    "straight-through": SampledStraightThrough,
    "reinmax": ReinMax,
    "gapped-st": GappedStraightThrough,
    "gumbel-rao": GumbelRao,
    "score-function": ScoreFunction,
    "imle": IMLE,
    "aimle": AIMLE,
}


def make_estimator(name: str, structure: Structure, **hyperparameters: Any) -> Estimator:
    """The estimator called `name` on a structure; `ValueError` for an unknown name or hyperparameter."""
    if name not in ESTIMATORS:
        raise ValueError(f"make_estimator: unknown estimator {name!r}; choose from: {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name](structure, **hyperparameters)


__all__ = ["ESTIMATORS", "Downstream", "Estimator", "make_estimator"]
