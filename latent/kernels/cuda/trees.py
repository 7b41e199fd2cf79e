"""Tree kernels on a GPU: tensors in and out around the Triton kernels.

A call reads one status a sentence back, and waits for it: an error must be raised by the call that made it,
and a wrong tree must not travel on, except within `latent.checks.deferred`. The backward passes check
nothing: their scores have been looked at.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from latent.checks import expect
from latent.kernels import Projection, TreeKernels
from latent.kernels.cuda import active_sets
from latent.kernels.cuda.active_sets import new_active_sets
from latent.kernels.cuda.inside_outside import SUM_TABLES, sums_kernel
from latent.kernels.cuda.launch import contiguous, new_status, on_device_of, tile, viterbi_scratch
from latent.kernels.cuda.sparsemap import FULL, projection_kernel, sparsemap_kernel
from latent.kernels.cuda.viterbi import map_kernel
from latent.kernels.status import FINE, status_error
from latent.kernels.through_cpu import ThroughCpu


class ProjectiveCudaTrees(ThroughCpu):
    """Projective trees; what is not defined here goes through the CPU: `sample` and `kbest`."""

    def __init__(self) -> None:
        super().__init__("projective")
        self.name = "projective tree"

    def map(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.map`."""
        given = contiguous(scores, torch.float32, torch.float64)
        z, status = torch.zeros_like(given), new_status(scores)
        with on_device_of(given):
            map_kernel[(len(z),)](
                given,
                lengths.to(given.device),
                *viterbi_scratch(given, given.dtype),
                z,
                status,
                given.shape[1],
                single_root,
                **tile(given.shape[1]),
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
        given, words = contiguous(scores, torch.float32, torch.float64), lengths.to(scores.device)
        batch, size = given.shape[:2]
        mu, gap = torch.zeros_like(given, dtype=torch.float64), given.new_zeros(batch, dtype=torch.float64)
        first, sizes, iterations = (words.new_zeros(batch) for _ in range(3))
        status, sentences = new_status(scores), torch.arange(batch, device=scores.device)
        active, resume = new_active_sets(mu, batch, active_sets.FIRST_ROOM, size), False
        parts: list[tuple[Tensor, Tensor]] = []
        total = 0
        while True:
            with on_device_of(given):
                sparsemap_kernel[(len(sentences),)](
                    given,
                    words,
                    sentences,
                    *viterbi_scratch(given[: len(sentences)], torch.float64),
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
                    **tile(size),
                    **active.tile(),
                )
            codes = status.cpu()
            self._check("sparsemap", codes.clamp(min=FINE), scores, lengths)
            full = (codes == FULL).to(given.device)[sentences]
            done = sentences[~full]
            first[done] = total + sizes[done].cumsum(0) - sizes[done]
            parts.append(active.used(sizes[sentences] * ~full))
            total += len(parts[-1][0])
            if not (codes == FULL).any():
                break
            sentences, active, resume = sentences[full], active.grown(full), True
        trees, weights = (torch.cat(part) for part in zip(*parts, strict=True))
        return Projection(mu.to(scores.dtype), trees, weights, first, sizes, gap, iterations)

    def sparsemap_vjp(
        self, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
    ) -> Tensor:
        """See `TreeKernels.sparsemap_vjp`. The host reads the largest support's size, to make room for it."""
        given = contiguous(gradient, torch.float32, torch.float64)
        batch, size = given.shape[:2]
        out = torch.zeros_like(given, dtype=torch.float64)
        largest = int(sizes.max()) if batch else 0
        room = max(active_sets.FIRST_ROOM, triton.next_power_of_2(largest + 1))
        active = new_active_sets(out, batch, room, size)
        with on_device_of(given):
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
                **tile(size),
                **active.tile(),
            )
        return out.to(gradient.dtype)

    def _check(self, operation: str, status: Tensor, scores: Tensor, lengths: Tensor) -> None:
        name, size = f"{self.name}: {operation}", scores.shape[-1]
        expect((status == FINE).all(), lambda: status_error(name, status.cpu().numpy(), size, lengths))


def _run_sums(
    scores: Tensor, lengths: Tensor, direction: Tensor | None, single_root: bool, outside: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The marginals, or their derivative if there is a direction, the log-partitions, and the status."""
    given = contiguous(scores, torch.float32, torch.float64)
    batch, size = given.shape[:2]
    tables = SUM_TABLES * (1 if direction is None else 2)
    out = torch.zeros_like(given, dtype=torch.float64)
    log_z, status = out.new_empty(batch), new_status(scores)
    with on_device_of(given):
        sums_kernel[(batch,)](
            given,
            lengths.to(given.device),
            given if direction is None else contiguous(direction, torch.float32, torch.float64),
            out.new_empty(batch, tables, size, size),
            log_z,
            out,
            status,
            size,
            single_root,
            outside,
            direction is not None,
            **tile(size),
        )
    return out, log_z, status


TREES: dict[str, TreeKernels] = {
    "projective": ProjectiveCudaTrees(),
    "nonprojective": ThroughCpu("nonprojective"),
}
"""The structures, by name; non-projective trees go through the CPU."""
