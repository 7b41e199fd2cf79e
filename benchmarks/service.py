"""The service under load, beside the bare model and other servers: `python benchmarks/service.py [--quick]`.

All figures in one run of less than ten minutes, written as JSON and as a Markdown table; LitServe is measured
where it is installed (`pip install litserve`). `service_memory.py` has the memory over many requests.

Every server runs alone on one core and the clients on another, so that all share the same cores in turn; the
figures are ratios within one run. A rate counts while all clients ask: not while they connect, nor while the
last are answered. The bare model and the service take turns, and medians are told, with quartiles where turns
are short: the machine changes from one minute to the next. The clients speak HTTP over plain sockets: a full
client library costs more than the service itself, and would be what is measured.
"""

import argparse
import asyncio
import http.client
import json
import math
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import environment

ROOT = Path(__file__).resolve().parent.parent
PORT = 8765
CLIENTS = 64
"""At once, where the server is to be saturated."""
MANY = 16
"""Sentences in a request of the second kind of load."""
TURNS = 5
"""Of the bare model and of the service."""
SHORT_TURNS = 24
"""Of both, where one is told as a share of the other."""
CONNECTING = 0.2
"""Seconds at the start of a load that count for no rate: not all clients are connected by then."""
SPAWN = multiprocessing.get_context("spawn")
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, CLIENT_CPU = CPUS[0], CPUS[-1]


def sentences(data: Path | None) -> list[str]:
    """SST's test sentences, or others of the same lengths where the data is not at hand."""
    file = data / "sst" / "test.txt" if data else None
    if file is not None and file.exists():
        lines = file.read_text(encoding="utf-8").splitlines()
        return [" ".join(re.findall(r"([^ ()]+)\)", line)) for line in lines if line]
    words = [
        "the",
        "film",
        "is",
        "not",
        "a",
        "gripping",
        "or",
        "funny",
        "story",
        "of",
        "two",
        "people",
        "but",
        "it",
        "moves",
        "you",
    ]
    return [" ".join(words[(i + j) % len(words)] for j in range(4 + i * 7 % 34)) for i in range(2000)]


class NotStartedError(RuntimeError):
    """A server that ended before it was ready."""


@dataclass
class Load:
    """What came back; status 0 is a connection closed without an answer."""

    seconds: float
    """For which the clients ask."""
    start: float = field(default_factory=time.perf_counter)
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    """When each of 200 came."""

    @property
    def rate(self) -> float:
        """Answers of 200 a second, while all clients ask."""
        since, until = self.start + CONNECTING, self.start + self.seconds
        return sum(since <= end < until for end in self.ends) / (until - since)

    def quantile(self, q: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


async def client(load: Load, bodies: list[bytes], offset: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    while time.perf_counter() < load.start + load.seconds:
        body = bodies[offset % len(bodies)]
        offset += 61
        start = time.perf_counter()
        writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):  # closed without an answer: counted as 0
            load.statuses[0] = load.statuses.get(0, 0) + 1
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            continue
        length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
        await reader.readexactly(int(length[1]))
        status = int(answer[9:12])
        load.statuses[status] = load.statuses.get(status, 0) + 1
        if status == 200:
            load.ends.append(time.perf_counter())
            load.latencies.append(load.ends[-1] - start)
        elif status == 429:
            await asyncio.sleep(0.05)
    writer.close()


async def _hammer(clients: int, seconds: float, bodies: list[bytes], shift: int) -> Load:
    load = Load(seconds)
    await asyncio.gather(*(client(load, bodies, shift + 7 * i) for i in range(clients)))
    return load


def hammer(clients: int, seconds: float, bodies: list[bytes], shift: int = 0) -> Load:
    """So many clients at once, each asking again as soon as it is answered, from some request on."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    return asyncio.run(_hammer(clients, seconds, bodies, shift))


@contextmanager
def serving(*command: str, **environment: str):
    """A server on its core, ready; gives its process and how long it took to be ready."""
    start = time.perf_counter()
    own = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "UNDERSTORY_PORT": str(PORT),
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CPU), sys.executable, *command],
        env=own,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            if process.poll() is not None or time.perf_counter() > start + 300:
                raise NotStartedError(f"{' '.join(command)} did not start; is port {PORT} free?")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        yield process, time.perf_counter() - start
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):  # workers that outlive it would share the next server's core
            os.killpg(process.pid, signal.SIGKILL)


class Bare:
    """The model without a server, on the server's core."""

    def __init__(self, path: Path, texts: list[str]) -> None:
        os.sched_setaffinity(0, {SERVER_CPU})
        import torch

        from latent.nn import checkpoint
        from latent.text import tokenize
        from server.predictor import Item, predict
        from server.schemas import STRUCTURE_NAMES

        torch.set_num_threads(1)
        classifier, wanted = checkpoint.load(path).classifier, frozenset(STRUCTURE_NAMES)
        self.answer = lambda batch: predict(classifier, batch, wanted)
        self.items = [Item((tuple(tokenize(text)),)) for text in texts[:1024]]
        self.ordered = sorted(self.items, key=lambda item: item.words)
        self.answer(self.ordered[-128:])

    def rate(self, plan: list[list], seconds: float) -> float:
        """Sentences a second with these batches, in an order that mixes short and long ones."""
        done, turn, start = 0, 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            batch = plan[turn * 37 % len(plan)]
            self.answer(batch)
            done, turn = done + len(batch), turn + 1
        return done / (time.perf_counter() - start)

    def alone(self) -> float:
        """Median of the seconds that one sentence takes."""
        took = []
        for item in self.ordered[::4]:
            start = time.perf_counter()
            self.answer([item])
            took.append(time.perf_counter() - start)
        return statistics.median(took)


def cut(items: list, size: int) -> list[list]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def parts(few: list, count: int) -> list[list]:
    return cut(sorted(few, key=lambda item: item.words), math.ceil(len(few) / count))


def bare(path: Path, texts: list[str], seconds: float, answers) -> None:
    """The model's rates, and the median of one sentence alone.

    Three ways to make batches, each with its rates: of the sentences in their order, by batch size; of equal
    length, chosen from a thousand sentences, by batch size; and of what so many clients leave to choose from,
    cut by length, by the number of batches.
    """
    model, half = Bare(path, texts), seconds / 2
    alone, sizes = model.alone(), (8, 16, 32, 64, 128)
    answers.put(
        {
            "in_order": {size: model.rate(cut(model.items, size), half) for size in sizes},
            "by_length": {size: model.rate(cut(model.ordered, size), half) for size in sizes},
            "of_few": {
                count: model.rate(
                    [part for few in cut(model.items, CLIENTS) for part in parts(few, count)], half
                )
                for count in (1, 2, 3, 4)
            },
            "alone_median_ms": alone * 1e3,
        }
    )


def bare_when_asked(path: Path, texts: list[str], size: int, pipe) -> None:
    """The model's rate in batches of the sentences in their order, for so many seconds, as often as asked."""
    model = Bare(path, texts)
    while seconds := pipe.recv():
        pipe.send(model.rate(cut(model.items, size), seconds))


def probe(seconds: float, answers) -> None:
    """Ask `/livez` every 20 ms on one connection; gives the latencies."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    latencies, until = [], time.perf_counter() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    while time.perf_counter() < until:
        start = time.perf_counter()
        connection.request("GET", "/livez")
        connection.getresponse().read()
        latencies.append(time.perf_counter() - start)
        time.sleep(0.02)
    answers.put(sorted(latencies))


def apart(work: Callable[..., None], *arguments: object) -> Callable[[], Any]:
    """Start work in a process of its own; returns what waits for its answer."""
    answers = SPAWN.Queue()
    process = SPAWN.Process(target=work, args=(*arguments, answers))
    process.start()

    def answer() -> Any:
        found = answers.get(timeout=600)
        process.join()
        return found

    return answer


def resident(process: subprocess.Popen) -> float:
    """MiB that a server holds."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


@dataclass
class Run:
    """What is measured on, and how long each measurement takes."""

    path: Path
    bodies: list[bytes]
    """One sentence each."""
    large_bodies: list[bytes]
    """`MANY` sentences each."""
    seconds: float
    overload: float

    @property
    def settings(self) -> dict[str, str]:
        return {"UNDERSTORY_MODELS": str(self.path.parent.parent), "UNDERSTORY_WATCH_SECONDS": "0"}


def measure_service(run: Run, texts: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the medians of the bare model and of the service, which take turns on their core."""
    with serving("-m", "server", **run.settings) as (_, ready):
        hammer(CLIENTS, 2, run.bodies)
        turns = [
            (apart(bare, run.path, texts, run.seconds / TURNS)(), measure_turn(run, shift))
            for shift in range(TURNS)
        ]
    of_bare, of_service = (list(each) for each in zip(*turns, strict=True))
    return median(of_bare), {
        "ready_s": ready,
        **median(of_service),
        "turns": {"bare": of_bare, "service": of_service},
    }


def measure_turn(run: Run, shift: int) -> dict[str, float]:
    """One client; 64; 64 with `/livez` asked beside them; 64 that send many sentences a request."""
    seconds = run.seconds / TURNS
    one = hammer(1, seconds, run.bodies, shift)
    many = hammer(CLIENTS, seconds, run.bodies, shift)
    alive = apart(probe, seconds)
    hammer(CLIENTS, seconds + 2, run.bodies, shift)  # the other takes a moment to start, and of the cores
    livez = alive()
    large = hammer(CLIENTS, seconds, run.large_bodies, shift)
    return {
        "one_client_median_ms": one.quantile(0.5) * 1e3,
        "one_client_p99_ms": one.quantile(0.99) * 1e3,
        "requests_per_s": many.rate,
        "sentences_per_s_of_large_requests": large.rate * MANY,
        "livez_under_load_p99_ms": livez[int(0.99 * (len(livez) - 1))] * 1e3,
        "livez_under_load_max_ms": livez[-1] * 1e3,
    }


def measure_shares(run: Run, texts: list[str], size: int) -> dict[str, list[float]]:
    """The bare model and 64 clients every other second or two, so that the machine is the same for both."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=bare_when_asked, args=(run.path, texts, size, there))
    process.start()
    there.close()  # so that an error there ends the wait for its answer
    rates: dict[str, list[float]] = {"bare": [], "service": []}
    with serving("-m", "server", **run.settings):
        hammer(CLIENTS, 2, run.bodies)
        for shift in range(SHORT_TURNS):
            here.send(run.seconds / 10)
            rates["bare"].append(here.recv())
            rates["service"].append(hammer(CLIENTS, run.seconds / 10, run.bodies, 17 * shift).rate)
    here.send(0)
    process.join()
    return rates


def median(reports: list[Any]) -> Any:
    """The median of each figure in reports of one shape."""
    if isinstance(reports[0], dict):
        return {name: median([report[name] for report in reports]) for name in reports[0]}
    return statistics.median(reports)


def measure_overload(run: Run) -> dict[str, object]:
    """Twice the saturating clients, on a queue with a short limit in time."""
    queue = 0.05
    with serving("-m", "server", **run.settings, UNDERSTORY_QUEUE_SECONDS=str(queue)):
        hammer(8, 1, run.bodies)
        load = hammer(2 * CLIENTS, run.overload, run.bodies)
    return {
        "seconds": run.overload,
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
        "accepted_p99_ms": load.quantile(0.99) * 1e3,
        "queue_limit_ms": queue * 1e3,
    }


def measure_rival(run: Run, name: str) -> dict[str, object]:
    """The same model behind another server."""
    try:
        with serving("benchmarks/service_rivals.py", name, str(run.path), str(PORT)):
            hammer(8, 1, run.bodies)
            load = hammer(CLIENTS, run.seconds, run.bodies)
    except NotStartedError as error:
        return {"not_measured": str(error)}
    if set(load.statuses) != {200}:
        return {"not_measured": f"it answered {load.statuses}"}
    return {"requests_per_s": load.rate, "statuses": {str(k): v for k, v in load.statuses.items()}}


def _bodies(model: str, texts: list[str], each: int) -> list[bytes]:
    """Requests, one that begins at each text."""
    return [
        json.dumps({"model": model, "inputs": [texts[(i + j) % len(texts)] for j in range(each)]}).encode()
        for i in range(len(texts))
    ]


def table(report: dict[str, Any]) -> str:
    """Write the figures beside their goals."""
    bare, service, over = report["bare"], report["service"], report["overload"]
    rate, large = service["requests_per_s"], service["sentences_per_s_of_large_requests"]
    best = {name: max(bare[name].values()) for name in ("in_order", "by_length", "of_few")}
    slowest = max(turn["livez_under_load_max_ms"] for turn in service["turns"]["service"])
    limit = 3 * service["one_client_p99_ms"] + over["queue_limit_ms"]
    others = {status: count for status, count in over["statuses"].items() if status not in {"200", "429"}}
    offline = "of the bare model's rate offline, best batch size"
    pairs = zip(report["shares"]["service"], report["shares"]["bare"], strict=True)
    low, middle, high = statistics.quantiles([of_service / of_bare for of_service, of_bare in pairs], n=4)
    rows = [
        (f"{CLIENTS} clients: {offline}", f"{middle:.2f} ({low:.2f} to {high:.2f})", "≥ 0.8"),
        (f"{CLIENTS} clients: the same, long turns", f"{rate / best['in_order']:.2f}", "≥ 0.8"),
        (f"{CLIENTS} clients: {offline}, batches of equal length", f"{rate / best['by_length']:.2f}", ""),
        (
            f"{CLIENTS} clients, {MANY} sentences a request: {offline}",
            f"{large / best['in_order']:.2f}",
            "≥ 0.8",
        ),
        (
            f"{CLIENTS} clients, {MANY} sentences a request: the same, batches of equal length",
            f"{large / best['by_length']:.2f}",
            "",
        ),
        (
            f"no server, {CLIENTS} sentences at a time, cut by length: the same",
            f"{best['of_few'] / best['by_length']:.2f}",
            "",
        ),
        *(_rival_row(name, goal, rate, report[name]) for name, goal in (("plain", 3), ("litserve", 1))),
        (
            "one client: median latency",
            f"{service['one_client_median_ms']:.1f} ms",
            f"≤ {1.3 * bare['alone_median_ms'] + 2:.1f} ms",
        ),
        ("ready after", f"{service['ready_s']:.1f} s", "≤ 5 s"),
        ("`/livez` under 64 clients: slowest", f"{slowest:.0f} ms", "≤ 50 ms"),
        (f"overload, {over['seconds']:.0f} s: answers", f"{over['statuses']}", "200 and 429 only"),
        ("overload: answers of another status", f"{sum(others.values())}", "0"),
        ("overload: p99 of what was accepted", f"{over['accepted_p99_ms']:.0f} ms", f"≤ {limit:.0f} ms"),
    ]
    lines = ["| what | figure | goal |", "|---|--:|--:|"]
    return "\n".join(lines + [f"| {what} | {figure} | {goal} |" for what, figure, goal in rows])


def _rival_row(name: str, goal: int, rate: float, rival: dict[str, Any]) -> tuple[str, str, str]:
    figure = f"{rate / rival['requests_per_s']:.1f} ×" if rival.get("requests_per_s") else "not measured"
    return (f"64 clients: beside {RIVALS[name]}", figure, f"≥ {goal} ×")


RIVALS = {"plain": "a plain FastAPI route", "litserve": "LitServe with batching"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="sst-marginals")
    parser.add_argument("--quick", action="store_true", help="a minute or two, rough")
    parser.add_argument("--data", type=Path, default=os.environ.get("UNDERSTORY_DATA"))
    parser.add_argument("--out", type=Path, default=Path("service.json"), help="and .md beside it")
    asked = parser.parse_args()
    texts = sentences(Path(asked.data) if asked.data else None)
    run = Run(
        path=asked.models / asked.model / "model.safetensors",
        bodies=_bodies(asked.model, texts, 1),
        large_bodies=_bodies(asked.model, texts, MANY),
        seconds=4 if asked.quick else 12,
        overload=4 if asked.quick else 60,
    )
    report: dict[str, Any] = {
        **environment(("torch", "numba", "fastapi", "uvicorn", "litserve")),
        "model": asked.model,
    }
    report["bare"], report["service"] = measure_service(run, texts)
    in_order = report["bare"]["in_order"]
    report["shares"] = measure_shares(run, texts, max(in_order, key=in_order.get))
    report["overload"] = measure_overload(run)
    report |= {name: measure_rival(run, name) for name in RIVALS}
    asked.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    asked.out.with_suffix(".md").write_text(table(report) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2), table(report), sep="\n\n")


if __name__ == "__main__":
    main()
