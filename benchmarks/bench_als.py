"""A sweep of ALS over ten million ratings, beside the sums that bound it, myFM and implicit, in one run.

    python benchmarks/bench_als.py            # about three minutes; needs pip install 'fmkit[benchmarks]'

Two one-hot fields, all cores. "Gram sums by BLAS": tiles of the other side's factors gathered and summed by `ssyrk`
from a nogil kernel, both fields, nothing solved. "Flops": those of the upper triangles of the Gram sums alone.
"""

import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import njit, types
from numba.extending import get_cython_function_address
from scipy import sparse
from synth_ratings import make
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from fmkit import Design, FactorizationMachine
from fmkit.solvers.als import als
from fmkit.solvers.columns import sort_by_code
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import scaled_penalties
from fmkit.threads import count_threads, even_cuts

llvm.add_symbol("bench_ssyrk", get_cython_function_address("scipy.linalg.cython_blas", "ssyrk"))
ssyrk = types.ExternalFunction("bench_ssyrk", types.void(*[types.uintp] * 10))
BLAS_TILE = 256


@njit(nogil=True, fastmath=True, cache=True)
def gram_by_blas(first: int, last: int, ptr: Any, other: Any, V: Any, out: Any) -> None:
    """Sum v v' over each column's rows by BLAS; `out` takes a number a column, so that nothing is optimised away."""
    k = V.shape[1]
    tile, G = np.empty((BLAS_TILE, k), np.float32), np.empty((k, k), np.float32)
    uplo_trans, size = np.array([ord("U"), ord("N")], np.int8), np.array([k, 0], np.int32)
    one = np.ones(1, np.float32)
    for j in range(first, last):
        G[:] = 0
        for a in range(ptr[j], ptr[j + 1], BLAS_TILE):
            m = min(BLAS_TILE, ptr[j + 1] - a)
            for r in range(m):
                for f in range(k):
                    tile[r, f] = V[other[a + r], f]
            size[1] = m
            ssyrk(
                uplo_trans.ctypes.data, uplo_trans[1:].ctypes.data, size.ctypes.data, size[1:].ctypes.data,
                one.ctypes.data, tile.ctypes.data, size.ctypes.data, one.ctypes.data, G.ctypes.data, size.ctypes.data,
            )  # fmt: skip
        out[j] = G[0, 0]


def best_of(repeats: int, work: Callable[[], Any]) -> float:
    """Seconds of the quickest run, after one to compile and warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def time_blas(codes: list[Any], sizes: list[int], k: int, threads: int) -> float:
    """Gram sums alone of both fields."""
    rng = np.random.default_rng(0)
    work = []
    for a, b in ((0, 1), (1, 0)):
        ptr, order = sort_by_code(codes[a], sizes[a])
        V = rng.standard_normal((sizes[b], k), dtype=np.float32)
        out = np.zeros(sizes[a], np.float32)
        work += [(*cut, ptr, codes[b][order], V, out) for cut in even_cuts(ptr, threads)]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        return best_of(3, lambda: list(pool.map(lambda w: gram_by_blas(*w), work)))


def time_fmkit(design: Design, y: Any, k: int, threads: int) -> float:
    """The quickest of five sweeps after the first."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((design.n_features, k), dtype=np.float32) * np.float32(0.1)
    machine = FactorizationMachine(0.0, np.zeros(design.n_features, np.float32), factors)
    penalties = scaled_penalties(design, None, np.ones(design.n_features), 3.0, 0.9, 1.0, 1.0)
    sweeps = als(Objective(design, y, None, penalties, False), machine, threads)
    return float(np.diff([progress.seconds for progress in islice(sweeps, 6)]).min())


def time_myfm(design: Design, y: Any) -> float:
    """A Gibbs sweep at k = 8: the difference of fits of three and one."""
    import myfm

    X = design.to_csr()
    seconds = []
    for n_iter in (1, 3):
        start = time.perf_counter()
        shapes = [len(f.columns) for f in design.fields]
        myfm.MyFMRegressor(rank=8).fit(X, y, n_iter=n_iter, n_kept_samples=1, group_shapes=shapes)
        seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / 2


def time_implicit(design: Design, y: Any, threads: int) -> float:
    """An iteration at k = 64, by conjugate gradients (its default): the difference of fits of three and one."""
    from implicit.cpu.als import AlternatingLeastSquares

    users, items = design.fields
    shape = len(users.columns), len(items.columns)
    ratings = sparse.csr_matrix((y + 4, (users.codes, items.codes)), shape=shape)
    seconds = []
    for iterations in (1, 3):
        start = time.perf_counter()
        model = AlternatingLeastSquares(factors=64, iterations=iterations, num_threads=threads, random_state=0)
        model.fit(ratings, show_progress=False)
        seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / 2


def main() -> None:
    """Print the table."""
    data = make()
    sizes = [70_000, 10_000]
    design = Design.from_codes([data["user"], data["item"]], sizes)
    y = data["rating"] - data["rating"].mean()
    threads = count_threads(None)
    codes = [f.codes for f in design.fields]
    A = np.ones((2048, 2048), np.float32)
    with threadpool_limits(threads, "blas"):
        peak = 2 * 2048**3 / best_of(5, lambda: A @ A) / 1e9
    rows = []
    for k in (8, 16, 32, 64):
        ours, blas = time_fmkit(design, y, k, threads), time_blas(codes, sizes, k, threads)
        flops = 2 * design.n_rows * k * (k + 1) / ours / 1e9
        rows.append([k, ours, blas, ours / blas, design.n_rows / ours / 1e6, f"{flops:.0f} ({flops / peak:.0%})"])
    headers = ["k", "fmkit, s a sweep", "Gram sums by BLAS, s", "ratio", "M ratings/s", "Gflop/s (of sgemm)"]
    print(f"{design.n_rows:,} ratings, {threads} threads, sgemm {peak:.0f} Gflop/s\n")
    print(tabulate(rows, headers, floatfmt=".3g"), end="\n\n")

    seconds = {row[0]: row[1] for row in rows}
    alone = time_fmkit(design, y, 8, 1)
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore")
        rivals = [
            ["myFM, Gibbs sweep, k=8 (one thread is all it takes)", time_myfm(design, y), seconds[8]],
            ["the same against one thread of fmkit", 0.0, alone],
            ["implicit, ALS iteration, k=64", time_implicit(design, y, threads), seconds[64]],
        ]
    rivals[1][1] = rivals[0][1]
    table = [[name, theirs, ours, theirs / ours] for name, theirs, ours in rivals]
    print(tabulate(table, ["rival", "its seconds", "fmkit's sweep", "times as long"], floatfmt=".3g"))


if __name__ == "__main__":
    main()
