"""What the induced trees look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

Heads = Sequence[int]
"""The head of each word, 0 for the root: ``heads[m - 1]`` is that of word m."""


def heads_of(trees: Tensor, lengths: Tensor) -> list[list[int]]:
    """Read head lists off 0/1 arc tensors ``(batch, n+1, n+1)``."""
    heads = trees.argmax(dim=1)[:, 1:].tolist()
    return [row[:length] for row, length in zip(heads, lengths.tolist(), strict=True)]


def depth(heads: Heads) -> int:
    """Count the arcs from the root to the word that is farthest from it.

    >>> depth([2, 0, 2]), depth([2, 3, 0])
    (2, 3)
    """
    depths = [0] * (len(heads) + 1)
    for word in range(1, len(heads) + 1):
        path = []
        node = word
        while node and not depths[node]:
            path.append(node)
            node = heads[node - 1]
        for node in reversed(path):
            depths[node] = depths[heads[node - 1]] + 1
    return max(depths)


@dataclass
class TreeStatistics:
    """Depth, flatness and arc lengths of a collection of trees."""

    depths: list[int] = field(default_factory=list)
    flat: list[bool] = field(default_factory=list)
    arc_lengths: list[int] = field(default_factory=list)
    left: int = 0

    def add(self, heads: Heads) -> None:
        """Take one tree in."""
        deep = depth(heads)
        self.depths.append(deep)
        if len(heads) >= 3:
            self.flat.append(deep <= 2)
        distances = [head - word for word, head in enumerate(heads, start=1) if head]
        self.arc_lengths += [abs(distance) for distance in distances]
        self.left += sum(distance < 0 for distance in distances)

    def summary(self) -> dict[str, float]:
        """Return the statistics.

        ``mean_depth`` counts arcs from the root symbol; ``flat_share`` is the share of sentences of three
        or more words in which every word hangs on the root or on the root's one child; arc lengths leave the
        root's arc out, and ``head_left_share`` is the share of those whose head stands to the left.
        """
        arcs = np.array(self.arc_lengths or [0])
        return {
            "trees": len(self.depths),
            "mean_depth": float(np.mean(self.depths or [0])),
            "flat_share": float(np.mean(self.flat or [False])),
            "mean_arc_length": float(arcs.mean()),
            "adjacent_share": float((arcs == 1).mean()),
            "head_left_share": self.left / max(1, len(self.arc_lengths)),
        }
