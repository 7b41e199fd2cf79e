"""Short sentences together, one in each lane of a vector; long ones, whose rows fill vectors, alone."""

from __future__ import annotations

from latent.kernels.cpu.checks import check
from latent.kernels.cpu.jit import leaf
from latent.kernels.status import FINE


@leaf
def longest(lengths, chosen):  # type: ignore[no-untyped-def]
    """The length of the longest of the chosen sentences."""
    most = 0
    for b in chosen:
        most = max(most, lengths[b])
    return most


@leaf
def check_all(scores, lengths, status, start, step):  # type: ignore[no-untyped-def]
    """Set the status of the sentences start, start + step, …: see `checks.check`."""
    for b in range(start, lengths.size, step):
        status[b] = check(scores[b], lengths[b])


@leaf
def next_group(lengths, status, b, step, short, group):  # type: ignore[no-untyped-def]
    """Put sentences from b on into the group: a long one, or short ones as many as fit.

    Short is a sentence of up to `short` words. Returns how many there are and where to go on. Those with an
    error are passed over.
    """
    count = 0
    while b < lengths.size and count < group.size:
        if status[b] == FINE:
            if lengths[b] > short:
                if count > 0:
                    break
                group[0] = b
                return 1, b + step
            group[count] = b
            count += 1
        b += step
    return count, b
