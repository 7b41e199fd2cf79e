from __future__ import annotations

import pytest
import torch

from .enumeration import Enumerated
from .problems import Problem, problem


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(params=["projective", "nonprojective", "categorical"])
def enumerated(request) -> Enumerated:
    return Enumerated(request.param)


@pytest.fixture
def small(enumerated) -> Problem:
    return problem(enumerated)
