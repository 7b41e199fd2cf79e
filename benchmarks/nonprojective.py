"""Time non-projective inference against other libraries: python benchmarks/nonprojective.py [--out FILE.json]

As `benchmarks/inference.py` does it: same scores for all, methods in turns, the least of the rounds. Neither
torch-struct nor supar samples; torch-struct has no MAP, and supar's is a Python loop.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from inference import Call, environment, installed, least_times, root_on_diagonal
from torch import Tensor

from latent.structures import NonProjectiveTree

TREE = NonProjectiveTree(single_root=True)
PACKAGES = ("torch", "numba", "torch-struct", "supar")


def our_calls(s: Tensor, g: Tensor) -> dict[str, Call]:
    leaf = s.clone().requires_grad_()

    def backward() -> None:
        leaf.grad = None
        TREE.marginals(leaf).backward(g)

    return {
        "map": lambda: TREE.map(s),
        "marginals": lambda: TREE.marginals(s),
        "marginals + vjp": backward,
        "sample": lambda: TREE.sample(s),
        "sparsemap": lambda: TREE.sparsemap(s),
    }


def torch_struct_calls(s: Tensor, g: Tensor) -> dict[str, Call]:
    """The root's scores lie on the diagonal."""
    from torch_struct import NonProjectiveDependencyCRF

    leaf = root_on_diagonal(s).requires_grad_()
    weights = g[:, 1:, 1:].contiguous()

    def backward() -> None:
        leaf.grad = None
        NonProjectiveDependencyCRF(leaf, multiroot=False).marginals.backward(weights)

    return {
        "marginals": lambda: NonProjectiveDependencyCRF(leaf.detach(), multiroot=False).marginals,
        "marginals + vjp": backward,
    }


def supar_calls(s: Tensor, g: Tensor) -> dict[str, Call]:
    """Scores are [dependent, head]; marginals are a gradient, theirs a second backward pass."""
    from supar.structs import MatrixTree

    leaf = s.transpose(1, 2).contiguous().requires_grad_()
    weights = g.transpose(1, 2).contiguous()

    def backward() -> None:
        leaf.grad = None
        MatrixTree(leaf, multiroot=False).marginals.backward(weights)

    return {
        "map": lambda: MatrixTree(leaf, multiroot=False).argmax,
        "marginals": lambda: MatrixTree(leaf, multiroot=False).marginals,
        "marginals + vjp": backward,
    }


PEERS = {"torch-struct": torch_struct_calls, "supar": supar_calls}


def check_agreement(s: Tensor) -> None:
    """The peers must solve the same problem, or their times say nothing."""
    ours = TREE.marginals(s)
    if installed("torch-struct"):
        theirs: Any = torch_struct_calls(s, s)["marginals"]()
        torch.testing.assert_close(root_on_diagonal(ours), theirs, atol=1e-3, rtol=0)
    if installed("supar"):
        other: Any = supar_calls(s, s)["marginals"]()
        torch.testing.assert_close(ours, other.detach().transpose(1, 2), atol=1e-3, rtol=0)


def point(threads: int, n: int, batch: int, seconds: float) -> list[dict[str, Any]]:
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(n)
    s = torch.randn(batch, n + 1, n + 1, generator=generator)
    g = torch.randn(s.shape, generator=generator)
    if n <= 20:
        check_agreement(s)
    methods = {"understory": our_calls(s, g)}
    methods |= {name: calls(s, g) for name, calls in PEERS.items() if installed(name)}
    rows = []
    for operation in methods["understory"]:
        calls = {name: method[operation] for name, method in methods.items() if operation in method}
        ms = least_times(calls, seconds)
        rows.append({"operation": operation, "threads": threads, "n": n, "batch": batch, "ms": ms})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--quick", action="store_true", help="a small part of the grid")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each figure")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/nonprojective.json"))
    options = parser.parse_args()
    sizes, batches = ((10, 20, 40), (64,)) if options.quick else ((10, 20, 40, 60, 100), (1, 32, 64, 256))
    rows = [
        row
        for threads in ((1,) if options.quick else (1, 2))
        for n in sizes
        for batch in batches
        for row in point(threads, n, batch, options.seconds)
    ]
    options.out.write_text(json.dumps({"environment": environment(PACKAGES), "grid": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
