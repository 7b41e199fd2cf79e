"""Whether the service's memory stays flat: `python benchmarks/service_memory.py`, 50,000 requests by default.

A real server, all bundled models, of sentences and of pairs, real clients on sockets, inputs of up to 120
words, and every kind of structure. It prints the resident memory as it goes, and ends with status 1 where
that grew by more than 5 % after the warm-up. It times nothing, so a busy machine does no harm.
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from service import ROOT, hammer, resident, sentences, serving

from latent.nn.checkpoint import read_header

STRUCTURES = [["map"], ["marginals"], [], ["map", "marginals", "sparsemap"]]


def requests(models: dict[str, str], data: Path | None) -> list[bytes]:
    """Bodies of all kinds: one in forty is long, the others are SST's sentences or as long as those.

    Args:
        models: what each takes, "sentence" or "pair", by its id.
        data: the folder of data sets.
    """
    texts, ids = sentences(data), list(models)
    long = " ".join(" ".join(texts).split()[:120])
    bodies = []
    for i, text in enumerate(texts):
        id_, text = ids[i % len(ids)], long if i % 41 == 0 else text
        one = {"premise": text, "hypothesis": texts[i - 1]} if models[id_] == "pair" else text
        trees = {"return": STRUCTURES[i // 7 % len(STRUCTURES)]}
        body = {"model": id_, "inputs": [one], "parameters": {"trees": trees}}
        bodies.append(json.dumps(body).encode())
    return bodies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--warm-up", type=int, default=5_000, help="requests before memory counts")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--data", type=Path, help="folder of data sets; without it, made-up sentences")
    asked = parser.parse_args()
    files = sorted(asked.models.glob("*/model.safetensors"))
    models = {path.parent.name: read_header(path).kind for path in files}
    bodies = requests(models, asked.data)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, models {', '.join(models)}", flush=True)
    curve: list[tuple[int, float]] = []
    statuses: dict[int, int] = {}
    settings = {"UNDERSTORY_MODELS": str(asked.models), "UNDERSTORY_MAX_QUEUE": "100000"}
    with serving("-m", "server", **settings) as (process, _):
        done, start, since = 0, time.perf_counter(), 0
        while done < asked.warm_up + asked.requests:
            load = hammer(asked.clients, 2, bodies, shift=done)
            for status, count in load.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
            done = sum(statuses.values())
            if done >= since or done >= asked.warm_up + asked.requests:
                since = done + 2_500
                curve.append((done, resident(process)))
                print(
                    f"{done:7} requests  {curve[-1][1]:7.1f} MiB  {time.perf_counter() - start:6.0f} s",
                    flush=True,
                )
    after = [size for count, size in curve if count >= asked.warm_up]
    growth = max(after) / after[0]
    print(f"statuses {statuses}; most after the warm-up / at its end: {growth:.3f} (goal 1.05)")
    sys.exit(growth > 1.05 or set(statuses) != {200})


if __name__ == "__main__":
    main()
