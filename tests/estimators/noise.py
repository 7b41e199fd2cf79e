"""Randomness that is a function of the example and of how often it was seen, not of the batch it is in."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from latent.estimators import draws
from latent.structures.base import Structure

SIZE = 8


class FixedNoise:
    """Replaces the estimators' noise and a structure's `sample`.

    An example is known by one of its scores. The noise of an arc depends on the example, the arc and how
    many noises the example has had, so the copies of an example differ and padding does not matter.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, structure: Structure) -> None:
        self.seen: Counter[float] = Counter()
        self.original = structure.sample
        monkeypatch.setattr(draws, "exponential", self.exponential)
        monkeypatch.setattr(
            draws, "sum_of_gamma", lambda like, parts, _: self.exponential(like, None) / parts
        )
        monkeypatch.setattr(structure, "sample", self.sample)

    def reset(self) -> None:
        self.seen.clear()

    def generator(self, row: Tensor) -> torch.Generator:
        key = round(float(row[1] if row.dim() == 1 else row[0, 1]), 9)
        self.seen[key] += 1
        return torch.Generator().manual_seed(hash((key, self.seen[key])) % 2**31)

    def exponential(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        rows = []
        for row in like.detach():
            table = torch.empty((SIZE,) * row.dim(), dtype=like.dtype)
            table.exponential_(generator=self.generator(row))
            rows.append(table[tuple(slice(size) for size in row.shape)])
        return torch.stack(rows)

    def sample(self, scores: Tensor, lengths: Tensor | None = None, generator=None) -> Tensor:
        z = torch.zeros_like(scores)
        for b, row in enumerate(scores.detach()):
            own, inside = None, tuple(slice(size) for size in row.shape)
            if lengths is not None and row.dim() == 2:
                own = lengths[b : b + 1]
                inside = (slice(int(own) + 1),) * 2
            z[b][inside] = self.original(row[inside][None], own, self.generator(row))[0]
        return z
