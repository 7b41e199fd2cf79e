"""Batching across clients: whatever came while the last batch ran goes next, without an artificial wait.

Work queues by model and by the structures asked for; models that share an encoder, asked together, have one
such queue, so that the encoder reads each of its batches once. A thread of its own takes the queue whose
first item is oldest, and from it that item with the neighbours in length that fit a budget of padded cost.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import InitVar, dataclass, field
from operator import attrgetter
from typing import cast

from server.metrics import Metrics
from server.predictor import Item, NoTreeError, Prediction, Reading, predict
from server.registry import Model
from server.schemas import StructureName

Result = Prediction | NoTreeError
Results = list[list[Result]]
"""For each model, in the job's order: for each item."""
PATIENCE = 0.1
"""Seconds that the next batch waits at most for the event loop to come round."""
WEIGHT_OF_LATEST = 0.2
MOST_STRETCH = 3.0
"""What a batch counts for at most, in times of its inference, however long the event loop was away."""
Key = tuple[tuple[int, ...], frozenset[StructureName]]


class QueueFullError(RuntimeError):
    """The queue has no room for a request, or would hold it for too long."""

    def __init__(self, message: str, seconds: float = 1.0) -> None:
        super().__init__(message)
        self.seconds = seconds
        """After which there may be room."""


@dataclass(eq=False)
class Job:
    """All the items that one request has for one model, or for several that share an encoder."""

    models: tuple[Model, ...]
    wanted: frozenset[StructureName]
    future: asyncio.Future[Results]
    results: list[list[Result | None]]
    missing: int
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch_items: int = 0
    batch_tokens: int = 0
    """Of the largest batch that one of its items went with."""
    since: float = field(default_factory=time.perf_counter)
    waiting: int = 0
    """How many of its items are in the queue."""
    started: bool = False
    """Whether one of its items went with a batch."""
    ended: float = 0.0

    @property
    def dropped(self) -> bool:
        """Whether nobody waits for the answer any more: too slow, or the client went away."""
        return self.future.done()


@dataclass(eq=False, slots=True)
class Work:
    """One item of a job, waiting."""

    job: Job
    index: int
    item: Item
    pace: InitVar[float] = 0.0
    """Seconds a word."""
    words: int = field(init=False)
    length: int = field(init=False)
    """Words of the longest sentence: what the batch is padded to."""
    seconds: float = field(init=False)
    """What its inference will take, by the pace of late."""

    def __post_init__(self, pace: float) -> None:
        lengths = [len(sentence) for sentence in self.item.sentences]
        self.words, self.length = sum(lengths), max(lengths)
        self.seconds = pace * self.words


@dataclass(frozen=True)
class Budget:
    """The most that one batch may cost, counted with padding."""

    arcs: int
    tokens: int

    def fits(self, size: int, longest: int) -> bool:
        """Whether so many sentences, padded to the longest, are within the budget; one always is."""
        return size == 1 or (size * (longest + 1) ** 2 <= self.arcs and size * longest <= self.tokens)


def choose(queue: Sequence[Work], budget: Budget) -> list[Work]:
    """Pick the batch: the oldest item, and those nearest to it in length as far as the budget goes.

    The oldest is always among them, so nothing starves; nearness in length keeps padding low.
    """
    order = sorted(queue, key=attrgetter("length"))
    if budget.fits(len(order), order[-1].length):
        return order
    low = order.index(queue[0])
    high = low + 1
    while True:
        size = high - low + 1
        longest = order[high - 1].length
        shorter = low > 0 and budget.fits(size, longest)
        longer = high < len(order) and budget.fits(size, order[high].length)
        if longer and (not shorter or order[high].length == longest):
            high += 1
        elif shorter:
            low -= 1
        else:
            return order[low:high]


class Pace:
    """How long work takes: means in which the latest batches weigh most."""

    def __init__(self) -> None:
        self._of_words: dict[tuple[str, frozenset[StructureName]], float] = {}
        self._stretch = 1.0
        """How much longer it takes from one batch to the next than the inference of the first."""
        self.of_batches = 0.0
        """Seconds from one batch to the next."""

    def of(self, models: Sequence[Model], wanted: frozenset[StructureName]) -> float:
        """Return the seconds a word of models that are asked one after the other; 0 where unknown."""
        return self._stretch * sum([self._of_words.get((model.id, wanted), 0.0) for model in models])

    def note(self, model: Model, wanted: frozenset[StructureName], seconds: float, words: int) -> None:
        """Take in how long the inference of a batch took."""
        latest = seconds / words
        before = self._of_words.get((model.id, wanted), latest)
        self._of_words[model.id, wanted] = _nearer(before, latest)

    def note_whole(self, seconds: float, inference: float) -> None:
        """Take in how long a batch took with its answers, and with what else the event loop did meanwhile."""
        stretch = min(seconds / inference, MOST_STRETCH)
        self._stretch = _nearer(self._stretch, stretch)
        self.of_batches = _nearer(self.of_batches, stretch * inference)


def _nearer(mean: float, latest: float) -> float:
    return mean + WEIGHT_OF_LATEST * (latest - mean)


class Batcher:
    """Runs the inference of all requests, on threads of its own, off the event loop."""

    def __init__(
        self,
        budget: Budget,
        max_queue: int,
        metrics: Metrics,
        queue_seconds: float = math.inf,
        threads: int = 1,
    ) -> None:
        self.budget = budget
        self.max_queue = max_queue
        self.queue_seconds = queue_seconds
        self.metrics = metrics
        self._pace = Pace()
        self._busy_until = 0.0
        """When the batch that runs will have ended, by the pace of late."""
        self._queues: dict[Key, list[Work]] = {}
        self._jobs: set[Job] = set()
        """Whose items are in the queues."""
        self._waiting_seconds = 0.0
        """What all in the queues will take."""
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{i}", daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, models: Sequence[Model], items: Sequence[Item], wanted: frozenset[StructureName]) -> Job:
        """Queue the items; the job's future gets their results.

        Cancelling the future takes what is still queued out of the queue.

        Args:
            models: one model, or several that have one encoder, which then reads each batch once.
            items: the inputs.
            wanted: the structures asked for.

        Raises:
            QueueFullError: if the queue of one of the models has no room for the items, or they would not be
                answered within `queue_seconds` by the pace of late; on an idle server they always may.
        """
        future = asyncio.get_running_loop().create_future()
        results: list[list[Result | None]] = [[None] * len(items) for _ in models]
        job = Job(tuple(models), wanted, future, results, len(items))
        pace = self._pace.of(models, wanted)
        works = [Work(job, index, item, pace) for index, item in enumerate(items)]
        with self._changed:
            self.check()
            for model in models:
                waiting = self.waiting(model)
                if waiting and waiting + len(works) > self.max_queue:
                    raise QueueFullError(
                        f"{model.id}: {waiting} inputs wait already; the queue holds {self.max_queue}"
                    )
            self._queues.setdefault((tuple(map(id, models)), wanted), []).extend(works)
            self._jobs.add(job)
            job.waiting = len(works)
            self._waiting_seconds += sum([work.seconds for work in works])
            self.metrics.queue_items.inc(len(works))
            self._changed.notify()
        return job

    def waiting(self, model: Model) -> int:
        """Count the items queued for a model."""
        return sum([len(queue) for (key, _), queue in self._queues.items() if id(model) in key])

    def check(self) -> None:
        """Refuse what comes now if all that is ahead of it will take too long; it costs next to nothing.

        Raises:
            QueueFullError: if it would wait for longer than `queue_seconds`.
        """
        running = max(0.0, self._busy_until - time.perf_counter())
        ahead = running + self._waiting_seconds / len(self._threads)
        longest = self._longest_wait()
        if ahead > longest:
            raise QueueFullError(
                f"the queue would take {ahead:.2g} s; with the batch after it, it may take "
                f"{self.queue_seconds:g} s",
                ahead - longest,
            )

    def _longest_wait(self) -> float:
        """Return how long an item may wait, so that its batch is done within `queue_seconds`.

        At least half of them are left to the queue, however long batches take.
        """
        return self.queue_seconds - min(self._pace.of_batches, self.queue_seconds / 2)

    def close(self) -> None:
        """Finish what is queued, then end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._take():
            self._run(batch)

    def _take(self) -> list[Work]:
        """Wait for work and take one batch of it; an empty list means that the batcher is closed."""
        with self._changed:
            while True:
                self._drop()
                if self._queues:
                    break
                if self._closing:
                    return []
                self._changed.wait()
            key, queue = min(self._queues.items(), key=lambda entry: entry[1][0].job.since)
            batch = choose(queue, self.budget)
            taken = set(map(id, batch))
            self._queues[key] = [work for work in queue if id(work) not in taken]
            self._busy_until = time.perf_counter() + self._leave(batch)
            for work in batch:
                work.job.started = True
            return batch

    def _drop(self) -> None:
        """Leave out the work that nobody waits for, or that waited too long, and queues that are empty."""
        oldest = time.perf_counter() - self._longest_wait()
        late = {job for job in self._jobs if job.since < oldest and not job.started}
        for job in late:
            self._refuse(job)
        gone = late | {job for job in self._jobs if job.dropped}
        for key, queue in list(self._queues.items()):
            if gone:
                self._leave([work for work in queue if work.job in gone])
                queue = self._queues[key] = [work for work in queue if work.job not in gone]
            if not queue:
                del self._queues[key]
        if not self._queues:
            self._waiting_seconds = 0.0  # without what rounding left

    def _leave(self, works: Sequence[Work]) -> float:
        """Count what leaves the queues; return the seconds that it would take."""
        for work in works:
            work.job.waiting -= 1
            if not work.job.waiting:
                self._jobs.discard(work.job)
        seconds = sum(work.seconds for work in works)
        self._waiting_seconds -= seconds
        self.metrics.queue_items.dec(len(works))
        return seconds

    def _refuse(self, job: Job) -> None:
        error = QueueFullError(f"no batch had room within the queue's limit of {self.queue_seconds:g} s")
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            job.future.get_loop().call_soon_threadsafe(_fail, job, error)

    def _run(self, batch: list[Work]) -> None:
        start = time.perf_counter()
        job = batch[0].job
        results: Results | Exception
        try:
            results = self._predict(job, batch)
        except Exception as error:
            results = error
        self._busy_until = 0.0
        seconds = time.perf_counter() - start
        came_round = threading.Event()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            job.future.get_loop().call_soon_threadsafe(
                _deliver, batch, results, start, seconds, came_round.set
            )
            came_round.wait(PATIENCE)
        self._pace.note_whole(time.perf_counter() - start, seconds)

    def _predict(self, job: Job, batch: list[Work]) -> Results:
        items, reading = [work.item for work in batch], Reading()
        words = sum(work.words for work in batch)
        results: Results = []
        for model in job.models:
            start = time.perf_counter()
            batches = self.metrics.batches(model.id)
            try:
                results.append(predict(model.classifier, items, job.wanted, batches.note_stage, reading))
            finally:
                seconds = time.perf_counter() - start
                self._pace.note(model, job.wanted, seconds, words)
                batches.note(words, seconds, [start - work.job.since for work in batch])
        return results


def _deliver(
    batch: list[Work],
    results: Results | Exception,
    start: float,
    seconds: float,
    came_round: Callable[[], None],
) -> None:
    """Hand results to their jobs; runs on the event loop, where the futures live.

    `came_round` is called when the loop has written the answers and looked for requests: what came while the
    batch ran is read by then, and goes next as one batch. Without that a batch starts as soon as the first
    of them is read, and takes the processor from reading the others.
    """
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, loop.call_soon, came_round)
    _note(batch, start, seconds)
    for position, work in enumerate(batch):
        job = work.job
        if job.dropped:
            continue
        if isinstance(results, Exception):
            job.future.set_exception(results)
            continue
        for of_model, found in zip(job.results, results, strict=True):
            of_model[work.index] = found[position]
        job.missing -= 1
        if not job.missing:
            job.future.set_result(cast(Results, job.results))


def _fail(job: Job, error: Exception) -> None:
    if not job.future.done():
        job.future.set_exception(error)


def _note(batch: list[Work], start: float, seconds: float) -> None:
    """Tell each job of the batch, once however many of its items are in it."""
    tokens = sum(work.words for work in batch)
    for job in {work.job for work in batch}:
        job.queue_seconds = max(job.queue_seconds, start - job.since)
        job.inference_seconds += seconds
        job.batch_items = max(job.batch_items, len(batch))
        job.batch_tokens = max(job.batch_tokens, tokens)
        job.ended = start + seconds
