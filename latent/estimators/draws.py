"""Drawing structures: from the Gibbs distribution, or as the MAP structure of perturbed scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from latent.structures.base import Structure

NoiseName = Literal["gumbel", "sum-of-gamma"]

GAMMAS = 10
"""How many Gamma variables stand for the infinite series of the Sum-of-Gamma noise (Niepert et al. 2021)."""


class Draw(NamedTuple):
    """S structures for each example, copy after copy."""

    scores: Tensor
    """(S·batch, …): the scores of each copy; gradients flow through it."""
    lengths: Tensor | None
    z: Tensor
    """(S·batch, …): the structures; no gradient."""
    perturbed: Tensor
    """(S·batch, …): the scores whose MAP structure `z` is; gradients flow through it."""


def copies(tensor: Tensor, count: int) -> Tensor:
    """`count` copies of a batch, one after the other."""
    return tensor if count == 1 else tensor.repeat(count, *[1] * (tensor.dim() - 1))


def copies_of(scores: Tensor, lengths: Tensor | None, count: int) -> tuple[Tensor, Tensor | None]:
    """`count` copies of the scores, and of the lengths if there are any."""
    return copies(scores, count), None if lengths is None else copies(lengths, count)


def in_turn(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """`count` copies from `draw`, the first by itself: one or many begin with the same random numbers."""
    return draw(1) if count == 1 else torch.cat([draw(1), draw(count - 1)])


def gibbs(
    structure: Structure,
    scores: Tensor,
    lengths: Tensor | None,
    samples: int,
    generator: torch.Generator | None,
) -> Draw:
    r"""z ~ Gibbs(s), `samples` times."""
    with torch.no_grad():
        z = in_turn(lambda count: structure.sample(*copies_of(scores, lengths, count), generator), samples)
    scores, lengths = copies_of(scores, lengths, samples)
    return Draw(scores, lengths, z, scores)


def perturbed(
    structure: Structure,
    scores: Tensor,
    lengths: Tensor | None,
    samples: int,
    generator: torch.Generator | None,
    noise: NoiseName = "gumbel",
    noise_temperature: float = 1.0,
) -> Draw:
    r"""z = MAP(s + ε), `samples` times."""
    moved = perturb(structure, scores, lengths, samples, generator, noise, noise_temperature)
    scores, lengths = copies_of(scores, lengths, samples)
    return Draw(scores, lengths, structure.map(moved.detach(), lengths), moved)


def perturb(
    structure: Structure,
    scores: Tensor,
    lengths: Tensor | None,
    samples: int,
    generator: torch.Generator | None,
    noise: NoiseName = "gumbel",
    noise_temperature: float = 1.0,
) -> Tensor:
    """(samples·batch, …): s + ε, with ε the noise times its temperature."""

    def draw(count: int) -> Tensor:
        like, repeated = copies_of(scores.detach(), lengths, count)
        if noise == "gumbel":
            return gumbel(like, generator)
        return sum_of_gamma(like, parts_per_structure(structure, like, repeated), generator)

    moved = copies(scores, samples)
    return moved if noise_temperature == 0 else moved + noise_temperature * in_turn(draw, samples)


def exponential(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard exponential noise, above zero, in the shape of `like`."""
    noise = torch.empty_like(like).exponential_(generator=generator)
    return noise.clamp_min(torch.finfo(like.dtype).tiny)


def gumbel(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard Gumbel noise in the shape of `like`."""
    return -exponential(like, generator).log()


def sum_of_gamma(like: Tensor, parts: Tensor, generator: torch.Generator | None) -> Tensor:
    r"""Noise of which κ independent copies sum to a standard Gumbel variable, approximately.

    $$\frac{1}{\kappa} \left( \sum_{i=1}^{10} \mathrm{Gamma}(1/\kappa,\ \kappa/i) - \log 10 \right)$$

    κ = `parts`, shaped to broadcast with `like`, is the number of parts in a structure.
    Source: Niepert et al. 2021, Implicit MLE, section 3.2.
    """
    order = torch.arange(1, GAMMAS + 1, dtype=like.dtype, device=like.device)
    shape = (1 / parts.to(like.dtype)).expand_as(like).unsqueeze(-1).expand(*like.shape, GAMMAS)
    gammas = torch._standard_gamma(shape.contiguous(), generator=generator)
    return (gammas / order).sum(-1) - order[-1].log() / parts


def parts_per_structure(structure: Structure, scores: Tensor, lengths: Tensor | None) -> Tensor:
    """How many parts a structure has: one of a categorical, as many arcs as words of a tree; broadcasts."""
    if structure.name == "categorical":
        return torch.ones((), dtype=torch.int64, device=scores.device)
    if lengths is None:
        return torch.full((), scores.shape[-1] - 1, device=scores.device)
    return lengths.reshape(*lengths.shape, *[1] * (scores.dim() - lengths.dim()))
