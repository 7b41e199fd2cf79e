"""Settings that must stand before any test module is imported."""

import os

import torch

if not torch.cuda.is_available():
    # Triton looks at this when it is first imported; without a GPU its kernels run on the CPU, interpreted.
    os.environ.setdefault("TRITON_INTERPRET", "1")
