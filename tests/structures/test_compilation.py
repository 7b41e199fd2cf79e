"""What a user sees of the compilation of kernels."""

import os
import subprocess
import sys


def test_one_line_says_that_kernels_will_be_compiled(tmp_path):
    """In a process of its own, whose cache is empty, and which loads all of them."""
    code = "from latent.kernels import tree_kernels; import latent.kernels.cpu.categorical"
    code += "; tree_kernels('projective', 'cpu'); tree_kernels('nonprojective', 'cpu')"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", f"import logging; logging.basicConfig(); {code}"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stderr.splitlines() if "compiling CPU kernels" in line]
    assert len(lines) == 1
    assert str(tmp_path) in lines[0]
