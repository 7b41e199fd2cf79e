"""What the service counts, for Prometheus: requests, queues, batches, inference and model loads.

With several worker processes each writes its numbers to files of one folder (`PROMETHEUS_MULTIPROC_DIR`), and
whichever worker is asked adds them up.
"""

import os
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "understory_requests", "Requests by route and status", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "understory_request_seconds", "Time to answer", ["route"], buckets=SECONDS, registry=registry
        )
        # Finding them by their labels costs more than counting.
        self._of_requests: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._of_batches: dict[str, Batches] = {}
        self.queue_items = Gauge(
            "understory_queue_items",
            "Inputs waiting for a batch: the number to scale replicas on",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.queue_seconds = Histogram(
            "understory_queue_seconds", "Time in the queue", ["model"], buckets=SECONDS, registry=registry
        )
        self.batch_items = Histogram(
            "understory_batch_items", "Inputs in a batch", ["model"], buckets=SIZES, registry=registry
        )
        self.batch_tokens = Histogram(
            "understory_batch_tokens", "Words in a batch", ["model"], buckets=SIZES, registry=registry
        )
        self.inference_seconds = Histogram(
            "understory_inference_seconds", "Time of a batch", ["model"], buckets=SECONDS, registry=registry
        )
        self.stage_seconds = Histogram(
            "understory_stage_seconds",
            "Time of one stage of a batch: encode, map, marginals, sparsemap, decode",
            ["model", "stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self.model_loads = Counter(
            "understory_model_loads", "Models read, by outcome", ["model", "outcome"], registry=registry
        )

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = route, status
        found = self._of_requests.get(key)
        if found is None:
            found = self.requests.labels(*key), self.request_seconds.labels(route)
            self._of_requests[key] = found
        count, time = found
        count.inc()
        time.observe(seconds)

    def batches(self, model: str) -> "Batches":
        """Return the numbers of one model's batches."""
        if model not in self._of_batches:
            self._of_batches[model] = Batches(self, model)
        return self._of_batches[model]

    def render(self) -> bytes:
        """Write the numbers of all workers in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


class Batches:
    """The numbers of one model's batches."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._model = model
        self._items = metrics.batch_items.labels(model)
        self._tokens = metrics.batch_tokens.labels(model)
        self._inference_seconds = metrics.inference_seconds.labels(model)
        self._queue_seconds = metrics.queue_seconds.labels(model)
        self._all_stages = metrics.stage_seconds
        self._stages: dict[str, Histogram] = {}

    def note(self, tokens: int, seconds: float, waited: Sequence[float]) -> None:
        """Count one batch: its words, how long inference took, and how long each input waited for it."""
        self._items.observe(len(waited))
        self._tokens.observe(tokens)
        self._inference_seconds.observe(seconds)
        for one in waited:
            self._queue_seconds.observe(one)

    def note_stage(self, stage: str, seconds: float) -> None:
        """Count one stage of a batch."""
        if stage not in self._stages:
            self._stages[stage] = self._all_stages.labels(self._model, stage)
        self._stages[stage].observe(seconds)
