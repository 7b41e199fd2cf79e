"""What glibc's allocator is told of how this process uses memory; another C library is left alone."""

import ctypes
from contextlib import suppress

# Of malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGEST_FROM_HEAP = 32 * 2**20
"""Bytes: the most that glibc takes."""
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Keep what is freed for what comes next, where the same tensors come again in each step.

    Else pages are given back and come again one by one, with an interrupt for each: thousands in a step.
    Tensors above 32 MiB still come and go as they are.
    """
    _tell((_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP), (_M_TRIM_THRESHOLD, _NEVER))


def share_heaps() -> None:
    """Make two heaps at most for all threads, not eight for each core.

    Each keeps what was freed in it, so with more of them memory grows for long after the start.
    """
    _tell((_M_ARENA_MAX, 2))


def _tell(*settings: tuple[int, int]) -> None:
    with suppress(OSError, TypeError, AttributeError):  # another libc
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in settings:
            mallopt(name, value)
