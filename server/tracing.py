"""OpenTelemetry traces, an extra (`understory[trace]`), set up by the usual `OTEL_*` variables."""

from fastapi import FastAPI
from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def trace(app: FastAPI) -> None:
    """Send a span for each request, with the caller's trace as its parent, to the OTLP endpoint."""
    provider = TracerProvider(resource=Resource.create({"service.name": "understory"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    api.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, excluded_urls="livez,readyz,metrics")
