"""No latent structure at all: the baseline that every structured classifier is held against."""

from __future__ import annotations

import torch
from torch import Tensor

from latent.estimators.base import Downstream, Estimator


class NoStructure(Estimator):
    """No structure: the decoder gets `None`, the scores get no gradient."""

    name = "none"
    title = "No latent structure"
    source = "Mihaylova et al. 2020, section 7.2 (baseline)"
    forward_formula = r"\text{none}"
    gradient_formula = r"\text{none}"
    forward_structure = None

    def check(self, scores: Tensor | None, lengths: Tensor | None) -> None:
        """Scores are not looked at, and may be `None`."""

    def value(self, scores: Tensor | None, lengths: Tensor | None, generator: torch.Generator | None) -> None:
        """`None`."""
        return

    def estimate(
        self,
        scores: Tensor | None,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The downstream loss (batch,) without a structure."""
        losses = downstream(None)
        return self.losses(lambda _: losses, None, losses.shape[0] if losses.dim() else 0)
