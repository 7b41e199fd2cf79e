"""How a kernel over a batch is launched: device, inputs, working memory, and the tile that a program sees."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
import triton
from torch import Tensor

from latent.kernels.cuda.viterbi import CHART_TABLES, TRACE_TABLES

TILE = 1024
"""Numbers that a program looks at together: four a thread with eight warps, all in registers."""


def contiguous(scores: Tensor, *dtypes: torch.dtype) -> Tensor:
    """Contiguous scores in one of the dtypes; the first, if they have another."""
    scores = scores.detach()
    return (scores if scores.dtype in dtypes else scores.to(dtypes[0])).contiguous()


def on_device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Within it, the current device is the tensor's: Triton launches there, and nowhere else."""
    device: AbstractContextManager[object] = torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
    return device


def new_status(scores: Tensor) -> Tensor:
    """Room for the status of each sentence."""
    return torch.zeros(len(scores), dtype=torch.int32, device=scores.device)


def viterbi_scratch(scores: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The chart, the trace and the heads that `best_tree` works on, for each sentence."""
    batch, size = scores.shape[:2]
    return (
        scores.new_empty(batch, CHART_TABLES, size, size, dtype=dtype),
        scores.new_empty(batch, TRACE_TABLES, size, size, dtype=torch.int16),
        scores.new_empty(batch, size, dtype=torch.int32),
    )


def tile(size: int) -> dict[str, int]:
    """All starts, as many splits as a tile has room for, and the warps that share it."""
    starts = max(16, triton.next_power_of_2(size))
    splits = min(starts, max(1, TILE // starts))
    return {"STARTS": starts, "SPLITS": splits, "num_warps": min(8, starts * splits // 128)}
