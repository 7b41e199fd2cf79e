"""Linear combinations of matrix rows for numba, with the sums kept in vector registers.

`add_rows` is to dense elimination what `simd.contract` is to charts; it is a matrix-vector product, laid
out so that nothing is summed across a vector:

    out[o + i] += sum_k A[a + k·da] · B[b + k·db + i]        for the lanes i = 0 … width-1
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from latent.kernels.cpu.jit import leaf
from latent.kernels.cpu.simd import LANES64, _loop, _Vectors


def _add_rows(vectors: int) -> Callable[..., Any]:
    """`add_rows` over `vectors` neighbouring vectors at once: independent sums hide the latency."""

    def typed(
        typingctx: Any, A: Any, a: Any, da: Any, B: Any, b: Any, db: Any, count: Any, out: Any, o: Any
    ) -> Any:
        index = types.intp
        signature = types.void(A, index, index, B, index, index, index, out, index)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = _Vectors(context, builder, types.float64)
            pa, pb, po = (v.data(signature.args[k], args[k]) for k in (0, 3, 7))
            shifts = [ir.Constant(args[8].type, k * v.lanes) for k in range(vectors)]
            sums = [cgutils.alloca_once(builder, v.type) for _ in shifts]  # type: ignore[no-untyped-call]
            for total, shift in zip(sums, shifts, strict=True):
                builder.store(v.load(po, builder.add(args[8], shift)), total)

            def body(offsets: list[Any]) -> None:
                factor = builder.load(builder.gep(pa, [offsets[0]]))
                one = builder.insert_element(
                    ir.Constant(v.type, ir.Undefined), factor, ir.Constant(ir.IntType(32), 0)
                )
                mask = ir.Constant(ir.VectorType(ir.IntType(32), v.lanes), [0] * v.lanes)
                every = builder.shuffle_vector(one, ir.Constant(v.type, ir.Undefined), mask)
                for total, shift in zip(sums, shifts, strict=True):
                    row = v.load(pb, builder.add(offsets[1], shift))
                    builder.store(v.add_product(builder.load(total), every, row), total)

            _loop(builder, args[6], [args[1], args[4]], [args[2], args[5]], body)
            for total, shift in zip(sums, shifts, strict=True):
                v.store(builder.load(total), po, builder.add(args[8], shift))
            return context.get_dummy_value()

        return signature, codegen

    return typed


_add_one: Any = intrinsic(_add_rows(1))
_add_two: Any = intrinsic(_add_rows(2))
_add_four: Any = intrinsic(_add_rows(4))


@leaf
def add_rows(A, a, da, B, b, db, count, out, o, width):  # type: ignore[no-untyped-def]
    """Add Σ_k A[a + k·da] · B[b + k·db :] to out[o : o + width], rounded up to whole vectors; flat arrays."""
    i = 0
    while width - i > 3 * LANES64:
        _add_four(A, a, da, B, b + i, db, count, out, o + i)
        i += 4 * LANES64
    if width - i > LANES64:
        _add_two(A, a, da, B, b + i, db, count, out, o + i)
        i += 2 * LANES64
    if width > i:
        _add_one(A, a, da, B, b + i, db, count, out, o + i)
