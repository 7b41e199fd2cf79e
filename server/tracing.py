"""OpenTelemetry traces, an extra (`understory[trace]`), set up by the usual `OTEL_*` variables.

A request is one span, with the caller's trace as its parent; below it stands one for each model, or for those
with one encoder, from the queue to the answer. No span holds a word of what was asked.
"""

import time
from collections.abc import Callable, Sequence

from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from server.batcher import Job

Record = Callable[[Sequence[Job]], None]


def trace(app: FastAPI) -> Record:
    """Send a span for each request to the OTLP endpoint; return what adds the inference of one to it."""
    provider = TracerProvider(resource=Resource.create({"service.name": "understory"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=provider,
        excluded_urls="livez,readyz,metrics",
        exclude_spans=["receive", "send"],
    )
    tracer = provider.get_tracer("understory")
    return lambda jobs: _record(tracer, jobs)


def _record(tracer: Tracer, jobs: Sequence[Job]) -> None:
    now, clock = time.time_ns(), time.perf_counter()
    for job in jobs:
        span = tracer.start_span("infer", start_time=now - round((clock - job.since) * 1e9))
        span.set_attributes(
            {
                "understory.models": [model.id for model in job.models],
                "understory.structures": sorted(job.wanted),
                "understory.inputs": len(job.results[0]),
                "understory.batch.items": job.batch_items,
                "understory.batch.tokens": job.batch_tokens,
                "understory.queue_seconds": job.queue_seconds,
                "understory.inference_seconds": job.inference_seconds,
            }
        )
        span.end(now - round((clock - job.ended) * 1e9))
