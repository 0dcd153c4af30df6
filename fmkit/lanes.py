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
from fmkit.machine import NEGLIGIBLE

VECTOR = ir.VectorType(ir.FloatType(), LANES)
HALF = LANES // 2  # one AVX2 register, so that rows of 8 factors are one cache line with what else stands in them
HALF_VECTOR = ir.VectorType(ir.FloatType(), HALF)


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
def row_products(typing_context: Any, A: Any, i: Any, j: Any, width: Any) -> Any:
    """<A[i], A[i]>, <A[i], A[j]> and <A[j], A[j]> over the first `width` columns, a multiple of `HALF`."""
    signature = types.UniTuple(types.float32, 3)(A, types.intp, types.intp, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, i, j, width = arguments
        left, right = (_row(context, builder, signature.args[0], table, row)[0] for row in (i, j))
        nothing = ir.Constant(HALF_VECTOR, [0.0] * HALF)
        totals = [cgutils.alloca_once(builder, HALF_VECTOR) for _ in range(3)]
        for total in totals:
            builder.store(nothing, total)
        with _lanes(builder, width, HALF) as (at, _):
            a, b = (_load(builder, row, at, HALF_VECTOR) for row in (left, right))
            for total, (one, other) in zip(totals, ((a, a), (a, b), (b, b)), strict=True):
                product = builder.fmul(one, other, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), HALF_VECTOR])
        reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{HALF}f32")
        zero = ir.Constant(ir.FloatType(), 0.0)
        sums = [builder.call(reduce, [zero, builder.load(total)], fastmath=("reassoc",)) for total in totals]
        return context.make_tuple(builder, signature.return_type, sums)

    return signature, codegen


@intrinsic
def mix_rows(
    typing_context: Any, A: Any, i: Any, j: Any, width: Any, i_of_i: Any, i_of_j: Any, j_of_j: Any, j_of_i: Any
) -> Any:
    """A[i] += i_of_i A[i] + i_of_j A[j] and A[j] += j_of_j A[j] + j_of_i A[i] at once, over the first `width` columns.

    `width` is a multiple of `HALF`, i is not j. Entries that become `NEGLIGIBLE` are set to 0.
    """
    scalar = types.float32
    signature = types.void(A, types.intp, types.intp, types.intp, scalar, scalar, scalar, scalar)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, i, j, width, *factors = arguments
        rows = [_row(context, builder, signature.args[0], table, row)[0] for row in (i, j)]
        own_i, other_i, own_j, other_j = (_broadcast(builder, factor, HALF_VECTOR) for factor in factors)
        magnitude = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(HALF_VECTOR, [HALF_VECTOR]), f"llvm.fabs.v{HALF}f32"
        )
        least, nothing = (ir.Constant(HALF_VECTOR, [float(x)] * HALF) for x in (NEGLIGIBLE, 0))
        with _lanes(builder, width, HALF) as (at, _):
            a, b = (_load(builder, row, at, HALF_VECTOR) for row in rows)
            for row, own, other, x, y in ((rows[0], own_i, other_i, a, b), (rows[1], own_j, other_j, b, a)):
                step = builder.fmul(own, x, flags=("contract",))
                step = builder.fadd(builder.fmul(other, y, flags=("contract",)), step, flags=("contract",))
                moved = builder.fadd(x, step)
                # A NaN stays one, so that divergence is seen.
                keep = builder.fcmp_unordered(">", builder.call(magnitude, [moved]), least)
                stored = builder.store(builder.select(keep, moved, nothing), _place(builder, row, at, HALF_VECTOR))
                stored.align = 4
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def reciprocal_roots(typing_context: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """1 / sqrt of four float32, by one root and one division: the unit that does both is the slowest there is."""
    signature = types.UniTuple(types.float32, 4)(*(types.float32,) * 4)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        four, i32 = ir.VectorType(ir.FloatType(), len(arguments)), ir.IntType(32)
        values = ir.Constant(four, ir.Undefined)
        for lane, argument in enumerate(arguments):
            values = builder.insert_element(values, argument, i32(lane))
        root = cgutils.get_or_insert_function(builder.module, ir.FunctionType(four, [four]), "llvm.sqrt.v4f32")
        inverse = builder.fdiv(ir.Constant(four, [1.0] * len(arguments)), builder.call(root, [values]))
        lanes = [builder.extract_element(inverse, i32(lane)) for lane in range(len(arguments))]
        return context.make_tuple(builder, signature.return_type, lanes)

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


def _lanes(builder: Any, width: Any, step: int = LANES) -> Any:
    """A loop over the first of every `step` entries."""
    return cgutils.for_range_slice(builder, width.type(0), width, width.type(step), width.type)


def _place(builder: Any, row: Any, at: Any, vector: Any = VECTOR) -> Any:
    return builder.bitcast(builder.gep(row, [at]), vector.as_pointer())


def _load(builder: Any, row: Any, at: Any, vector: Any = VECTOR) -> Any:
    value = builder.load(_place(builder, row, at, vector))
    value.align = 4
    return value


def _broadcast(builder: Any, scalar: Any, vector: Any = VECTOR) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.IntType(32)(0))
    every = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, every)
