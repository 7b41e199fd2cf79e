"""What is wrong with a sentence: looked for inside the loops, where it costs next to nothing."""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.jit import leaf
from latent.kernels.status import BAD_LENGTH, BAD_SCORE, FINE


@leaf
def check(scores, n):  # type: ignore[no-untyped-def]
    """The status of a sentence of n words whose scores are (N+1, N+1): length in range, no NaN, no +inf."""
    if n < 1 or n >= scores.shape[0]:
        return BAD_LENGTH
    # Nearly always all numbers are fine, those that do not count too: one run over them says so.
    if not _wrong(scores[: n + 1].reshape(-1)):
        return FINE
    wrong = 0
    for h in range(n + 1):
        for m in range(1, n + 1):
            wrong += h != m and not (scores[h, m] < np.inf)
    return BAD_SCORE if wrong else FINE


@leaf
def _wrong(numbers):  # type: ignore[no-untyped-def]
    """How many numbers are NaN or +inf."""
    count = 0
    for number in numbers:
        count += not (number < np.inf)
    return count
