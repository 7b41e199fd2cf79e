"""A service with the contract's answers and no model behind it: random projective trees, drawn from a seed.

The browser tests run against it, so that they need no checkpoint and can make the service slow, busy or gone.
Answers go through `server.schemas`, so they cannot drift from the contract.
"""

import json
import random
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from server.middleware import POLICY
from server.schemas import CompareAnswer, ModelList

ROOT = Path(__file__).resolve().parents[2]
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
Heads = list[int]


def projective(first: int, last: int, head: int, heads: dict[int, int], draw: random.Random) -> None:
    """Hangs words first..last below `head`: cut off a span, pick its root, go on."""
    if first > last:
        return
    cut = first + int(draw.random() ** 1.4 * (last - first + 1))
    root = draw.randint(first, cut)
    heads[root] = head
    projective(first, root - 1, root, heads, draw)
    projective(root + 1, cut, root, heads, draw)
    projective(cut + 1, last, head, heads, draw)


def random_tree(words: int, draw: random.Random) -> Heads:
    heads: dict[int, int] = {}
    top = draw.randint(1, words)
    heads[top] = 0
    projective(1, top - 1, top, heads, draw)
    projective(top + 1, words, top, heads, draw)
    return [heads[word] for word in range(1, words + 1)]


def allowed(heads: Heads, constraints: list[dict[str, Any]]) -> bool:
    return all((heads[c["modifier"] - 1] == c["head"]) == (c["op"] == "force") for c in constraints)


def trees_of(tokens: list[str], seed: str, constraints: list[dict[str, Any]]) -> dict[str, Any]:
    """A MAP tree, marginals and a support that fit together: frequencies of a few seeded trees."""
    draw = random.Random(zlib.crc32(f"{seed} {tokens}".encode()))
    kept: list[Heads] = []
    for _ in range(20_000):
        tree = random_tree(len(tokens), draw)
        if allowed(tree, constraints):
            kept.append(tree)
        if len(kept) == 5:
            break
    kept = kept or [random_tree(len(tokens), draw)]
    weights = [0.46, 0.27, 0.15, 0.08, 0.04][: len(kept)]
    weights = [weight / sum(weights) for weight in weights]
    arcs: Counter[tuple[int, int]] = Counter()
    for tree, weight in zip(kept, weights, strict=True):
        for modifier, head in enumerate(tree, start=1):
            arcs[modifier, head] += weight  # type: ignore[assignment]
    support: dict[tuple[int, ...], float] = {}
    for tree, weight in zip(kept[:3], (0.62, 0.27, 0.11), strict=False):
        support[tuple(tree)] = support.get(tuple(tree), 0.0) + weight
    total = sum(support.values())
    return {
        "map": {"heads": kept[0]},
        "marginals": [{"modifier": m, "head": h, "probability": p} for (m, h), p in sorted(arcs.items())],
        "sparsemap": [{"weight": weight / total, "heads": list(heads)} for heads, weight in support.items()],
        "support_size": len(support),
    }


EXAMPLE = json.loads((ROOT / "tests/server/example_compare.json").read_text(encoding="utf-8"))
FORWARD = {"none": None, "marginals": "marginals", "sparsemap": "sparsemap"}


def card(task: str, estimator: str, accuracy: float) -> dict[str, Any]:
    names = ["none"] if estimator == "none" else ["map", "marginals", "sparsemap"]
    depth = 2 + zlib.crc32(estimator.encode()) % 50 / 10
    trees = {"trees": 1821, "mean_depth": depth, "flat_share": 1 / depth, "mean_arc_length": 2.5,
             "adjacent_share": 0.4, "head_left_share": 0.6}  # fmt: skip
    return {
        "task": task, "about": "Sentences written for a test.", "note": "Trained on nothing at all.",
        "seed": 1, "epoch": 3,
        "accuracy": {"test": {name: accuracy - 0.01 * k for k, name in enumerate(names)}},
        "trees": None if estimator == "none" else trees, "command": f"python -m trainer fit {task}",
        "seconds_per_epoch": 30.0 + depth * 10,
        "seconds_per_step": None if estimator == "marginals" else depth / 100,
        "sizes": {"parameters": 1_000_000, "vocabulary": 9000},
        "curve": [{"epoch": k, "dev_accuracy": accuracy - 0.02 * abs(k - 3)} for k in range(1, 6)],
    }  # fmt: skip


def entry(task: str, estimator: str) -> dict[str, Any]:
    labels = ["negative", "positive"] if task == "sst" else ["entailment", "neutral", "contradiction"]
    accuracy = 0.83 + (zlib.crc32(estimator.encode()) % 40) / 1000
    return EXAMPLE["models"][0] | {
        "id": f"{task}-{estimator}", "task": task, "takes": "sentence" if task == "sst" else "pair",
        "estimator": estimator, "structure": None if estimator == "none" else "projective",
        "forward_structure": FORWARD.get(estimator, "map"), "labels": labels,
        "metrics": {"test_accuracy": accuracy}, "card": card(task, estimator, accuracy),
        "revision": f"{zlib.crc32(estimator.encode()):064x}",
    }  # fmt: skip


ESTIMATORS = ["none", "marginals", "sparsemap", "ste-identity", "spigot"]


def outcome(labels: list[str], seed: str) -> dict[str, Any]:
    draw = random.Random(zlib.crc32(seed.encode()))
    raw = [draw.random() ** 3 + 0.02 for _ in labels]
    scores = [{"label": label, "score": value / sum(raw)} for label, value in zip(labels, raw, strict=True)]
    return {"label": max(scores, key=lambda each: each["score"])["label"], "scores": scores}


def alignment(texts: list[str], seed: str) -> dict[str, Any]:
    """Rows that sum to 1; equal words take most of each other."""
    draw = random.Random(zlib.crc32(f"{seed} {texts}".encode()))
    sides = [text.split() for text in texts]
    there = [[draw.random() ** 6 + 3 * (x == y) for y in sides[1]] for x in sides[0]]
    back = [[row[k] ** 1.5 for row in there] for k in range(len(sides[1]))]
    shares = [[[value / sum(row) for value in row] for row in rows] for rows in (there, back)]
    return {"premise_to_hypothesis": shares[0], "hypothesis_to_premise": shares[1]}


def predict(model: dict[str, Any], given: Any, constraints: list[dict[str, Any]]) -> dict[str, Any]:
    texts = [given["premise"], given["hypothesis"]] if isinstance(given, dict) else [given]
    sides = ["premise", "hypothesis"] if isinstance(given, dict) else [None]
    seed = f"{model['id']} {texts} {constraints}"
    has_trees = model["estimator"] != "none"
    names = ["map", "marginals", "sparsemap"] if has_trees else []
    by_structure = {name: outcome(model["labels"], f"{seed} {name}") for name in names}
    own = by_structure.get(model["forward_structure"]) or outcome(model["labels"], seed)
    sentences = []
    for text, side in zip(texts, sides, strict=True):
        tokens = text.split()
        mine = [c for c in constraints if c.get("side") == side]
        sentences.append(
            {"tokens": tokens, "trees": trees_of(tokens, model["id"], mine) if has_trees else None}
        )
    found = {"model": model["id"], **own, "by_structure": by_structure, "sentences": sentences}
    return found | {"alignment": alignment(texts, model["id"]) if len(texts) == 2 else None}


def agreement(predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with_trees = [each for each in predictions if each["sentences"][0]["trees"]]
    pairs = []
    for index, a in enumerate(with_trees):
        for b in with_trees[index + 1 :]:
            heads = [[h for s in each["sentences"] for h in s["trees"]["map"]["heads"]] for each in (a, b)]
            share = sum(x == y for x, y in zip(*heads, strict=True)) / len(heads[0])
            pairs.append({"models": [a["model"], b["model"]], "map": share, "marginals": share * 0.7})
    return pairs


@dataclass
class Fake:
    """What a test can set: extra models, a delay, a failure; and what it can read: the requests."""

    estimators: list[str] = field(default_factory=lambda: list(ESTIMATORS))
    tasks: list[str] = field(default_factory=lambda: ["sst", "snli"])
    delay: float = 0.0
    loading: int = 0
    key: str = ""
    failure: tuple[int, dict[str, Any], dict[str, str]] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def models(self) -> list[dict[str, Any]]:
        return [entry(task, estimator) for task in self.tasks for estimator in self.estimators]

    def list_models(self) -> dict[str, Any]:
        answer = {"data": self.models(), "next_cursor": None, "refused": []}
        return ModelList.model_validate(answer).model_dump()

    def compare(self, body: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(body)
        wanted = body.get("models")
        models = [m for m in self.models() if (m["id"] in wanted if wanted else m["task"] == body["task"])]
        constraints = body.get("parameters", {}).get("trees", {}).get("constraints", [])
        data = []
        for given in body["inputs"]:
            predictions = [predict(model, given, constraints) for model in models]
            if not body.get("parameters", {}).get("alignment"):
                predictions = [each | {"alignment": None} for each in predictions]
            data.append({"models": predictions, "agreement": agreement(predictions)})
        answer = {"id": "fake", "models": models, "data": data, "usage": {"tokens": 1}}
        return CompareAnswer.model_validate(answer).model_dump()


def handler(fake: Fake) -> type[BaseHTTPRequestHandler]:
    index = Environment(loader=FileSystemLoader(ROOT / "templates"), autoescape=True).get_template(
        "index.html"
    )

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

        def reply(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)),
                                "Content-Security-Policy": POLICY, **(headers or {})}.items():  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def reply_json(self, value: Any) -> None:
            self.reply(200, json.dumps(value).encode(), "application/json")

        def locked(self) -> bool:
            if not fake.key or self.headers.get("Authorization") == f"Bearer {fake.key}":
                return False
            problem = {"title": "Unauthorized", "status": 401, "code": "unauthorized"}
            self.reply(401, json.dumps(problem).encode(), "application/problem+json")
            return True

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith("/v1/") and self.locked():
                return
            if path == "/":
                self.reply(200, index.render().encode(), "text/html; charset=utf-8")
            elif path == "/readyz" and fake.loading > 0:
                fake.loading -= 1
                problem = {"title": "Service Unavailable", "status": 503, "code": "loading"}
                self.reply(503, json.dumps(problem).encode(), "application/problem+json")
            elif path == "/readyz":
                self.reply_json({"status": "ready", "models": [], "refused": []})
            elif path == "/v1/models":
                self.reply_json(fake.list_models())
            elif path.startswith("/v1/models/"):
                self.reply_json(next(m for m in fake.models() if m["id"] == path.split("/")[-1]))
            elif path.startswith("/static/") and (file := ROOT / path[1:]).is_file():
                self.reply(200, file.read_bytes(), TYPES.get(file.suffix, "application/octet-stream"))
            else:
                self.reply(404, b"not here", "text/plain")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.locked():
                return
            threading.Event().wait(fake.delay)
            if fake.failure:
                status, problem, headers = fake.failure
                self.reply(status, json.dumps(problem).encode(), "application/problem+json", headers)
            else:
                self.reply_json(fake.compare(body))

    return Handler


@contextmanager
def serving(fake: Fake, port: int = 0) -> Iterator[Fake]:
    """Serves on a free port for as long as the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler(fake))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
