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
from latent.kernels.cpu.threads import run
from latent.kernels.status import raise_for_status

Array = np.ndarray[Any, Any]


class CpuTrees(TreeKernels):
    """The loops of one structure, as `projective` and `nonprojective` have them, over a batch."""

    def __init__(self, name: str, loops: ModuleType, oracle: int) -> None:
        self.name, self.loops, self.oracle = name, loops, oracle
        announce(loops.__name__.rsplit(".", 1)[1])

    def map(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.map`."""
        s, n, status = _arrays(scores, lengths, torch.float32, torch.float64)
        z = np.zeros_like(s)
        _run(lambda *part: self.loops.map_block(s, n, single_root, z, status, *part), s, 0.2)
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
        mu, log_z = np.zeros(shape, s.dtype), np.empty(len(s))
        _run(lambda *part: self.loops.sums_block(s, n, single_root, log_z, mu, status, *part), s, 0.5)
        self._check(operation, status, scores, lengths)
        return _tensor(mu, scores), _tensor(log_z, scores)

    def marginals_vjp(self, scores: Tensor, lengths: Tensor, gradient: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.marginals_vjp`."""
        s, n, _ = _arrays(scores, lengths)
        g = _arrays(gradient, lengths)[0]
        out = np.zeros_like(s)
        _run(lambda *part: self.loops.derivative_block(s, n, single_root, g, out, *part), s, 1.5)
        return _tensor(out, scores)

    def sparsemap(
        self, scores: Tensor, lengths: Tensor, single_root: bool, tol: float, max_iter: int
    ) -> Projection:
        """See `TreeKernels.sparsemap`."""
        s, n, status = _arrays(scores, lengths)
        mu, gap = np.zeros_like(s), np.empty(len(s))
        first, sizes, iterations = (np.zeros(len(s), np.int64) for _ in range(3))
        pieces: list[tuple[int, int, Array, Array]] = []

        def block(start: int, step: int) -> None:
            found = sparsemap.sparsemap_block(
                self.oracle,
                s,
                n,
                single_root,
                tol,
                max_iter,
                mu,
                first,
                sizes,
                gap,
                iterations,
                status,
                start,
                step,
            )
            pieces.append((start, step, *found))

        _run(block, s, 10.0)
        self._check("sparsemap", status, scores, lengths)
        total = 0
        for start, step, trees, _ in pieces:
            first[start::step] += total
            total += len(trees)
        trees, weights = (np.concatenate([piece[k] for piece in pieces]) for k in (2, 3))
        return Projection(
            _tensor(mu, scores), *map(torch.from_numpy, (trees, weights, first, sizes, gap, iterations))
        )

    def sparsemap_vjp(
        self, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
    ) -> Tensor:
        """See `TreeKernels.sparsemap_vjp`."""
        g, n, _ = _arrays(gradient, lengths)
        out = np.zeros_like(g)
        support = trees.numpy(), first.numpy(), sizes.numpy()
        _run(lambda *part: sparsemap.projection_block(*support, n, g, out, *part), g, 1.0)
        return _tensor(out, gradient)

    def sample(self, scores: Tensor, lengths: Tensor, seeds: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.sample`."""
        s, n, status = _arrays(scores, lengths)
        z, seed = np.zeros_like(s), seeds.numpy()
        _run(lambda *part: self.loops.sample_block(s, n, single_root, seed, z, status, *part), s, 0.5)
        self._check("sample", status, scores, lengths)
        return _tensor(z, scores)

    def kbest(
        self, scores: Tensor, lengths: Tensor, k: int, single_root: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `TreeKernels.kbest`."""
        s, n, status = _arrays(scores, lengths)
        values, heads = np.full((len(s), k), -np.inf), np.zeros((len(s), k, s.shape[1] - 1), np.int64)
        counts = np.zeros(len(s), np.int64)
        _run(
            lambda *part: self.loops.kbest_block(s, n, single_root, values, heads, counts, status, *part),
            s,
            k,
        )
        self._check("kbest", status, scores, lengths)
        return torch.from_numpy(values), torch.from_numpy(heads), torch.from_numpy(counts)

    def _check(self, operation: str, status: Array, scores: Tensor, lengths: Tensor) -> None:
        if status.any():
            raise_for_status(f"{self.name}: {operation}", status, scores, lengths)


def _arrays(scores: Tensor, lengths: Tensor, *dtypes: torch.dtype) -> tuple[Array, Array, Array]:
    """Contiguous scores in one of the dtypes (float64 if none is named), lengths, and room for a status each.

    Sums are made in float64 whatever the scores are, so only one machine code of them is ever compiled.
    """
    scores = scores.detach()
    if scores.dtype not in dtypes:
        scores = scores.to(dtypes[0] if dtypes else torch.float64)
    n = lengths.cpu().contiguous().numpy()
    return scores.contiguous().numpy(), n, np.zeros(len(n), np.int64)


def _tensor(array: Array, like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like.dtype)


def _run(block: Callable[[int, int], Any], scores: Array, nanoseconds: float) -> None:
    """Run the block over the batch; `nanoseconds` is about the time of one sentence over its size cubed."""
    batch, size = scores.shape[:2]
    run(block, batch, batch * (500 + size * size * size * nanoseconds) * 1e-9)


TREES: dict[str, TreeKernels] = {
    "projective": CpuTrees("projective tree", projective, sparsemap.PROJECTIVE),
    "nonprojective": CpuTrees("non-projective tree", nonprojective, sparsemap.NON_PROJECTIVE),
}
