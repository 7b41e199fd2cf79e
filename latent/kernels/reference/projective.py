"""Projective trees by torch-struct (Rush 2020), wrapped so that its pitfalls cannot be reached."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def _torch_struct() -> Any:
    try:
        import torch_struct
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the reference back end for projective trees wants torch-struct: pip install torch-struct==0.5"
        ) from error
    return torch_struct


def _total(semiring: str, scores: Tensor, words: list[int], single_root: bool) -> Tensor:
    """The goal item of torch-struct's chart, from finite scores that require a gradient.

    It wants the root's scores on the diagonal. Its `multiroot` usually lands on the class, where two
    distributions share it; this chart is made for one call, and keeps its own.
    """
    library = _torch_struct()
    chart = library.DepTree(getattr(library, semiring))
    chart.multiroot = not single_root
    n = scores.shape[1] - 1
    diagonal = torch.eye(n, dtype=torch.bool, device=scores.device)
    folded = torch.where(diagonal, scores[:, :1, 1:], scores[:, 1:, 1:])
    total: Tensor = chart.sum(folded, torch.tensor(words, device=scores.device))
    return total


def log_partition(scores: Tensor, words: list[int], single_root: bool) -> Tensor:
    """(batch,) log-partitions of finite scores that require a gradient; differentiable twice."""
    return _total("LogSemiring", scores, words, single_root)


def best_trees(scores: Tensor, words: list[int], single_root: bool) -> Tensor:
    """(batch, n+1, n+1) zeros and ones: the derivative of the best score."""
    leaf = scores.detach().requires_grad_()
    (z,) = torch.autograd.grad(_total("MaxSemiring", leaf, words, single_root).sum(), leaf)
    return z
