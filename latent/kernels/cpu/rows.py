"""Arithmetic on matrix rows for numba, in whole vectors of either precision.

`add_rows` is to dense elimination what `simd.sum_product` is to charts; it is a matrix-vector product, laid
out so that nothing is summed across a vector, with the sums kept in registers:

    out[o + i] += sum_k A[a + k·da] · B[b + k·db + i]        for the lanes i = 0 … width-1

numba leaves what is written as a loop over some ten or fifty numbers to scalars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from latent.kernels.cpu.jit import leaf
from latent.kernels.cpu.simd import VECTOR_BYTES, _loop, _Vectors, cgutils


def _add_rows(vectors: int) -> Callable[..., Any]:
    """`add_rows` over `vectors` neighbouring vectors at once: independent sums hide the latency."""

    def typed(
        typingctx: Any, A: Any, a: Any, da: Any, B: Any, b: Any, db: Any, count: Any, out: Any, o: Any
    ) -> Any:
        index = types.intp
        signature = types.void(A, index, index, B, index, index, index, out, index)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = _Vectors(context, builder, signature.args[0].dtype)
            pa, pb, po = (v.data(signature.args[k], args[k]) for k in (0, 3, 7))
            shifts = [ir.Constant(args[8].type, k * v.lanes) for k in range(vectors)]
            sums = [cgutils.alloca_once(builder, v.type) for _ in shifts]
            for total, shift in zip(sums, shifts, strict=True):
                builder.store(v.load(po, builder.add(args[8], shift)), total)

            def body(offsets: list[Any]) -> None:
                every = v.everywhere(builder.load(builder.gep(pa, [offsets[0]])))
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
    i, lanes = 0, VECTOR_BYTES // out.itemsize
    while width - i > 3 * lanes:
        _add_four(A, a, da, B, b + i, db, count, out, o + i)
        i += 4 * lanes
    if width - i > lanes:
        _add_two(A, a, da, B, b + i, db, count, out, o + i)
        i += 2 * lanes
    if width > i:
        _add_one(A, a, da, B, b + i, db, count, out, o + i)


def _affine_row(
    typingctx: Any, X: Any, x: Any, Y: Any, y: Any, a: Any, b: Any, c: Any, out: Any, o: Any, width: Any
) -> Any:
    index, number = types.intp, X.dtype
    signature = types.void(X, index, Y, index, number, number, number, out, index, index)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature.args[0].dtype)
        px, py, po = (v.data(signature.args[k], args[k]) for k in (0, 2, 7))
        shift, slope, scale = (v.everywhere(number) for number in args[4:7])

        def body(offsets: list[Any]) -> None:
            total = builder.fadd(v.load(px, offsets[0]), shift)
            total = v.add_product(total, slope, v.load(py, offsets[1]))
            v.store(builder.fmul(total, scale), po, offsets[2])

        steps = [ir.Constant(args[1].type, v.lanes)] * 3
        _loop(builder, _vectors_in(builder, args[9], v.lanes), [args[1], args[3], args[8]], steps, body)
        return context.get_dummy_value()

    return signature, codegen


affine_row: Any = intrinsic(_affine_row)
"""affine_row(X, x, Y, y, a, b, c, out, o, width): the row out[o:] is (X[x:] + a + b · Y[y:]) · c, rounded up
to whole vectors."""


def _masked_sum(builder: Any, v: _Vectors, starts: list[Any], first: Any, width: Any, term: Any) -> Any:
    """The sum of term(offsets) over the lanes first, …, width - 1 of rows that begin at the starts."""
    total = cgutils.alloca_once_value(builder, v.constant(0.0))
    lanes = ir.VectorType(width.type, v.lanes)
    numbers = ir.Constant(lanes, list(range(v.lanes)))

    def body(offsets: list[Any]) -> None:
        place = builder.add(v.everywhere(offsets[0], lanes), numbers)
        counts = builder.icmp_signed("<", place, v.everywhere(width, lanes))
        counts = builder.and_(counts, builder.icmp_signed(">=", place, v.everywhere(first, lanes)))
        chosen = builder.select(counts, term(offsets[1:]), v.constant(0.0))
        builder.store(builder.fadd(builder.load(total), chosen), total)

    zero, step = ir.Constant(width.type, 0), ir.Constant(width.type, v.lanes)
    _loop(builder, _vectors_in(builder, width, v.lanes), [zero, *starts], [step] * (1 + len(starts)), body)
    number = v.type.element
    name = f"llvm.vector.reduce.fadd.v{v.lanes}f{8 * v.align}"
    add_up = cgutils.get_or_insert_function(builder.module, ir.FunctionType(number, [number, v.type]), name)
    return builder.call(add_up, [ir.Constant(number, 0.0), builder.load(total)], fastmath=("reassoc",))


def _sum_row(typingctx: Any, X: Any, x: Any, first: Any, width: Any) -> Any:
    index = types.intp

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature.args[0].dtype)
        data = v.data(signature.args[0], args[0])
        return _masked_sum(builder, v, [args[1]], args[2], args[3], lambda at: v.load(data, at[0]))

    return X.dtype(X, index, index, index), codegen


sum_row: Any = intrinsic(_sum_row)
"""sum_row(X, x, first, width): the sum of X[x + i] over first ≤ i < width."""


def _dot_row(typingctx: Any, X: Any, x: Any, Y: Any, y: Any, width: Any) -> Any:
    index = types.intp

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature.args[0].dtype)
        px, py = v.data(signature.args[0], args[0]), v.data(signature.args[2], args[2])

        def term(at: list[Any]) -> Any:
            return builder.fmul(v.load(px, at[0]), v.load(py, at[1]))

        zero = ir.Constant(args[4].type, 0)
        return _masked_sum(builder, v, [args[1], args[3]], zero, args[4], term)

    return X.dtype(X, index, Y, index, index), codegen


dot_row: Any = intrinsic(_dot_row)
"""dot_row(X, x, Y, y, width): the sum of X[x + i] · Y[y + i] over i < width."""


def _vectors_in(builder: Any, width: Any, lanes: int) -> Any:
    up = builder.add(width, ir.Constant(width.type, lanes - 1))
    return builder.sdiv(up, ir.Constant(width.type, lanes))
