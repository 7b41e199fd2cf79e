"""What the active sets of a batch are kept in on a GPU; see `active_set` for what is done with them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latent.kernels.cuda import launch

FIRST_ROOM = 128
"""How many rows an active set has at first, whatever the sentence: the same sums in the same order."""


class ActiveSets(NamedTuple):
    """A set per sentence; row 0 of each belongs to no tree."""

    trees: Tensor
    weights: Tensor
    solution: Tensor
    inverse: Tensor
    work: Tensor

    @property
    def room(self) -> int:
        """How many rows each has, a power of two: one more than there can be trees."""
        return self.weights.shape[1]

    def tile(self) -> dict[str, int]:
        """The rows that a program has, and how many of them it looks at together."""
        return {"ROOM": self.room, "ROWS": max(1, launch.TILE // self.room)}

    def used(self, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The trees and weights of all sets, which have these sizes, one after the other."""
        row = torch.arange(self.room, device=sizes.device)
        used = ((row > 0) & (row <= sizes[:, None])).flatten().nonzero()[:, 0]
        return self.trees.flatten(0, 1)[used, :-1], self.weights.flatten()[used]

    def grown(self, which: Tensor) -> ActiveSets:
        """Some of them, with twice the room."""
        room = self.room
        new = new_active_sets(self.inverse, int(which.sum()), 2 * room, self.trees.shape[2])
        for old, wider in zip(self[:3], new[:3], strict=True):
            wider[:, :room] = old[which]
        new.inverse[:, :room, :room] = self.inverse[which]
        return new


def new_active_sets(like: Tensor, batch: int, room: int, size: int) -> ActiveSets:
    """Empty active sets with that many rows, for sentences of up to size - 1 words."""
    return ActiveSets(
        like.new_zeros(batch, room, size, dtype=torch.int16),
        like.new_empty(batch, room),
        like.new_empty(batch, room),
        like.new_empty(batch, room, room),
        like.new_empty(batch, 2, room),
    )
