"""Small symmetric systems in vector registers: the one rank-n update on which Gram sums and Cholesky factors stand.

A sweep of ALS forms and solves a (k + 1)-sized system a column, a pass of the restoration one a patch. BLAS is made
for large matrices: on two AVX-512 cores with 10M ratings, tiles gathered and summed by its `ssyrk` take .33 s (k = 16)
and 2.0 s (k = 64), a whole sweep on `gram` .20 and .98 s (benchmarks/bench_als.py). A system of 65 unknowns takes
`cholesky` and `back_substitute` 6.8 us, LAPACK's `sposv` 10.4; of 17, .9 and 1.0.
"""

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from fmkit.kernels import kernel

LANES = 16  # floats a vector operation: one AVX-512 register, two of AVX2, four of NEON (LLVM splits them)

# Rows of a register block. The block's HEIGHT x LANES sums stay in registers: 8 of AVX-512's 32, 8 of AVX2's 16.
HEIGHT = 8 if llvm.get_host_cpu_features().get("avx512f", False) else 4

# Sums may be reordered and fused; NaN and infinity keep their meaning.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows divided by their lengths; those of zeros stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, np.float32(1e-12)), np.float32)


def row_dots(A: NDArray[np.float32], B: NDArray[np.float32]) -> NDArray[np.float32]:
    """The dot product of each row of A with that of B; 0 for rows of no length.

    For these numpy's einsum multiplies a sum of nothing by what it reads at the address of an empty array, which may
    be a NaN (numpy 2.4).
    """
    if not A.shape[1]:
        return np.zeros(len(A), np.float32)
    return np.asarray(np.einsum("uf,uf->u", A, B))


@kernel
def padded(n: int) -> int:
    """The next multiple of `LANES`."""
    return -(-n // LANES) * LANES


@intrinsic(prefer_literal=True)
def rank_update(
    typing_context: Any,
    C: Any,
    ci: Any,
    cj: Any,
    A: Any,
    ai: Any,
    aj: Any,
    B: Any,
    bi: Any,
    bj: Any,
    n: Any,
    height: Any,
    subtract: Any,
) -> Any:
    """C[ci:ci+height, cj:cj+LANES] ±= A[ai:ai+n, aj:aj+height]' B[bi:bi+n, bj:bj+LANES], summed in registers.

    A, B, C are C-contiguous float32 matrices (C may be A or B, if the rows read are not those written); `height` and
    `subtract` (0 or 1) are literal integers. Nothing is checked: reading or writing outside an array is undefined.
    """
    if not (isinstance(height, types.IntegerLiteral) and isinstance(subtract, types.IntegerLiteral)):
        return None
    rows, minus = height.literal_value, subtract.literal_value == 1
    index = types.intp
    signature = types.void(C, index, index, A, index, index, B, index, index, index, height, subtract)
    vector, i32 = ir.VectorType(ir.FloatType(), LANES), ir.IntType(32)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        c, c_i, c_j, a, a_i, a_j, b, b_i, b_j, count, _, _ = arguments

        def matrix(position: int, value: Any) -> Any:
            array = context.make_array(signature.args[position])(context, builder, value)
            stride = cgutils.unpack_tuple(builder, array.shape, 2)[1]
            return lambda i, j: builder.gep(array.data, [builder.add(builder.mul(i, stride), j)])

        def vector_at(pointer: Any) -> Any:
            return builder.bitcast(pointer, vector.as_pointer())

        def load(pointer: Any) -> Any:
            value = builder.load(vector_at(pointer))
            value.align = 4  # rows need not be aligned; AVX loads do not mind
            return value

        def broadcast(scalar: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            first = builder.insert_element(undefined, scalar, i32(0))
            return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES))

        at_a, at_b, at_c = matrix(3, a), matrix(6, b), matrix(0, c)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in range(rows)]
        for s in sums:  # the allocation is hoisted to the function's entry: start from zero at every call
            builder.store(ir.Constant(vector, [0.0] * LANES), s)
        with cgutils.for_range(builder, count, intp=count.type) as loop:
            right = load(at_b(builder.add(b_i, loop.index), b_j))
            left = at_a(builder.add(a_i, loop.index), a_j)
            for r, s in enumerate(sums):
                scalar = broadcast(builder.load(builder.gep(left, [count.type(r)])))
                product = builder.fmul(scalar, right, flags=("contract",))
                builder.store(builder.fadd(builder.load(s), product, flags=("contract",)), s)
        for r, s in enumerate(sums):
            pointer = at_c(builder.add(c_i, count.type(r)), c_j)
            combine = builder.fsub if minus else builder.fadd
            stored = builder.store(combine(load(pointer), builder.load(s)), vector_at(pointer))
            stored.align = 4
        return context.get_dummy_value()

    return signature, codegen


@kernel
def gram(tile: Any, n: int, k: int, n_rows: int, G: Any) -> None:
    """G[:n_rows, :k] += tile[:n, :n_rows]' tile[:n, :k]; of the first k rows only from the diagonal to the right.

    Parameters
    ----------
    tile : float32 array of shape (at least n, at least max(padded(k), n_rows + 1))
        Rows z of a least-squares problem; columns beyond the ones used hold finite numbers.
    n : int
        Rows of the tile to sum.
    k : int
        Unknowns.
    n_rows : int
        k, or more: row k + i of G gets the products with column k + i of the tile (a right-hand side, say).
    G : float32 array of shape (at least n_rows + 1, at least padded(k))
        What lies left of the diagonal, or right of column k, is left alone or becomes finite rubbish.
    """
    whole = n_rows // HEIGHT * HEIGHT
    for a in range(0, whole, HEIGHT):
        for b in range(a // LANES * LANES if a + HEIGHT <= k else 0, k, LANES):
            rank_update(G, a, b, tile, 0, a, tile, 0, b, n, HEIGHT, 0)
    for a in range(whole, n_rows, 2):
        for b in range(a // LANES * LANES if a + 2 <= k else 0, k, LANES):
            rank_update(G, a, b, tile, 0, a, tile, 0, b, n, 2, 0)


@kernel(fastmath=FASTMATH)
def cholesky(S: Any, n: int) -> None:
    """Overwrite the upper triangle of S[:n, :n] with U, S = U' U, and columns n and beyond with U'^-1 times them.

    A right-hand side b put into column n thus becomes U'^-1 b. A pivot that is not positive (rank lost to rounding)
    is taken for infinite: that unknown becomes 0.

    Parameters
    ----------
    S : float32 array of shape (at least n rounded up to HEIGHT, a multiple of LANES, more than n)
        Only the upper triangle is read; below it, and in rows from n on, values are finite and get overwritten.
    n : int
        Unknowns.
    """
    width = S.shape[1]
    for top in range(0, n, HEIGHT):
        for j in range(top // LANES * LANES, width, LANES):
            rank_update(S, top, j, S, 0, top, S, 0, j, top, HEIGHT, 1)
        bottom = min(top + HEIGHT, n)
        for p in range(top, bottom):
            scale = np.float32(0)
            if S[p, p] > 0:
                scale = np.float32(1) / np.sqrt(S[p, p])
            for j in range(p // LANES * LANES, width, LANES):
                for lane in range(LANES):  # a count that the compiler knows: one vector operation, no remainder
                    S[p, j + lane] *= scale
            for q in range(p + 1, bottom):
                for j in range(q // LANES * LANES, width, LANES):
                    rank_update(S, q, j, S, p, q, S, p, j, 1, 1, 1)


@kernel(fastmath=FASTMATH)
def back_substitute(U: Any, n: int, x: Any) -> None:
    """Solve U[:n, :n] x = U[:n, n] for the upper triangular U of `cholesky`."""
    for i in range(n - 1, -1, -1):
        s = U[i, n]
        for j in range(i + 1, n):
            s -= U[i, j] * x[j]
        x[i] = s / U[i, i] if U[i, i] > 0 else np.float32(0)


@intrinsic(prefer_literal=True)
def _less_products(
    typing_context: Any,
    C: Any,
    to: Any,
    A: Any,
    left: Any,
    left_stride: Any,
    B: Any,
    right: Any,
    right_stride: Any,
    n: Any,
    height: Any,
) -> Any:
    """C[to+r] -= sum_p A[left + p left_stride] B[right + p right_stride + r], p < n, r < height, vectors of LANES
    floats.

    A, B, C are C-contiguous float32 arrays, places are counted in vectors; `height` is a literal integer. Nothing is
    checked.
    """
    if not isinstance(height, types.IntegerLiteral):
        return None
    rows, index = height.literal_value, types.intp
    signature = types.void(C, index, A, index, index, B, index, index, index, height)
    vector = ir.VectorType(ir.FloatType(), LANES)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        c, to_, a, left_, stride_a, b, right_, stride_b, count, _ = arguments
        lanes = count.type(LANES)

        def vectors(position: int, value: Any) -> Any:
            data = context.make_array(signature.args[position])(context, builder, value).data
            return lambda place: builder.bitcast(builder.gep(data, [builder.mul(place, lanes)]), vector.as_pointer())

        def load(pointer: Any) -> Any:
            value = builder.load(pointer)
            value.align = 4
            return value

        of_a, of_b, of_c = vectors(2, a), vectors(5, b), vectors(0, c)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in range(rows)]
        for r, total in enumerate(sums):
            builder.store(load(of_c(builder.add(to_, count.type(r)))), total)
        with cgutils.for_range(builder, count, intp=count.type) as loop:
            one = builder.fneg(load(of_a(builder.add(left_, builder.mul(loop.index, stride_a)))))
            place = builder.add(right_, builder.mul(loop.index, stride_b))
            for r, total in enumerate(sums):
                product = builder.fmul(one, load(of_b(builder.add(place, count.type(r)))), flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for r, total in enumerate(sums):
            stored = builder.store(builder.load(total), of_c(builder.add(to_, count.type(r))))
            stored.align = 4
        return context.get_dummy_value()

    return signature, codegen


@kernel(fastmath=FASTMATH)
def _less_row(
    C: Any, to: int, A: Any, left: int, left_stride: int, B: Any, right: int, right_stride: int, n: int, width: int
) -> None:
    """`_less_products` for r < width."""
    r = 0
    while r + 4 <= width:
        _less_products(C, to + r, A, left, left_stride, B, right + r, right_stride, n, 4)
        r += 4
    while r < width:
        _less_products(C, to + r, A, left, left_stride, B, right + r, right_stride, n, 1)
        r += 1


@kernel(fastmath=FASTMATH)
def cholesky_lanes(A: Any, n: int) -> None:
    """As `cholesky` and U'^-1 b, of `LANES` systems side by side, one a lane: no system waits for its own square roots.

    Parameters
    ----------
    A : float32 array of shape (n, n + 1, LANES)
        The upper triangles and, in column n, the right-hand sides. Overwritten by U and U'^-1 b; on the diagonal stands
        1 / U[i, i] (0 for a pivot that is not positive: that unknown becomes 0).
    n : int
        Unknowns.
    """
    stride = n + 1
    for q in range(n):
        _less_row(A, q * stride + q, A, q, stride, A, q, stride, q, stride - q)
        for l in range(LANES):
            d = A[q, q, l]
            A[q, q, l] = np.float32(1) / np.sqrt(d) if d > 0 else np.float32(0)
        for j in range(q + 1, stride):
            for l in range(LANES):
                A[q, j, l] *= A[q, q, l]


@kernel(fastmath=FASTMATH)
def back_substitute_lanes(A: Any, n: int) -> None:
    """Solve U x = b for what `cholesky_lanes` left behind; x overwrites column n."""
    for i in range(n - 1, -1, -1):
        for l in range(LANES):
            A[i, n, l] *= A[i, i, l]
        for p in range(i):
            for l in range(LANES):
                A[p, n, l] -= A[p, i, l] * A[i, n, l]


@kernel(fastmath=FASTMATH)
def invert_lanes(A: Any, n: int, T: Any, cov: Any) -> None:
    """cov = (U' U)^-1, its upper triangle, for what `cholesky_lanes` left behind.

    Parameters
    ----------
    A : float32 array of shape (n, n + 1, LANES)
    T, cov : float32 arrays of shape (n, n, LANES)
        T becomes U'^-1.
    """
    for m in range(n):
        T[m, : m + 1] = 0
        for l in range(LANES):
            T[m, m, l] = 1
        for p in range(m):  # row p of T ends at its diagonal
            _less_row(T, m * n, A, p * (n + 1) + m, 0, T, p * n, 0, 1, p + 1)
        for i in range(m + 1):
            for l in range(LANES):
                T[m, i, l] *= A[m, m, l]
    for i in range(n):
        for j in range(i, n):
            for l in range(LANES):
                cov[i, j, l] = 0
            _less_products(cov, i * n + j, T, j * n + i, n, T, j * n + j, n, n - j, 1)
            for l in range(LANES):
                cov[i, j, l] = -cov[i, j, l]
