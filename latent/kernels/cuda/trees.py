"""Tree kernels on a GPU: tensors in and out around the Triton kernels.

A call reads one status a sentence back, and waits for it: an error must be raised by the call that made it,
and a wrong tree must not travel on. The backward passes check nothing: their scores have been looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from latent.kernels import Projection, TreeKernels
from latent.kernels.cuda.inside_outside import SUM_TABLES, sums_kernel
from latent.kernels.cuda.sparsemap import FULL, projection_kernel, sparsemap_kernel
from latent.kernels.cuda.viterbi import CHART_TABLES, TRACE_TABLES, map_kernel
from latent.kernels.status import FINE, raise_for_status
from latent.kernels.through_cpu import ThroughCpu

TILE = 1024
"""Numbers that a program looks at together: four a thread with eight warps, all in registers."""

FIRST_ROOM = 128
"""How many rows an active set has at first, whatever the sentence: the same sums in the same order."""


class ProjectiveCudaTrees(ThroughCpu):
    """Projective trees; what is not defined here goes through the CPU: `sample` and `kbest`."""

    def __init__(self) -> None:
        super().__init__("projective")
        self.name = "projective tree"

    def map(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.map`."""
        given = _contiguous(scores, torch.float32, torch.float64)
        z, status = torch.zeros_like(given), _status(scores)
        map_kernel[(len(z),)](
            given,
            lengths.to(scores.device),
            *_viterbi_scratch(given, given.dtype),
            z,
            status,
            scores.shape[1],
            single_root,
            **_tile(scores.shape[1]),
        )
        self._check("map", status, scores, lengths)
        return z.to(scores.dtype)

    def log_partition(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.log_partition`."""
        return self._sums("log_partition", scores, lengths, single_root, outside=False)[1]

    def marginals(self, scores: Tensor, lengths: Tensor, single_root: bool) -> tuple[Tensor, Tensor]:
        """See `TreeKernels.marginals`."""
        return self._sums("marginals", scores, lengths, single_root, outside=True)

    def _sums(
        self, operation: str, scores: Tensor, lengths: Tensor, single_root: bool, *, outside: bool
    ) -> tuple[Tensor, Tensor]:
        out, log_z, status = _run_sums(scores, lengths, None, single_root, outside)
        self._check(operation, status, scores, lengths)
        return out.to(scores.dtype), log_z.to(scores.dtype)

    def marginals_vjp(self, scores: Tensor, lengths: Tensor, gradient: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.marginals_vjp`."""
        return _run_sums(scores, lengths, gradient, single_root, True)[0].to(scores.dtype)

    def sparsemap(
        self, scores: Tensor, lengths: Tensor, single_root: bool, tol: float, max_iter: int
    ) -> Projection:
        """See `TreeKernels.sparsemap`. No iteration waits for the host: it looks in when all active sets are
        done or full, and gives the full ones twice the room."""
        given, words = _contiguous(scores, torch.float32, torch.float64), lengths.to(scores.device)
        batch, size = given.shape[:2]
        mu, gap = torch.zeros_like(given, dtype=torch.float64), given.new_zeros(batch, dtype=torch.float64)
        first, sizes, iterations = (words.new_zeros(batch) for _ in range(3))
        status, sentences = _status(scores), torch.arange(batch, device=scores.device)
        active = new_active_sets(mu, batch, FIRST_ROOM, size)
        trees, weights, total, resume = [], [], 0, False
        while True:
            sparsemap_kernel[(len(sentences),)](
                given,
                words,
                sentences,
                *_viterbi_scratch(given[: len(sentences)], torch.float64),
                *active,
                mu,
                sizes,
                iterations,
                gap,
                status,
                size,
                tol,
                max_iter,
                single_root,
                resume,
                **_tile(size),
                **active.tile(),
            )
            self._check("sparsemap", status.clamp(min=FINE), scores, lengths)
            full = status[sentences] == FULL
            done = sentences[~full]
            rows = torch.arange(active.room, device=scores.device)
            used = (rows > 0) & (rows <= sizes[sentences, None]) & ~full[:, None]
            trees.append(active.trees[used][:, : size - 1])
            weights.append(active.weights[used])
            first[done] = total + sizes[done].cumsum(0) - sizes[done]
            total += len(weights[-1])
            if not full.any():
                break
            sentences, active, resume = sentences[full], active.grown(full), True
        return Projection(
            mu.to(scores.dtype), torch.cat(trees), torch.cat(weights), first, sizes, gap, iterations
        )

    def sparsemap_vjp(
        self, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
    ) -> Tensor:
        """See `TreeKernels.sparsemap_vjp`. The host reads the largest support's size, to make room for it."""
        given = _contiguous(gradient, torch.float32, torch.float64)
        batch, size = given.shape[:2]
        out = torch.zeros_like(given, dtype=torch.float64)
        room = max(FIRST_ROOM, triton.next_power_of_2(int(sizes.max()) + 1))
        active = new_active_sets(out, batch, room, size)
        projection_kernel[(batch,)](
            trees.contiguous(),
            first,
            sizes,
            lengths.to(given.device),
            given,
            given.new_empty(batch, size, dtype=torch.int32),
            *active,
            out,
            size,
            **_tile(size),
            **active.tile(),
        )
        return out.to(gradient.dtype)

    def _check(self, operation: str, status: Tensor, scores: Tensor, lengths: Tensor) -> None:
        raise_for_status(f"{self.name}: {operation}", status.cpu().numpy(), scores, lengths)


class ActiveSets(NamedTuple):
    """What a batch of active sets is kept in; see `latent.kernels.cuda.active_set`."""

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
        return {"ROOM": self.room, "ROWS": max(1, TILE // self.room)}

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


def _run_sums(
    scores: Tensor, lengths: Tensor, direction: Tensor | None, single_root: bool, outside: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The marginals, or their derivative if there is a direction, the log-partitions, and the status."""
    given = _contiguous(scores, torch.float32, torch.float64)
    batch, size = given.shape[:2]
    tables = SUM_TABLES * (1 if direction is None else 2)
    out = torch.zeros_like(given, dtype=torch.float64)
    log_z, status = out.new_empty(batch), _status(scores)
    sums_kernel[(batch,)](
        given,
        lengths.to(given.device),
        given if direction is None else _contiguous(direction, torch.float32, torch.float64),
        out.new_empty(batch, tables, size, size),
        log_z,
        out,
        status,
        size,
        single_root,
        outside,
        direction is not None,
        **_tile(size),
    )
    return out, log_z, status


def _contiguous(scores: Tensor, *dtypes: torch.dtype) -> Tensor:
    """Contiguous scores in one of the dtypes; the first, if they have another."""
    scores = scores.detach()
    return (scores if scores.dtype in dtypes else scores.to(dtypes[0])).contiguous()


def _status(scores: Tensor) -> Tensor:
    return torch.zeros(len(scores), dtype=torch.int32, device=scores.device)


def _viterbi_scratch(scores: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The chart, the trace and the heads that `best_tree` works on, for each sentence."""
    batch, size = scores.shape[:2]
    return (
        scores.new_empty(batch, CHART_TABLES, size, size, dtype=dtype),
        scores.new_empty(batch, TRACE_TABLES, size, size, dtype=torch.int16),
        scores.new_empty(batch, size, dtype=torch.int32),
    )


def _tile(size: int) -> dict[str, int]:
    """All starts, as many splits as a tile has room for, and the warps that share it."""
    starts = max(16, triton.next_power_of_2(size))
    splits = min(starts, max(1, TILE // starts))
    return {"STARTS": starts, "SPLITS": splits, "num_warps": min(8, starts * splits // 128)}


TREES: dict[str, TreeKernels] = {
    "projective": ProjectiveCudaTrees(),
    "nonprojective": ThroughCpu("nonprojective"),
}
"""The structures, by name; non-projective trees go through the CPU."""
