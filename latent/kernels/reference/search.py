"""What needs nothing but a best tree: SparseMAP and the k best trees of one sentence."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor

Best = Callable[[Tensor], Tensor]
"""(batch, n+1, n+1) scores → the heads of the best trees, (batch, n)."""


def score_of(scores: Tensor, heads: Tensor) -> Tensor:
    """(…,) scores of the trees with these (…, n) heads."""
    return scores[heads, torch.arange(1, len(scores), device=scores.device)].sum(-1)


def mixture(trees: Tensor, weights: Tensor) -> Tensor:
    """(n+1, n+1) the weighted sum of (k, n) trees."""
    k, n = trees.shape
    z = weights.new_zeros(n + 1, n + 1)
    modifiers = torch.arange(1, n + 1, device=z.device).expand(k, n)
    return z.index_put((trees, modifiers), weights[:, None].expand(k, n), accumulate=True)


def project(scores: Tensor, best: Best, tol: float, max_iter: int) -> tuple[Tensor, Tensor, float, int]:
    """SparseMAP by an active set: trees, weights, gap, iterations.

    Each step solves the bordered system over the trees anew, with no inverse to keep up to date.
    """
    trees = best(scores[None])
    weights = scores.new_ones(1)
    iterations = 0
    while True:
        trees, weights, value = _minimise(scores, trees, weights)
        left = scores - mixture(trees, weights)
        new = best(left[None])
        gap = max(float(score_of(left, new[0]) - value), 0.0)
        known = bool((trees == new).all(1).any())  # only rounding lets an active tree score more
        if gap <= tol or iterations >= max_iter or known:
            return trees, weights / weights.sum(), gap, iterations
        iterations += 1
        trees, weights = torch.cat([trees, new]), torch.cat([weights, weights.new_zeros(1)])


def _minimise(scores: Tensor, trees: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The best mixture of some of the trees, and the score that each of these has under the residual."""
    while True:
        goal, value = _affine_minimiser(scores, trees)
        falling = goal < 0
        if not falling.any():
            return trees, goal, value
        steps = torch.where(falling, weights / torch.where(falling, weights - goal, 1), math.inf)
        weights = (weights + steps.min() * (goal - weights)).clamp(min=0)
        kept = torch.arange(len(trees), device=trees.device) != steps.argmin()
        trees, weights = trees[kept], weights[kept]


def _affine_minimiser(scores: Tensor, trees: Tensor) -> tuple[Tensor, Tensor]:
    """The weights with sum 1 whose mixture is closest to the scores, and the multiplier of that sum."""
    k = len(trees)
    system = scores.new_ones(k + 1, k + 1)
    system[0, 0] = 0
    system[1:, 1:] = (trees[:, None] == trees).sum(-1)
    right = torch.cat([scores.new_ones(1), score_of(scores, trees)])
    solution: Tensor = torch.linalg.pinv(system, hermitian=True) @ right
    return solution[1:], solution[0]


def onto_directions(trees: Tensor, gradient: Tensor) -> Tensor:
    """The orthogonal projection of the gradient onto the span of the trees' differences."""
    each = torch.stack([mixture(tree[None], gradient.new_ones(1)) for tree in trees]).flatten(1)
    W = each - each[0]
    flat: Tensor = torch.linalg.pinv(W) @ (W @ gradient.flatten())
    return torch.where((W != 0).any(0), flat, 0).reshape(gradient.shape)


def best_k(scores: Tensor, best: Best, k: int) -> list[tuple[float, Tensor]]:
    """The k best trees (Lawler 1972): split what is left by the first word with another head."""
    order = count()
    queue: list[tuple[float, int, Tensor, Tensor, int]] = []

    def push(spaces: list[tuple[Tensor, int]]) -> None:
        """Put the best tree of each space of trees, if there is one, into the queue."""
        if not spaces:
            return
        found = best(torch.stack([allowed for allowed, _ in spaces]))
        for (allowed, first), heads in zip(spaces, found, strict=True):
            value = float(score_of(allowed, heads))
            if value > -math.inf:
                heapq.heappush(queue, (-value, next(order), heads, allowed, first))

    push([(scores, 0)])
    trees: list[tuple[float, Tensor]] = []
    while queue and len(trees) < k:
        value, _, heads, allowed, first = heapq.heappop(queue)
        trees.append((-value, heads))
        spaces = []
        for word in range(first, len(heads)):
            other = allowed.clone()
            other[heads[word], word + 1] = -math.inf
            spaces.append((other, word))
            allowed = _with_head(allowed, word, int(heads[word]))
        push(spaces)
    return trees


def _with_head(scores: Tensor, word: int, head: int) -> Tensor:
    """The scores with all other arcs into a word (counted from 0) forbidden."""
    fixed = scores.clone()
    fixed[:, word + 1] = -math.inf
    fixed[head, word + 1] = scores[head, word + 1]
    return fixed
