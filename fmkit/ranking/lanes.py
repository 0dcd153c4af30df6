"""Rows of tables in vector registers: what a stochastic step is made of, a product and a sum of two rows.

numba's own loops over a row that is picked by an index check it for a sign at every entry, and gather.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from fmkit.linalg import LANES, padded

VECTOR = ir.VectorType(ir.FloatType(), LANES)


def table(n_rows: int, width: int) -> NDArray[np.float32]:
    """Zeros of shape (n_rows, padded(width)), each row of which begins with a cache line."""
    width = padded(width)
    buffer = np.zeros(n_rows * width + LANES, np.float32)
    skip = -buffer.ctypes.data % (4 * LANES) // 4
    return buffer[skip : skip + n_rows * width].reshape(n_rows, width)


@intrinsic
def row_product(typing_context: Any, A: Any, i: Any, B: Any, j: Any) -> Any:
    """<A[i], B[j]>, of two tables of one width. Nothing is checked."""
    signature = types.float32(A, types.intp, B, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, width = _row(context, builder, signature.args[0], *arguments[:2])
        right, _ = _row(context, builder, signature.args[2], *arguments[2:])
        total = cgutils.alloca_once(builder, VECTOR)
        builder.store(ir.Constant(VECTOR, [0.0] * LANES), total)
        with _lanes(builder, width) as (at, _):
            product = builder.fmul(_load(builder, left, at), _load(builder, right, at), flags=("contract",))
            builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), VECTOR])
        reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        return builder.call(reduce, [ir.Constant(ir.FloatType(), 0.0), builder.load(total)], fastmath=("reassoc",))

    return signature, codegen


@intrinsic
def row_sum(typing_context: Any, A: Any, i: Any, keep: Any, B: Any, j: Any, scale: Any) -> Any:
    """A[i] = keep A[i] + scale B[j], of two tables of one width. Nothing is checked."""
    signature = types.void(A, types.intp, types.float32, B, types.intp, types.float32)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, i, keep, b, j, scale = arguments
        left, width = _row(context, builder, signature.args[0], a, i)
        right, _ = _row(context, builder, signature.args[3], b, j)
        keep, scale = _broadcast(builder, keep), _broadcast(builder, scale)
        with _lanes(builder, width) as (at, _):
            kept = builder.fmul(keep, _load(builder, left, at), flags=("contract",))
            more = builder.fmul(scale, _load(builder, right, at), flags=("contract",))
            stored = builder.store(builder.fadd(kept, more, flags=("contract",)), _place(builder, left, at))
            stored.align = 4
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def prefetch(typing_context: Any, A: Any, at: Any) -> Any:
    """Ask for two cache lines of a C-contiguous array, from entry `at` on, and do not wait. Any place is allowed."""
    signature = types.void(A, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i32, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        first = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        for offset in (0, 64):
            line = builder.gep(first, [ir.IntType(64)(offset)])
            builder.call(ask, [line, i32(0), i32(3), i32(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return signature, codegen


def _row(context: Any, builder: Any, kind: Any, array: Any, i: Any) -> tuple[Any, Any]:
    """Pointer to a row of a C-contiguous float32 table, and the row's width."""
    struct = context.make_array(kind)(context, builder, array)
    width = cgutils.unpack_tuple(builder, struct.shape, 2)[1]
    return builder.gep(struct.data, [builder.mul(i, width)]), width


def _lanes(builder: Any, width: Any) -> Any:
    """A loop over the first of every `LANES` entries."""
    return cgutils.for_range_slice(builder, width.type(0), width, width.type(LANES), width.type)


def _place(builder: Any, row: Any, at: Any) -> Any:
    return builder.bitcast(builder.gep(row, [at]), VECTOR.as_pointer())


def _load(builder: Any, row: Any, at: Any) -> Any:
    value = builder.load(_place(builder, row, at))
    value.align = 4
    return value


def _broadcast(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))
