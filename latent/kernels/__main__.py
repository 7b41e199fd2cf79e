"""`python -m latent.kernels`: compile all CPU kernels now, so that no later call waits for it."""

import time

import torch

from latent.structures import NonProjectiveTree, ProjectiveTree


def compile_all() -> None:
    """Call every method of every tree once."""
    for tree in (ProjectiveTree(single_root=True), NonProjectiveTree(single_root=True)):
        for dtype in (torch.float32, torch.float64):
            scores = torch.zeros(1, 4, 4, dtype=dtype, requires_grad=True)
            tree.map(scores)
            tree.sample(scores)
            tree.kbest(scores, None, 2)
            tree.log_partition(scores.detach())
            (tree.marginals(scores) + tree.sparsemap(scores)).square().sum().backward()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    start = time.perf_counter()
    compile_all()
    print(f"CPU kernels compiled and cached in {time.perf_counter() - start:.0f} s")
