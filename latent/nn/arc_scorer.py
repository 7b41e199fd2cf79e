"""Scores for every arc of a sentence, from the states of its words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from latent.kernels.cpu import arc_scores, threads
from latent.nn.encoder import check_lengths

_CLAMP = 43.0  # exp(2 · 43) is still a float32, and the tanh of anything beyond it is 1
_SECONDS_A_TERM = 5e-10


class ArcScorer(nn.Module):
    r"""Score each arc by a one-layer network over its two ends.

    .. math:: s_{i \to j} = v^\top \tanh(W [x_i; x_j] + b)

    W falls into one half for the head and one for the modifier, so the n² pairs cost two projections and a
    broadcast sum. On a CPU that sum, the tanh and the product with v are one pass over the true arcs, which
    stores nothing of size n² · hidden_size. Source: understanding-spigot, Eq. 23.

    States that know no order, such as plain embeddings, leave the scores without any. With ``distances`` = D
    the score of an arc between words has one more term, :math:`d_{j-i}`, learned for each j - i from -D to D;
    what is further is taken for D away.

    Args:
        state_size: size of a word's state.
        hidden_size: size of the layer inside the tanh.
        distances: D, or 0 for the formula as it stands.

    Shapes: states ``(batch, n+1, state_size)`` and lengths ``(batch,)`` to scores ``(batch, n+1, n+1)``,
    indexed ``[b, head, modifier]``; zeros in column 0, on the diagonal and at padding.

    Cost: O(batch · n² · hidden_size) time; memory O(batch · n · (n + hidden_size)) on a CPU, and
    O(batch · n² · hidden_size) elsewhere.
    """

    def __init__(self, state_size: int, hidden_size: int, distances: int = 0) -> None:
        super().__init__()
        self.ends = nn.Linear(state_size, 2 * hidden_size)
        self.weight = nn.Parameter(torch.empty(hidden_size))
        nn.init.uniform_(self.weight, -(hidden_size**-0.5), hidden_size**-0.5)
        self.distance = nn.Parameter(torch.zeros(2 * distances + 1)) if distances else None

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return the scores of all arcs."""
        ends = self.ends(states)
        score = fused_scores if ends.device.type == "cpu" else plain_scores
        scores = score(ends, self.weight, lengths)
        if self.distance is not None:
            scores = scores + distance_scores(self.distance, lengths, scores.shape[-1])
        return scores


def distance_scores(weight: Tensor, lengths: Tensor, nodes: int) -> Tensor:
    """Score arcs between words by j - i alone: ``weight[D + j - i]``, and zero all that is no such arc."""
    furthest = len(weight) // 2
    places = torch.arange(nodes, device=weight.device)
    reach = (places - places.unsqueeze(1)).clamp(-furthest, furthest)
    between_words = arc_mask(lengths, nodes) & (places.unsqueeze(1) > 0)
    return torch.where(between_words, weight[reach + furthest], 0.0)


def plain_scores(ends: Tensor, weight: Tensor, lengths: Tensor) -> Tensor:
    """Score arcs by the formula as it stands, on any device; scores of half precision come out in single."""
    head, modifier = ends.chunk(2, dim=-1)
    scores = torch.tanh(head.unsqueeze(2) + modifier.unsqueeze(1)) @ weight.to(ends.dtype)
    if scores.dtype not in (torch.float32, torch.float64):
        scores = scores.float()
    return scores.masked_fill(~arc_mask(lengths, scores.shape[-1]), 0.0)


def fused_scores(ends: Tensor, weight: Tensor, lengths: Tensor) -> Tensor:
    """Score arcs in one pass over the true arcs, on a CPU; half precision is computed in single."""
    check_lengths(lengths, ends.shape[1])
    if ends.dtype not in (torch.float32, torch.float64):
        ends = ends.float()
    scores: Tensor = _FusedScores.apply(ends, weight.to(ends.dtype), lengths)  # type: ignore[no-untyped-call]
    return scores


class _FusedScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ends: Tensor, weight: Tensor, lengths: Tensor) -> Tensor:
        exponentials = ends.clamp(-_CLAMP, _CLAMP).mul_(2).exp_()
        batch, nodes, _ = ends.shape
        scores = ends.new_zeros(batch, nodes, nodes)
        tensors = (exponentials, weight.detach().contiguous(), lengths, scores)
        threads.run_on(arc_scores.forward, tensors, scores.numel() * len(weight) * _SECONDS_A_TERM)
        ctx.save_for_backward(exponentials, weight, lengths)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        exponentials, weight, lengths = ctx.saved_tensors
        to_ends = torch.zeros_like(exponentials)
        to_weight = exponentials.new_zeros(len(lengths), len(weight))
        tensors = (gradient.contiguous(), exponentials, weight.contiguous(), lengths, to_ends, to_weight)
        threads.run_on(arc_scores.backward, tensors, 2 * gradient.numel() * len(weight) * _SECONDS_A_TERM)
        return to_ends, to_weight.sum(0), None


def arc_mask(lengths: Tensor, nodes: int) -> Tensor:
    """Return ``(batch, nodes, nodes)``, True at the arcs: no column 0, no diagonal, no padding."""
    places = torch.arange(nodes, device=lengths.device)
    inside = places <= lengths.unsqueeze(1)
    return inside.unsqueeze(2) & inside.unsqueeze(1) & (places != 0) & (places.unsqueeze(1) != places)
