"""What operators meet: refused checkpoints, loading and unloading, keys, headers, numbers, limits in time."""

import gc
import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from safetensors import safe_open
from safetensors.torch import save_file
from served import running, settings_for, write_model

from server import batcher, patience
from server.app import create_app
from server.logs import JsonFormatter
from server.registry import ModelError, Registry

KEY, ADMIN = "a key of some length", "the key of the admin"
ASK = {"model": "sst-spigot", "inputs": ["A funny film."]}


def rewrite(path: Path, change) -> None:
    """Save a checkpoint again with other metadata or tensors, as somebody who tampers would."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(metadata, tensors)
    save_file(tensors, path, metadata=metadata)


def tamper(metadata: dict, tensors: dict) -> None:
    tensors["decoder.output.bias"] = tensors["decoder.output.bias"] + 1


def age(metadata: dict, tensors: dict) -> None:
    metadata["understory"] = metadata["understory"].replace('"format_version":1', '"format_version":99')


def test_bad_checkpoints_are_refused_by_name_and_the_others_serve(own_models: Path) -> None:
    truncated = own_models / "sst-none" / "model.safetensors"
    truncated.write_bytes(truncated.read_bytes()[:-100])
    rewrite(own_models / "sst-marginals" / "model.safetensors", tamper)
    rewrite(own_models / "sst-sparsemap" / "model.safetensors", age)
    (own_models / "sst-broken-card").mkdir()
    path = write_model(own_models / "x", "spigot")
    path.rename(own_models / "sst-broken-card" / "model.safetensors")
    (own_models / "sst-broken-card" / "card.json").write_text("{")
    with running(create_app(settings_for(own_models))) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded"
        assert ready.json()["models"] == ["sst-spigot"]
        refused = {item["id"]: item["detail"] for item in ready.json()["refused"]}
        assert "truncated" in refused["sst-none"]
        assert "digest" in refused["sst-marginals"]
        assert "version 99" in refused["sst-sparsemap"]
        assert "not JSON" in refused["sst-broken-card"]
        assert str(own_models) not in ready.text
        assert client.get("/v1/models").json()["refused"] == ready.json()["refused"]
        answer = client.post("/v1/predict", json={**ASK, "model": "sst-none"})
        assert (answer.status_code, answer.json()["code"]) == (404, "model_refused")
        assert client.post("/v1/predict", json=ASK).status_code == 200


def test_without_a_single_good_model_it_lives_but_is_not_ready(own_models: Path) -> None:
    for path in own_models.glob("*/model.safetensors"):
        path.write_bytes(b"")
    with running(create_app(settings_for(own_models))) as client:
        assert client.get("/livez").status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["code"]) == (503, "no_models")
        assert "sst-none" in ready.json()["detail"]


def test_models_are_loaded_and_unloaded_with_the_admin_key_only(own_models: Path) -> None:
    admin = {"authorization": f"Bearer {ADMIN}"}
    with running(create_app(settings_for(own_models, admin_key=ADMIN))) as client:
        assert client.post("/v1/models/sst-spigot/unload").status_code == 401
        assert (
            client.post("/v1/models/sst-spigot/unload", headers={"authorization": "Bearer x"}).status_code
            == 401
        )
        assert client.post("/v1/models/sst-spigot/unload", headers=admin).status_code == 204
        assert client.post("/v1/predict", json=ASK).status_code == 404
        assert client.post("/v1/models/sst-spigot/unload", headers=admin).status_code == 404
        before = client.post("/v1/models/sst-spigot/load", headers=admin).json()["revision"]
        write_model(own_models, "spigot", seed=1)
        after = client.post("/v1/models/sst-spigot/load", headers=admin).json()["revision"]
        assert before != after
        (own_models / "sst-spigot" / "model.safetensors").write_bytes(b"bad")
        outcome = "understory_model_loads_total[('model', 'sst-spigot'), ('outcome', '{}')]".format
        loads = numbers(client)
        assert loads[outcome("loaded")] == 3  # at the start, and twice since
        refused = client.post("/v1/models/sst-spigot/load", headers=admin)
        assert numbers(client)[outcome("refused")] == 1
        assert numbers(client)[outcome("loaded")] == 3
        assert (refused.status_code, refused.json()["code"]) == (422, "model_refused")
        assert client.post("/v1/predict", json=ASK).json()["model"]["revision"] == after
        for id_ in ("sst-x", "..", "%2e%2e%2fmodels", "sst-none%2f..%2fsst-none"):
            assert client.post(f"/v1/models/{id_}/load", headers=admin).status_code in {404, 405}


def test_administration_is_off_without_a_key(client: httpx.Client) -> None:
    for action in ("load", "unload"):
        assert client.post(f"/v1/models/sst-none/{action}").json()["code"] == "admin_off"


@pytest.mark.parametrize("id_", ["..", "../models", "a/b", "", ".hidden", "a\0b", "a" * 101])
def test_ids_are_names_and_not_paths(own_models: Path, id_: str) -> None:
    with pytest.raises(ModelError, match="letters"):
        Registry(own_models, settings_for(own_models).limits()).load(id_)


def test_a_link_out_of_the_folder_is_not_followed(own_models: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "elsewhere", "spigot")
    (own_models / "link").symlink_to(tmp_path / "elsewhere" / "sst-spigot")
    with pytest.raises(ModelError, match="outside"):
        Registry(own_models, settings_for(own_models).limits()).load("link")


def test_a_changed_file_is_found_and_swapped_under_load(own_models: Path) -> None:
    with running(create_app(settings_for(own_models, watch_seconds=0.05))) as client:
        revisions, statuses, stop = set(), set(), threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=client.base_url, timeout=60) as own:
                while not stop.is_set():
                    answer = own.post("/v1/predict", json=ASK)
                    statuses.add(answer.status_code)
                    revisions.add(answer.json()["model"]["revision"])

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for seed in (1, 2, 3):
            if seed > 1:
                write_model(own_models, "spigot", seed)
            deadline = time.monotonic() + 60
            while len(revisions) < seed and time.monotonic() < deadline:
                time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses == {200}
    assert len(revisions) == 3


def test_the_api_key_is_asked_for(model_folder: Path) -> None:
    with running(create_app(settings_for(model_folder, api_key=KEY))) as client:
        missing = client.post("/v1/predict", json=ASK)
        assert missing.status_code == 401
        assert missing.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/models", headers={"authorization": f"Basic {KEY}"}).status_code == 401
        assert client.get("/v1/models", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
        assert client.get("/livez").status_code == 200


def test_answers_carry_safe_headers_and_a_clean_request_id(client: httpx.Client) -> None:
    for path in ("/", "/docs", "/livez", "/v1/models", "/nowhere", "/static/nowhere.js"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
    assert client.get("/livez", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for bad in ("a b", "x" * 65, '"><script>', "é".encode()):
        given = client.get("/livez", headers={"x-request-id": bad}).headers["x-request-id"]
        assert len(given) == 32
        assert given.isalnum()


def test_the_pages_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/docs"):
        html = client.get(path).text
        assert "http://" not in html.replace("http://www.w3.org", "")
        assert "https://" not in html


def test_an_unexpected_error_shows_no_trace(
    app: FastAPI, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(batcher, "predict", broken)
    answer = client.post("/v1/predict", json=ASK)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("asked_for", [False, True])
def test_the_log_tells_of_each_request_and_of_its_text_only_if_asked(
    model_folder: Path, caplog: pytest.LogCaptureFixture, asked_for: bool
) -> None:
    secret = "zyzzyva"
    bodies = [
        {"model": "sst-spigot", "inputs": [f"A {secret} film."]},
        {"model": "sst-spigot", "inputs": [{"tokens": [secret, " "]}]},
        {"model": "sst-spigot", "inputs": [f"{secret} " * 300]},
        {"model": "sst-spigot", "inputs": [secret], secret: secret},
    ]

    def lines() -> list[dict]:
        records = [record for record in caplog.records if record.name == "understory"]
        return [json.loads(JsonFormatter().format(record)) for record in records]

    with (
        caplog.at_level("DEBUG", logger="understory"),
        running(create_app(settings_for(model_folder, log_text=asked_for))) as client,
    ):
        for number, body in enumerate(bodies):
            answer = client.post("/v1/predict", json=body, headers={"x-request-id": f"request-{number}"})
            assert answer.status_code == (422 if number else 200)
        wanted = {f"request-{number}" for number in range(len(bodies))}
        wait_until(lambda: wanted <= {line.get("request_id") for line in lines()})
    told = {line["request_id"]: line["status"] for line in lines() if line.get("request_id") in wanted}
    assert told == {"request-0": 200, "request-1": 422, "request-2": 422, "request-3": 422}
    assert (secret in json.dumps(lines())) == asked_for


def test_the_line_of_a_request_tells_when_and_what_and_how_long(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    began = datetime.now(UTC)
    with caplog.at_level("INFO", logger="understory"):
        client.post("/v1/predict", json=ASK, headers={"x-request-id": "mine"})
        wait_until(lambda: "request" in {one.message for one in caplog.records})
    (record,) = [one for one in caplog.records if one.message == "request"]
    line = json.loads(JsonFormatter().format(record))
    assert line.pop("time").endswith("+00:00")
    assert began <= datetime.fromtimestamp(record.created, UTC) <= datetime.now(UTC)
    assert line.pop("queue_seconds") + line.pop("inference_seconds") <= line["seconds"] <= 60
    assert line.pop("seconds") > 0
    assert line == {
        "level": "info",
        "message": "request",
        "request_id": "mine",
        "method": "POST",
        "path": "/v1/predict",
        "status": 200,
    }


def test_a_level_above_leaves_requests_out(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="understory"):
        assert client.post("/v1/predict", json=ASK).status_code == 200
        assert client.get("/v1/models").status_code == 200
    assert "request" not in {one.message for one in caplog.records}


@pytest.mark.parametrize("asked_for", [False, True])
def test_an_unexpected_error_is_logged_with_its_place_and_quotes_the_text_only_if_asked(
    app: FastAPI,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    asked_for: bool,
) -> None:
    secret = "zyzzyva"

    def look_up(_: object, items: list, *__: object) -> None:
        try:
            {}[items[0].sentences[0][0]]
        except KeyError as error:
            raise RuntimeError(f"no vector for {error}") from error

    monkeypatch.setattr(batcher, "predict", look_up)
    with caplog.at_level("DEBUG"):
        assert client.post("/v1/predict", json={**ASK, "inputs": [secret]}).status_code == 500
        wait_until(lambda: {"request", "unexpected error"} <= {one.message for one in caplog.records})
    told = "\n".join(JsonFormatter(log_text=asked_for).format(record) for record in caplog.records)
    for place in ("builtins.KeyError", "RuntimeError", "test_operation.py", "look_up"):
        assert place.removeprefix("builtins." if asked_for else "") in told
    assert (secret in told) == asked_for


def test_a_comparison_of_too_many_models_is_refused(model_folder: Path) -> None:
    with running(create_app(settings_for(model_folder, max_models=3))) as client:
        body = {"models": ["sst-none", "sst-marginals", "sst-sparsemap", "sst-spigot"], "inputs": ["a"]}
        answer = client.post("/v1/compare", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/models")
        assert client.post("/v1/compare", json={**body, "models": body["models"][1:]}).status_code == 200


def test_limits_are_told_with_every_model(client: httpx.Client, model_folder: Path) -> None:
    limits = settings_for(model_folder).limits().model_dump()
    assert {*limits} >= {"max_words", "max_inputs", "max_body_bytes", "max_models", "max_trees", "max_queue"}
    for model in client.get("/v1/models").json()["data"]:
        assert model["limits"] == limits


def numbers(client: httpx.Client) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in families
        for sample in family.samples
    }


def test_numbers_count_requests_batches_and_stages(client: httpx.Client) -> None:
    before = numbers(client)
    client.post("/v1/predict", json={**ASK, "inputs": ["a", "b c"]})
    client.post("/v1/predict", json={**ASK, "model": "sst-x"})
    after = numbers(client)

    def grown(name: str, **labels: str) -> float:
        key = f"understory_{name}{sorted(labels.items())}"
        return after.get(key, 0) - before.get(key, 0)

    assert grown("requests_total", route="/v1/predict", status="200") == 1
    assert grown("requests_total", route="/v1/predict", status="404") == 1
    assert grown("batch_items_sum", model="sst-spigot") == 2
    assert grown("batch_tokens_sum", model="sst-spigot") == 3
    assert grown("queue_seconds_count", model="sst-spigot") == 2
    for stage in ("encode", "map", "marginals", "sparsemap", "decode"):
        assert grown("stage_seconds_count", model="sst-spigot", stage=stage) == 1
    assert after["understory_queue_items[]"] == 0


class Slow:
    """Inference that waits until it is let go, to fill the queue behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.items = 0
        self.go = threading.Event()
        real = batcher.predict

        def slow(classifier, items, *rest):
            self.items += len(items)
            assert self.go.wait(300)
            return real(classifier, items, *rest)

        monkeypatch.setattr(batcher, "predict", slow)


def test_a_full_queue_sheds_load_and_liveness_stays_quick(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(create_app(settings_for(model_folder, max_queue=2))) as client:
        slow = Slow(monkeypatch)
        answers = []

        def ask() -> None:
            answers.append(httpx.post(f"{client.base_url}/v1/predict", json=ASK, timeout=120))

        threads = [threading.Thread(target=ask) for _ in range(12)]
        threads[0].start()
        while slow.items == 0:  # the first must run alone, or a second one could share its batch
            assert client.get("/livez").status_code == 200
        for thread in threads[1:]:
            thread.start()
        while len(answers) < 9:  # one runs, two wait
            assert client.get("/livez").status_code == 200
        slow.go.set()
        for thread in threads:
            thread.join()
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [200] * 3 + [429] * 9
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["code"] == "queue_full"


def test_what_has_no_chance_is_refused_before_it_is_read(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(create_app(settings_for(model_folder, queue_seconds=0.1))) as client:
        assert client.post("/v1/predict", json=ASK).status_code == 200
        slow = Slow(monkeypatch)
        monkeypatch.setattr(batcher.Pace, "of", lambda *_: 60.0)
        thread = threading.Thread(target=client.post, args=("/v1/predict",), kwargs={"json": ASK})
        thread.start()
        wait_until(lambda: slow.items == 1)
        refused = client.post("/v1/predict", content=b"{", headers={"Content-Type": "application/json"})
        slow.go.set()
        thread.join()
    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")


def test_a_comparison_that_one_model_refuses_leaves_nothing_in_the_queues(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(create_app(settings_for(model_folder, max_queue=1))) as client:
        slow = Slow(monkeypatch)
        threads = [
            threading.Thread(target=client.post, args=("/v1/predict",), kwargs={"json": ASK})
            for _ in range(2)
        ]
        threads[0].start()
        wait_until(lambda: slow.items == 1)
        threads[1].start()
        wait_until(lambda: numbers(client)["understory_queue_items[]"] == 1)
        asked = {"models": ["sst-marginals", "sst-spigot"], "inputs": ASK["inputs"]}
        assert client.post("/v1/compare", json=asked).status_code == 429
        slow.go.set()
        for thread in threads:
            thread.join()
        assert client.post("/v1/predict", json=ASK).status_code == 200
        assert slow.items == 3


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_too_slow_is_said_so(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(create_app(settings_for(model_folder, timeout_seconds=0.05))) as client:
        slow = Slow(monkeypatch)
        answers = [client.post("/v1/predict", json=ASK) for _ in range(2)]  # the second after a time of rest
        slow.go.set()
        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(504, "too_slow")}


def gone(client: httpx.Client) -> float:
    return numbers(client).get("understory_requests_total[('route', '/v1/predict'), ('status', '499')]", 0)


def test_clients_that_went_away_leave_the_queue(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(create_app(settings_for(model_folder))) as client:
        slow = Slow(monkeypatch)
        first = threading.Thread(target=client.post, args=("/v1/predict",), kwargs={"json": ASK})
        first.start()
        while not slow.items:
            time.sleep(0.01)
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{client.base_url}/v1/predict", json=ASK, timeout=httpx.Timeout(60, read=0.3))
        while gone(client) < 5:
            time.sleep(0.01)
        slow.go.set()
        first.join()
        assert client.post("/v1/predict", json=ASK).status_code == 200
        assert slow.items == 2


def jobs() -> int:
    return sum(type(one) is batcher.Job for one in gc.get_objects())


def test_an_answered_request_leaves_nothing_for_garbage_collection(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What refers to itself piles up, and all requests stop while it is looked for."""
    monkeypatch.setattr(patience, "WATCHED_AFTER", 0.0)
    with running(create_app(settings_for(model_folder))) as client:
        gc.collect()
        gc.disable()
        before = jobs()
        try:
            for _ in range(5):
                assert client.post("/v1/predict", json=ASK).status_code == 200
            wait_until(lambda: jobs() <= before + 1)  # the thread that infers holds on to its last batch
        finally:
            gc.enable()


HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"


def test_a_body_that_never_ends_is_given_up(model_folder: Path) -> None:
    with running(create_app(settings_for(model_folder, body_seconds=0.2))) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port), timeout=60) as slow:
            slow.sendall(HEAD + b"{")
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        assert client.get("/livez").status_code == 200
