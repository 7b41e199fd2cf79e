"""What is wrong with a sentence: looked for inside the loops, where it costs next to nothing."""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.jit import compiled
from latent.kernels.status import BAD_LENGTH, BAD_SCORE, FINE


@compiled
def check(scores, n):  # type: ignore[no-untyped-def]
    """The status of a sentence of n words whose scores are (N+1, N+1): length in range, no NaN, no +inf."""
    if n < 1 or n >= scores.shape[0]:
        return BAD_LENGTH
    wrong = 0
    for h in range(n + 1):
        row = scores[h]
        for m in range(1, n + 1):
            wrong += not (row[m] < np.inf)
    for m in range(1, n + 1):
        wrong -= not (scores[m, m] < np.inf)
    return BAD_SCORE if wrong else FINE
