"""What the service counts, for Prometheus: requests, queues, batches, inference and model loads.

With several worker processes each writes its numbers to files of one folder (`PROMETHEUS_MULTIPROC_DIR`), and
whichever worker is asked adds them up.
"""

import os

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
        self._of_requests: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        """By route and status: finding them by their labels costs more than counting."""
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
        if key not in self._of_requests:
            self._of_requests[key] = self.requests.labels(*key), self.request_seconds.labels(route)
        count, time = self._of_requests[key]
        count.inc()
        time.observe(seconds)

    def render(self) -> bytes:
        """Write the numbers of all workers in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
