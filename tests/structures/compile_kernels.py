"""Compile every Triton kernel for a GPU that need not be there, and print the kernels' names."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from latent.kernels.cuda.inside_outside import sums_kernel
from latent.kernels.cuda.sparsemap import projection_kernel, sparsemap_kernel
from latent.kernels.cuda.viterbi import map_kernel

TYPES = {
    "*i64": "lengths sentences sizes iterations first",
    "*i32": "heads status",
    "*i16": "trace trees support",
    "i32": "size max_iter",
    "fp32": "tol",
}
TYPE_OF = {name: kind for kind, names in TYPES.items() for name in names.split()}
TILE = {"STARTS": 16, "SPLITS": 8}
ACTIVE = {"ROOM": 32, "ROWS": 4}
CONSTANTS = {
    map_kernel: {"SINGLE_ROOT": True, **TILE},
    sums_kernel: {"SINGLE_ROOT": True, "OUTSIDE": True, "DUAL": True, **TILE},
    sparsemap_kernel: {"SINGLE_ROOT": True, "RESUME": False, **TILE, **ACTIVE},
    projection_kernel: {**TILE, **ACTIVE},
}


def main():
    for kernel, constants in CONSTANTS.items():
        signature = {
            name: "constexpr" if name in constants else TYPE_OF.get(name, "*fp64")
            for name in kernel.arg_names
        }
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 4})
        assert compiled.asm["cubin"]
        print(kernel.__name__)


if __name__ == "__main__":
    main()
