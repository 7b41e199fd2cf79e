"""What is read is compressed, what is inferred is not."""

import gzip

import httpx
import pytest


@pytest.mark.parametrize("path", ["/", "/v1/models", "/static/main.js", "/openapi.json"])
def test_what_is_read_is_compressed_where_the_client_can_read_that(client: httpx.Client, path: str) -> None:
    plain = client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as small:
        raw = b"".join(small.iter_raw())
    assert small.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in small.headers["vary"].lower()
    assert len(raw) < len(plain.content) / 2
    assert gzip.decompress(raw) == plain.content


def test_an_inferred_answer_goes_as_it_is(client: httpx.Client) -> None:
    body = {"model": "sst-spigot", "inputs": ["a gripping , funny film ."] * 8}
    answer = client.post("/v1/predict", json=body, headers={"accept-encoding": "gzip"})
    assert len(answer.content) > 1000
    assert "content-encoding" not in answer.headers


def test_an_unchanged_file_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/static/main.js")
    again = client.get("/static/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
