"""The score-function estimator (REINFORCE): unbiased, and all it needs of the decoder is the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from latent.estimators import draws
from latent.estimators.backward import attach, rows
from latent.estimators.base import Downstream, Estimator, wants_gradient
from latent.estimators.hyperparameters import Baseline, EntropyBonus, Hyperparameters, Samples
from latent.structures.base import Structure

DECAY = 0.9
"""Of the moving average, per call of `loss`."""


class ScoreFunctionOptions(Hyperparameters):
    """Variance reduction and exploration."""

    baseline: Baseline = "moving-average"
    samples: Samples = 1
    entropy_bonus: EntropyBonus = 0.0


class ScoreFunction(Estimator):
    r"""A sample forward; backward, $(L(z) - b)\,\nabla_s \log p(z)$.

    No baseline makes it biased: the moving average b is that of earlier calls, and the self-critical baseline
    $L(\hat z)$ does not depend on the sample (it costs one call of the decoder, without gradient).
    """

    name = "score-function"
    title = "Score function (REINFORCE)"
    source = "Williams 1992; Mihaylova et al. 2020, section 7.1"
    forward_formula = r"z \sim \mathrm{Gibbs}(s)"
    gradient_formula = r"(L(z) - b)(z - \mu)"
    forward_structure = "map"
    Options = ScoreFunctionOptions
    options: ScoreFunctionOptions
    average: Tensor
    updates: Tensor

    def __init__(self, structure: Structure, **hyperparameters: object) -> None:
        super().__init__(structure, **hyperparameters)
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("updates", torch.zeros(()))

    def value(self, scores: Tensor, lengths: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """z ~ Gibbs(s), (batch, …)."""
        return draws.gibbs(self.structure, scores, lengths, 1, generator).z

    def estimate(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The downstream loss (batch,) at the samples, averaged over them; updates the moving average."""
        batch = len(scores)
        z = draws.gibbs(self.structure, scores, lengths, self.samples, generator).z
        losses = self.losses(downstream, z, len(z))
        result = self.mean(losses, batch)
        if wants_gradient(scores):
            result = attach(result, scores, self.gradient(scores, lengths, z, losses.detach(), downstream))
        if self.training and self.options.baseline == "moving-average":
            self.updates += 1
            self.average.lerp_(losses.detach().mean().to(self.average.dtype), 1 - DECAY)
        return result

    def gradient(
        self, scores: Tensor, lengths: Tensor | None, z: Tensor, losses: Tensor, downstream: Downstream
    ) -> Tensor:
        """(batch, …): the estimate, averaged over the samples."""
        s = scores.detach()
        mu = draws.copies(self.structure.marginals(s, lengths), self.samples)
        advantage = losses - self.baseline(s, lengths, losses, downstream)
        estimate = rows(advantage.to(z.dtype), z) * (z - mu)
        estimate = estimate.reshape(-1, *s.shape).mean(0)
        if self.options.entropy_bonus:
            with torch.enable_grad():
                s = s.requires_grad_()
                (ascent,) = torch.autograd.grad(self.structure.entropy(s, lengths).sum(), s)
            estimate = estimate - self.options.entropy_bonus * ascent
        return estimate

    def baseline(
        self, scores: Tensor, lengths: Tensor | None, losses: Tensor, downstream: Downstream
    ) -> Tensor:
        """What is subtracted from the losses (S·batch,)."""
        if self.options.baseline == "self-critical":
            with torch.no_grad():
                best = self.losses(downstream, self.structure.map(scores, lengths), len(scores))
            return draws.copies(best, self.samples)
        if self.options.baseline == "moving-average":
            # Divided so that the zero it starts from has no weight; without a look at the count, which would
            # wait for a GPU.
            average = self.average / (1 - DECAY**self.updates)
            return torch.where(self.updates > 0, average, 0).to(losses.dtype)
        return torch.zeros_like(losses)
