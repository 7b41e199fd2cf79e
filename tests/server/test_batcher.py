"""Batching: what goes together, what is dropped, and that nothing starves."""

import asyncio
import math
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from server import batcher as module
from server.batcher import Batcher, Budget, Job, QueueFullError, Work, choose
from server.metrics import Metrics
from server.predictor import Item, Prediction


def item(length: int) -> Item:
    return Item(sentences=(("w",) * length,))


def works(lengths: list[int]) -> list[Work]:
    return [Work(None, index, item(length)) for index, length in enumerate(lengths)]


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=60),
    arcs=st.integers(1, 5000),
    tokens=st.integers(1, 500),
)
def test_a_batch_holds_the_oldest_and_keeps_to_the_budget(lengths: list[int], arcs: int, tokens: int) -> None:
    queue = works(lengths)
    batch = choose(queue, Budget(arcs, tokens))
    assert queue[0] in batch
    size, longest = len(batch), max(work.length for work in batch)
    assert size == 1 or (size * (longest + 1) ** 2 <= arcs and size * longest <= tokens)
    assert len(set(map(id, batch))) == size
    # Neighbours in length: nothing left out lies strictly between the shortest and the longest.
    shortest = min(work.length for work in batch)
    left = [work.length for work in queue if work not in batch]
    assert not [length for length in left if shortest < length < longest]


def test_what_fits_goes_together_whatever_its_order() -> None:
    assert len(choose(works([5, 50, 7]), Budget(arcs=3 * 51**2, tokens=1000))) == 3


class Gate:
    """A stand-in for inference that holds each batch until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Semaphore(0)
        self.open = threading.Semaphore(0)
        self.fails = False

    def __call__(self, classifier, items, wanted, observe, reading):
        self.batches.append([one.words for one in items])
        self.started.release()
        assert self.open.acquire(timeout=60)
        if self.fails:
            raise RuntimeError("broken")
        return [Prediction([float(one.words)]) for one in items]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(module, "predict", gate)
    return gate


MODEL = SimpleNamespace(id="m", classifier=None)
OTHER = SimpleNamespace(id="o", classifier=None)
NONE: frozenset = frozenset()


def run(gate: Gate, scenario, queue_seconds: float = math.inf) -> Batcher:
    batcher = Batcher(Budget(10_000, 1000), 10, Metrics(), queue_seconds)
    try:
        asyncio.run(asyncio.wait_for(scenario(batcher), 120))
    finally:
        gate.open.release(1000)
        batcher.close()
    return batcher


def first_words(job: Job) -> list[float]:
    (results,) = job.future.result()
    return [result.scores[0] for result in results]


def test_what_queued_while_a_batch_ran_goes_next_together(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        first = batcher.submit([MODEL], [item(1)], NONE)
        await asyncio.to_thread(gate.started.acquire)
        second, third = (batcher.submit([MODEL], [item(n), item(n + 1)], NONE) for n in (5, 3))
        gate.open.release(2)
        await asyncio.gather(first.future, second.future, third.future)
        assert first_words(second) == [5, 6]
        assert first_words(third) == [3, 4]

    run(gate, scenario)
    assert [sorted(batch) for batch in gate.batches] == [[1], [3, 4, 5, 6]]


def test_who_asks_again_at_once_goes_with_those_who_wait(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next batch starts when the answers are out and what they led to is in."""
    monkeypatch.setattr(module, "PATIENCE", 60.0)

    async def client(batcher: Batcher, lengths: list[int]) -> None:
        for length in lengths:
            await batcher.submit([MODEL], [item(length)], NONE).future

    async def scenario(batcher: Batcher) -> None:
        first = asyncio.create_task(client(batcher, [1, 4]))
        await asyncio.to_thread(gate.started.acquire)
        second = asyncio.create_task(client(batcher, [5]))
        await asyncio.sleep(0)  # it is in the queue
        gate.open.release(2)
        await asyncio.gather(first, second)

    run(gate, scenario)
    assert [sorted(batch) for batch in gate.batches] == [[1], [4, 5]]


def test_models_and_kinds_of_question_do_not_mix(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        asked = [(MODEL, NONE), (MODEL, frozenset({"map"})), (OTHER, NONE), (MODEL, NONE)]
        blocker = batcher.submit([OTHER], [item(9)], NONE)
        await asyncio.to_thread(gate.started.acquire)
        jobs = [batcher.submit([model], [item(n)], wanted) for n, (model, wanted) in enumerate(asked, 1)]
        gate.open.release(9)
        await asyncio.gather(blocker.future, *(job.future for job in jobs))

    run(gate, scenario)
    assert gate.batches == [[9], [1, 4], [2], [3]]


def test_a_full_queue_refuses_at_once_and_a_lone_large_request_never(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        running = batcher.submit([MODEL], [item(1)], NONE)
        await asyncio.to_thread(gate.started.acquire)
        large = batcher.submit([MODEL], [item(2)] * 12, NONE)
        with pytest.raises(QueueFullError, match="12 inputs wait"):
            batcher.submit([MODEL], [item(3)], NONE)
        other = batcher.submit([OTHER], [item(4)], NONE)  # a queue of its own
        gate.open.release(3)
        await asyncio.gather(running.future, large.future, other.future)

    run(gate, scenario)


def test_what_would_wait_too_long_is_refused_at_once_and_on_an_idle_server_nothing_is(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        batcher._pace.note(MODEL, NONE, seconds=60.0, words=2)
        running = batcher.submit([MODEL], [item(100)], NONE)  # 3,000 s, by the pace of late
        await asyncio.to_thread(gate.started.acquire)
        with pytest.raises(QueueFullError, match="it may take 200 s") as refused:
            batcher.submit([OTHER], [item(1)], NONE)
        assert 2000 < refused.value.seconds <= 2800
        gate.open.release()
        await running.future
        gate.open.release()
        await batcher.submit([OTHER], [item(1)], NONE).future

    run(gate, scenario, queue_seconds=200)


@pytest.mark.parametrize(("words", "refused"), [(8, False), (9, True)])
def test_the_batch_after_the_queue_is_part_of_the_limit(gate: Gate, words: int, refused: bool) -> None:
    async def scenario(batcher: Batcher) -> None:
        batcher._pace.note(MODEL, NONE, seconds=19.0, words=1)
        for _ in range(50):
            batcher._pace.note_whole(seconds=40.0, inference=40.0)
        running = batcher.submit([MODEL], [item(words)], NONE)  # 152 s or 171 s, before a batch of 40 s
        await asyncio.to_thread(gate.started.acquire)
        gate.open.release(2)
        if refused:
            with pytest.raises(QueueFullError, match="with the batch after it"):
                batcher.submit([OTHER], [item(1)], NONE)
        else:
            await batcher.submit([OTHER], [item(1)], NONE).future
        await running.future

    run(gate, scenario, queue_seconds=200)


def has_room(batcher: Batcher) -> bool:
    try:
        batcher.check()
    except QueueFullError:
        return False
    return True


def test_what_leaves_the_queue_counts_no_longer(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        batcher._pace.note(MODEL, NONE, seconds=60.0, words=1)
        running = batcher.submit([OTHER], [item(1)], NONE)
        await asyncio.to_thread(gate.started.acquire)
        kept = [batcher.submit([OTHER], [item(1)], frozenset({name})) for name in ("map", "marginals")]
        gone = batcher.submit([MODEL], [item(100)], NONE)
        assert not has_room(batcher)
        gone.future.cancel()
        gate.open.release()
        await asyncio.to_thread(gate.started.acquire)  # one runs, the other waits still
        assert has_room(batcher)
        gate.open.release(2)
        await asyncio.gather(running.future, *(job.future for job in kept))

    run(gate, scenario, queue_seconds=200)


def test_what_waited_too_long_is_refused_and_what_has_begun_is_not(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        long = batcher.submit([MODEL], [item(90), item(40)], NONE)  # two batches
        await asyncio.to_thread(gate.started.acquire)
        late = batcher.submit([OTHER], [item(3)], NONE)
        while time.perf_counter() < late.since + 0.1:
            await asyncio.sleep(0.01)
        gate.open.release(2)
        with pytest.raises(QueueFullError, match="no batch had room"):
            await late.future
        await long.future

    run(gate, scenario, queue_seconds=0.1)
    assert gate.batches == [[90], [40]]


def test_work_that_nobody_waits_for_is_dropped(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        running = batcher.submit([MODEL], [item(1)], NONE)
        await asyncio.to_thread(gate.started.acquire)
        gone = batcher.submit([MODEL], [item(2)], NONE)
        kept = batcher.submit([MODEL], [item(3)], NONE)
        gone.future.cancel()
        gate.open.release(2)
        await asyncio.gather(running.future, kept.future)

    batcher = run(gate, scenario)
    assert gate.batches == [[1], [3]]
    assert batcher.metrics.queue_items._value.get() == 0


def test_an_error_reaches_its_own_requests_only(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        gate.fails = True
        bad = batcher.submit([MODEL], [item(1)], NONE)
        await asyncio.to_thread(gate.started.acquire)
        gate.open.release()
        with pytest.raises(RuntimeError, match="broken"):
            await bad.future
        gate.fails = False
        good = batcher.submit([MODEL], [item(2)], NONE)
        gate.open.release()
        await good.future

    run(gate, scenario)


def test_closing_finishes_what_is_queued(gate: Gate) -> None:
    async def scenario(batcher: Batcher) -> None:
        jobs = [batcher.submit([model], [item(1)], NONE) for model in (MODEL, OTHER)]
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        gate.open.release(2)
        await asyncio.gather(closing, *(job.future for job in jobs))

    run(gate, scenario)


def test_inference_mode_is_on_in_the_batchers_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real function, from another thread: no graph is built there."""
    seen = []

    class Classifier:
        labels = ("a", "b")

        def batch(self, sentences):
            return torch.zeros(len(sentences), 2, requires_grad=True)

        def read(self, batch):
            return batch

        def encode(self, batch, states):
            seen.append(torch.is_inference_mode_enabled())
            return SimpleNamespace(scores=None, states=batch, lengths=None)

        def decode(self, encoding, structure):
            return encoding.states * 1

    async def scenario(batcher: Batcher) -> None:
        model = SimpleNamespace(id="m", classifier=Classifier())
        job = batcher.submit([model], [item(1)], NONE)
        assert [[result.scores for result in results] for results in await job.future] == [[[0.5, 0.5]]]

    batcher = Batcher(Budget(100, 100), 10, Metrics())
    asyncio.run(scenario(batcher))
    batcher.close()
    assert seen == [True]
