"""Implicit maximum likelihood: a finite difference of MAP structures along the loss gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from latent.estimators import draws
from latent.estimators.backward import attach, pull_back, rows
from latent.estimators.base import Downstream, Estimator, gradient_of, wants_gradient
from latent.estimators.draws import Draw
from latent.estimators.hyperparameters import (
    Difference,
    Hyperparameters,
    Lambda,
    Noise,
    NoiseTemperature,
    Samples,
    Target,
    UpdateStep,
)
from latent.structures.base import Structure

DECAY = 0.9
"""Of the moving average of non-zeros, per call of `loss` (AIMLE's Algorithm 1)."""


class PerturbedOptions(Hyperparameters):
    """What both share: the difference, the noise, and how many samples."""

    difference: Difference = "central"
    noise: Noise = "gumbel"
    noise_temperature: NoiseTemperature = 1.0
    samples: Samples = 1


class ImplicitLikelihood(Estimator):
    """The MAP structure of perturbed scores forward; backward, how far it moves along the loss gradient."""

    forward_formula = r"\mathrm{MAP}(s + \epsilon)"
    forward_structure = "map"
    options: PerturbedOptions

    def draw(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Draw:
        """MAP(s + ε)."""
        o = self.options
        return draws.perturbed(
            self.structure, scores, lengths, samples, generator, o.noise, o.noise_temperature
        )

    def value(self, scores: Tensor, lengths: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """MAP(s + ε), (batch, …)."""
        return self.draw(scores, lengths, 1, generator).z

    def movement(self, draw: Draw, step: Tensor) -> Tensor:
        r"""MAP(s+ε+λγ) − MAP(s+ε−λγ), or its one half without the +λγ; `step` is λγ."""
        start = draw.perturbed.detach()
        moved = self.structure.map(start - step, draw.lengths)
        if self.options.difference == "forward":
            return draw.z - moved
        return self.structure.map(start + step, draw.lengths) - moved

    @property
    def spread(self) -> float:
        """How many λ apart the two MAP structures of a difference are."""
        return 2.0 if self.options.difference == "central" else 1.0


class IMLEOptions(PerturbedOptions):
    """A fixed λ."""

    lambda_: Lambda = 1.0


class IMLE(ImplicitLikelihood):
    """Implicit maximum likelihood with a fixed step λ."""

    name = "imle"
    title = "Implicit MLE (I-MLE)"
    source = "Niepert et al. 2021; Minervini et al. 2023 (AIMLE), Eq. 2"
    gradient_formula = (
        r"\frac{1}{2\lambda} \left(\mathrm{MAP}(s+\epsilon+\lambda\gamma)"
        r" - \mathrm{MAP}(s+\epsilon-\lambda\gamma)\right)"
    )
    Options = IMLEOptions
    options: IMLEOptions

    def estimate(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The downstream loss (batch,) at the perturbed MAP structures, averaged over the samples."""
        draw = self.draw(scores, lengths, self.samples, generator)
        if not wants_gradient(scores):
            return self.mean(self.losses(downstream, draw.z, len(draw.z)), len(scores))
        parts, step = self.parts(draw.scores, draw.lengths), self.options.lambda_

        def surrogate(gamma: Tensor) -> Tensor:
            movement = self.movement(draw, step * self.finite_gradient(gamma, parts))
            return movement / (self.spread * step)

        losses = pull_back(draw.scores, draw.z, lambda z: self.losses(downstream, z, len(draw.z)), surrogate)
        return self.mean(losses, len(scores))


class AIMLEOptions(PerturbedOptions):
    """An adaptive λ."""

    target: Target = 1.0
    update_step: UpdateStep = 1e-3


class AIMLE(ImplicitLikelihood):
    r"""Implicit maximum likelihood with a step λ that adapts to the sparsity of the gradient.

    $\lambda_b = \alpha \lVert s_b \rVert / \lVert \gamma_b \rVert$ for each example and sample; α grows while
    the gradients have at most `target` non-zeros on average, and shrinks otherwise. The state is in buffers
    and moves once per call of `loss` in training mode that wants a gradient. Cost: one backward pass through
    the decoder more than `imle`, since the state depends on γ.
    """

    name = "aimle"
    title = "Adaptive implicit MLE (AIMLE)"
    source = "Minervini et al. 2023 (AIMLE), Eq. 8 to 10, Algorithm 1"
    gradient_formula = r"\text{as imle, with } \lambda_b = \alpha \lVert s_b \rVert / \lVert \gamma_b \rVert"
    Options = AIMLEOptions
    options: AIMLEOptions
    alpha: Tensor
    non_zeros: Tensor
    lambda_: Tensor

    def __init__(self, structure: Structure, **hyperparameters: object) -> None:
        super().__init__(structure, **hyperparameters)
        self.register_buffer("alpha", torch.zeros(()))
        self.register_buffer("non_zeros", torch.ones(()))
        self.register_buffer("lambda_", torch.zeros(()))

    def estimate(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The downstream loss (batch,) at perturbed MAP structures, averaged over the samples; adapts λ."""
        draw = self.draw(scores, lengths, self.samples, generator)
        if not wants_gradient(scores):
            return self.mean(self.losses(downstream, draw.z, len(draw.z)), len(scores))
        z = draw.z.requires_grad_()
        losses = self.losses(downstream, z, len(z))
        with torch.no_grad():
            parts = self.parts(draw.scores, draw.lengths)
            gamma = self.finite_gradient(gradient_of(losses, z, retain_graph=True), parts)
            steps = self.steps(torch.where(parts, draw.scores, 0), gamma)
            movement = self.movement(draw, rows(steps, gamma) * gamma)
            inverse = torch.where(steps > 0, 1 / (self.spread * steps), 0)
            if self.training:
                self.adapt(movement, steps)
        return self.mean(attach(losses, draw.scores, rows(inverse, movement) * movement), len(scores))

    def steps(self, scores: Tensor, gamma: Tensor) -> Tensor:
        """(S·batch,): λ of each copy, 0 where its γ is zero."""
        norm, slope = (tensor.flatten(1).square().sum(1).sqrt() for tensor in (scores, gamma))
        return torch.where(slope > 0, self.alpha.to(norm.dtype) * norm / slope, 0)

    def adapt(self, movement: Tensor, steps: Tensor) -> None:
        """Move α by one update step towards the wanted number of non-zeros."""
        count = (movement != 0).flatten(1).sum(1).to(self.non_zeros.dtype).mean()
        self.lambda_.copy_(steps.mean())
        self.non_zeros.lerp_(count, 1 - DECAY)
        step = self.options.update_step
        self.alpha += torch.where(self.non_zeros <= self.options.target, step, -step)
        self.alpha.clamp_(min=0)
