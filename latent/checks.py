"""Checks of numbers that a device holds: at once, or, within `deferred`, when somebody has time to wait.

To look at a number on a GPU, the host waits until everything before it is computed. A training loop that may
not wait in every step collects its checks, and looks at all of them together every so often.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

MakeError = Callable[[], Exception]


class Pending:
    """Checks that nobody has looked at yet, in the order in which they were made."""

    def __init__(self) -> None:
        self._checks: list[tuple[Tensor, MakeError]] = []

    def add(self, fine: Tensor, error: MakeError) -> None:
        """Take in a check: a bool tensor of one element, and what makes the error if it is False."""
        self._checks.append((fine.detach().reshape(()), error))

    def look(self) -> None:
        """Raise the error of the first check that failed; waits for the device once."""
        checks, self._checks = self._checks, []
        if not checks:
            return
        device = checks[-1][0].device
        found = torch.stack([fine.to(device) for fine, _ in checks]).tolist()
        for fine, (_, error) in zip(found, checks, strict=True):
            if not fine:
                raise error()


_collecting: list[Pending] = []


@contextmanager
def deferred() -> Iterator[Pending]:
    """Within it, checks raise nothing and wait for nothing until `Pending.look` is called.

    It holds for the whole process, because autograd runs backward passes in threads of its own. Until
    somebody looks, results may come of numbers that would have been refused.

    >>> import torch
    >>> with deferred() as pending:
    ...     expect_finite(torch.tensor([1.0, float("nan")]), lambda: FloatingPointError("not finite"))
    >>> pending.look()
    Traceback (most recent call last):
    FloatingPointError: not finite
    """
    pending = Pending()
    _collecting.append(pending)
    try:
        yield pending
    finally:
        _collecting.remove(pending)


def expect(fine: Tensor, error: MakeError) -> None:
    """Raise the error unless the one element of a bool tensor is True; now, or when somebody looks."""
    if _collecting:
        _collecting[-1].add(fine, error)
    elif not bool(fine):
        raise error()


def expect_finite(tensor: Tensor, error: MakeError) -> None:
    """Raise the error if an entry is NaN or infinite; now, or when somebody looks."""
    if _collecting:
        expect(tensor.detach().isfinite().all(), error)
    elif not all_finite(tensor):
        raise error()


def all_finite(tensor: Tensor) -> bool:
    """Whether no entry is NaN or infinite: a finite sum proves it, and is far cheaper than a look at each."""
    return math.isfinite(tensor.detach().sum().item()) or bool(tensor.isfinite().all())
