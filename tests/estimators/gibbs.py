"""The Gibbs distribution of one example, written out: structures, probabilities, mean and covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from .enumeration import Enumerated
from .problems import Problem


class Gibbs:
    """z (T, …), p (T,), mu (…), and the covariance as a function on gradients."""

    def __init__(self, table: Tensor, scores: Tensor) -> None:
        s = torch.where(table > 0, scores.detach(), 0).flatten(1).sum(1)
        self.z, self.p = table, s.softmax(0)
        self.mu = torch.tensordot(self.p, table, 1)

    def covariance(self, gamma: Tensor) -> Tensor:
        """Σγ = E[(z - μ)((z - μ)·γ)]."""
        centred = self.z - self.mu
        along = (centred * gamma).flatten(1).sum(1)
        return torch.tensordot(self.p * along, centred, 1)


def gibbs(problem: Problem, scores: Tensor | None = None) -> list[Gibbs]:
    """One distribution per example, at the scores of the problem or at others."""
    scores = problem.scores if scores is None else scores
    oracle = Enumerated(problem.structure.name)
    lengths = oracle.lengths(problem.scores, problem.lengths)
    return [Gibbs(oracle.table(problem.scores, n), s) for s, n in zip(scores, lengths, strict=True)]


def covariances(problem: Problem, scores: Tensor, gamma: Tensor) -> Tensor:
    """Σ_b γ_b for each example b, at `scores`."""
    return torch.stack([g.covariance(row) for g, row in zip(gibbs(problem, scores), gamma, strict=True)])
