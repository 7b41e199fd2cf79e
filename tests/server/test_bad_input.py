"""Bad input gets the right status and a clear error, or a sane answer; never a 5xx."""

import gzip
import json
import re
from pathlib import Path

import httpx
import pytest
from serving import serving

from server.schemas import Problem

ASK = {"model": "sst-spigot", "inputs": ["A funny film."]}


def send(client: httpx.Client, body: object, path: str = "/v1/predict") -> tuple[int, dict]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = client.post(path, content=content, headers={"content-type": "application/json"})
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
        problem = Problem.model_validate(response.json())
        assert problem.status == response.status_code
        assert problem.request_id == response.headers["x-request-id"]
        assert problem.detail
    return response.status_code, response.json()


def predict(*inputs: object, **parameters: object) -> dict:
    return {
        "model": "sst-spigot",
        "inputs": list(inputs),
        **({"parameters": parameters} if parameters else {}),
    }


def trees(**values: object) -> dict:
    return predict("A film.", trees=values)


INVALID = {
    "empty text": (predict(""), "/inputs/0"),
    "only spaces": (predict("ok", " \t\u00a0\n "), "/inputs/1"),
    "10,000 words": (predict("word " * 10_000), "/inputs/0"),
    "a megabyte of one word": (predict("a" * 990_000), "/inputs/0"),
    "300 words": (predict("of " * 300), "/inputs/0"),
    "300 tokens": (predict({"tokens": ["of"] * 300}), "/inputs/0/tokens"),
    "a NUL character": (predict("a\0b"), "/inputs/0"),
    "a blank token": (predict({"tokens": ["a", " "]}), "/inputs/0/tokens/1"),
    "no tokens": (predict({"tokens": []}), "/inputs/0/tokens"),
    "a pair for a sentence model": (predict({"premise": "a", "hypothesis": "b"}), "/inputs/0"),
    "half a pair": (predict({"premise": "a"}), "/inputs/0/hypothesis"),
    "a number": (predict(3), "/inputs/0"),
    "null": (predict(None), "/inputs/0"),
    "a number as a token": (predict({"tokens": ["a", 1]}), "/inputs/0/tokens/1"),
    "no inputs": (predict(), "/inputs"),
    "65 inputs": (predict(*["a"] * 65), "/inputs"),
    "too much work in all": (predict(*["of " * 200] * 64), "/inputs"),
    "an unknown field": ({**predict("a"), "modle": 1}, "/modle"),
    "no model": ({"inputs": ["a"]}, "/model"),
    "a list as a model": ({"model": ["a"], "inputs": ["a"]}, "/model"),
    "a number in quotes": (trees(max_trees="3"), "/parameters/trees/max_trees"),
    "too many trees": (trees(max_trees=10**30), "/parameters/trees/max_trees"),
    "a negative probability": (trees(min_probability=-1), "/parameters/trees/min_probability"),
    "a huge number": (trees(min_probability=1e308), "/parameters/trees/min_probability"),
    "an unknown structure": (trees(**{"return": ["mst"]}), "/parameters/trees/return/0"),
    "a modifier beyond the end": (
        trees(constraints=[{"modifier": 9, "head": 0, "op": "force"}]),
        "/parameters/trees/constraints/0/modifier",
    ),
    "a word as its own head": (
        trees(constraints=[{"modifier": 2, "head": 2, "op": "force"}]),
        "/parameters/trees/constraints/0/head",
    ),
    "a side of a single sentence": (
        trees(constraints=[{"modifier": 2, "head": 1, "op": "forbid", "side": "premise"}]),
        "/parameters/trees/constraints/0/side",
    ),
    "a body that is a list": ([], ""),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_requests_are_pointed_at(client: httpx.Client, name: str) -> None:
    body, pointer = INVALID[name]
    status, problem = send(client, body)
    assert status == 422
    assert problem["errors"][0]["pointer"] == pointer


NOT_JSON = {
    "nothing": b"",
    "no JSON": b"model=sst",
    "invalid UTF-8": b'{"model":"sst-spigot","inputs":["\xff\xfe"]}',
    "a lone surrogate": rb'{"model":"sst-spigot","inputs":["\ud800"]}',
    "NaN": b'{"model":"sst-spigot","inputs":["a"],"parameters":{"trees":{"min_probability":NaN}}}',
    "deep nesting": b"[" * 100_000,
    "deep nesting, closed": b'{"model":"m","inputs":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "half": b'{"model":"sst-spigot","inp',
    "two documents": b"{}{}",
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_not_json_is_called_so(client: httpx.Client, name: str) -> None:
    status, problem = send(client, NOT_JSON[name])
    assert (status, problem["code"]) in {(400, "not_json"), (422, "invalid_request")}
    assert status == 400 or name == "nothing"


SANE = [
    "🎬 👍🏽",
    "<script>alert('x')</script>",
    "\u202eright to left",
    "e\u0301" * 100,
    "a" * 10_000,
    "\ufeffDull.",
    "1e999",
]


@pytest.mark.parametrize("text", SANE)
def test_odd_text_is_answered_with_its_own_words(client: httpx.Client, text: str) -> None:
    status, answer = send(client, predict(text))
    assert status == 200
    tokens = answer["data"][0]["sentences"][0]["tokens"]
    assert "".join(tokens) == "".join(text.split())


def test_duplicate_keys_are_no_harm(client: httpx.Client) -> None:
    assert send(client, b'{"model":"x","model":"sst-none","inputs":["a"],"inputs":["b"]}')[0] == 200


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/compare"])
def test_an_unknown_model_is_not_found(client: httpx.Client, path: str) -> None:
    named = {"model": "sst-x"} if path.endswith("predict") else {"models": ["sst-none", "sst-x"]}
    status, problem = send(client, {**named, "inputs": ["a"]}, path)
    assert (status, problem["code"]) == (404, "model_not_found")
    assert "sst-spigot" in problem["detail"]


@pytest.mark.parametrize("id_", ["sst-x", "..%2f..%2fetc", "%00", "a" * 5000, "sst-spigot%0d%0ax: y"])
def test_unknown_ids_in_a_path_are_not_found(client: httpx.Client, id_: str) -> None:
    assert client.get(f"/v1/models/{id_}").status_code == 404


def test_a_body_over_the_limit_is_refused_whatever_its_header_says(client: httpx.Client) -> None:
    def body():
        for _ in range(40):
            yield b"x" * 50_000

    response = client.post("/v1/predict", content=body(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"


def test_other_media_types_are_refused(client: httpx.Client) -> None:
    response = client.post("/v1/predict", content=b"{}", headers={"content-type": "text/plain"})
    assert response.status_code == 415


def test_a_compressed_body_is_refused_by_name(client: httpx.Client) -> None:
    ask = gzip.compress(json.dumps(ASK).encode())
    headers = {"content-type": "application/json", "content-encoding": "GZIP"}
    response = client.post("/v1/predict", content=ask, headers=headers)
    problem = Problem.model_validate(response.json())
    assert (response.status_code, problem.code) == (415, "unsupported_content_encoding")
    assert "gzip" in problem.detail
    assert response.headers["accept-encoding"] == "identity"
    plain = client.post("/v1/predict", json=ASK, headers={"content-encoding": "identity"})
    assert plain.status_code == 200


def test_a_byte_order_mark_is_no_harm(client: httpx.Client) -> None:
    content = json.dumps(ASK).encode("utf-8-sig")
    response = client.post("/v1/predict", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/readyz", "/metrics", "/v1/models", "/nowhere"])
def test_who_asks_for_the_head_alone_gets_the_head_of_get(client: httpx.Client, path: str) -> None:
    plain = {"accept-encoding": "identity", "x-request-id": "mine"}
    whole = client.get(path, headers=plain)
    head = client.head(path, headers=plain)
    changes = {"date"} | ({"content-length"} if path == "/metrics" else set())
    assert head.status_code == whole.status_code
    for headers in (head.headers, whole.headers):
        for name in changes:
            headers.pop(name)
    assert head.headers == whole.headers
    assert head.content == b""
    assert client.get(path).status_code == whole.status_code  # on the same connection


def test_a_head_is_counted_with_its_route(client: httpx.Client) -> None:
    def counted() -> float:
        (line,) = (
            line
            for line in client.get("/metrics").text.splitlines()
            if line.startswith('understory_requests_total{route="/livez",status="200"}')
        )
        return float(line.split()[-1])

    client.get("/livez")
    before = counted()
    client.head("/livez")
    assert counted() == before + 1


def test_unknown_paths_and_methods_are_problems_too(client: httpx.Client) -> None:
    for response, status in ((client.get("/v2"), 404), (client.get("/v1/predict"), 405)):
        assert response.status_code == status
        assert Problem.model_validate(response.json()).request_id


def test_a_browser_on_an_unknown_path_gets_a_page_and_a_program_a_problem(client: httpx.Client) -> None:
    browser = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
    for path in ("/nowhere", "/a/b?c=d", "/static/nowhere.js", "/v2/models"):
        page = client.get(path, headers=browser)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "Nothing grows here" in page.text
    typed = client.get("/<script>alert(1)</script>", headers=browser).text
    assert "<script>alert" not in typed
    assert "&lt;script&gt;alert(1)" in typed
    for path, headers in (("/nowhere", {"accept": "*/*"}), ("/nowhere", {}), ("/v1/nowhere", browser)):
        answer = client.get(path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert client.post("/", headers=browser).headers["content-type"] == "application/problem+json"


STATUS = "/proc/{}/status"
ROUNDS = 25
MOST_GROWTH = 4 * 1024
"""KiB: the requests of all rounds hold fifteen times as much."""


def resident(pid: int) -> int:
    """Return the KiB that a process holds."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(STATUS.format(pid)).read_text()).group(1))


@pytest.mark.skipif(not Path(STATUS.format("self")).exists(), reason="reads Linux's /proc")
def test_bad_input_leaves_nothing_in_memory(model_folder: Path) -> None:
    bodies = [json.dumps(body).encode() for body, _ in INVALID.values()]
    bodies += [json.dumps(predict(text)).encode() for text in SANE]
    bodies += [*NOT_JSON.values(), b"x" * 2_000_000]
    assert ROUNDS * sum(map(len, bodies)) > 15 * MOST_GROWTH * 1024
    with serving(model_folder) as (process, url), httpx.Client(base_url=url, timeout=120) as client:
        held = []
        for _ in range(1 + ROUNDS):
            for body in bodies:
                headers = {"content-type": "application/json"}
                status = client.post("/v1/predict", content=body, headers=headers).status_code
                assert status in {200, 400, 413, 422}
            held.append(resident(process.pid))
    assert held[-1] - held[0] < MOST_GROWTH, held
