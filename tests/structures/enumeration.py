"""All trees of a few words, found without any dynamic program: every head vector is tried."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import torch
from scipy.optimize import nnls


def is_tree(heads):
    """Whether every word reaches the root symbol, 0, along its heads."""
    for word in range(1, len(heads) + 1):
        steps = 0
        while word and steps <= len(heads):
            word, steps = heads[word - 1], steps + 1
        if word:
            return False
    return True


def is_projective(heads):
    """Whether no two arcs cross above the sentence, the root symbol standing before the first word."""
    arcs = [(min(h, m), max(h, m)) for m, h in enumerate(heads, 1)]
    return not any(a < c < b < d for a, b in arcs for c, d in arcs)


@cache
def all_trees(n, *, projective, single_root):
    """(number of trees, n) heads."""
    vectors = product(*([h for h in range(n + 1) if h != m] for m in range(1, n + 1)))
    found = [
        heads
        for heads in vectors
        if is_tree(heads)
        and (not projective or is_projective(heads))
        and (not single_root or heads.count(0) == 1)
    ]
    return np.array(found)


def as_matrices(heads):
    """(number of trees, n+1, n+1) zeros and ones."""
    count, n = heads.shape
    z = torch.zeros(count, n + 1, n + 1, dtype=torch.float64)
    for m in range(n):
        z[torch.arange(count), torch.from_numpy(heads[:, m]), m + 1] = 1
    return z


def project(points, target):
    """The Euclidean projection of target onto the convex hull of points, by non-negative least squares.

    For v_i = point_i - target, the u ≥ 0 that minimises ‖Σ u_i v_i‖² + (1 - Σ u_i)² is a multiple of the
    weights p of the nearest point: the best multiple of any p is worth ‖v‖² / (1 + ‖v‖²) with v = Σ p_i v_i.
    """
    offsets = (points - target).flatten(1).numpy()
    goal = np.zeros(offsets.shape[1] + 1)
    goal[-1] = 1
    u, _ = nnls(np.column_stack([offsets, np.ones(len(offsets))]).T, goal)
    return torch.from_numpy(u / u.sum() @ points.flatten(1).numpy())
