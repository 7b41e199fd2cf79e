"""Explicit vector instructions for numba: the one inner loop that every chart recursion is made of.

numba vectorises a loop over `A[a + i]` badly (measured: 6 to 8 times slower than this), because it cannot
know that the rows do not overlap. Here each function is a few lines of LLVM on vectors of `LANES` numbers,
with the accumulators in registers:

    out[o + i]  (+)=  sum_k  A[a + k·da + i] · B[b + k·db + i]        for the lanes i = 0 … LANES-1

or the same with (max, +) instead of (+, ·). Arrays are flat and contiguous; offsets and steps count elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

from latent.kernels.cpu.jit import compiled

VECTOR_BYTES = 64
LANES64 = VECTOR_BYTES // 8
LANES32 = VECTOR_BYTES // 4

cgutils: Any = _cgutils  # numba ships no types


@compiled
def aligned(count, like):  # type: ignore[no-untyped-def]
    """An array of so many numbers, of the type of the array `like`, that starts where a cache line does.

    A vector that straddles two lines costs twice.
    """
    lanes = VECTOR_BYTES // like.itemsize
    memory = np.empty(count + lanes, like.dtype)
    skip = -(memory.ctypes.data // like.itemsize) % lanes
    return memory[skip : skip + count]


_FMA = ("contract",)


class _Vectors:
    """Loads and stores of one vector at an element offset of a flat array."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.context, self.builder = context, builder
        single = dtype == types.float32
        self.lanes = LANES32 if single else LANES64
        self.align = 4 if single else 8
        self.type = ir.VectorType(ir.FloatType() if single else ir.DoubleType(), self.lanes)

    def constant(self, value: float) -> Any:
        return ir.Constant(self.type, [value] * self.lanes)

    def everywhere(self, number: Any, vector: Any = None) -> Any:
        """A vector (by default of this type) with the number in each lane."""
        undefined = ir.Constant(vector or self.type, ir.Undefined)
        one = self.builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        first = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, first)

    def data(self, array_type: Any, array: Any) -> Any:
        return self.context.make_array(array_type)(self.context, self.builder, array).data

    def _at(self, data: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(data, [offset]), self.type.as_pointer())

    def load(self, data: Any, offset: Any) -> Any:
        return self.builder.load(self._at(data, offset), align=self.align)

    def store(self, value: Any, data: Any, offset: Any) -> None:
        self.builder.store(value, self._at(data, offset), align=self.align)

    def add_product(self, total: Any, x: Any, y: Any) -> Any:
        return self.builder.fadd(total, self.builder.fmul(x, y, flags=_FMA), flags=_FMA)

    def max_sum(self, total: Any, x: Any, y: Any) -> Any:
        z = self.builder.fadd(x, y)
        return self.builder.select(self.builder.fcmp_ordered(">", z, total), z, total)


def _loop(
    builder: Any, count: Any, starts: list[Any], steps: list[Any], body: Callable[[list[Any]], None]
) -> None:
    """Emit `for k in range(count): body(offsets)`, each offset moving by its step."""
    offsets = [cgutils.alloca_once_value(builder, start) for start in starts]
    with cgutils.for_range(builder, count):
        now = [builder.load(offset) for offset in offsets]
        body(now)
        for offset, value, step in zip(offsets, now, steps, strict=True):
            builder.store(builder.add(value, step), offset)


def _contraction(semiring: str, accumulate: bool) -> Callable[..., Any]:
    def typed(
        typingctx: Any, A: Any, a: Any, da: Any, B: Any, b: Any, db: Any, count: Any, out: Any, o: Any
    ) -> Any:
        index = types.intp
        signature = types.void(A, index, index, B, index, index, index, out, index)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at, bt, ot = signature.args[0], signature.args[3], signature.args[7]
            v = _Vectors(context, builder, at.dtype)
            pa, pb, po = v.data(at, args[0]), v.data(bt, args[3]), v.data(ot, args[7])
            combine = v.max_sum if semiring == "max-plus" else v.add_product
            zero = v.constant(-math.inf if semiring == "max-plus" else 0.0)
            total = cgutils.alloca_once(builder, v.type)
            builder.store(v.load(po, args[8]) if accumulate else zero, total)

            def body(offsets: list[Any]) -> None:
                x, y = v.load(pa, offsets[0]), v.load(pb, offsets[1])
                builder.store(combine(builder.load(total), x, y), total)

            _loop(builder, args[6], [args[1], args[4]], [args[2], args[5]], body)
            v.store(builder.load(total), po, args[8])
            return context.get_dummy_value()

        return signature, codegen

    return typed


max_plus: Any = intrinsic(_contraction("max-plus", accumulate=False))
"""max_plus(A, a, da, B, b, db, count, out, o): the lanes of out are max_k A + B."""
sum_product: Any = intrinsic(_contraction("sum-product", accumulate=False))
"""sum_product(A, a, da, B, b, db, count, out, o): the lanes of out are sum_k A · B."""
add_sum_product: Any = intrinsic(_contraction("sum-product", accumulate=True))
"""add_sum_product(A, a, da, B, b, db, count, out, o): add sum_k A · B to the lanes of out."""


def _dual_contraction(accumulate: bool) -> Callable[..., Any]:
    def typed(
        typingctx: Any,
        A: Any,
        dA: Any,
        a: Any,
        da: Any,
        B: Any,
        dB: Any,
        b: Any,
        db: Any,
        count: Any,
        out: Any,
        dout: Any,
        o: Any,
    ) -> Any:
        index = types.intp
        signature = types.void(A, dA, index, index, B, dB, index, index, index, out, dout, index)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = _Vectors(context, builder, signature.args[0].dtype)
            pa, pda, pb, pdb, po, pdo = (v.data(signature.args[k], args[k]) for k in (0, 1, 4, 5, 9, 10))
            # Two tangent sums: they do not wait for each other's additions.
            value, left, right = (cgutils.alloca_once(builder, v.type) for _ in range(3))
            zero = v.constant(0.0)
            builder.store(v.load(po, args[11]) if accumulate else zero, value)
            builder.store(v.load(pdo, args[11]) if accumulate else zero, left)
            builder.store(zero, right)

            def body(offsets: list[Any]) -> None:
                x, dx = v.load(pa, offsets[0]), v.load(pda, offsets[0])
                y, dy = v.load(pb, offsets[1]), v.load(pdb, offsets[1])
                builder.store(v.add_product(builder.load(value), x, y), value)
                builder.store(v.add_product(builder.load(left), dx, y), left)
                builder.store(v.add_product(builder.load(right), x, dy), right)

            _loop(builder, args[8], [args[2], args[6]], [args[3], args[7]], body)
            v.store(builder.load(value), po, args[11])
            v.store(builder.fadd(builder.load(left), builder.load(right)), pdo, args[11])
            return context.get_dummy_value()

        return signature, codegen

    return typed


dual_sum_product: Any = intrinsic(_dual_contraction(accumulate=False))
"""sum_product on dual numbers: value A·B, tangent dA·B + A·dB."""
add_dual_sum_product: Any = intrinsic(_dual_contraction(accumulate=True))
"""add_sum_product on dual numbers."""


def _fill_lanes(typingctx: Any, A: Any, o: Any, number: Any) -> Any:
    """Set the vector at A[o:] to one number."""
    signature = types.void(A, types.intp, A.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature.args[0].dtype)
        v.store(v.everywhere(args[2]), v.data(signature.args[0], args[0]), args[1])
        return context.get_dummy_value()

    return signature, codegen


fill_lanes: Any = intrinsic(_fill_lanes)
"""fill_lanes(A, o, number): set the vector at A[o:] to a number."""


def _copy_lanes(typingctx: Any, A: Any, a: Any, out: Any, o: Any) -> Any:
    """Copy the vector at A[a:] to out[o:]."""
    signature = types.void(A, types.intp, out, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature.args[0].dtype)
        source, target = v.data(signature.args[0], args[0]), v.data(signature.args[2], args[2])
        v.store(v.load(source, args[1]), target, args[3])
        return context.get_dummy_value()

    return signature, codegen


copy_lanes: Any = intrinsic(_copy_lanes)
"""copy_lanes(A, a, out, o): copy the vector at A[a:] to out[o:]."""


LOG2_PARTS = {8: (6.93147180369123816490e-01, 1.90821492927058770002e-10), 4: (0.693359375, -2.12194440e-4)}
"""log 2 in two parts by the bytes of a number, the first with so few bits that k times it is exact."""


def _exp_lanes(typingctx: Any, A: Any, o: Any) -> Any:
    """Replace the vector at A[o:] by its exponentials: 0 below -708, -inf included, inf above 709.

    In single precision the bounds are -87 and 88. exp(x) = 2^k exp(r) with r = x - k log 2, |r| <= log(2)/2,
    and a Taylor polynomial of degree 13 (7) for exp(r).
    """
    signature = types.void(A, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature.args[0].dtype)
        lowest, highest, degree = (-87.0, 88.0, 7) if v.align == 4 else (-708.0, 709.0, 13)
        data = v.data(signature.args[0], args[0])
        given = v.load(data, args[1])
        tiny = builder.fcmp_ordered("<", given, v.constant(lowest))
        huge = builder.fcmp_ordered(">", given, v.constant(highest))
        x = builder.select(builder.or_(tiny, huge), v.constant(0.0), given)
        rint = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(v.type, [v.type]), f"llvm.rint.v{v.lanes}f{8 * v.align}"
        )
        k = builder.call(rint, [builder.fmul(x, v.constant(1.0 / math.log(2.0)))])
        high, low = LOG2_PARTS[v.align]
        r = builder.fsub(x, builder.fmul(k, v.constant(high), flags=_FMA), flags=_FMA)
        r = builder.fsub(r, builder.fmul(k, v.constant(low), flags=_FMA), flags=_FMA)
        poly = v.constant(1.0 / math.factorial(degree))
        for power in range(degree - 1, -1, -1):
            poly = v.add_product(v.constant(1.0 / math.factorial(power)), poly, r)
        bias, mantissa = (127, 23) if v.align == 4 else (1023, 52)
        integers = ir.VectorType(ir.IntType(8 * v.align), v.lanes)
        exponent = builder.add(builder.fptosi(k, integers), ir.Constant(integers, [bias] * v.lanes))
        scale = builder.bitcast(builder.shl(exponent, ir.Constant(integers, [mantissa] * v.lanes)), v.type)
        result = builder.select(huge, v.constant(math.inf), builder.fmul(poly, scale))
        v.store(builder.select(tiny, v.constant(0.0), result), data, args[1])
        return context.get_dummy_value()

    return signature, codegen


exp_lanes: Any = intrinsic(_exp_lanes)
"""exp_lanes(A, o): replace the vector at A[o:] by its exponentials."""
