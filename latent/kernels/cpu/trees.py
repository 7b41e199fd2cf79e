"""Tree kernels on the CPU: tensors in and out around the loops of a structure's module."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent.kernels import Projection, TreeKernels
from latent.kernels.cpu import nonprojective, projective, sparsemap
from latent.kernels.cpu.jit import announce
from latent.kernels.cpu.threads import blocks_of, run
from latent.kernels.status import HARD, raise_for_status

Array = np.ndarray[Any, Any]


class CpuTrees(TreeKernels):
    """The loops of one structure, as `projective` and `nonprojective` have them, over a batch."""

    def __init__(self, name: str, loops: ModuleType, oracle: int) -> None:
        self.name, self.loops, self.oracle = name, loops, oracle
        self.ready_for_hard = False
        announce(loops.__name__.rsplit(".", 1)[1])

    def map(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.map`."""
        s, n, status = _arrays(scores, lengths)
        z = np.empty_like(s)
        _run(self.loops.map_block, (s, n, single_root, z, status), s, 0.2)
        self._check("map", status, scores, lengths)
        return _tensor(z, scores)

    def log_partition(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.log_partition`."""
        return self._sums(scores, lengths, single_root, "log_partition", (0, 0, 0))[1]

    def marginals(self, scores: Tensor, lengths: Tensor, single_root: bool) -> tuple[Tensor, Tensor]:
        """See `TreeKernels.marginals`."""
        return self._sums(scores, lengths, single_root, "marginals", tuple(scores.shape))

    def _sums(
        self, scores: Tensor, lengths: Tensor, single_root: bool, operation: str, shape: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        s, n, status = _arrays(scores, lengths)
        mu, log_z = np.empty(shape, s.dtype), np.empty(len(s))
        _run(self.loops.sums_block, (s, n, single_root, log_z, mu, status), s, 0.5)
        self._do_hard(s, n, single_root, np.empty((0, 0, 0)), log_z, mu, status)
        self._check(operation, status, scores, lengths)
        return _tensor(mu, scores), _tensor(log_z, scores)

    def marginals_vjp(self, scores: Tensor, lengths: Tensor, gradient: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.marginals_vjp`."""
        s, n, status = _arrays(scores, lengths)
        g = _arrays(gradient.to(scores.dtype), lengths)[0]
        out = np.empty_like(s)
        _run(self.loops.derivative_block, (s, n, single_root, g, out, status), s, 1.5)
        self._do_hard(s, n, single_root, g, np.empty(len(s)), out, status)
        return _tensor(out, scores)

    def _do_hard(
        self, s: Array, n: Array, single_root: bool, direction: Array, log_z: Array, out: Array, status: Array
    ) -> None:
        """Do the HARD sentences again, in logarithms; their results replace what is there."""
        hard = np.flatnonzero(status == HARD)
        if not hard.size and self.ready_for_hard:
            return
        self.ready_for_hard = True  # compiled with the first sums, so that no later call waits for it
        shape = (len(hard), *out.shape[1:])
        results = np.empty(len(hard)), np.zeros(shape if out.size else (0, 0, 0)), status[hard]
        to = direction[hard].astype(np.float64) if direction.size else direction
        given = s[hard].astype(np.float64), n[hard], single_root, to
        _run(self.loops.hard_block, (*given, *results), s[hard], 50.0)
        log_z[hard], status[hard] = results[0], results[2]
        if out.size:
            out[hard] = results[1]

    def sparsemap(
        self, scores: Tensor, lengths: Tensor, single_root: bool, tol: float, max_iter: int
    ) -> Projection:
        """See `TreeKernels.sparsemap`."""
        s, n, status = _arrays(scores.double(), lengths)
        mu, gap = np.zeros_like(s), np.empty(len(s))
        first, sizes, iterations = (np.zeros(len(s), np.int64) for _ in range(3))
        words, seconds = s.shape[1] - 1, _seconds(s, 10.0)
        blocks = blocks_of(len(s), seconds)
        room = -(-len(s) // blocks) * _trees_expected(words)
        while True:
            trees, weights = np.empty((blocks, room, words), np.int16), np.empty((blocks, room))
            given = (self.oracle, s, n, single_root, tol, max_iter, mu, trees, weights)
            run(sparsemap.sparsemap_block, (*given, first, sizes, gap, iterations, status), blocks, seconds)
            self._check("sparsemap", status, scores, lengths)
            used = np.array([sizes[k::blocks].sum() for k in range(blocks)])
            if used.max() <= room:
                break
            room = used.max()  # rare: all trees were counted, also those that there was no room for
        for k in range(blocks):
            first[k::blocks] += used[:k].sum()
        pieces = [(trees[k, :size], weights[k, :size]) for k, size in enumerate(used)]
        supports = (np.concatenate(part) for part in zip(*pieces, strict=True))
        return Projection(
            _tensor(mu, scores), *map(torch.from_numpy, (*supports, first, sizes, gap, iterations))
        )

    def sparsemap_vjp(
        self, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
    ) -> Tensor:
        """See `TreeKernels.sparsemap_vjp`."""
        g, n, _ = _arrays(gradient, lengths)
        out = np.zeros_like(g)
        support = trees.numpy(), first.numpy(), sizes.numpy()
        _run(sparsemap.projection_block, (*support, n, g, out), g, 1.0)
        return _tensor(out, gradient)

    def sample(self, scores: Tensor, lengths: Tensor, seeds: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.sample`."""
        s, n, status = _arrays(scores.double(), lengths)
        z, seed = np.zeros_like(s), seeds.numpy()
        _run(self.loops.sample_block, (s, n, single_root, seed, z, status), s, 0.5)
        self._check("sample", status, scores, lengths)
        return _tensor(z, scores)

    def kbest(
        self, scores: Tensor, lengths: Tensor, k: int, single_root: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `TreeKernels.kbest`."""
        s, n, status = _arrays(scores.double(), lengths)
        values, heads = np.full((len(s), k), -np.inf), np.zeros((len(s), k, s.shape[1] - 1), np.int64)
        counts = np.zeros(len(s), np.int64)
        _run(self.loops.kbest_block, (s, n, single_root, values, heads, counts, status), s, k)
        self._check("kbest", status, scores, lengths)
        return torch.from_numpy(values), torch.from_numpy(heads), torch.from_numpy(counts)

    def _check(self, operation: str, status: Array, scores: Tensor, lengths: Tensor) -> None:
        if status.any():
            raise_for_status(f"{self.name}: {operation}", status, scores, lengths)


def _arrays(scores: Tensor, lengths: Tensor) -> tuple[Array, Array, Array]:
    """Contiguous scores in single or double precision, lengths, and room for a status each.

    Where speed does not hang on it scores come here as doubles, so that less machine code is ever compiled.
    """
    scores = scores.detach()
    if scores.dtype not in (torch.float32, torch.float64):
        scores = scores.float()
    n = lengths.cpu().contiguous().numpy()
    return scores.contiguous().numpy(), n, np.zeros(len(n), np.int64)


def _tensor(array: Array, like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like.dtype)


def _seconds(scores: Array, nanoseconds: float) -> float:
    """About the time of the whole batch; `nanoseconds` is that of one sentence over its size cubed."""
    return len(scores) * float(500 + scores.shape[1] ** 3 * nanoseconds) * 1e-9


def _trees_expected(words: int) -> int:
    """A support's size that is hardly ever exceeded; memory that is not written to costs nothing."""
    return words * words // 4 + 2 * words + 8


def _run(block: Callable[..., Any], arguments: tuple[Any, ...], scores: Array, nanoseconds: float) -> None:
    """Run the block over the batch, on several threads if it is worth it."""
    seconds = _seconds(scores, nanoseconds)
    run(block, arguments, blocks_of(len(scores), seconds), seconds)


TREES: dict[str, TreeKernels] = {
    "projective": CpuTrees("projective tree", projective, sparsemap.PROJECTIVE),
    "nonprojective": CpuTrees("non-projective tree", nonprojective, sparsemap.NON_PROJECTIVE),
}
