"""What OpenTelemetry's collector would get, read from the SDK's own in-memory exporter."""

import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from served import running, settings_for

from server import batcher, tracing
from server.app import create_app

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def spans(exporter: InMemorySpanExporter, count: int) -> list[ReadableSpan]:
    deadline = time.monotonic() + 60
    while len(exporter.get_finished_spans()) < count:
        assert time.monotonic() < deadline, [span.name for span in exporter.get_finished_spans()]
        time.sleep(0.01)
    return sorted(exporter.get_finished_spans(), key=lambda span: (span.name, span.start_time))


def test_no_span_quotes_an_unexpected_error(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "OTLPSpanExporter", lambda: exporter)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")

    def look_up(_: object, items: list, *__: object) -> None:
        raise KeyError(items[0].sentences[0][0])

    monkeypatch.setattr(batcher, "predict", look_up)
    with running(create_app(settings_for(model_folder, trace=True))) as client:
        asked = {"model": "sst-spigot", "inputs": ["confidential"]}
        assert client.post("/v1/predict", json=asked).status_code == 500
        (request,) = spans(exporter, 1)
    assert request.attributes["http.status_code"] == 500
    assert "confidential" not in request.to_json()


def test_a_request_and_its_inference_are_spans_of_the_callers_trace(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "OTLPSpanExporter", lambda: exporter)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    body = {"models": ["sst-none", "sst-spigot"], "inputs": ["A confidential remark.", "dull"]}
    with running(create_app(settings_for(model_folder, trace=True))) as client:
        traceparent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert client.post("/v1/compare", json=body, headers=traceparent).status_code == 200
        assert client.get("/livez").status_code == 200
        assert client.post("/v1/predict", json={"model": "x", "inputs": ["a"]}).status_code == 404
        inference, request, refused = sorted(spans(exporter, 3), key=lambda span: span.name != "infer")
    assert (request.name, refused.name) == ("POST /v1/compare", "POST /v1/predict")
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert request.attributes["http.route"] == "/v1/compare"
    assert request.attributes["http.status_code"] == 200
    assert refused.parent is None
    assert refused.attributes["http.status_code"] == 404
    assert inference.name == "infer"  # one for both: these models have one encoder
    assert inference.parent.span_id == request.context.span_id
    assert inference.context.trace_id == request.context.trace_id
    seconds = (inference.end_time - inference.start_time) / 1e9
    assert request.start_time <= inference.start_time < inference.end_time <= request.end_time
    told = {name.removeprefix("understory."): value for name, value in inference.attributes.items()}
    spent = told.pop("queue_seconds") + told.pop("inference_seconds")
    assert 0 < spent <= seconds + 1e-3  # both inputs went in one batch: its time counts once
    assert told == {
        "models": tuple(body["models"]),
        "structures": ("map", "marginals", "sparsemap"),
        "inputs": 2,
        "batch.items": 2,
        "batch.tokens": 5,
    }
    for span in (request, refused, inference):
        assert "confidential" not in span.to_json()
        assert "dull" not in span.to_json()
