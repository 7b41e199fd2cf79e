"""Tree inference on a GPU, in Triton: one program a sentence, charts in global memory.

A program's threads share what they write to memory, and nothing but a barrier orders one thread's loads and
stores and another's: each function here that stores what others read ends with `tl.debug_barrier()`.
"""

try:
    import triton  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "inference on CUDA tensors wants Triton: pip install triton, or move the scores to the CPU"
    ) from error
