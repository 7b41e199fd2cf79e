"""A batch over several threads: blocks of sentences, taken in turn by the caller and by a few helpers.

Kernels release the interpreter lock, so ordinary threads run them side by side. That needs no OpenMP: calls
from many threads at once cannot abort the process, and a forked child simply starts new helpers.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

WORTH_SHARING = 100e-6
"""Seconds of work from which waking another thread pays."""

_tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
_helpers: list[threading.Thread] = []
_lock = threading.Lock()
_local = threading.local()


def _forget_helpers() -> None:
    """In a forked child: the helpers stayed with the parent, and a lock may have been copied while held."""
    global _tasks, _lock
    _tasks, _lock = SimpleQueue(), threading.Lock()
    _helpers.clear()


os.register_at_fork(after_in_child=_forget_helpers)


def _serve(tasks: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        tasks.get()()


def _ensure_helpers(count: int) -> None:
    with _lock:
        while len(_helpers) < count:
            helper = threading.Thread(target=_serve, args=(_tasks,), daemon=True, name="understory-kernel")
            helper.start()
            _helpers.append(helper)


def run(block: Callable[[int, int], Any], batch: int, seconds: float) -> None:
    """Call `block(start, step)` for the sentences start, start+step, …: on several threads if it is worth it.

    `seconds` is a rough estimate of the whole work. The number of threads is torch's
    (`torch.set_num_threads`). Blocks are handed out one at a time, so a thread that the system does not
    schedule delays no others.
    """
    threads = min(torch.get_num_threads(), batch)
    if threads < 2 or seconds < WORTH_SHARING:
        block(0, 1)
        return
    _ensure_helpers(threads - 1)
    blocks = min(batch, 4 * threads)
    job = _Job(block, blocks)
    for _ in range(threads - 1):
        _tasks.put(job.work)
    job.work()
    job.wait()


class _Job:
    """The blocks of one call: whoever comes takes the next one; the last to finish wakes the caller."""

    def __init__(self, block: Callable[[int, int], Any], blocks: int) -> None:
        self.block, self.blocks = block, blocks
        self.next = itertools.count()  # next() on it is atomic
        self.finished = itertools.count(1)
        self.done = threading.Lock()
        self.done.acquire()
        self.error: BaseException | None = None

    def work(self) -> None:
        while (start := next(self.next)) < self.blocks:
            try:
                self.block(start, self.blocks)
            except BaseException as error:  # the caller raises it
                self.error = error
            if next(self.finished) == self.blocks:
                self.done.release()

    def wait(self) -> None:
        self.done.acquire()
        if self.error is not None:
            raise self.error


def scratch(dtype: type[np.floating[Any]], size: int) -> np.ndarray[Any, Any]:
    """This thread's working memory, kept from call to call and grown as needed; it starts as zeros."""
    kept: dict[Any, np.ndarray[Any, Any]] = _local.__dict__
    have = kept.get(dtype.__name__)
    if have is None or have.size < size:
        have = kept[dtype.__name__] = np.zeros(size, dtype)
    return have
