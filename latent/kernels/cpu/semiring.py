"""Charts over a semiring: the same recursion gives the best score, the sum, its derivative or its logarithm.

A chart is a named tuple of flat arrays; its class says which ⊕ and ⊗ the operations below use, so that
Eisner's algorithm is written once (Goodman 1999, Semiring Parsing):

    MaxPlus    ⊕ = max, ⊗ = +     scores of best derivations
    Real       ⊕ = +,   ⊗ = ·     sums of exponentials, fast, in the range of a double
    Dual       the same on dual numbers value + ε tangent: sums and one directional derivative of each
    LogDual    ⊕ = logaddexp, ⊗ = +, with the derivative of each logarithm: any range, slow
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from latent.kernels.cpu.jit import LEAF, leaf
from latent.kernels.cpu.random import uniform
from latent.kernels.cpu.simd import (
    LANES64,
    add_dual_sum_product,
    add_sum_product,
    dual_sum_product,
    fill_lanes,
    max_plus,
    sum_product,
)

OPTIONS: Any = {"nopython": True, **LEAF}
TABLES = 15
"""How many tables one sentence's inside and outside charts have."""


class MaxPlus(NamedTuple):
    """Best scores."""

    value: Any


class Real(NamedTuple):
    """Sums."""

    value: Any


class Dual(NamedTuple):
    """Sums and their tangents."""

    value: Any
    tangent: Any


class LogDual(NamedTuple):
    """Logarithms of sums, and the tangents of these logarithms."""

    value: Any
    tangent: Any


def contract(A: Any, a: int, da: int, B: Any, b: int, db: int, count: int, out: Any, o: int) -> None:
    """out[o+i] = ⊕_{k < count} A[a + k·da + i] ⊗ B[b + k·db + i] for one vector of lanes i."""
    raise NotImplementedError("jitted code only")


def add_contract(A: Any, a: int, da: int, B: Any, b: int, db: int, count: int, out: Any, o: int) -> None:
    """The same, added (⊕) to what out holds."""
    raise NotImplementedError("jitted code only")


@leaf
def _log_contract(A, a, da, B, b, db, count, out, o, accumulate):  # type: ignore[no-untyped-def]
    for i in range(LANES64):
        top = out.value[o + i] if accumulate else -np.inf
        for k in range(count):
            top = max(top, A.value[a + k * da + i] + B.value[b + k * db + i])
        if top == -np.inf:
            out.value[o + i] = -np.inf
            out.tangent[o + i] = 0.0
            continue
        total = 0.0
        tangent = 0.0
        if accumulate:
            total = math.exp(out.value[o + i] - top)
            tangent = total * out.tangent[o + i]
        for k in range(count):
            x, y = a + k * da + i, b + k * db + i
            share = math.exp(A.value[x] + B.value[y] - top)
            total += share
            tangent += share * (A.tangent[x] + B.tangent[y])
        out.value[o + i] = top + math.log(total)
        out.tangent[o + i] = tangent / total


@overload(contract, jit_options=OPTIONS)
def _contract(A, a, da, B, b, db, count, out, o):  # type: ignore[no-untyped-def]
    kind = A.instance_class
    if kind is MaxPlus:
        return lambda A, a, da, B, b, db, count, out, o: max_plus(
            A.value, a, da, B.value, b, db, count, out.value, o
        )
    if kind is Real:
        return lambda A, a, da, B, b, db, count, out, o: sum_product(
            A.value, a, da, B.value, b, db, count, out.value, o
        )
    if kind is Dual:
        return lambda A, a, da, B, b, db, count, out, o: dual_sum_product(
            A.value, A.tangent, a, da, B.value, B.tangent, b, db, count, out.value, out.tangent, o
        )
    return lambda A, a, da, B, b, db, count, out, o: _log_contract(A, a, da, B, b, db, count, out, o, False)


@overload(add_contract, jit_options=OPTIONS)
def _add_contract(A, a, da, B, b, db, count, out, o):  # type: ignore[no-untyped-def]
    kind = A.instance_class
    if kind is Real:
        return lambda A, a, da, B, b, db, count, out, o: add_sum_product(
            A.value, a, da, B.value, b, db, count, out.value, o
        )
    if kind is Dual:
        return lambda A, a, da, B, b, db, count, out, o: add_dual_sum_product(
            A.value, A.tangent, a, da, B.value, B.tangent, b, db, count, out.value, out.tangent, o
        )
    return lambda A, a, da, B, b, db, count, out, o: _log_contract(A, a, da, B, b, db, count, out, o, True)


def set_product(A: Any, a: int, B: Any, b: int, out: Any, o: int) -> None:
    """out[o] = A[a] ⊗ B[b], one number."""
    raise NotImplementedError("jitted code only")


def add_product(A: Any, a: int, B: Any, b: int, out: Any, o: int) -> None:
    """out[o] = out[o] ⊕ A[a] ⊗ B[b], one number."""
    raise NotImplementedError("jitted code only")


@overload(set_product, jit_options=OPTIONS)
def _set_product(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
    kind = A.instance_class

    def add(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
        out.value[o] = A.value[a] + B.value[b]

    def multiply(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
        out.value[o] = A.value[a] * B.value[b]

    def multiply_dual(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
        x, y = A.value[a], B.value[b]
        out.tangent[o] = A.tangent[a] * y + x * B.tangent[b]
        out.value[o] = x * y

    def add_dual(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
        out.tangent[o] = A.tangent[a] + B.tangent[b]
        out.value[o] = A.value[a] + B.value[b]

    return {MaxPlus: add, Real: multiply, Dual: multiply_dual, LogDual: add_dual}[kind]


@overload(add_product, jit_options=OPTIONS)
def _add_product(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
    kind = A.instance_class

    def larger(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
        out.value[o] = max(out.value[o], A.value[a] + B.value[b])

    def add(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
        out.value[o] += A.value[a] * B.value[b]

    def add_dual(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
        x, y = A.value[a], B.value[b]
        out.tangent[o] += A.tangent[a] * y + x * B.tangent[b]
        out.value[o] += x * y

    def log_add(A, a, B, b, out, o):  # type: ignore[no-untyped-def]
        old, new = out.value[o], A.value[a] + B.value[b]
        top = max(old, new)
        if top > -np.inf:
            x, y = math.exp(old - top), math.exp(new - top)
            out.tangent[o] = (x * out.tangent[o] + y * (A.tangent[a] + B.tangent[b])) / (x + y)
            out.value[o] = top + math.log(x + y)

    return {MaxPlus: larger, Real: add, Dual: add_dual, LogDual: log_add}[kind]


def set_tangent(weights: Any, o: int, slope: float) -> None:
    """Set the tangent of an arc's weight, given that of its score; a forbidden arc has none."""
    raise NotImplementedError("jitted code only")


@overload(set_tangent, jit_options=OPTIONS)
def _set_tangent(weights, o, slope):  # type: ignore[no-untyped-def]
    def real(weights, o, slope):  # type: ignore[no-untyped-def]
        pass

    def dual(weights, o, slope):  # type: ignore[no-untyped-def]
        weights.tangent[o] = slope * weights.value[o] if weights.value[o] != 0.0 else 0.0

    def log_dual(weights, o, slope):  # type: ignore[no-untyped-def]
        weights.tangent[o] = slope if weights.value[o] != -np.inf else 0.0

    return {Real: real, Dual: dual, LogDual: log_dual}[weights.instance_class]


def goal(total: Any, lane: int) -> tuple[float, float]:
    """What `posterior` wants to know of total[lane]: reciprocal or logarithm, and relative tangent."""
    raise NotImplementedError("jitted code only")


@overload(goal, jit_options=OPTIONS)
def _goal(total, lane):  # type: ignore[no-untyped-def]
    def real(total, lane):  # type: ignore[no-untyped-def]
        return 1.0 / total.value[lane], 0.0

    def dual(total, lane):  # type: ignore[no-untyped-def]
        return 1.0 / total.value[lane], total.tangent[lane] / total.value[lane]

    def log_dual(total, lane):  # type: ignore[no-untyped-def]
        return total.value[lane], total.tangent[lane]

    return {Real: real, Dual: dual, LogDual: log_dual}[total.instance_class]


def posterior(inner: Any, outer: Any, o: int, base: float, slope: float) -> tuple[float, float]:
    """The probability inner[o] ⊗ outer[o] / total of an item, and its tangent, given the total's `goal`."""
    raise NotImplementedError("jitted code only")


@overload(posterior, jit_options=OPTIONS)
def _posterior(inner, outer, o, base, slope):  # type: ignore[no-untyped-def]
    def real(inner, outer, o, base, slope):  # type: ignore[no-untyped-def]
        return inner.value[o] * outer.value[o] * base, 0.0

    def dual(inner, outer, o, base, slope):  # type: ignore[no-untyped-def]
        x, y = inner.value[o], outer.value[o]
        p = x * y * base
        return p, (inner.tangent[o] * y + x * outer.tangent[o]) * base - p * slope

    def log_dual(inner, outer, o, base, slope):  # type: ignore[no-untyped-def]
        p = math.exp(inner.value[o] + outer.value[o] - base)
        return p, p * (inner.tangent[o] + outer.tangent[o] - slope)

    return {Real: real, Dual: dual, LogDual: log_dual}[inner.instance_class]


def table(kind: Any, memory: Any, k: int, size: int) -> Any:
    """The k-th table of `size` numbers in memory, as a chart like `kind`; tangents are in its second half."""
    raise NotImplementedError("jitted code only")


@overload(table)
def _table(kind, memory, k, size):  # type: ignore[no-untyped-def]
    def best(kind, memory, k, size):  # type: ignore[no-untyped-def]
        return MaxPlus(memory[k * size : (k + 1) * size])

    def real(kind, memory, k, size):  # type: ignore[no-untyped-def]
        return Real(memory[k * size : (k + 1) * size])

    def dual(kind, memory, k, size):  # type: ignore[no-untyped-def]
        half = memory.size // 2
        return Dual(memory[k * size : (k + 1) * size], memory[half + k * size : half + (k + 1) * size])

    def log_dual(kind, memory, k, size):  # type: ignore[no-untyped-def]
        half = memory.size // 2
        return LogDual(memory[k * size : (k + 1) * size], memory[half + k * size : half + (k + 1) * size])

    return {MaxPlus: best, Real: real, Dual: dual, LogDual: log_dual}[kind.instance_class]


def fill(chart: Any, start: int, count: int, number: float) -> None:
    """Set chart[start : start + count] to a constant: tangent 0, if there are tangents."""
    raise NotImplementedError("jitted code only")


@overload(fill, jit_options=OPTIONS)
def _fill(chart, start, count, number):  # type: ignore[no-untyped-def]
    def values(chart, start, count, number):  # type: ignore[no-untyped-def]
        for i in range(start, start + count):
            chart.value[i] = number

    def values_and_tangents(chart, start, count, number):  # type: ignore[no-untyped-def]
        for i in range(start, start + count):
            chart.value[i] = number
            chart.tangent[i] = 0.0

    return values_and_tangents if chart.instance_class in (Dual, LogDual) else values


def fill_vector(chart: Any, start: int, number: float) -> None:
    """Set the vector at chart[start:] to a constant: tangent 0, if there are tangents."""
    raise NotImplementedError("jitted code only")


@overload(fill_vector, jit_options=OPTIONS)
def _fill_vector(chart, start, number):  # type: ignore[no-untyped-def]
    def values(chart, start, number):  # type: ignore[no-untyped-def]
        fill_lanes(chart.value, start, number)

    def values_and_tangents(chart, start, number):  # type: ignore[no-untyped-def]
        fill_lanes(chart.value, start, number)
        fill_lanes(chart.tangent, start, 0.0)

    return values_and_tangents if chart.instance_class in (Dual, LogDual) else values


def pick(A: Any, a: int, da: int, B: Any, b: int, db: int, count: int, state: Any) -> int:
    """Which k < count makes A[a + k·da] ⊗ B[b + k·db] largest, or a draw of k in proportion to it."""
    raise NotImplementedError("jitted code only")


@overload(pick, jit_options=OPTIONS)
def _pick(A, a, da, B, b, db, count, state):  # type: ignore[no-untyped-def]
    def largest(A, a, da, B, b, db, count, state):  # type: ignore[no-untyped-def]
        chosen, best = 0, A.value[a] + B.value[b]
        for k in range(1, count):
            value = A.value[a + k * da] + B.value[b + k * db]
            if value > best:
                chosen, best = k, value
        return chosen

    def drawn(A, a, da, B, b, db, count, state):  # type: ignore[no-untyped-def]
        total = 0.0
        for k in range(count):
            total += A.value[a + k * da] * B.value[b + k * db]
        left = total * uniform(state)
        chosen = 0
        for k in range(count):
            weight = A.value[a + k * da] * B.value[b + k * db]
            if weight > 0.0:
                chosen = k
                left -= weight
                if left < 0.0:
                    break
        return chosen

    def log_drawn(A, a, da, B, b, db, count, state):  # type: ignore[no-untyped-def]
        top, total = -np.inf, 0.0
        for k in range(count):
            top = max(top, A.value[a + k * da] + B.value[b + k * db])
        for k in range(count):
            total += math.exp(A.value[a + k * da] + B.value[b + k * db] - top)
        left = total * uniform(state)
        chosen = 0
        for k in range(count):
            weight = math.exp(A.value[a + k * da] + B.value[b + k * db] - top)
            if weight > 0.0:
                chosen = k
                left -= weight
                if left < 0.0:
                    break
        return chosen

    return {MaxPlus: largest, Real: drawn, LogDual: log_drawn}[A.instance_class]
