"""Adam for many runs at once, each with its own learning rate."""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class RunwiseAdam:
    """`torch.optim.Adam` takes one learning rate a tensor; here the first dimension is the run.

    Source: Kingma and Ba 2015, Algorithm 1.
    """

    def __init__(self, parameters: list[Tensor], rates: Tensor) -> None:
        self.parameters, self.rates, self.count = parameters, rates, 0
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """One update from the gradients that are there, which are dropped."""
        self.count += 1
        one, two = (1 - beta**self.count for beta in BETAS)
        for p, first, second in zip(self.parameters, self.first, self.second, strict=True):
            if p.grad is None:
                continue
            first.lerp_(p.grad, 1 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(p.grad, p.grad, value=1 - BETAS[1])
            rates = self.rates.reshape(-1, *[1] * (p.dim() - 1))
            p.sub_(rates / one * first / ((second / two).sqrt() + EPSILON))
            p.grad = None

    @torch.no_grad()
    def keep(self, runs: Tensor) -> None:
        """Go on with some of the runs only."""
        self.rates = self.rates[runs]
        for tensors in (self.first, self.second):
            tensors[:] = [tensor[runs] for tensor in tensors]
        for p in self.parameters:
            p.data = p.data[runs]
            p.grad = None
