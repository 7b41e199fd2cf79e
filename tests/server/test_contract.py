"""The OpenAPI document against the running service: every check of schemathesis on requests made from it."""

import subprocess
import sys
from pathlib import Path

import httpx

PATHS = {"/livez", "/readyz", "/v1/models", "/v1/models/{id}", "/v1/predict", "/v1/compare"}
CONFIG = Path(__file__).with_name("schemathesis.toml")


def test_the_document_describes_every_route_and_error(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["paths"].keys() >= PATHS
    for path in ("/v1/predict", "/v1/compare"):
        responses = document["paths"][path]["post"]["responses"]
        assert responses.keys() >= {"200", "400", "404", "413", "415", "422", "429", "503", "504"}
        for status, response in responses.items():
            if status != "200":
                assert list(response["content"]) == ["application/problem+json"]


def test_requests_made_from_the_document(client: httpx.Client, tmp_path: Path) -> None:
    tool = str(Path(sys.executable).with_name("schemathesis"))
    url = str(client.base_url.join("/openapi.json"))
    options = ["--checks=all", "--max-examples=8", "--seed=1", "--no-color", "--warnings=off"]
    done = subprocess.run(
        [tool, f"--config-file={CONFIG}", "run", url, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
