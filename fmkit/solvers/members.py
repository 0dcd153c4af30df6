"""Columns of a relation block, solved or drawn from sums a block row: the ratings are read once a sweep and side.

A block's row u adds q_u = sum_j x_uj v_j and c_u = sum_j x_uj w_j + (pairs inside the row) to each of its ratings. Let
z be the factors of the rest of a rating and e its residual. All that the block's columns need is, over u's ratings,
n_u = sum omega, the mean m_u of z, C_u = sum omega (z - m_u)(z - m_u)', h_u = sum omega (z - m_u) e, g_u = sum omega e.
Column j meets u with the row vectors x_uj (z + a, 1), a = q_u - x_uj v_j: so its system sums up

    x^2 C_u + t t' with t = x sqrt(n_u) (m_u + a), and on the right x h_u + t g_u / sqrt(n_u),

one vector and one weighted matrix a block row. A change of j moves q_u by d = x_uj dv and c_u, h_u by -C_u d, and g_u
by -n_u (m_u' d + the change of c_u). So a sweep costs by the block's entries, not by the ratings that share them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.draws import fill_normals
from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, HEIGHT, LANES, gram, padded, rank_update
from fmkit.machine import NEGLIGIBLE
from fmkit.solvers.columns import EXACT, NONE, TILE, solve_system, sort_by_code, sum_rows
from fmkit.threads import even_cuts

WORTH_CUTTING = 1 << 15  # work of a field that is shared out to threads; less is done in the time of a dispatch
SYSTEM = 10  # work of a column beside its entries: at k = 8 a system takes .5 us, an entry 45 ns


@dataclass(frozen=True)
class Members:
    """The columns of a block's table, one after the other in the order in which they are solved.

    Parameters
    ----------
    columns : ndarray of shape (n_columns,), int32
        The design's columns.
    ptr : ndarray of shape (n_columns + 1,), int64
        The entries of column j are ptr[j]:ptr[j + 1] of the next arrays.
    holders : ndarray of shape (n_entries,), int32
        Block row of each entry.
    x : ndarray of shape (n_entries,) or (0,), float32
        Values, (0,) if all are 1.
    runs : tuple of (int, int, int, bool)
        First and last column, group, and whether the columns share no row, so that threads may share them.
    """

    columns: NDArray[np.int32]
    ptr: NDArray[np.int64]
    holders: NDArray[np.int32]
    x: NDArray[np.float32]
    runs: tuple[tuple[int, int, int, bool], ...]

    def parts(self, run: tuple[int, int, int, bool], n_threads: int) -> list[tuple[int, int]]:
        """A run of columns, cut by work where threads may share it."""
        first, last, _, shared = run
        if not shared:
            return [(first, last)]
        work = self.ptr[first : last + 1] + SYSTEM * np.arange(last - first + 1)
        return [(first + a, first + b) for a, b in even_cuts(work - work[0], n_threads)]

    @classmethod
    def of_table(cls, table: Design, columns: NDArray[np.int32], groups: NDArray[np.int32]) -> "Members":
        """From a block's table, the design's columns of its columns, and the design's groups by column."""
        fields = [field for field in table.fields if len(field.columns)]
        has_values = any(field.values is not None for field in fields)
        parts, sizes, holders, values = [], [np.zeros(1, np.int64)], [], []
        runs: list[tuple[int, int, int, bool]] = []
        for field in fields:
            ptr, order = sort_by_code(field.codes, len(field.columns))
            parts.append(columns[field.columns])
            sizes.append(np.diff(ptr))
            holders.append(order if field.rows is None else field.rows[order])
            if has_values:
                values.append(np.ones(len(order), np.float32) if field.values is None else field.values[order])
            first, group = runs[-1][1] if runs else 0, int(groups[parts[-1][0]])
            shared = len(order) + SYSTEM * len(field.columns) >= WORTH_CUTTING
            last = first + len(field.columns)
            if runs and not shared and runs[-1][2:] == (group, False):
                first = runs.pop()[0]
            runs.append((first, last, group, shared))
        nothing = np.empty(0, np.int32)
        return cls(
            np.concatenate([nothing, *parts]),
            np.cumsum(np.concatenate(sizes)),
            np.concatenate([nothing, *holders]),
            np.concatenate(values) if has_values else NONE,
            tuple(runs),
        )


@intrinsic(prefer_literal=True)
def add_weighted(
    typing_context: Any,
    S: Any,
    si: Any,
    sj: Any,
    weights: Any,
    starts: Any,
    n: Any,
    B: Any,
    i: Any,
    j: Any,
    height: Any,
) -> Any:
    """S[si:si+height, sj:sj+LANES] += sum_r weights[r] B[starts[r]+i:..+height, j:j+LANES], r < n, summed in registers.

    S, B are C-contiguous float32 matrices, weights float32, starts int64; `height` is a literal integer. Nothing is
    checked.
    """
    if not isinstance(height, types.IntegerLiteral):
        return None
    rows, index = height.literal_value, types.intp
    signature = types.void(S, index, index, weights, starts, index, B, index, index, height)
    vector, i32 = ir.VectorType(ir.FloatType(), LANES), ir.IntType(32)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        s, s_i, s_j, weight, start, count, b, b_i, b_j, _ = arguments
        of_weights = context.make_array(signature.args[3])(context, builder, weight)
        of_starts = context.make_array(signature.args[4])(context, builder, start)
        of_b = context.make_array(signature.args[6])(context, builder, b)
        of_s = context.make_array(signature.args[0])(context, builder, s)
        b_stride = cgutils.unpack_tuple(builder, of_b.shape, 2)[1]
        s_stride = cgutils.unpack_tuple(builder, of_s.shape, 2)[1]

        def vector_at(data: Any, row: Any, stride: Any, column: Any) -> Any:
            at = builder.gep(data, [builder.add(builder.mul(row, stride), column)])
            return builder.bitcast(at, vector.as_pointer())

        def load(pointer: Any) -> Any:
            value = builder.load(pointer)
            value.align = 4
            return value

        def broadcast(scalar: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            first = builder.insert_element(undefined, scalar, i32(0))
            return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES))

        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in range(rows)]
        for total in sums:
            builder.store(ir.Constant(vector, [0.0] * LANES), total)
        with cgutils.for_range(builder, count, intp=count.type) as loop:
            scalar = broadcast(builder.load(builder.gep(of_weights.data, [loop.index])))
            top = builder.add(builder.load(builder.gep(of_starts.data, [loop.index])), b_i)
            for r, total in enumerate(sums):
                right = load(vector_at(of_b.data, builder.add(top, count.type(r)), b_stride, b_j))
                product = builder.fmul(scalar, right, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for r, total in enumerate(sums):
            pointer = vector_at(of_s.data, builder.add(s_i, count.type(r)), s_stride, s_j)
            stored = builder.store(builder.fadd(load(pointer), builder.load(total)), pointer)
            stored.align = 4
        return context.get_dummy_value()

    return signature, codegen


@kernel(fastmath=FASTMATH)
def sum_block_rows(
    first: int,
    last: int,
    ptr: Any,
    source: Any,
    y: Any,
    omega: Any,
    level: Any,
    w0: Any,
    known: Any,
    Q: Any,
    q: Any,
    c: Any,
    scale: Any,
    cached: bool,
    P: Any,
    h: Any,
    counts: Any,
    sums: Any,
) -> None:
    """Sums of z z', z, z e and e over the ratings of each of the block rows first:last, weights times `scale`.

    Parameters
    ----------
    ptr, source, y, omega, level, w0, known, Q, scale, cached
        As in `fmkit.solvers.columns.solve_columns`, block rows in place of columns.
    q, c : float32 arrays of shape (n_block_rows, k), (n_block_rows,)
        What the block rows add as they are.
    P : float32 array of shape (n_block_rows, k + 1, max(padded(k), 1))
        Gets sum omega z z', all of it, and in the last row sum omega z.
    h : float32 array of shape (n_block_rows, max(padded(k), 1) + 1)
        Gets sum omega (z, 1) e, the 1 in the last place.
    counts : float32 array of shape (n_block_rows,)
        Gets sum omega.
    sums : float64 array of shape (n_block_rows, 3)
        Gets sums of omega e^2, omega e and omega, without `scale`.
    """
    k = Q.shape[1]
    width = padded(k + 4)
    tile, S = np.zeros((TILE, width), np.float32), np.zeros((width, width), np.float32)
    S64 = np.empty((k + 2, k), np.float64)
    theta = np.zeros(k + 1, np.float32)
    end = h.shape[1] - 1
    for u in range(first, last):
        if cached:
            for i in range(k):
                theta[i] = q[u, i]
        loss, slope, curve, _, corner_b = sum_rows(
            ptr[u], ptr[u + 1], source, NONE, y, omega, level, w0, known, Q, theta, cached, tile, S, S64
        )
        times = scale[u % len(scale)]
        for i in range(k):
            P[u, i, i] = times * S[i, i]
            for l in range(i + 1, k):
                P[u, i, l] = times * S[i, l]
                P[u, l, i] = times * S[i, l]
            P[u, k, i] = times * S[k, i]
        counts[u] = times * np.float32(curve)
        if not cached:  # the residuals so far lack the block row's own part
            moved: Any = 0.0
            right = np.float32(corner_b) - np.float32(curve) * c[u]
            for i in range(k):
                s = S[k + 1, i] - S[k, i] * c[u]
                for l in range(k):
                    s -= (S[i, l] if i <= l else S[l, i]) * q[u, l]
                h[u, i] = times * s
                moved += q[u, i] * (S[k + 1, i] + s)
                right -= S[k, i] * q[u, i]
            h[u, end] = times * right
            moved += c[u] * (corner_b + right)
            loss, slope = loss - moved, right
        else:
            for i in range(k):
                h[u, i] = times * S[k + 1, i]
            h[u, end] = times * np.float32(corner_b)
        sums[u, 0], sums[u, 1], sums[u, 2] = loss, slope, curve


@kernel(fastmath=FASTMATH)
def centre_block_rows(first: int, last: int, P: Any, h: Any, counts: Any) -> None:
    """Turn the sums of `sum_block_rows` into C_u and h_u, m_u and g_u, in their places."""
    k, end = P.shape[1] - 1, h.shape[1] - 1
    for u in range(first, last):
        per = np.float32(1) / counts[u] if counts[u] > 0 else np.float32(0)
        for i in range(k):
            mean = per * P[u, k, i]
            for l in range(P.shape[2]):
                P[u, i, l] -= mean * P[u, k, l]
            h[u, i] -= mean * h[u, end]
        for i in range(k):
            P[u, k, i] *= per


@kernel(fastmath=FASTMATH)
def solve_members(
    first: int,
    last: int,
    columns: Any,
    ptr: Any,
    holders: Any,
    x: Any,
    q: Any,
    c: Any,
    P: Any,
    h: Any,
    counts: Any,
    w: Any,
    V: Any,
    precision: Any,
    centre: Any,
    penalty_w: Any,
    penalty_v: Any,
    draw: Any,
) -> None:
    """Solve or draw each of the columns first:last of `Members`, one after the other.

    Parameters
    ----------
    columns, ptr, holders, x
        Of `Members`.
    q, c : float32 arrays of shape (n_block_rows, k), (n_block_rows,)
        What the block rows add, kept up to date.
    P, h, counts
        Sums, centred by `centre_block_rows`; h is kept up to date.
    w, V, precision, centre, penalty_w, penalty_v, draw
        As in `fmkit.solvers.columns.solve_columns`.
    """
    k = V.shape[1]
    width, end, whole = padded(k + 4), h.shape[1] - 1, k // HEIGHT * HEIGHT
    S, S64 = np.zeros((width, width), np.float32), np.zeros((k + 2, width), np.float64)
    tile, d = np.zeros((TILE, width), np.float32), np.zeros((k, 1), np.float32)
    values, squares = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    starts, rows = np.empty(TILE, np.int64), np.empty(TILE, np.int64)
    theta, step = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32)
    prior, pull, noise = np.zeros(k + 1, np.float32), np.zeros(k + 1, np.float32), np.zeros(padded(k + 1), np.float32)
    matrices = P.reshape(-1, P.shape[2])
    for j in range(first, last):
        col = columns[j]
        for i in range(k):
            theta[i] = V[col, i]
        theta[k] = w[col]
        S.fill(0)
        zero: Any = 0.0
        corner, corner_b = zero, zero
        for start in range(ptr[j], ptr[j + 1], TILE):
            n = min(TILE, ptr[j + 1] - start)
            for r in range(n):
                u = holders[start + r]
                value = x[start + r] if len(x) else np.float32(1)
                root, slope = np.sqrt(counts[u]), h[u, end]
                scale = value * root
                for i in range(k):
                    tile[r, i] = scale * (P[u, k, i] + q[u, i] - value * theta[i])
                tile[r, k], tile[r, k + 1] = scale, slope / root if root > 0 else np.float32(0)
                corner += scale * scale
                corner_b += value * slope
                values[r], squares[r] = value, value * value
                starts[r], rows[r] = u * (k + 1), u
            for b in range(0, k, LANES):
                for a in range(0, whole, HEIGHT):
                    if a < b + LANES:
                        add_weighted(S, a, b, squares, starts, n, matrices, a, b, HEIGHT)
                for a in range(whole, min(k, b + LANES)):
                    add_weighted(S, a, b, squares, starts, n, matrices, a, b, 1)
                add_weighted(S, k + 1, b, values, rows, n, h, 0, b, 1)
            gram(tile, n, k, k + 2, S)
            if (start - ptr[j]) % EXACT == EXACT - TILE:
                S64 += S[: k + 2]
                S.fill(0)
        if ptr[j + 1] - ptr[j] >= EXACT:
            for i in range(k + 2):
                for l in range(k):
                    S[i, l] += np.float32(S64[i, l])
            S64.fill(0)
        for i in range(k + 1):
            prior[i] = precision[i]
            if len(penalty_w):
                prior[i] += penalty_v[col] if i < k else penalty_w[col]
            pull[i] = precision[i] * centre[i] - prior[i] * theta[i]
        if draw[0]:
            fill_normals(draw[0], draw[1], draw[2], np.uint32(col), k + 1, noise)
        solve_system(S, k, np.float32(corner), np.float32(corner_b), np.float32(1), prior, pull, noise, step)
        for i in range(k):
            v = theta[i] + step[i]
            V[col, i] = v if abs(v) > NEGLIGIBLE else np.float32(0)
        w[col] = theta[k] + step[k]
        for e in range(ptr[j], ptr[j + 1]):
            u = holders[e]
            value = x[e] if len(x) else np.float32(1)
            change, moved = step[k], np.float32(0)
            for i in range(k):
                d[i, 0] = value * step[i]
                change += step[i] * (q[u, i] - value * theta[i])
                moved += P[u, k, i] * d[i, 0]
                q[u, i] += d[i, 0]
            change *= value
            c[u] += change
            for b in range(0, k, LANES):
                rank_update(h, u, b, d, 0, 0, matrices, u * (k + 1), b, k, 1, 1)
            h[u, end] -= counts[u] * (moved + change)


@kernel(fastmath=FASTMATH)
def move_rows(first: int, last: int, codes: Any, q: Any, dq: Any, dc: Any, known: Any, Q: Any) -> None:
    """Let the cached predictions and sums of factors of rows first:last follow a change (dq, dc) of their block rows.

    Parameters
    ----------
    codes : int32 array of shape (n_rows,)
        Block row of each row.
    q, dq, dc : float32 arrays of shape (n_block_rows, k), (n_block_rows, k), (n_block_rows,)
        What block rows add after the change, and the change.
    known, Q : float32 arrays of shape (n_rows,), (n_rows, k)
        Kept up to date.
    """
    k = Q.shape[1]
    for r in range(first, last):
        u = codes[r]
        change = dc[u]
        for i in range(k):
            change += dq[u, i] * (Q[r, i] - (q[u, i] - dq[u, i]))
            Q[r, i] += dq[u, i]
        known[r] += change
