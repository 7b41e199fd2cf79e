"""`python -m server.kernels`: compile all that the service runs, so that no start and no request waits."""

import time

import numpy as np

from latent.kernels.__main__ import compile_all as compile_trees
from server.writing import arcs_json


def compile_all() -> None:
    """Call every kernel once, of trees and of answers, with each layout of what it reads."""
    compile_trees()
    marginals = np.ones((3, 3), np.float32)
    arcs_json(marginals, least=0.0)
    arcs_json(marginals[:2, :2], least=0.0)  # of a sentence shorter than the longest of its batch


if __name__ == "__main__":
    start = time.perf_counter()
    compile_all()
    print(f"kernels compiled and cached in {time.perf_counter() - start:.0f} s")
