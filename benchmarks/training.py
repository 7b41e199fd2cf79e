"""What a training step costs with each estimator, as a ratio to the step without trees, in one run.

    python benchmarks/training.py --out benchmarks/training.json

The steps of all estimators are interleaved, so that a busy machine slows all of them alike; each figure is a
median. Models have the sizes of the trainer's defaults, and estimators the hyperparameters of the bundled
models. Sentences have the lengths of the Stanford Sentiment Treebank, or its phrases, where UNDERSTORY_DATA
has it, and lengths drawn around 19 words where it has not; words are random, so the parser learns nothing:
scores stay near zero, the hard case of SparseMAP.

Then, where the treebank is there, what a real `fit` with one thread takes from its start to its first step,
and which share of an epoch its steps are busy, and not waiting for data; by the clock, and by processor time,
which other processes disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from machine import environment

from latent.allocator import keep_freed_memory
from latent.estimators import ESTIMATORS
from latent.nn.checkpoint import CLASSIFIERS
from latent.text import Vocabulary
from trainer.bundle import RECIPES
from trainer.data import batch_sizes
from trainer.options import ModelOptions
from trainer.paths import data_folder
from trainer.tasks import DataError
from trainer.tasks.sst import Sst

WORDS = 8000
WARM_UP = 3
KINDS = {"sentences": ("sentence", 100), "phrases": ("sentence", 100), "pairs": ("pair", 200)}
"""What is trained on → the classifier and the size of a word's state."""
TASKS = {"sentence": "sst", "pair": "snli"}
"""A classifier → the task of the bundled models whose hyperparameters it takes."""
LEFT_OUT = ("sparse-expectation",)
"""Its decoder sees every tree of an untrained parser's mixture: hundreds an example."""


RUNS = {
    "sentences, batch 32": ["--batch-size", "32"],
    "phrases, batch 64": ["--phrases", "--batch-size", "64"],
}
RUN_STEPS = 400


def runs() -> dict[str, dict[str, dict[str, float]]]:
    """Start real runs, of the model with the shortest steps: what a loader must keep up with."""
    script = Path(__file__).with_name("training_run.py")
    found = {}
    for name, flags in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            given = ["fit", "sst", "--estimator", "none", "--epochs", "1", "--threads", "1", *flags]
            command = [sys.executable, str(script), str(RUN_STEPS), *given, "--out", f"{folder}/run"]
            environment = {**os.environ, "STARTED": repr(time.time())}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found[name] = json.loads(done.stdout.splitlines()[-1])
        else:
            print(f"{name}: no run: {done.stderr.strip()}", file=sys.stderr)
    return found


def print_runs(found: dict[str, dict[str, dict[str, float]]]) -> None:
    print("\n| a real `fit`, `none` | start to first step | processor time | busy | by processor time |")
    print("|---|--:|--:|--:|--:|")
    for name, run in found.items():
        first, busy = run["first step, seconds"], run["busy"]
        seconds = f"{first['clock']:.1f} s | {first['processor']:.1f} s"
        print(f"| {name} | {seconds} | {busy['clock']:.1%} | {busy['processor']:.1%} |")


class Contender:
    """A small model with one estimator, its optimiser, and the times of its steps."""

    def __init__(self, kind: str, hidden: int, estimator: str) -> None:
        torch.manual_seed(0)
        model, recipe = CLASSIFIERS[kind], RECIPES.get(f"{TASKS[kind]}-{estimator}")
        bundled = recipe.model if recipe else ModelOptions()
        config = model.Config(
            estimator=estimator,
            hyperparameters=bundled.hyperparameters(),
            head_scale=bundled.head_scale,
            embedding_size=100,
            hidden_size=hidden,
            dropout=0.2,
        )
        self.model = model(config, Vocabulary(f"w{i}" for i in range(WORDS)), ["a", "b", "c"])
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.times: list[float] = []

    def step(self, items: list, labels: torch.Tensor) -> None:
        batch = self.model.collate(items)
        start = time.perf_counter()
        self.optimizer.zero_grad()
        self.model.loss(batch, labels).mean().backward()
        self.optimizer.step()
        self.times.append(time.perf_counter() - start)


def lengths(kind: str) -> list[int]:
    try:
        task = Sst(data=data_folder(), phrases=kind == "phrases")
        return [len(example.text) for example in task.splits().train]
    except DataError:
        drawn = np.random.default_rng(0).normal(19, 9, size=6920)
        return np.clip(drawn, 1, 56).astype(int).tolist()


def batches(kind: str, size: int, rng: np.random.Generator) -> Iterator[tuple[list, torch.Tensor]]:
    """Batches of sentences of like length, in random order, for ever."""
    ordered = sorted(lengths(kind), reverse=True)
    edges = np.cumsum([0, *batch_sizes(ordered, size, None)])
    while True:
        for index in rng.permutation(len(edges) - 1):
            group = ordered[edges[index] : edges[index + 1]]
            items = [rng.integers(2, WORDS, n).tolist() for n in group]
            if kind == "pairs":  # a hypothesis is about half as long as its premise
                items = [(item, item[: max(1, len(item) // 2)]) for item in items]
            yield items, torch.from_numpy(rng.integers(0, 3, len(group)))


def medians(kind: str, size: int, names: list[str], steps: int) -> dict[str, float]:
    """Milliseconds of a step with each estimator."""
    contenders = {name: Contender(*KINDS[kind], estimator=name) for name in names}
    feed = batches(kind, size, np.random.default_rng(0))
    for _ in range(steps + WARM_UP):
        items, labels = next(feed)
        for contender in contenders.values():
            contender.step(items, labels)
    return {name: 1e3 * statistics.median(c.times[WARM_UP:]) for name, c in contenders.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kinds", nargs="*", choices=tuple(KINDS), default=list(KINDS))
    parser.add_argument(
        "--estimators",
        nargs="*",
        default=[n for n, e in ESTIMATORS.items() if not e.categorical_only and n not in LEFT_OUT],
    )
    parser.add_argument("--batch", nargs="*", type=int, default=[32, 64])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as `fit` does
    names = ["none", *(name for name in options.estimators if name != "none")]
    results = {**environment(("torch", "numba")), "threads": options.threads, "steps": options.steps}
    columns = {
        f"{kind}, batch {size}": medians(kind, size, names, options.steps)
        for kind in options.kinds
        for size in options.batch
    }
    print(f"| estimator | {' | '.join(columns)} |\n|---|{'--:|' * len(columns)}")
    for name in names:
        cells = [f"{ms[name]:.1f} ms, {ms[name] / ms['none']:.2f} ×" for ms in columns.values()]
        print(f"| `{name}` | {' | '.join(cells)} |")
    found = runs()
    print_runs(found)
    if options.out:
        content = {**results, "milliseconds": columns, "runs": found}
        options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
