"""Triton's interpreter: made faster, and made to see what only a GPU would punish."""

from __future__ import annotations

import dataclasses

import numpy as np
import triton.language as tl
from triton.runtime import interpreter

BUILDER = interpreter.interpreter_builder


def hurry(monkeypatch):
    """Spare the interpreter what takes two thirds of its time: each call of a function by a kernel prepares
    `triton.language` anew, and each sum of integers is made twice, to look for an overflow."""
    prepared = set()

    def call(function, *arguments, **options):
        core = any(value is tl.core for value in function.fn.__globals__.values())
        if core and not prepared:
            prepared.add(interpreter._patch_lang(function.fn))
        return function.rewrite()(*arguments, **options)

    monkeypatch.setattr(interpreter.InterpretedFunction, "__call__", call)
    unchecked = dataclasses.replace(BUILDER.options, sanitize_overflow=False)
    monkeypatch.setattr(BUILDER, "options", unchecked)


class Watch:
    """Looks at every load and store of kernels for what a GPU does not forgive.

    Threads of a program run in any order between two barriers: what one stores, no other may load or store,
    and what one loads, no other may store. (An element of a load and the same element of a store with the
    same addresses belong to one thread.) Programs run in any order: what one stores, no other may touch. And
    every address lies in one of the arguments.
    """

    def __init__(self, monkeypatch):
        self.accesses = 0
        self.ranges, self.owner, self.program = [], {}, 0
        self.stored, self.loaded = {}, {}
        load, store, place = BUILDER.create_masked_load, BUILDER.create_masked_store, BUILDER.set_grid_idx
        convert, run = interpreter._implicit_cvt, interpreter.GridExecutor.__call__

        def launch(executor, *arguments, **options):
            self.ranges, self.owner, self.program = [], {}, 0
            self.barrier()
            return run(executor, *arguments, **options)

        def argument(value):
            if hasattr(value, "data_ptr"):
                begin = value.data_ptr()
                self.ranges.append((begin, begin + value.numel() * value.element_size()))
            return convert(value)

        def start(*index):
            self.program = index
            self.barrier()
            return place(*index)

        def watched_load(pointers, mask, *rest):
            self.load(pointers.data, self._active(pointers, mask))
            return load(pointers, mask, *rest)

        def watched_store(pointers, value, mask, *rest):
            self.store(pointers.data, self._active(pointers, mask), value.data, mask.data)
            return store(pointers, value, mask, *rest)

        monkeypatch.setattr(interpreter.GridExecutor, "__call__", launch)
        monkeypatch.setattr(interpreter, "_implicit_cvt", argument)
        for name, method in {
            "set_grid_idx": start,
            "create_barrier": self.barrier,
            "create_masked_load": watched_load,
            "create_masked_store": watched_store,
        }.items():
            monkeypatch.setattr(BUILDER, name, method)

    def _active(self, pointers, mask):
        """The addresses that are touched."""
        data, on = np.broadcast_arrays(pointers.data, mask.data)
        addresses = data[on]
        width = np.dtype(interpreter._get_np_dtype(pointers.get_element_ty())).itemsize
        inside = np.zeros(addresses.shape, bool)
        for begin, end in self.ranges:
            inside |= (addresses >= begin) & (addresses + width <= end)
        assert inside.all(), "an address outside of all arguments"
        self.accesses += addresses.size
        return addresses.tolist()

    def barrier(self):
        """All threads meet."""
        self.stored, self.loaded = {}, {}

    def load(self, pointers, addresses):
        """Look at a load."""
        key = pointers.tobytes()
        for address in addresses:
            assert address not in self.stored, "a load of what was stored since the last barrier"
            assert self.owner.get(address, self.program) == self.program, "a load of another program's store"
            self.loaded.setdefault(address, set()).add(key)

    def store(self, pointers, addresses, values, mask):
        """Look at a store."""
        key = pointers.tobytes()
        if len(set(addresses)) < len(addresses):
            values = np.broadcast_to(values, np.broadcast_shapes(pointers.shape, mask.shape))[mask != 0]
            assert len(set(zip(addresses, values.tolist(), strict=True))) == len(set(addresses)), (
                "one store of two numbers to one address"
            )
        for address in addresses:
            assert self.stored.setdefault(address, key) == key, "a store on a store since the last barrier"
            assert self.loaded.get(address, {key}) == {key}, "a store on what another thread may still load"
            assert self.owner.setdefault(address, self.program) == self.program, "two programs' stores"
