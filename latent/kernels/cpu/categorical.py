"""Sparsemax kernels on the CPU: tensors in and out around the loops of `simplex`."""

from __future__ import annotations

import torch
from torch import Tensor

from latent.kernels.cpu import simplex
from latent.kernels.cpu.jit import announce
from latent.kernels.cpu.threads import blocks_of, run

_SECONDS_AN_ENTRY = 4e-9

announce("simplex")


def sparsemax(scores: Tensor) -> Tensor:
    """The projection of each row of float32 or float64 scores onto the simplex."""
    scores = scores.detach().contiguous()
    p, best = torch.empty_like(scores), scores.amax(1)
    seconds = scores.numel() * _SECONDS_AN_ENTRY
    arrays = (scores.numpy(), best.numpy(), p.numpy())
    run(simplex.sparsemax_block, arrays, blocks_of(len(scores), seconds), seconds)
    return p


def sparsemax_vjp(p: Tensor, gradient: Tensor) -> Tensor:
    """The Jacobian of sparsemax at the point p, which is symmetric, times the gradient."""
    gradient = gradient.to(p.dtype).contiguous()
    out = torch.empty_like(p)
    seconds = p.numel() * _SECONDS_AN_ENTRY / 4
    arrays = (p.numpy(), gradient.numpy(), out.numpy())
    run(simplex.sparsemax_derivative_block, arrays, blocks_of(len(p), seconds), seconds)
    return out
