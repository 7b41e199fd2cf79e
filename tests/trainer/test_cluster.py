"""`sweep --address` on a real Ray cluster: a head and a second node, both on this machine."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.trainer.test_sweep import KILLED, arguments
from trainer.__main__ import main
from trainer.errors import UserError
from trainer.on_ray import _check_machines

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'understory[sweep]'")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Ray has clusters of several nodes on Linux")

PATIENCE = 120
RAY = Path(sys.executable).with_name("ray")


@contextmanager
def node(environment, log, *flags):
    """A node of a cluster; all its processes end with it."""
    small = "--block --num-cpus=1 --object-store-memory=80000000 --disable-usage-stats"
    command = [str(RAY), "start", "--node-ip-address=127.0.0.1", *small.split(), *flags]
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)  # which it passes on to the processes that it started
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(found, what, log):
    limit = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < limit, f"no {what}: {log.read_text()[-2000:]}"
        time.sleep(0.1)


@pytest.fixture
def cluster(tmp_path_factory):
    """The address of a cluster of two nodes, and the environment of those who may join or use it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    logs = tmp_path_factory.mktemp("ray")
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "RAY_ADDRESS": ""}
    environment = {**os.environ, **own}
    scratch = Path(os.environ.get("TMPDIR", "/tmp")) / f"ray{os.getpid()}"  # sockets want a short path
    head = ["--head", f"--port={address.split(':')[1]}", "--include-dashboard=false", f"--temp-dir={scratch}"]
    with ExitStack() as nodes:
        nodes.callback(shutil.rmtree, scratch, ignore_errors=True)
        log = logs / "head"
        nodes.enter_context(node(environment, log, *head))
        wait_until(lambda: "Ray runtime started" in log.read_text(), "head", log)
        log = logs / "second"
        nodes.enter_context(node(environment, log, f"--address={address}"))
        wait_until(lambda: "Ray runtime started" in log.read_text(), "second node", log)
        yield address, environment


def test_a_killed_sweep_on_a_cluster_goes_on(sst_folder, tmp_path, cluster):
    """Killed once the first trial is in the ledger, then to the end: that trial is not run again."""
    address, environment = cluster
    given = [*arguments(sst_folder, tmp_path), "--address", address]

    def outcomes():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("*/outcome.json")}

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *given],
        start_new_session=True, check=False, timeout=300, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = outcomes()
    assert len(before) == 1
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *given],
        check=False, timeout=300, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    after = outcomes()
    assert len(after) == 2
    assert {path: stamp for path, stamp in after.items() if path in before} == before
    found = json.loads((tmp_path / "results" / "sst-sweep.json").read_text())
    assert found["chosen"]["spigot"]["tried"] == 2


def test_addresses_that_are_no_cluster_are_told(sst_folder, tmp_path, capsys):
    for address, said in [
        ("ray://127.0.0.1:1", "with --address auto"),
        ("nonsense", "lets us in at nonsense"),
    ]:
        assert main([*arguments(sst_folder, tmp_path), "--address", address]) == 1
        assert said in capsys.readouterr().err.replace("\n", " ")


def test_a_machine_that_does_not_share_the_folder_is_named(tmp_path):
    """The first of two machines is well; a third is dead, and not asked."""
    machines = [{"Alive": True, "NodeID": id * 56, "NodeManagerAddress": f"10.0.0.{id}"} for id in "12"]

    class Ray:
        """Answers at once, as each machine would."""

        exceptions, util = ray.exceptions, ray.util

        def __init__(self, second):
            self.second = second

        def nodes(self):
            return [*machines, {"Alive": False, "NodeID": "3", "NodeManagerAddress": "10.0.0.3"}]

        def remote(self, *, scheduling_strategy, **rest):
            first = scheduling_strategy.node_id == "1" * 56
            return lambda function: SimpleNamespace(
                remote=lambda mark: partial(function, mark) if first else self.second
            )

        def get(self, answer, timeout):
            return answer()

    def broken():
        raise ray.exceptions.RaySystemError("no module named trainer")

    _check_machines(Ray(lambda: True), tmp_path / "work")
    with pytest.raises(UserError, match=r"10\.0\.0\.2 does not see .*work; --work must be on a file system"):
        _check_machines(Ray(lambda: False), tmp_path / "work")
    with pytest.raises(UserError, match=r"10\.0\.0\.2 cannot run trials: .*no module named trainer; every"):
        _check_machines(Ray(broken), tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
