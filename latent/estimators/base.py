"""Estimator: the forward structure of a latent variable, and the gradient that its scores get."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from latent.checks import expect_finite
from latent.estimators.hyperparameters import Hyperparameters, NoHyperparameters
from latent.structures.base import Structure

Downstream = Callable[[Tensor | None], Tensor]
"""Structures (S·batch, …) to losses (S·batch,): the decoder and its loss, closed over everything else."""

ForwardStructure = Literal["map", "marginals", "sparsemap"]


class Estimator(nn.Module, ABC):
    r"""A rule for the forward value of a latent structure and for the gradient of its scores.

    Calling it gives the forward value; `loss` gives the downstream loss there, per example, with the
    estimator's gradient attached. A subclass states its hyperparameters, source and formulas.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """A few words that say what it does."""
    source: ClassVar[str]
    """Paper, with the equation where there is one."""
    forward_formula: ClassVar[str]
    """LaTeX: the forward value."""
    gradient_formula: ClassVar[str]
    """LaTeX: the gradient given to the scores."""
    forward_structure: ClassVar[ForwardStructure | None]
    """Which of a structure's deterministic maps serves a classifier that was trained with it."""
    categorical_only: ClassVar[bool] = False
    Options: ClassVar[type[Hyperparameters]] = NoHyperparameters

    options: Hyperparameters

    def __init__(self, structure: Structure, **hyperparameters: Any) -> None:
        super().__init__()
        if self.categorical_only and structure.name != "categorical":
            raise ValueError(f"{self.name}: is for a categorical only; got the structure {structure.name}")
        self.structure = structure
        try:
            self.options = self.Options(**hyperparameters)
        except ValidationError as error:
            raise ValueError(f"{self.name}: {_explain(error, self.Options)}") from None

    @property
    def samples(self) -> int:
        """How many structures `loss` draws per example."""
        return int(getattr(self.options, "samples", 1))

    def forward(
        self, scores: Tensor, lengths: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor | None:
        """The forward value for scores (batch, …), of their shape; `None` where there is no structure."""
        self.check(scores, lengths)
        return self.value(scores, lengths, generator)

    def loss(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        r"""The downstream loss (batch,) at the forward value, with the estimator's gradient for the scores.

        Backpropagating weights $w$ gives row b of the scores $w_b$ times the estimator's gradient of example
        b, and the decoder its true gradient. Raises `FloatingPointError` where a loss is NaN or infinite
        (later, within `latent.checks.deferred`), and `TypeError` or `ValueError` where scores, lengths or
        losses do not have the shape that is wanted.
        """
        self.check(scores, lengths)
        return self.estimate(scores, lengths, downstream, generator)

    @abstractmethod
    def value(
        self, scores: Tensor, lengths: Tensor | None, generator: torch.Generator | None
    ) -> Tensor | None:
        """What `forward` gives."""

    @abstractmethod
    def estimate(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """What `loss` gives."""

    def check(self, scores: Tensor, lengths: Tensor | None) -> None:
        """Raise, in the estimator's name, unless the structure takes these scores and lengths."""
        try:
            self.structure.check(scores, lengths)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.name}: {re.sub(r'^[a-z -]+: mask: ', '', str(error))}") from None

    def losses(self, downstream: Downstream, z: Tensor | None, count: int) -> Tensor:
        """The downstream losses (count,) at `z`, checked: one call of the decoder."""
        losses = downstream(z)
        if losses.shape != (count,):
            raise ValueError(
                f"{self.name}: downstream must return one loss per structure, ({count},);"
                f" got {tuple(losses.shape)}"
            )
        values = losses.detach()
        expect_finite(values, lambda: self._not_finite(values))
        return losses

    def _not_finite(self, losses: Tensor) -> FloatingPointError:
        b = int((~losses.isfinite()).nonzero()[0, 0])
        return FloatingPointError(
            f"{self.name}: the downstream loss must be finite; got {losses[b].item()} for structure {b}"
            f" of {len(losses)} (try a smaller learning rate or step size, or clip gradients)"
        )

    def mean(self, losses: Tensor, batch: int) -> Tensor:
        """(S·batch,) losses, copy after copy, to their mean over the copies (batch,)."""
        return losses.reshape(-1, batch).mean(0)

    def parts(self, scores: Tensor, lengths: Tensor | None) -> Tensor:
        """The parts that a structure may use: inside the sentence, and not forbidden by a score of -inf."""
        return self.structure.mask(scores, lengths) & (scores != -torch.inf)

    def finite_gradient(self, gamma: Tensor, parts: Tensor) -> Tensor:
        """The loss gradient γ, zero but on `parts`; raises where it is NaN or infinite there."""
        gamma = torch.where(parts, gamma, 0)
        error = FloatingPointError(
            f"{self.name}: the gradient of the downstream loss must be finite; got NaN or infinity"
            " (try a smaller learning rate or step size, or clip gradients)"
        )
        expect_finite(gamma, lambda: error)
        return gamma

    def gradient_at(self, downstream: Downstream, mu: Tensor, parts: Tensor) -> Tensor:
        r"""$\gamma(\mu) = \nabla_\mu L$ per example, on `parts`: one more call of the decoder."""
        with torch.enable_grad():
            mu = mu.detach().requires_grad_()
            losses = self.losses(downstream, mu, len(mu))
            return self.finite_gradient(gradient_of(losses, mu), parts)

    def extra_repr(self) -> str:
        """Structure and hyperparameters, for `repr`."""
        return ", ".join([self.structure.name, *(f"{k}={v!r}" for k, v in self.options.model_dump().items())])


def gradient_of(losses: Tensor, z: Tensor, *, retain_graph: bool = False) -> Tensor:
    """The gradient of each example's loss by its own row of `z`; zeros where it does not depend on it."""
    if not losses.requires_grad:
        return torch.zeros_like(z)
    ones = torch.ones_like(losses)
    (gradient,) = torch.autograd.grad(losses, z, ones, retain_graph=retain_graph, allow_unused=True)
    return torch.zeros_like(z) if gradient is None else gradient.detach()


def wants_gradient(scores: Tensor) -> bool:
    """Whether anybody will ask for the gradient of the scores."""
    return torch.is_grad_enabled() and scores.requires_grad


def _explain(error: ValidationError, options: type[Hyperparameters]) -> str:
    """The first fault that pydantic found, in a sentence that says what is taken."""
    fault = error.errors()[0]
    field = str(fault["loc"][0]) if fault["loc"] else "hyperparameters"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(options.model_fields) or "none"
        return f"unknown hyperparameter {field!r}; it takes: {known}"
    return f"{field}: {fault['msg'][0].lower()}{fault['msg'][1:]}; got {fault['input']!r}"
