"""A batch over several threads: blocks of sentences, each taken by the thread that is free.

The threads are torch's own where they can be had and are not kept busy (`team`). Else, as in a forked child,
where OpenMP's threads are missing, a few ordinary threads do it: kernels release the interpreter lock.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor

from latent.kernels.cpu import team

WORTH_SHARING = 20e-6
"""Seconds of work from which another of torch's threads pays."""
WORTH_WAKING = 100e-6
"""Seconds of work from which it pays to wake a thread that sleeps."""
_BLOCKS_A_THREAD = 4

_tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
_helpers: list[threading.Thread] = []
_lock = threading.Lock()


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


def blocks_of(batch: int, seconds: float) -> int:
    """Return into how many blocks a batch is cut, by a rough estimate of the whole work: 1 is one thread.

    The number of threads is torch's (`torch.set_num_threads`). Blocks are handed out one at a time, so a
    thread that the system does not schedule delays few others.
    """
    threads = min(torch.get_num_threads(), batch)
    if threads < 2 or seconds < (WORTH_SHARING if team.available() else WORTH_WAKING):
        return 1
    return min(batch, _BLOCKS_A_THREAD * threads)


def run(block: Callable[..., Any], arguments: tuple[Any, ...], blocks: int, seconds: float) -> None:
    """Call the compiled `block(*arguments, k, blocks)` for each k < blocks, as `blocks_of` cut the batch."""
    if blocks == 1:
        block(*arguments, 0, 1)
        return
    if team.available():
        team.run_in_team(block, arguments, blocks, seconds)
        return
    threads = min(torch.get_num_threads(), blocks)
    _ensure_helpers(threads - 1)
    job = _Job(lambda k: block(*arguments, k, blocks), blocks)
    for _ in range(threads - 1):
        _tasks.put(job.work)
    job.work()
    job.wait()


def run_on(block: Callable[..., Any], tensors: Sequence[Tensor], seconds: float) -> None:
    """Run a compiled block over the rows of the first of some tensors, which lie on the CPU.

    `seconds` is a rough estimate of the whole work on one thread.
    """
    arrays = tuple(tensor.numpy() for tensor in tensors)
    run(block, arrays, blocks_of(len(arrays[0]), seconds), seconds)


class _Job:
    """The blocks of one call: whoever comes takes the next one; the last to finish wakes the caller."""

    def __init__(self, block: Callable[[int], Any], blocks: int) -> None:
        self.block, self.blocks = block, blocks
        self.next = itertools.count()  # next() on it is atomic
        self.finished = itertools.count(1)
        self.done = threading.Lock()
        self.done.acquire()
        self.error: BaseException | None = None

    def work(self) -> None:
        while (start := next(self.next)) < self.blocks:
            try:
                self.block(start)
            except BaseException as error:  # the caller raises it
                self.error = error
            if next(self.finished) == self.blocks:
                self.done.release()

    def wait(self) -> None:
        self.done.acquire()
        if self.error is not None:
            raise self.error
