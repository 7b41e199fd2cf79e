"""The controlled experiments of the papers, in which the right answer is known."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Experiment(NamedTuple):
    """An experiment: what it shows, and the module that runs it, loaded when it is asked for."""

    purpose: str
    module: str

    @property
    def run(self) -> Callable[..., Any]:
        """The function that runs it: keyword arguments are its settings, and it writes below `results`."""
        function: Callable[..., Any] = importlib.import_module(self.module).run
        return function


EXPERIMENTS: dict[str, Experiment] = {
    "synthetic": Experiment(
        "a Gaussian mixture with a linear rule per cluster: accuracy and clusters found, per estimator",
        "trainer.experiments.synthetic",
    ),
    "fidelity": Experiment(
        "cosine, bias and variance of every estimator's gradient against the exact one",
        "trainer.experiments.fidelity",
    ),
    "polynomial": Experiment(
        "training curves of the sampling estimators on min E‖X − c‖ₚᵖ / L",
        "trainer.experiments.polynomial",
    ),
}
