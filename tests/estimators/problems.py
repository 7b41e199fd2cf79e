"""Small problems to try estimators on: scores, lengths and a random decoder that counts its calls."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latent.estimators import Estimator
from latent.structures.base import Structure

WIDTH = 5


class Decoder(nn.Module):
    """A two-layer network over a structure and an input; each entry of z has its own weights."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.first = nn.Parameter(torch.randn(*shape, WIDTH, generator=generator, dtype=torch.float64))
        self.second = nn.Parameter(torch.randn(WIDTH, generator=generator, dtype=torch.float64))
        self.calls: list[int] = []

    def forward(self, z: Tensor, inputs: Tensor) -> Tensor:
        """(batch, …) structures and (batch, WIDTH) inputs to losses (batch,)."""
        first = self.first[tuple(slice(size) for size in z.shape[1:])].flatten(0, -2)
        hidden = torch.tanh(z.to(first.dtype).flatten(1) @ first + inputs)
        return (hidden @ self.second).square() + 0.3 * hidden.sum(1)

    def downstream(self, inputs: Tensor):
        """The decoder closed over its inputs, for S·batch structures, copy after copy."""

        def losses(z: Tensor | None) -> Tensor:
            self.calls.append(0 if z is None else len(z))
            if z is None:
                return torch.tanh(inputs) @ self.second
            return self(z, inputs.repeat(len(z) // len(inputs), 1))

        return losses


@dataclass
class Problem:
    """A batch of examples of different lengths."""

    structure: Structure
    scores: Tensor
    lengths: Tensor | None
    inputs: Tensor
    decoder: Decoder

    @property
    def downstream(self):
        return self.decoder.downstream(self.inputs)

    def example(self, b: int) -> Problem:
        """Example b alone, without padding."""
        scores = self.scores.detach()[b : b + 1]
        lengths = None if self.lengths is None else self.lengths[b : b + 1]
        if lengths is not None:
            n = int(lengths[0])
            scores = scores[:, : n + 1, : n + 1]
        return Problem(
            self.structure,
            scores.clone().requires_grad_(),
            lengths,
            self.inputs[b : b + 1],
            self.decoder,
        )

    def gamma(self, z: Tensor) -> Tensor:
        """The gradient of each example's loss at z, zero outside the mask, by automatic differentiation."""
        z = z.detach().clone().requires_grad_()
        (gamma,) = torch.autograd.grad(self.decoder(z, self.inputs).sum(), z)
        return torch.where(self.structure.mask(self.scores, self.lengths), gamma, 0)


def problem(structure: Structure, *, scale: float = 1.0, seed: int = 0) -> Problem:
    """Four sentences of 4, 3, 1 and 2 words, or four draws of a categorical with 6 values."""
    generator = torch.Generator().manual_seed(seed)
    shape, lengths = ((6,), None) if structure.name == "categorical" else ((5, 5), torch.tensor([4, 3, 1, 2]))
    scores = scale * torch.randn(4, *shape, generator=generator, dtype=torch.float64)
    inputs = torch.randn(4, WIDTH, generator=generator, dtype=torch.float64)
    return Problem(structure, scores.requires_grad_(), lengths, inputs, Decoder((8,) * len(shape)))


def gradient(estimator: Estimator, problem: Problem, weights: Tensor | None = None, seed: int = 0) -> Tensor:
    """The gradient that the estimator gives the scores when weights (default: ones) enter its losses."""
    generator = torch.Generator().manual_seed(seed)
    losses = estimator.loss(problem.scores, problem.lengths, problem.downstream, generator=generator)
    weights = torch.ones_like(losses) if weights is None else weights
    (result,) = torch.autograd.grad((weights * losses).sum(), problem.scores, allow_unused=True)
    return torch.zeros_like(problem.scores) if result is None else result
