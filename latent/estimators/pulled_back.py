"""Pulled-back losses: a few steps on the downstream loss make a label for the structure to learn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from latent.estimators.backward import attach, pull_back
from latent.estimators.base import Downstream, Estimator, gradient_of, wants_gradient
from latent.estimators.hyperparameters import Hyperparameters, Init, ProjectionOptions, Steps, StepSize

Gradient = Callable[[Tensor], Tensor]
"""μ to γ(μ), both (batch, …)."""


class PulledBackOptions(Hyperparameters):
    """Inner steps from the MAP structure."""

    step_size: StepSize = 1.0
    steps: Steps = 1
    init: Init = "map"


class InteriorOptions(Hyperparameters):
    """Inner steps from the marginals."""

    step_size: StepSize = 1.0
    steps: Steps = 1
    init: Init = "marginals"


class ProjectedOptions(ProjectionOptions, PulledBackOptions):
    """Projected inner steps from the MAP structure."""


class ProjectedInteriorOptions(ProjectionOptions, InteriorOptions):
    """Projected inner steps from the marginals."""


class PulledBack(Estimator):
    r"""The MAP structure forward; backward, the gradient of an intermediate loss with a pulled-back label.

    The label $\mu^k$ comes from k inner steps on the downstream loss, from $\mu^0$. The perceptron loss has
    the gradient $\hat z - \mu^k$, the cross-entropy of the Gibbs distribution $\mathrm{Marg}(s) - \mu^k$: the
    point that $\mu^k$ is taken from belongs to the loss; `init` only says where the inner steps start.

    Cost: one decoder call more for each inner step, but none for a first step from the MAP structure:
    $\gamma(\hat z)$ comes out of the backward pass if k = 1, and takes a backward pass of its own if k > 1.
    """

    options: PulledBackOptions | InteriorOptions
    forward_formula = r"\hat z = \mathrm{MAP}(s)"
    forward_structure = "map"

    @abstractmethod
    def label(self, scores: Tensor, lengths: Tensor | None, mu: Tensor, gradient: Gradient) -> Tensor:
        r"""$\mu^k$, from $\mu^0$ = `mu`; calls `gradient` once for each inner step."""

    def anchor(self, scores: Tensor, lengths: Tensor | None, mu: Tensor, z: Tensor) -> Tensor:
        r"""What $\mu^k$ is subtracted from, given $\mu^0$ and $\hat z$: this by the perceptron loss."""
        return z

    def value(self, scores: Tensor, lengths: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """MAP(s), (batch, …)."""
        return self.structure.map(scores, lengths)

    def estimate(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The downstream loss (batch,) at the MAP structure, with the gradient from the pulled-back label."""
        z, count = self.structure.map(scores, lengths), len(scores)
        if not wants_gradient(scores):
            return self.losses(downstream, z, count)
        s, parts = scores.detach(), self.parts(scores, lengths)

        def surrogate(mu: Tensor, gradient: Gradient) -> Tensor:
            with torch.no_grad():
                step = self.anchor(s, lengths, mu, z) - self.label(s, lengths, mu, gradient)
                return torch.where(parts, step, 0)

        if self.options.init == "map" and self.options.steps == 1:
            return pull_back(
                scores,
                z,
                lambda z: self.losses(downstream, z, count),
                lambda gamma: surrogate(z, lambda _: self.finite_gradient(gamma, parts)),
            )
        z.requires_grad_(self.options.init == "map")  # else nobody asks for the gradient there
        losses = self.losses(downstream, z, count)

        def gradient(mu: Tensor) -> Tensor:
            if mu is z:
                return self.finite_gradient(gradient_of(losses, z, retain_graph=True), parts)
            return self.gradient_at(downstream, mu, parts)

        return attach(losses, scores, surrogate(self.initial(s, lengths, z), gradient))

    def initial(self, scores: Tensor, lengths: Tensor | None, z: Tensor) -> Tensor:
        r"""$\mu^0$."""
        if self.options.init == "map":
            return z
        if self.options.init == "marginals":
            return self.structure.marginals(scores, lengths)
        return torch.zeros_like(z)


class StraightThroughIdentity(PulledBack):
    """Gradient steps without constraint: at k = 1 the argmax is taken for the identity."""

    name = "ste-identity"
    title = "Straight-through, identity (STE-I)"
    source = "Bengio et al. 2013; Mihaylova et al. 2020, Eq. 15"
    gradient_formula = r"\hat z - \mu^k,\ \mu^0 = \hat z,\ \mu^t = \mu^{t-1} - \eta\,\gamma(\mu^{t-1})"
    Options = PulledBackOptions

    def label(self, scores: Tensor, lengths: Tensor | None, mu: Tensor, gradient: Gradient) -> Tensor:
        """Gradient descent."""
        for _ in range(self.options.steps):
            mu = mu - self.options.step_size * gradient(mu)
        return mu


class ProjectedDescent(PulledBack):
    """Gradient steps, each projected onto the polytope of the structures that are not forbidden."""

    options: ProjectedOptions | ProjectedInteriorOptions

    def label(self, scores: Tensor, lengths: Tensor | None, mu: Tensor, gradient: Gradient) -> Tensor:
        """Projected gradient descent."""
        forbidden, options = scores == -torch.inf, self.options
        start = (scores, mu) if options.init == "marginals" else None
        for _ in range(options.steps):
            point = (mu - options.step_size * gradient(mu)).masked_fill(forbidden, -torch.inf)
            mu = self.structure.project(point, lengths, start, tol=options.tol, max_iter=options.max_iter)
        return mu


class Spigot(ProjectedDescent):
    """Projected gradient steps from the MAP structure, and the perceptron loss."""

    name = "spigot"
    title = "SPIGOT"
    source = "Peng et al. 2018; Mihaylova et al. 2020, Eq. 9, 11 and 14"
    gradient_formula = r"\hat z - \mu^k,\ \mu^0 = \hat z,\ \mu^t = \Pi(\mu^{t-1} - \eta\,\gamma(\mu^{t-1}))"
    Options = ProjectedOptions


class SpigotCE(ProjectedDescent):
    """Projected gradient steps from the marginals, and the cross-entropy loss."""

    name = "spigot-ce"
    title = "SPIGOT, cross-entropy loss"
    source = "Mihaylova et al. 2020, Eq. 17"
    gradient_formula = (
        r"\mu^0 - \mu^k,\ \mu^0 = \mathrm{Marg}(s),\ \mu^t = \Pi(\mu^{t-1} - \eta\,\gamma(\mu^{t-1}))"
    )
    Options = ProjectedInteriorOptions

    def anchor(self, scores: Tensor, lengths: Tensor | None, mu: Tensor, z: Tensor) -> Tensor:
        """Marg(s)."""
        return mu if self.options.init == "marginals" else self.structure.marginals(scores, lengths)


class SpigotEG(PulledBack):
    r"""Exponentiated gradient (mirror descent) steps, and the cross-entropy loss.

    The dual point starts at the scores themselves; `init` says where the first gradient is taken.
    """

    name = "spigot-eg"
    title = "SPIGOT, exponentiated gradient"
    source = "Mihaylova et al. 2020, Eq. 21 and 22, Algorithm 1"
    gradient_formula = r"\mu^0 - \mu^k,\ s^t = s^{t-1} - \eta\,\gamma(\mu^{t-1}),\ \mu^t = \mathrm{Marg}(s^t)"
    Options = InteriorOptions

    def anchor(self, scores: Tensor, lengths: Tensor | None, mu: Tensor, z: Tensor) -> Tensor:
        """Marg(s)."""
        return mu if self.options.init == "marginals" else self.structure.marginals(scores, lengths)

    def label(self, scores: Tensor, lengths: Tensor | None, mu: Tensor, gradient: Gradient) -> Tensor:
        """Gradient steps on the scores, marginals after each."""
        for _ in range(self.options.steps):
            scores = scores - self.options.step_size * gradient(mu)
            mu = self.structure.marginals(scores, lengths)
        return mu
