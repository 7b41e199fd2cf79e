"""Relaxations: the forward value is a differentiable point of the polytope, and so is everything else."""

from __future__ import annotations

from abc import abstractmethod

import torch
from entmax import entmax_bisect  # type: ignore[import-untyped]
from torch import Tensor

from latent.estimators import draws
from latent.estimators.base import Downstream, Estimator
from latent.estimators.hyperparameters import (
    Alpha,
    Hyperparameters,
    ProjectionOptions,
    TemperedOptions,
)


class Relaxation(Estimator):
    """A differentiable map from scores into the polytope; gradients are those of the chain rule."""

    @abstractmethod
    def relax(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Tensor:
        """The points (samples·batch, …) that the decoder gets."""

    def value(self, scores: Tensor, lengths: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """The relaxed structure (batch, …); differentiable."""
        return self.relax(scores, lengths, 1, generator)

    def estimate(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The downstream loss (batch,) at the relaxed structure, averaged over the samples."""
        z = self.relax(scores, lengths, self.samples, generator)
        return self.mean(self.losses(downstream, z, len(z)), len(scores))


class Marginals(Relaxation):
    """The marginals of the Gibbs distribution; the softmax on a categorical."""

    name = "marginals"
    title = "Marginals (structured attention)"
    source = "Kim et al. 2017"
    forward_formula = r"\mu = \mathrm{Marg}(s)"
    gradient_formula = r"\Sigma\,\gamma(\mu)"
    forward_structure = "marginals"

    def relax(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Tensor:
        """Marg(s)."""
        return self.structure.marginals(scores, lengths)


class SparseMAP(Relaxation):
    """The Euclidean projection of the scores onto the polytope; sparsemax on a categorical."""

    name = "sparsemap"
    title = "SparseMAP"
    source = "Niculae et al. 2018a"
    forward_formula = r"\Pi(s)"
    gradient_formula = r"\left(\partial \Pi / \partial s\right)^\top \gamma(\Pi(s))"
    forward_structure = "sparsemap"
    Options = ProjectionOptions
    options: ProjectionOptions

    def relax(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Tensor:
        """Π(s)."""
        return self.structure.sparsemap(scores, lengths, tol=self.options.tol, max_iter=self.options.max_iter)


class EntmaxOptions(Hyperparameters):
    """How sparse."""

    alpha: Alpha = 1.5


class Entmax(Relaxation):
    """The α-entmax of the scores, between softmax and sparsemax."""

    name = "entmax"
    title = "α-entmax"
    source = "Peters et al. 2019"
    forward_formula = r"\alpha\text{-entmax}(s)"
    gradient_formula = r"\left(\partial\,\alpha\text{-entmax} / \partial s\right)^\top \gamma"
    forward_structure = "sparsemap"
    categorical_only = True
    Options = EntmaxOptions
    options: EntmaxOptions

    def relax(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Tensor:
        """α-entmax(s)."""
        z: Tensor = entmax_bisect(scores, self.options.alpha, dim=-1)
        return z


class StochasticSoftmax(Relaxation):
    """The marginals of perturbed scores; Gumbel-softmax on a categorical."""

    name = "stochastic-softmax"
    title = "Stochastic softmax (Gumbel-softmax)"
    source = "Paulus et al. 2020; Jang et al. 2017"
    forward_formula = r"\mathrm{Marg}((s + g)/\tau),\ g \sim \mathrm{Gumbel}"
    gradient_formula = r"\Sigma((s + g)/\tau)\,\gamma / \tau"
    forward_structure = "marginals"
    Options = TemperedOptions
    options: TemperedOptions

    def relax(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Tensor:
        """Marg((s + g) / τ)."""
        perturbed = draws.perturb(self.structure, scores, lengths, samples, generator)
        _, lengths = draws.copies_of(scores, lengths, samples)
        return self.structure.marginals(perturbed / self.options.temperature, lengths)
