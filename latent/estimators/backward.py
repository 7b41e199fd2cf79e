"""How a gradient that is not the chain rule's gets into the backward pass: three small autograd functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def rows(weights: Tensor, like: Tensor) -> Tensor:
    """Weights (batch,) shaped so that they multiply the rows of a (batch, …) tensor."""
    return weights.reshape(-1, *[1] * (like.dim() - 1))


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, proxy: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, gradient


def straight_through(value: Tensor, proxy: Tensor) -> Tensor:
    """`value` in the forward pass, `proxy` in the backward pass.

    Unlike `proxy + (value - proxy).detach()` it is exact and lets no NaN in where the proxy is infinite.
    """
    result: Tensor = _StraightThrough.apply(value.detach(), proxy)  # type: ignore[no-untyped-call]
    return result


class _Outer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, direction: Tensor) -> Tensor:
        ctx.save_for_backward(direction)
        return torch.zeros_like(direction)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (direction,) = ctx.saved_tensors
        # Where the direction is zero the gradient may be anything (padding): keep it out of the sum.
        products = torch.where(direction != 0, direction * gradient, 0)
        return rows(products.flatten(1).sum(1), direction) * direction, None


def outer(scores: Tensor, direction: Tensor) -> Tensor:
    r"""Zeros whose vector-Jacobian product with respect to `scores` is $(d \cdot \gamma)\,d$, per example."""
    result: Tensor = _Outer.apply(scores, direction)  # type: ignore[no-untyped-call]
    return result


class _Attach(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, losses: Tensor, scores: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return losses.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return weights, rows(weights, gradient).to(gradient.dtype) * gradient, None


def attach(losses: Tensor, scores: Tensor, gradient: Tensor) -> Tensor:
    """The losses (batch,), with `gradient` (batch, …) added to what they give the scores, row by row."""
    result: Tensor = _Attach.apply(losses, scores, gradient.detach())  # type: ignore[no-untyped-call]
    return result


class _Weights:
    """The weights that backpropagation puts on the losses: written when it enters, read when it reaches z."""

    value: Tensor


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, losses: Tensor, weights: _Weights) -> Tensor:
        ctx.weights = weights
        return losses.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.weights.value = gradient.detach()
        return gradient, None


class _Leave(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, z: Tensor, weights: _Weights, surrogate: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.weights, ctx.surrogate = weights, surrogate
        return z.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weighted: Tensor) -> tuple[Tensor, None, None, None]:
        weights = rows(ctx.weights.value, weighted).to(weighted.dtype)
        used = weights != 0
        gamma = torch.where(used, weighted / torch.where(used, weights, 1), 0)
        gradient = ctx.surrogate(gamma)
        return weights * gradient, None, None, None


def pull_back(
    scores: Tensor, z: Tensor, losses: Callable[[Tensor], Tensor], surrogate: Callable[[Tensor], Tensor]
) -> Tensor:
    r"""The losses (batch,) at `z`, where row b of the scores gets $w_b\,\mathrm{surrogate}(\gamma)_b$.

    $w_b$ is whatever weight backpropagation puts on loss b and $\gamma_b = \nabla_{z_b} L_b$. Both come out
    of the one backward pass through `losses`, so $\gamma$ costs nothing; dividing by the weight keeps it out
    of `surrogate`, which need not be linear. A weight of zero gives a gradient of zero.
    """
    weights = _Weights()
    z = _Leave.apply(scores, z, weights, surrogate)  # type: ignore[no-untyped-call]
    result: Tensor = _Enter.apply(losses(z), weights)  # type: ignore[no-untyped-call]
    return result
