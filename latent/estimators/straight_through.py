"""Straight-through estimators: a discrete structure forward, a smooth proxy in the backward pass."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from latent.estimators import draws
from latent.estimators.backward import outer, straight_through
from latent.estimators.base import Downstream, Estimator, wants_gradient
from latent.estimators.draws import Draw
from latent.estimators.hyperparameters import (
    Gap,
    Hyperparameters,
    InnerSamples,
    Samples,
    SmoothingTemperature,
    Temperature,
    TemperedOptions,
)


class StraightThrough(Estimator):
    """Draws structures, and hands the loss gradient γ to a proxy that is differentiable in the scores."""

    forward_structure = "map"

    @abstractmethod
    def draw(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Draw:
        """The structures (samples·batch, …) that the decoder gets."""

    @abstractmethod
    def proxy(self, draw: Draw, generator: torch.Generator | None) -> Tensor:
        """(samples·batch, …): what γ is pulled back through; only its Jacobian matters."""

    def value(self, scores: Tensor, lengths: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """The structure (batch, …)."""
        return self.draw(scores, lengths, 1, generator).z

    def estimate(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The downstream loss (batch,) at the structures, averaged over the samples."""
        draw = self.draw(scores, lengths, self.samples, generator)
        z = draw.z
        if wants_gradient(scores):
            z = straight_through(z, self.proxy(draw, generator))
        return self.mean(self.losses(downstream, z, len(z)), len(scores))


class StraightThroughMarginals(StraightThrough):
    """The MAP structure forward, the marginals backward."""

    name = "ste-marginals"
    title = "Straight-through, marginals (STE-S)"
    source = "Mihaylova et al. 2020, section 7.1"
    forward_formula = r"\hat z = \mathrm{MAP}(s)"
    gradient_formula = r"\Sigma\,\gamma(\hat z)"

    def draw(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Draw:
        """MAP(s)."""
        return Draw(scores, lengths, self.structure.map(scores, lengths), scores)

    def proxy(self, draw: Draw, generator: torch.Generator | None) -> Tensor:
        """Marg(s)."""
        return self.structure.marginals(draw.scores, draw.lengths)


class PerturbAndMAP(StraightThrough):
    """The MAP structure of perturbed scores forward, their marginals backward."""

    name = "perturb-and-map"
    title = "Perturb-and-MAP (ST-Gumbel)"
    source = "Corro and Titov 2019; Jang et al. 2017"
    forward_formula = r"\mathrm{MAP}(s + g),\ g \sim \mathrm{Gumbel}"
    gradient_formula = r"\Sigma((s + g)/\tau)\,\gamma / \tau"
    Options = TemperedOptions
    options: TemperedOptions

    def draw(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Draw:
        """MAP(s + g)."""
        return draws.perturbed(self.structure, scores, lengths, samples, generator)

    def proxy(self, draw: Draw, generator: torch.Generator | None) -> Tensor:
        """Marg((s + g) / τ)."""
        return self.structure.marginals(draw.perturbed / self.options.temperature, draw.lengths)


class Sampled(StraightThrough):
    """A sample of the Gibbs distribution forward."""

    forward_formula = r"z \sim \mathrm{Gibbs}(s)"

    def draw(
        self, scores: Tensor, lengths: Tensor | None, samples: int, generator: torch.Generator | None
    ) -> Draw:
        """z ~ Gibbs(s)."""
        return draws.gibbs(self.structure, scores, lengths, samples, generator)


class SampledStraightThrough(Sampled):
    """A sample forward, the marginals backward: first-order accurate."""

    name = "straight-through"
    title = "Straight-through on a sample (ST)"
    source = "Liu et al. 2023 (ReinMax), Eq. 4"
    gradient_formula = r"\Sigma(s/\tau)\,\gamma(z) / \tau"
    Options = TemperedOptions
    options: TemperedOptions

    def proxy(self, draw: Draw, generator: torch.Generator | None) -> Tensor:
        """Marg(s / τ)."""
        return self.structure.marginals(draw.scores / self.options.temperature, draw.lengths)


class ReinMaxOptions(Hyperparameters):
    """How smooth (at the cost of accuracy), and how many."""

    temperature: SmoothingTemperature = 1.0
    samples: Samples = 1


class ReinMax(Sampled):
    r"""A sample forward; backward, Heun's method on differences of the loss: second-order accurate.

    $$\nabla_s \mathbb{E} f = \sum_z p(z)(z - \mu) \sum_{z'} p(z') \left( f(z) - f(z') \right)
    \approx \tfrac12 \Sigma\,\mathbb{E}[\gamma(z')]
    + \tfrac12 \mathbb{E}[((z - \mu) \cdot \gamma(z))(z - \mu)]$$

    with $f(z) - f(z') \approx \tfrac12 (\gamma(z) + \gamma(z')) \cdot (z - z')$, exact for a quadratic f.
    That holds for any exponential family; on a categorical it is the paper's
    $2 \nabla_{(\pi + D)/2} - \tfrac12 \nabla_{ST}$.
    """

    name = "reinmax"
    title = "ReinMax"
    source = "Liu et al. 2023 (ReinMax), Eq. 7 and Algorithm 2"
    gradient_formula = (
        r"\Sigma_\tau \gamma - \tfrac12 \Sigma \gamma"
        r" + \tfrac12 ((z - \mu_\tau) \cdot \gamma)(z - \mu_\tau)"
    )
    Options = ReinMaxOptions
    options: ReinMaxOptions

    def proxy(self, draw: Draw, generator: torch.Generator | None) -> Tensor:
        r"""$\mu_\tau - \mu / 2$ and half the outer product; tempered scores keep the Jacobian of τ = 1."""
        mu = self.structure.marginals(draw.scores, draw.lengths)
        smooth = mu
        if self.options.temperature != 1:
            tempered = straight_through(draw.scores / self.options.temperature, draw.scores)
            smooth = self.structure.marginals(tempered, draw.lengths)
        return smooth - 0.5 * mu + 0.5 * outer(draw.scores, draw.z - smooth.detach())


class GappedOptions(Hyperparameters):
    """How smooth, how wide a gap, and how many."""

    temperature: Temperature = 1.0
    gap: Gap = 1.0
    samples: Samples = 1


class GappedStraightThrough(Sampled):
    """A sample forward; backward, the softmax of scores shifted so that the sample leads by a gap."""

    name = "gapped-st"
    title = "Gapped straight-through"
    source = "Fan et al. 2022; Liu et al. 2023, appendix F.1"
    gradient_formula = (
        r"\Sigma(\tilde s/\tau)\,\gamma / \tau,\ "
        r"\tilde s_j = \max_i s_i \text{ if } z_j = 1,\ \min(s_j, \max_i s_i - \mathrm{gap}) \text{ else}"
    )
    categorical_only = True
    Options = GappedOptions
    options: GappedOptions

    def proxy(self, draw: Draw, generator: torch.Generator | None) -> Tensor:
        """Marg(s̃ / τ); the shift is held constant."""
        s = draw.scores.detach()
        top = s.amax(-1, keepdim=True)
        shifted = torch.where(draw.z > 0, top, torch.minimum(s, top - self.options.gap))
        return self.structure.marginals(straight_through(shifted, draw.scores) / self.options.temperature)


class GumbelRaoOptions(Hyperparameters):
    """How smooth, how many perturbations per sample, and how many samples."""

    temperature: Temperature = 1.0
    inner_samples: InnerSamples = 10
    samples: Samples = 1


class GumbelRao(Sampled):
    """A sample forward; backward, ST-Gumbel averaged over the perturbations that lead to this sample."""

    name = "gumbel-rao"
    title = "Gumbel-Rao"
    source = "Paulus et al. 2021; Liu et al. 2023, appendix F.1"
    gradient_formula = (
        r"\mathbb{E}\left[\Sigma((s + g)/\tau) \mid \mathrm{MAP}(s + g) = z\right] \gamma / \tau"
    )
    categorical_only = True
    Options = GumbelRaoOptions
    options: GumbelRaoOptions

    def proxy(self, draw: Draw, generator: torch.Generator | None) -> Tensor:
        """The mean of Marg((s + g) / τ) over conditional perturbations; g is held constant."""
        p = self.structure.marginals(draw.scores.detach())
        total = torch.zeros_like(p)
        # One by one: what a pass leaves in the processor's cache is what the next one wants.
        for _ in range(self.options.inner_samples):
            perturbed = straight_through(conditional_gumbel(p, draw.z, generator), draw.scores)
            total = total + self.structure.marginals(perturbed / self.options.temperature)
        return total / self.options.inner_samples


def conditional_gumbel(p: Tensor, z: Tensor, generator: torch.Generator | None) -> Tensor:
    r"""Scores plus Gumbel noise given that `z` is their argmax, up to a constant: (batch, K).

    With exponential variables E and p, the softmax of the scores: $-\log E_i$ where $z_i = 1$,
    $-\log(E_j/p_j + E_i)$ else.
    Source: Paulus et al. 2021, Rao-Blackwellizing the straight-through Gumbel-softmax, section 3.
    """
    noise = draws.exponential(p, generator)
    winner = (noise * z).sum(-1, keepdim=True)
    return -torch.where(z > 0, winner, noise / p + winner).log()
