"""What the process asks of the system when tensors come and go, as the system counts it."""

import platform
import subprocess
import sys

import pytest

STEPS = """
import resource, sys, torch
from latent import allocator

def step():
    return sum(tensor[0] for tensor in [torch.ones(6_000_000) for _ in range(4)])

if sys.argv[1] == "keep":
    allocator.keep_freed_memory()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


def faults(how: str) -> float:
    done = subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told")
def test_what_is_kept_need_not_be_asked_for_again() -> None:
    assert faults("keep") < 100 < 1000 < faults("as it is")
