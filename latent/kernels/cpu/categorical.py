"""Sparsemax kernels on the CPU: tensors in and out around the loops of `simplex`."""

from __future__ import annotations

import torch
from torch import Tensor

from latent.kernels.cpu import simplex
from latent.kernels.cpu.jit import announce
from latent.kernels.cpu.threads import run_on

_SECONDS_AN_ENTRY = 4e-9

announce("simplex")


def sparsemax(scores: Tensor) -> Tensor:
    """The projection of each row of float32 or float64 scores onto the simplex."""
    scores = scores.detach().contiguous()
    p, best = torch.empty_like(scores), scores.amax(1)
    seconds = scores.numel() * _SECONDS_AN_ENTRY
    run_on(simplex.sparsemax_block, (scores, best, p), seconds)
    return p


def sparsemax_vjp(p: Tensor, gradient: Tensor) -> Tensor:
    """The Jacobian of sparsemax at the point p, which is symmetric, times the gradient."""
    gradient = gradient.to(p.dtype).contiguous()
    out = torch.empty_like(p)
    seconds = p.numel() * _SECONDS_AN_ENTRY / 4
    run_on(simplex.sparsemax_derivative_block, (p, gradient, out), seconds)
    return out
