"""How kernels report what is wrong with a sentence, and the errors that callers see."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

FINE, BAD_LENGTH, BAD_SCORE, NO_TREE, HARD = 0, 1, 2, 3, 4
"""HARD never reaches a caller: real numbers do not do for the sentence, so it is done again in logarithms."""


def raise_for_status(operation: str, status: np.ndarray[Any, Any], scores: Tensor, lengths: Tensor) -> None:
    """Raise `ValueError` for the first sentence whose status is not `FINE`."""
    if status.any():
        raise status_error(operation, status, scores.shape[-1], lengths)


def status_error(operation: str, status: np.ndarray[Any, Any], size: int, lengths: Tensor) -> ValueError:
    """The error for the first sentence whose status is not `FINE`, of scores (batch, size, size)."""
    b = int(np.flatnonzero(status)[0])
    code, n = int(status[b]), int(lengths[b])
    if code == BAD_LENGTH:
        problem = f"has length {n}, but each length must be from 1 to {size - 1}"
    elif code == BAD_SCORE:
        problem = f"(of {n} words) has a score that is NaN or +inf; wanted finite scores, or -inf as a mask"
    else:
        problem = f"(of {n} words) has no valid tree: its -inf scores forbid every one; allow more arcs"
    return ValueError(f"{operation}: sentence {b} of the batch {problem}")
