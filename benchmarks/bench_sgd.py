"""Epochs of SGD over ten million ratings of two id fields, beside LIBMF's and a stream triad.

    python benchmarks/bench_sgd.py                        # two minutes
    python benchmarks/bench_sgd.py --libmf libmf.so       # four

LIBMF 0.9.2 is built from its source on PyPI (pip download --no-deps --no-binary :all: libmf, then unpack):

    cd src_cpp
    g++ -O3 -march=native -std=c++11 -fopenmp -DUSEOMP -DUSEAVX -shared -fPIC libmf_interface.cpp mf.cpp -o libmf.so

Seconds are of one epoch: wall clock, and of the processor, which tell more where others share it. Ours are the quickest
and the median epoch after the first; "first" has the sorting of the ratings and, in the first row, compilation, too.
LIBMF's are the difference of two fits over that of their epochs (penalties .04 a visit, eta = .1, 20 x 20 blocks). Ours
has the penalties of the defaults, which a column's ratings share, and in the second row those of LIBMF. Test errors are
those after as many epochs, not clipped. "triad": a[:] = b + s c over long arrays.
"""

import argparse
import ctypes
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from synth_ratings import make
from tabulate import tabulate

from fmkit import Design, FactorizationMachine
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties, scaled_penalties
from fmkit.solvers.sgd import sgd

PENALTY = 0.04  # of squares of factors, a visit: the default of the Python package
FEW = 2  # epochs of the LIBMF fit that is taken off


class Model(ctypes.Structure):
    """LIBMF's mf_model."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("fun", "m", "n", "k")),
        ("b", ctypes.c_float),
        *((name, ctypes.POINTER(ctypes.c_float)) for name in ("P", "Q")),
    ]


class Parameters(ctypes.Structure):
    """LIBMF's mf_parameter."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("fun", "k", "nr_threads", "nr_bins", "nr_iters")),
        *((name, ctypes.c_float) for name in ("lambda_p1", "lambda_p2", "lambda_q1", "lambda_q2", "eta")),
        *((name, ctypes.c_bool) for name in ("do_nmf", "quiet", "copy_data")),
    ]


@njit(fastmath=True)
def add(a: Any, b: Any, c: Any, s: Any) -> None:
    """The triad."""
    for i in range(len(a)):
        a[i] = b[i] + s * c[i]


def triad() -> float:
    """GB/s of one thread, the best of five."""
    a, b, c = np.ones((3, 1 << 25), np.float32)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        add(a, b, c, np.float32(2))
        seconds.append(time.perf_counter() - start)
    return 3 * a.nbytes / min(seconds[1:]) / 1e9


def timed(steps: Iterator[Any], n: int) -> NDArray[np.float64]:
    """Wall and processor seconds of each of n epochs, shape (n, 2)."""
    clocks = [(time.perf_counter(), time.process_time())]
    for _ in islice(steps, n):
        clocks.append((time.perf_counter(), time.process_time()))
    return np.diff(clocks, axis=0)


def by_libmf(library: Any, triples: NDArray[np.float32], k: int, n: int, threads: int) -> tuple[Model, Any]:
    """A machine of n epochs, and its wall and processor seconds."""
    library.fit_interface.restype = ctypes.POINTER(Model)
    library.fit_interface.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Parameters))
    how = Parameters(0, k, threads, 20, n, 0, PENALTY, 0, PENALTY, 0.1, False, True, True)
    start = time.perf_counter(), time.process_time()
    model = library.fit_interface(len(triples), triples.ctypes.data, how).contents
    return model, np.subtract((time.perf_counter(), time.process_time()), start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=int, default=10_000_000)
    parser.add_argument("--factors", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--libmf", help="libmf.so")
    how = parser.parse_args()

    data = make(n_users=how.ratings // 143, n_ratings=how.ratings)
    user, item, y, test = data["user"], data["item"], data["rating"], data["test"]
    mean, spread = float(y[~test].mean(dtype=np.float64)), float(y[~test].std(dtype=np.float64))
    design = Design.from_codes([user, item])
    train, held = design.select(~test), design.select(test)
    triples = np.column_stack([user, item, y]).astype(np.float32)[~test]
    print(f"{train.n_rows:,} ratings to fit; triad {triad():.1f} GB/s; no RMSE is under {data['bayes_rmse']:.4f}")

    counts = np.concatenate([np.bincount(f.codes, minlength=len(f.columns)) for f in train.fields])
    usual = scaled_penalties(train, None, np.ones(design.n_features, np.float32), 3.0, 0.9, 1.0, spread)
    told = {"fmkit": usual, "with LIBMF's": Penalties(usual.linear, (PENALTY * counts).astype(np.float32))}
    rows: list[list[Any]] = []
    for k in how.factors:
        for threads in how.threads:
            for name, penalties in told.items():
                objective = Objective(train, y[~test] - np.float32(mean), None, penalties, False)
                rng = np.random.default_rng(0)
                factors = rng.standard_normal((design.n_features, k), dtype=np.float32)
                factors *= np.float32(0.1 * np.sqrt(spread))
                machine = FactorizationMachine(0.0, np.zeros(design.n_features, np.float32), factors)
                options: dict[str, Any] = {"learning_rate": 0.1, "spread": spread, "random_state": rng}
                units = np.ones(design.n_features, np.float32)
                seconds = timed(sgd(objective, machine, units, **options, n_threads=threads), how.epochs)
                rmse = np.sqrt(np.mean((machine.predict(held) + mean - y[test]) ** 2))
                median, least = np.median(seconds[1:], axis=0), seconds[1:].min(axis=0)
                rows.append([name, k, threads, least[0], median[0], least[1], median[1], seconds[0, 0], rmse])
        if how.libmf:
            library = ctypes.CDLL(how.libmf)
            for threads in how.threads:
                _, few = by_libmf(library, triples, k, FEW, threads)
                model, many = by_libmf(library, triples, k, how.epochs, threads)
                wall, processor = (many - few) / (how.epochs - FEW)
                P, Q = (np.ctypeslib.as_array(x, (n, k)) for x, n in ((model.P, model.m), (model.Q, model.n)))
                seen = (user[test] < len(P)) & (item[test] < len(Q))
                f = np.full(len(seen), mean, np.float32)
                f[seen] = np.einsum("rk,rk->r", P[user[test][seen]], Q[item[test][seen]])
                rmse = np.sqrt(np.mean((f - y[test]) ** 2))
                rows.append(["LIBMF", k, threads, None, wall, None, processor, None, rmse])
    headers = ["", "k", "threads", "s", "median", "processor s", "median", "first", f"RMSE after {how.epochs}"]
    print(tabulate(rows, headers, floatfmt=".3f"))


if __name__ == "__main__":
    main()
