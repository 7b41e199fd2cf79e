"""A compiled block of sentences on torch's own OpenMP threads, which are awake when torch has just used them.

Threads of another pool would compete with torch's for the cores: those spin for milliseconds after each
operation, and waking a sleeping one takes longer than the best trees of a small batch.

A call returns when every thread of the team has come by, even if there was nothing left to do for it. Where
a thread sleeps, or other programs keep it off its core, that takes milliseconds, so after such a call the
team rests: for a moment, and twice as long each time that it happens again.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from time import monotonic
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import torch
from llvmlite import ir
from numba import typeof, types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

from latent.kernels.cpu.jit import compiled

cgutils: Any = _cgutils  # numba ships no types

_SYMBOL = "GOMP_parallel"
_WORD = ir.IntType(64)
_STATUS = ir.IntType(32)
STALLED = 2e-3
"""Seconds by which a call outlasts its work if a thread was missing."""
SHORT_REST, LONG_REST = 0.02, 2.0
"""Seconds for which the team then stays away: the first time, and at most."""
_forked = False
_rest = SHORT_REST
_rests_until = 0.0


def _forget_team() -> None:
    """In a forked child: OpenMP's threads stayed with the parent, and would be waited for in vain."""
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_forget_team)


@cache
def _found() -> bool:
    """Whether torch, when it was imported, brought GNU OpenMP along, or a library with its interface."""
    try:
        function = getattr(ctypes.CDLL(None), _SYMBOL)
    except (AttributeError, OSError, TypeError):
        return False
    llvm.add_symbol(_SYMBOL, ctypes.cast(function, ctypes.c_void_p).value)
    return True


def available() -> bool:
    """Whether `run_in_team` can be called in this process, and is worth it now."""
    return not _forked and monotonic() >= _rests_until and _found()


def _typed_in_team(typingctx: Any, address: Any, arguments: Any, blocks: Any, threads: Any) -> Any:
    """Call the function at `address` with (*arguments, k, blocks) for each k < blocks; or its statuses."""
    signature = types.int32(types.intp, arguments, types.intp, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kinds = (*signature.args[1].types, types.intp, types.intp)
        values = [builder.extract_value(given[1], i) for i in range(len(kinds) - 2)]
        packed = ir.LiteralStructType([_WORD, _WORD, _WORD, _STATUS, *(v.type for v in values)])
        job = cgutils.alloca_once(builder, packed)
        for i, value in enumerate((given[0], given[2], _WORD(0), _STATUS(0), *values)):
            builder.store(value, cgutils.gep_inbounds(builder, job, 0, i))
        work = _work(context, builder.module, packed, kinds)
        pointer = ir.IntType(8).as_pointer()
        team = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [work.type, pointer, ir.IntType(32), ir.IntType(32)]),
            _SYMBOL,
        )
        count = builder.trunc(given[3], ir.IntType(32))
        builder.call(team, [work, builder.bitcast(job, pointer), count, ir.IntType(32)(0)])
        return builder.load(cgutils.gep_inbounds(builder, job, 0, 3))

    return signature, codegen


_in_team: Any = intrinsic(_typed_in_team)


def _work(context: Any, module: Any, packed: Any, kinds: tuple[Any, ...]) -> Any:
    """What each thread runs: it takes the next block until there is none."""
    pointer = ir.IntType(8).as_pointer()
    work = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer]), module.get_unique_name("work"))
    work.linkage = "internal"
    builder = ir.IRBuilder(work.append_basic_block())
    job = builder.bitcast(work.args[0], packed.as_pointer())
    address, blocks, counter, failed, *fields = (
        cgutils.gep_inbounds(builder, job, 0, i) for i in range(len(packed.elements))
    )
    shape = context.call_conv.get_function_type(types.none, kinds)
    function = builder.inttoptr(builder.load(address), shape.as_pointer())
    result = cgutils.alloca_once(builder, shape.args[0].pointee)
    error = cgutils.alloca_once(builder, shape.args[1].pointee)
    take, call, done = (work.append_basic_block(name) for name in ("take", "call", "done"))
    builder.branch(take)
    builder.position_at_end(take)
    k = builder.atomic_rmw("add", counter, _WORD(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", k, builder.load(blocks)), call, done)
    builder.position_at_end(call)
    values = [*(builder.load(field) for field in fields), k, builder.load(blocks)]
    flat = context.get_arg_packer(kinds).as_arguments(builder, values)
    status = builder.call(function, [result, error, *flat])
    builder.atomic_rmw("or", failed, status, "monotonic")
    builder.branch(take)
    builder.position_at_end(done)
    builder.ret_void()
    return work


@compiled
def _run(address, arguments, blocks, threads):  # type: ignore[no-untyped-def]
    return _in_team(address, arguments, blocks, threads)


_addresses: dict[Any, int] = {}


def _address(block: Any, arguments: tuple[Any, ...]) -> int:
    """Where the machine code of `block` for such arguments begins; it is compiled if need be."""
    key = block, *map(_kind, arguments)
    address = _addresses.get(key)
    if address is None:
        kinds = (*map(typeof, arguments), types.intp, types.intp)
        block.compile(kinds)
        compiled_code = block.overloads[kinds]
        address = compiled_code.library.get_pointer_to_function(compiled_code.fndesc.llvm_func_name)
        _addresses[key] = address
    return address


def _kind(argument: Any) -> Any:
    """What of an argument decides which machine code serves it."""
    if isinstance(argument, np.ndarray):
        flags = argument.flags
        return argument.dtype, argument.ndim, flags.c_contiguous, flags.writeable
    return type(argument)


def run_in_team(block: Any, arguments: tuple[Any, ...], blocks: int, seconds: float) -> None:
    """Call the compiled `block(*arguments, k, blocks)` for each k < blocks.

    All of torch's threads come by, whatever there is for them to do: GNU OpenMP ends the threads that a
    smaller team leaves out, and torch's next operation would start them again. `seconds` is about how long
    one thread would take for the whole.
    """
    global _rest, _rests_until
    start = monotonic()
    failed = _run(_address(block, arguments), arguments, blocks, torch.get_num_threads())
    if (end := monotonic()) > start + 4 * seconds + STALLED:
        _rests_until, _rest = end + _rest, min(2 * _rest, LONG_REST)
    else:
        _rest = max(_rest / 2, SHORT_REST)
    if failed:
        raise RuntimeError(f"the kernel {block.__name__} failed on a thread, most likely for want of memory")
