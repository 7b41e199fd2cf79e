"""The service under load, beside the bare model and other servers: `python benchmarks/service.py --help`.

Every server runs alone on one core and the clients on another, so that all share the same cores in turn; the
figures are ratios within one run. The clients speak HTTP over plain sockets: a full client library costs more
than the service itself, and would be what is measured.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = 8765
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


@dataclass
class Load:
    """What came back."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.statuses.get(200, 0) / self.seconds

    def quantile(self, q: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


async def client(load: Load, bodies: list[bytes], offset: int, until: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    while time.perf_counter() < until:
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
            load.latencies.append(time.perf_counter() - start)
        elif status == 429:
            await asyncio.sleep(0.05)
    writer.close()


async def _hammer(clients: int, seconds: float, bodies: list[bytes]) -> Load:
    load, start = Load(), time.perf_counter()
    await asyncio.gather(*(client(load, bodies, 7 * i, start + seconds) for i in range(clients)))
    load.seconds = time.perf_counter() - start
    return load


def hammer(clients: int, seconds: float, bodies: list[bytes]) -> Load:
    """So many clients at once, each asking again as soon as it is answered."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    return asyncio.run(_hammer(clients, seconds, bodies))


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
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() > start + 300:
                    raise SystemExit(f"{' '.join(command)} did not start") from None
                time.sleep(0.05)
        yield process, time.perf_counter() - start
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def bare(path: Path, texts: list[str], seconds: float, answers) -> None:
    """The model without a server, on the server's core: sentences a second by batch size, and one alone."""
    os.sched_setaffinity(0, {SERVER_CPU})
    import torch

    from latent.nn import checkpoint
    from latent.text import tokenize
    from server.predictor import Item, predict
    from server.schemas import STRUCTURE_NAMES

    torch.set_num_threads(1)
    classifier, wanted = checkpoint.load(path).classifier, frozenset(STRUCTURE_NAMES)
    items = sorted((Item((tuple(tokenize(text)),)) for text in texts[:1024]), key=lambda item: item.words)
    rates = {}
    for size in (8, 16, 32, 64, 128):
        batches = [items[i : i + size] for i in range(0, len(items), size)]
        predict(classifier, batches[-1], wanted)
        done, start = 0, time.perf_counter()
        while time.perf_counter() < start + seconds / 2:
            batch = batches[(done // size * 37) % len(batches)]
            predict(classifier, batch, wanted)
            done += size
        rates[size] = done / (time.perf_counter() - start)
    alone = []
    for item in items[::4]:
        start = time.perf_counter()
        predict(classifier, [item], wanted)
        alone.append(time.perf_counter() - start)
    answers.put((rates, statistics.median(alone)))


def resident(process: subprocess.Popen) -> float:
    """MiB that a server holds."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="sst-marginals")
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument("--overload", type=float, default=10, help="seconds at twice the saturating load")
    parser.add_argument("--requests", type=int, default=3000, help="requests for the memory figure")
    parser.add_argument("--data", type=Path, default=os.environ.get("UNDERSTORY_DATA"))
    asked = parser.parse_args()
    texts = sentences(Path(asked.data) if asked.data else None)
    bodies = [json.dumps({"model": asked.model, "inputs": [text]}).encode() for text in texts]
    path = asked.models / asked.model / "model.safetensors"

    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    worker = context.Process(target=bare, args=(path, texts, asked.seconds, answers))
    worker.start()
    rates, alone = answers.get(timeout=600)
    worker.join()
    best = max(rates.values())
    report: dict[str, object] = {
        "bare model, sentences/s by batch size": {size: round(rate) for size, rate in rates.items()},
        "bare model, one sentence, median ms": round(alone * 1e3, 2),
    }

    service = {"UNDERSTORY_MODELS": str(asked.models), "UNDERSTORY_WATCH_SECONDS": "0"}
    with serving("-m", "server", **service) as (process, ready):
        report["service: ready after s"] = round(ready, 2)
        hammer(8, 1, bodies)
        one = hammer(1, asked.seconds, bodies)
        many = hammer(64, asked.seconds, bodies)
        before, done = resident(process), 0
        while done < asked.requests:
            done += sum(hammer(64, 2, bodies).statuses.values())
        report |= {
            "service: one client, median ms": round(one.quantile(0.5) * 1e3, 2),
            "service: one client, allowed ms (1.3 x bare + 2)": round(alone * 1300 + 2, 2),
            "service: one client, p99 ms": round(one.quantile(0.99) * 1e3, 2),
            "service: 64 clients, requests/s": round(many.rate),
            "service: of the bare model's best (goal 0.8)": round(many.rate / best, 2),
            f"service: memory after {done} more requests / before (goal 1.05)": round(
                resident(process) / before, 3
            ),
        }
    with serving("-m", "server", **service, UNDERSTORY_MAX_QUEUE="32") as _:
        hammer(8, 1, bodies)
        over = hammer(128, asked.overload, bodies)
        report["overload, 128 clients, queue of 32: statuses"] = over.statuses
        report["overload: p99 of accepted, ms"] = round(over.quantile(0.99) * 1e3, 1)
    print(json.dumps(report, indent=2), flush=True)
    report = {}
    for name in ("plain", "litserve"):
        try:
            with serving("benchmarks/service_rivals.py", name, str(path), str(PORT)) as _:
                hammer(8, 1, bodies)
                rival = hammer(64, asked.seconds, bodies)
        except SystemExit as error:
            report[f"{name}: not measured"] = str(error)
            continue
        report[f"{name}: 64 clients, requests/s, statuses"] = [round(rival.rate), rival.statuses]
        report[f"service / {name}"] = round(many.rate / max(rival.rate, 1e-9), 2)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
