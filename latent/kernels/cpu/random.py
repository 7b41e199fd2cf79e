"""Random numbers inside kernels: a stream of its own for each sentence, so that threads change no draw."""

from __future__ import annotations

import numpy as np

from latent.kernels.cpu.jit import compiled


@compiled
def uniform(state):  # type: ignore[no-untyped-def]
    """The next number in [0, 1) of the stream state[0], uint64 (splitmix64: Steele et al. 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    x = state[0]
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.float64(x >> np.uint64(11)) * 2.0**-53
