"""What the reference back end does with scores before anything else: check them, and make them all finite."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from latent.kernels.status import BAD_LENGTH, BAD_SCORE, NO_TREE, raise_for_status


class Prepared(NamedTuple):
    """Finite scores that give the same trees the same probabilities.

    Neither torch-struct nor autograd knows -inf: 0 · inf is NaN. So what is forbidden, or no arc at all,
    scores so little that exp of any tree with it is 0 beside exp of a tree without.
    """

    scores: Tensor
    """(batch, n+1, n+1) float64: at most 0, since each modifier's best score is subtracted."""
    shift: Tensor
    """(batch,) what was subtracted from the score of every tree."""
    allowed: Tensor
    """(batch, n+1, n+1) bool: the arcs that a tree may have."""
    floor: Tensor
    """(batch,) no tree of allowed arcs scores less; one with another arc does, by far."""
    words: list[int]
    """The lengths."""


def prepare(operation: str, scores: Tensor, lengths: Tensor) -> Prepared:
    """Raise for what is wrong with the sentences, but for a missing tree."""
    wide, words = scores.detach().double(), lengths.to(scores.device)
    place = torch.arange(scores.shape[1], device=scores.device)
    inside = place <= words[:, None]
    arcs = inside[:, :, None] & inside[:, None, :] & (place[:, None] != place) & (place > 0)
    status = torch.zeros_like(words)
    status[(arcs & ~(wide < math.inf)).flatten(1).any(1)] = BAD_SCORE
    status[(words < 1) | (words >= scores.shape[1])] = BAD_LENGTH
    raise_for_status(operation, status.cpu().numpy(), scores, lengths)

    allowed = arcs & (wide > -math.inf)
    best = torch.where(allowed, wide, -math.inf).amax(1)
    best = torch.where(allowed.any(1), best, 0)
    moved = torch.where(allowed, wide - best[:, None], 0)
    floor = words * moved.flatten(1).amin(1)
    forbidden = floor - 1000 - words * (words + 1).log()  # there are at most (n+1)^n trees
    finite = torch.where(allowed, moved, forbidden[:, None, None])
    return Prepared(finite, best.sum(1), allowed, floor, words.tolist())


def check_trees(operation: str, found: Tensor, floor: Tensor, scores: Tensor, lengths: Tensor) -> None:
    """Raise for a sentence whose best tree, or log-partition, says that it has no tree of allowed arcs."""
    status = torch.where(found < floor - 1, NO_TREE, 0)
    raise_for_status(operation, status.cpu().numpy(), scores, lengths)
