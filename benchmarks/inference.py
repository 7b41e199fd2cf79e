"""Time tree inference against other libraries: python benchmarks/inference.py [--quick] [--out FILE.json]

A run is added to those that the file holds, with what it depends on, and kept point by point.

Every figure goes through the public Python API on the same scores. Methods take turns within one process,
and a figure is the least of its rounds, since whatever else the machine does only ever adds time.
torch-struct, supar and lp-sparsemap are timed where they are installed; `pip install --no-deps supar==1.1.4
dill` and nltk suffice for the second. The third's package on PyPI lacks its headers and Cython sources: they
are in its repository, and it builds with setuptools before 69 and CFLAGS="-include tuple".
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import environment, installed
from torch import Tensor

from latent.estimators.hyperparameters import ProjectionOptions
from latent.structures import Categorical, ProjectiveTree

warnings.filterwarnings("ignore")
CLOCK = time.perf_counter
TURN = 5e-3
"""Seconds that a method repeats fast calls before the next has its turn."""
CHART_BYTES = 100
"""Memory that the gradients of torch-struct and supar take, over batch · n³: 24 GB at n = 100 and B = 256."""
TREE = ProjectiveTree(single_root=True)
Call = Callable[[], object]
Expected = dict[tuple[str, str], tuple[float, int, int]]
"""Milliseconds of each operation of each library, with n and the batch."""


def our_calls(s: Tensor, lengths: Tensor, g: Tensor) -> dict[str, Call]:
    leaf = s.clone().requires_grad_()

    def backward(method: Callable[[Tensor, Tensor], Tensor]) -> None:
        leaf.grad = None
        method(leaf, lengths).backward(g)

    return {
        "map": lambda: TREE.map(s, lengths),
        "marginals": lambda: TREE.marginals(s, lengths),
        "marginals + vjp": lambda: backward(TREE.marginals),
        "sparsemap": lambda: TREE.sparsemap(s, lengths),
        "sparsemap + vjp": lambda: backward(TREE.sparsemap),
    }


def root_on_diagonal(arcs: Tensor) -> Tensor:
    """A copy of the arcs among words, with those of the root on its diagonal."""
    words = arcs[:, 1:, 1:].clone()
    words.diagonal(dim1=1, dim2=2).copy_(arcs[:, 0, 1:])
    return words


def torch_struct_calls(s: Tensor, lengths: Tensor, g: Tensor) -> dict[str, Call]:
    """The root's scores lie on the diagonal, and the input must require a gradient."""
    from torch_struct import DependencyCRF

    leaf = root_on_diagonal(s).requires_grad_()
    weights = g[:, 1:, 1:].contiguous()

    def crf() -> DependencyCRF:
        return DependencyCRF(leaf, lengths, multiroot=False)

    def backward() -> None:
        leaf.grad = None
        crf().marginals.backward(weights)

    return {
        "map": lambda: crf().argmax,
        "marginals": lambda: crf().marginals,
        "marginals + vjp": backward,
    }


def supar_calls(s: Tensor, lengths: Tensor, g: Tensor) -> dict[str, Call]:
    """Scores are [dependent, head]."""
    from supar.structs import DependencyCRF

    leaf = s.transpose(1, 2).contiguous().requires_grad_()
    weights = g.transpose(1, 2).contiguous()

    def crf() -> DependencyCRF:
        return DependencyCRF(leaf, lengths, multiroot=False)

    def backward() -> None:
        leaf.grad = None
        crf().marginals.backward(weights)

    return {
        "map": lambda: crf().argmax,
        "marginals": lambda: crf().marginals,
        "marginals + vjp": backward,
    }


def lp_sparsemap_calls(s: Tensor, lengths: Tensor, g: Tensor) -> dict[str, Call]:
    """Scores are [dependent, head], the root's on the diagonal, of which there is a single one.

    One graph for the batch is faster than one a sentence. With a step size of 0 one outer iteration solves
    it exactly, each sentence by its own active set, down to a gap of 1e-9.
    """
    from lpsmap import DepTree, TorchFactorGraph

    def packed(x: Tensor) -> Tensor:
        return root_on_diagonal(x).transpose(1, 2).contiguous()

    def project(leaf: Tensor) -> Tensor:
        graph = TorchFactorGraph()
        arcs = graph.variable_from(leaf)
        for b in range(len(leaf)):
            graph.add(DepTree(arcs[b], packed=True, projective=True))
        graph.solve(max_iter=1, step_size=0, max_inner_iter=10_000)
        found: Tensor = arcs.value
        return found

    leaf, weights = packed(s).requires_grad_(), packed(g)

    def backward() -> None:
        leaf.grad = None
        project(leaf).backward(weights)

    return {"sparsemap": lambda: project(leaf.detach()), "sparsemap + vjp": backward}


PEERS = {"torch-struct": torch_struct_calls, "supar": supar_calls, "lp-sparsemap": lp_sparsemap_calls}


def least_times(calls: dict[str, Call], seconds: float) -> dict[str, float]:
    """Milliseconds of each call, the least over rounds in which all take turns; a turn of fast calls lasts
    some milliseconds, so that what the one before left in the caches does not count."""
    least = {}
    for name, call in calls.items():
        start = CLOCK()
        call()
        if CLOCK() - start < seconds:
            start = CLOCK()
            call()
        least[name] = CLOCK() - start
    start, rounds = CLOCK(), 0
    while CLOCK() < start + seconds or (rounds < 3 and CLOCK() < start + 10 * seconds):
        rounds += 1
        for name, call in calls.items():
            if least[name] > seconds:
                gc.collect()  # peers leave graphs in cycles, some of gigabytes
            for _ in range(max(1, min(50, int(TURN / max(least[name], 1e-6))))):
                begin = CLOCK()
                call()
                least[name] = min(least[name], CLOCK() - begin)
    return {name: 1e3 * value for name, value in least.items()}


def check_agreement(s: Tensor, lengths: Tensor) -> None:
    """The peers must solve the same problem, or their times say nothing."""
    ours = TREE.marginals(s, lengths)
    if installed("torch-struct"):
        theirs: Any = torch_struct_calls(s, lengths, s)["marginals"]()
        torch.testing.assert_close(root_on_diagonal(ours), theirs.detach(), atol=1e-3, rtol=0)
    if installed("supar"):
        other: Any = supar_calls(s, lengths, s)["marginals"]()
        torch.testing.assert_close(ours, other.detach().transpose(1, 2), atol=1e-3, rtol=0)
    if installed("lp-sparsemap"):
        projected: Any = lp_sparsemap_calls(s, lengths, s)["sparsemap"]()
        mu = TREE.sparsemap(s, lengths, tol=1e-9)
        torch.testing.assert_close(root_on_diagonal(mu), projected.transpose(1, 2), atol=1e-3, rtol=0)


def grid(options: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """Give the rows of one point after the other."""
    for count in options.threads:
        torch.set_num_threads(count)
        for scale in options.scales:
            expected: Expected = {}
            for n in options.sizes:
                for batch in options.batches:
                    yield point(count, scale, n, batch, options.seconds, options.patience, expected)


def point(
    threads: int, scale: float, n: int, batch: int, seconds: float, patience: float, expected: Expected
) -> list[dict[str, Any]]:
    """Time every operation at one point; `expected` has the times at the points before."""
    generator = torch.Generator().manual_seed(n)
    s = scale * torch.randn(batch, n + 1, n + 1, generator=generator)
    g, lengths = torch.randn(s.shape, generator=generator), torch.full((batch,), n)
    if n <= 20 and batch <= 32:
        check_agreement(s, lengths)
    methods = {"understory": our_calls(s, lengths, g)}
    methods |= {name: calls(s, lengths, g) for name, calls in PEERS.items() if installed(name)}
    rows = []
    for operation in methods["understory"]:
        given = {"operation": operation, "threads": threads, "scale": scale, "n": n, "batch": batch}
        calls = {name: method[operation] for name, method in methods.items() if operation in method}
        out: dict[str, str] = {}
        for name in calls:
            if _too_long(expected.get((operation, name)), n, batch, patience):
                out[name] = f"a call would take more than {patience:g} s"
            elif name in ("torch-struct", "supar") and CHART_BYTES * batch * n**3 > _free_memory():
                out[name] = "a call may take more memory than there is"
        ms = least_times({name: call for name, call in calls.items() if name not in out}, seconds)
        expected |= {(operation, name): (value, n, batch) for name, value in ms.items()}
        row = {**given, "ms": ms}
        if out:
            row["left out"] = out
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def _free_memory() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _too_long(last: tuple[float, int, int] | None, n: int, batch: int, patience: float) -> bool:
    """Whether a call would take too long, by the milliseconds of the last one, its n and its batch."""
    if last is None:
        return False
    ms, n_then, batch_then = last
    return ms * (n / n_then) ** 3 * batch / batch_then > 1e3 * patience


def growth() -> dict[str, float]:
    """The exponent of n that fits the time per sentence from n = 20 to 200, on one thread."""
    torch.set_num_threads(1)
    sizes = (20, 40, 80, 120, 200)
    exponents = {}
    for operation in ("map", "marginals"):
        logs = []
        for n in sizes:
            s = torch.randn(8, n + 1, n + 1, generator=torch.Generator().manual_seed(n))
            call = our_calls(s, torch.full((8,), n), s)[operation]
            logs.append(math.log(least_times({operation: call}, 0.5)[operation]))
        x = torch.tensor([math.log(n) for n in sizes], dtype=torch.float64)
        y = torch.tensor(logs, dtype=torch.float64)
        exponents[operation] = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    return exponents


def small_scores() -> dict[str, float]:
    """Milliseconds of SparseMAP at n = 40, B = 32, by scale and tolerance: near-zero scores are its hard
    case. Training stops at the tolerance or after so many steps, which are the estimators' defaults."""
    training = ProjectionOptions()
    settings: dict[str, dict[str, Any]] = {"default": {}}
    settings |= {f"tol {tol}": {"tol": tol} for tol in (1e-3, 1e-2, 1e-1)}
    settings["in training"] = {"tol": training.tol, "max_iter": training.max_iter}
    times = {}
    for scale in (1.0, 0.1):
        s = scale * torch.randn(32, 41, 41, generator=torch.Generator().manual_seed(0))
        for name, setting in settings.items():
            call = partial(TREE.sparsemap, s, **setting)
            times[f"scale {scale}, {name}"] = least_times({"": call}, 1.0)[""]
    return times


def sparsemax() -> dict[str, dict[str, float]]:
    """Milliseconds of sparsemax, forward and backward, beside the entmax package."""
    from entmax import sparsemax as theirs

    results = {}
    for shape in ((4096, 64), (512, 1000)):
        leaf = torch.randn(shape).requires_grad_()
        g = torch.randn(shape)
        torch.testing.assert_close(Categorical().sparsemap(leaf), theirs(leaf, dim=1))
        calls: dict[str, Call] = {
            "understory": lambda leaf=leaf, g=g: Categorical().sparsemap(leaf).backward(g),
            "entmax": lambda leaf=leaf, g=g: theirs(leaf, dim=1).backward(g),
        }
        results[str(shape)] = least_times(calls, 1.0)
    return results


def table(run: dict[str, Any], threads: int, scale: float) -> str:
    """The grid of one number of threads and one scale, as Markdown: how many times faster than each peer, by
    batch, and our time for the second largest one."""
    rows = [row for row in run["grid"] if (row["threads"], row["scale"]) == (threads, scale)]
    batches = sorted({row["batch"] for row in rows})
    cells: dict[tuple[str, int], dict[int, str]] = {}
    ours: dict[tuple[str, int], dict[int, float]] = {}
    for row in rows:
        ms, key = row["ms"], (row["operation"], row["n"])
        ratios = [_brief(ms[name] / ms["understory"]) for name in PEERS if name in ms]
        cells.setdefault(key, {})[row["batch"]] = " / ".join(ratios)
        ours.setdefault(key, {})[row["batch"]] = ms.get("understory", math.nan)
    shown = batches[-2:][0]
    lines = [f"| operation | n | {' | '.join(f'B = {batch}' for batch in batches)} | ms, B = {shown} |"]
    lines.append("|---|--:|" + "--:|" * (len(batches) + 1))
    for (operation, n), of_batch in sorted(cells.items(), key=lambda item: (_order(item[0][0]), item[0][1])):
        found = " | ".join(of_batch.get(batch, "") for batch in batches)
        lines.append(f"| {operation} | {n} | {found} | {ours[operation, n].get(shown, math.nan):.3g} |")
    return "\n".join(lines)


def _brief(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _order(operation: str) -> int:
    return ["map", "marginals", "marginals + vjp", "sparsemap", "sparsemap + vjp"].index(operation)


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--quick", action="store_true", help="a small part of the grid")
    parser.add_argument("--threads", type=int, nargs="*", help="by default 2, and 1 too unless quick")
    parser.add_argument(
        "--scales", type=float, nargs="*", help="of the scores; by default 1, and 0.1 and 5 unless quick"
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 20, 40, 60, 100], help="of sentences")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 32, 64, 256])
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each figure")
    parser.add_argument(
        "--patience", type=float, default=20.0, help="seconds a call may be expected to take, or is left out"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/inference.json"))
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="processor time on one thread: for a machine that others use too",
    )
    options = parser.parse_args()
    if options.cpu_time:
        global CLOCK
        CLOCK = time.process_time
    packages = ("torch", "numba", "torch-struct", "supar", "lp-sparsemap", "entmax")
    run: dict[str, Any] = {"environment": {**environment(packages), "clock": CLOCK.__name__}, "grid": []}
    runs = json.loads(options.out.read_text())["runs"] if options.out.exists() else []

    def keep() -> None:
        options.out.write_text(json.dumps({"runs": [*runs, run]}, indent=1) + "\n")

    if options.quick:
        options.sizes, options.batches = [10, 20, 40], [64]
    options.threads = options.threads or ([1] if options.cpu_time else [2] if options.quick else [1, 2])
    options.scales = options.scales or ([1.0] if options.quick else [0.1, 1.0, 5.0])
    for rows in grid(options):
        run["grid"] += rows
        keep()
    run |= {"growth exponent": growth(), "sparsemap, small scores": small_scores()}
    if installed("entmax"):
        run["sparsemax"] = sparsemax()
    keep()
    for count, scale in sorted({(row["threads"], row["scale"]) for row in run["grid"]}):
        print(f"{count} threads, scores of scale {scale}\n\n{table(run, count, scale)}\n")
    print(json.dumps({k: v for k, v in run.items() if k != "grid"}, indent=1))


if __name__ == "__main__":
    main()
