"""Structures by brute force in float64: every structure is a row of a table. Slow, plain, and independent."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from latent.structures.base import Structure


def is_tree(heads: tuple[int, ...]) -> bool:
    """One arc from the root, and every word reaches it."""
    if heads.count(0) != 1:
        return False
    for word in range(1, len(heads) + 1):
        for _ in heads:
            word = heads[word - 1] if word else 0
        if word:
            return False
    return True


def is_projective(heads: tuple[int, ...]) -> bool:
    arcs = [(min(h, m), max(h, m)) for m, h in enumerate(heads, 1)]
    return not any(a < c < b < d for (a, b), (c, d) in itertools.permutations(arcs, 2))


@cache
def trees(n: int, projective: bool) -> Tensor:
    """(T, n+1, n+1) float64: every single-root tree over n words."""
    found = [
        heads
        for heads in itertools.product(range(n + 1), repeat=n)
        if is_tree(heads) and (not projective or is_projective(heads))
    ]
    z = torch.zeros(len(found), n + 1, n + 1, dtype=torch.float64)
    for t, heads in enumerate(found):
        z[t, list(heads), list(range(1, n + 1))] = 1
    return z


class Enumerated(Structure):
    """All methods by enumeration: `kind` is "projective", "nonprojective" or "categorical"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.name = kind

    def table(self, scores: Tensor, n: int) -> Tensor:
        """(T, …): the structures of an example of length n, in the shape of a row of the scores."""
        if self.kind == "categorical":
            return torch.eye(scores.shape[1], dtype=torch.float64)
        z = trees(n, self.kind == "projective")
        return torch.nn.functional.pad(z, (0, scores.shape[2] - n - 1) * 2)

    def lengths(self, scores: Tensor, lengths: Tensor | None) -> list[int]:
        if self.kind == "categorical":
            return [scores.shape[1]] * len(scores)
        return [scores.shape[1] - 1] * len(scores) if lengths is None else lengths.tolist()

    def mask(self, scores, lengths=None):
        rows = [self.table(scores, n).sum(0) > 0 for n in self.lengths(scores, lengths)]
        return torch.stack(rows)

    def each(self, scores, lengths, function):
        """Stack function(table, scores of the table's rows) over the examples."""
        results = []
        for s, n in zip(scores, self.lengths(scores, lengths), strict=True):
            z = self.table(scores, n)
            kept = torch.where(z > 0, s.to(torch.float64), 0).flatten(1).sum(1)
            results.append(function(z, kept))
        return torch.stack(results).to(scores.dtype)

    def map(self, scores, lengths=None):
        return self.each(scores.detach(), lengths, lambda z, t: z[t.argmax()])

    def marginals(self, scores, lengths=None):
        return self.each(scores, lengths, lambda z, t: torch.tensordot(t.softmax(0), z, 1))

    def _project(self, scores, lengths, tol, max_iter):
        return self.each(scores, lengths, lambda z, t: torch.tensordot(projection_weights(z, t), z, 1)), None

    def support(self, scores, lengths=None, *, tol=None, max_iter=None):  # exact whatever the limits
        supports = []
        for s, n in zip(scores.detach(), self.lengths(scores, lengths), strict=True):
            z = self.table(scores, n)
            p = projection_weights(z, torch.where(z > 0, s.to(torch.float64), 0).flatten(1).sum(1))
            items = [(float(p[t]), self.item(z[t], n)) for t in p.argsort(descending=True) if p[t] > 1e-12]
            supports.append(items)
        return supports

    def item(self, z, n):
        return [int(z.argmax())] if self.kind == "categorical" else z[:, 1 : n + 1].argmax(0).tolist()

    def kbest(self, scores, lengths, k):
        raise NotImplementedError

    def sample(self, scores, lengths=None, generator=None):
        def draw(z, t):
            return z[torch.multinomial(t.softmax(0), 1, generator=generator)[0]]

        return self.each(scores.detach(), lengths, draw)

    def log_partition(self, scores, lengths=None):
        return self.each(scores, lengths, lambda z, t: t.logsumexp(0))

    def entropy(self, scores, lengths=None):
        return self.each(scores, lengths, lambda z, t: torch.special.entr(t.softmax(0)).sum())


def projection_weights(z: Tensor, t: Tensor) -> Tensor:
    """p that minimises |z'p - s|² over the simplex, given t = z s; differentiable in t.

    Non-negative least squares finds the support, the equality-constrained problem on it gives the weights.
    """
    allowed = torch.isfinite(t)
    flat = z[allowed].flatten(1)
    # |z'p - s|² = p'Gp - 2t'p + const; a heavy last row asks for sum(p) = 1. s itself is a least-squares
    # solution of z s = t: only its component in the span of the structures matters.
    s = torch.linalg.lstsq(flat, t.detach()[allowed, None], driver="gelsd").solution[:, 0]
    weight = 1e3
    a = np.vstack([flat.T.numpy(), np.full((1, len(flat)), weight)])
    p, _ = nnls(a, np.append(s.numpy(), weight), maxiter=10_000)
    support = torch.zeros(len(z), dtype=torch.bool)
    support[allowed.nonzero()[:, 0][torch.from_numpy(p) > 1e-9]] = True
    on = z[support].flatten(1)
    k = len(on)
    kkt = torch.zeros(k + 1, k + 1, dtype=torch.float64)
    kkt[:k, :k] = on @ on.T
    kkt[k, :k] = kkt[:k, k] = 1
    right = torch.cat([t[support], torch.ones(1, dtype=torch.float64)])
    solution = torch.linalg.pinv(kkt) @ right
    return torch.zeros(len(z), dtype=torch.float64).index_put((support.nonzero()[:, 0],), solution[:k])
