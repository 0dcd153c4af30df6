"""Sweeps of Gibbs and VB over ten million ratings, beside ALS and myFM, and seconds to the error where myFM ends.

    python benchmarks/bench_gibbs.py          # six minutes; needs pip install 'fmkit[benchmarks]'
    python benchmarks/bench_gibbs.py --ratings 1000000 --factors 8 16

Two one-hot fields, all cores, the quickest sweep of five after the first. A Gibbs sweep draws priors, columns, a noise
precision a user and item, and adds the draw to the running mean. "Gflop/s": multiply-adds of the sums (upper triangles,
right-hand sides) and of the systems, beside a plain sgemm of the same run. "Gathered": what a sweep reads of the other
side, vectors of factors or packed moments, beside what both cores reach when they read one long array.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from itertools import islice
from typing import Any

import numpy as np
from held_out import HeldOut, myfm, trace_fmkit, trace_myfm
from synth_ratings import make
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from fmkit import Design, FactorizationMachine, FMRegressor
from fmkit.progress import Progress
from fmkit.solvers.als import als
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.moments import packed_size
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import scaled_penalties
from fmkit.solvers.vb import Variational
from fmkit.threads import count_threads, for_each


def best_of(repeats: int, work: Callable[[], Any]) -> float:
    """Seconds of the quickest run, after one to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def gemm_speed(threads: int) -> float:
    """Gflop/s of a plain sgemm."""
    A = np.ones((2048, 2048), np.float32)
    with threadpool_limits(threads, "blas"):
        return 2 * 2048**3 / best_of(5, lambda: A @ A) / 1e9


def read_speed(threads: int) -> float:
    """GB/s of reading one long array, a part a thread."""
    array = np.ones(1 << 28, np.float32)
    parts = [(part,) for part in np.array_split(array, threads)]
    return array.nbytes / best_of(3, lambda: for_each(np.sum, parts, threads)) / 1e9


def quickest(sweeps: Iterator[Progress], n: int) -> float:
    """Seconds of the quickest of n sweeps after the first."""
    with threadpool_limits(1, "blas"):  # as the estimators' fit does
        return float(np.diff([progress.seconds for progress in islice(sweeps, n + 1)]).min())


def start(design: Design, k: int, scale: float) -> FactorizationMachine:
    """A machine of small random factors."""
    factors = np.random.default_rng(0).standard_normal((design.n_features, k), dtype=np.float32) * np.float32(scale)
    return FactorizationMachine(0.0, np.zeros(design.n_features, np.float32), factors)


def time_als(design: Design, y: Any, k: int, threads: int, n: int = 5) -> float:
    """Seconds of a sweep of ALS."""
    penalties = scaled_penalties(design, None, np.ones(design.n_features), 3.0, 0.9, 1.0, 1.0)
    return quickest(als(Objective(design, y, None, penalties, False), start(design, k, 0.1), threads), n)


def time_gibbs(design: Design, y: Any, k: int, threads: int, n: int = 5) -> float:
    """Seconds of a sweep of MCMC, averaging included."""
    how: dict[str, Any] = {"noise_fields": None, "burn_in": 0, "n_sweeps": 500, "keep_draws": 0, "seed": 1}
    return quickest(iter(Chain(design, y, None, start(design, k, 0.1), **how, n_threads=threads)), n)


def time_vb(design: Design, y: Any, k: int, threads: int, n: int = 5) -> float:
    """Seconds of a sweep of VB."""
    return quickest(iter(Variational(design, y, None, start(design, k, 0.5), noise_fields=None, n_threads=threads)), n)


def time_myfm(design: Design, y: Any, k: int) -> float:
    """Seconds of a Gibbs sweep of myFM: the quickest of three after the first."""
    times: list[float] = []

    def callback(*state: Any) -> tuple[bool, None]:
        times.append(time.perf_counter())
        return False, None

    shapes = [len(field.columns) for field in design.fields]
    with redirect_stderr(io.StringIO()), threadpool_limits(1, "blas"):
        X = design.to_csr()
        myfm.MyFMRegressor(k).fit(X, y, n_iter=4, n_kept_samples=1, group_shapes=shapes, callback=callback)
    return float(np.diff(times).min())


def work_of_sweep(design: Design, k: int) -> tuple[float, float, float, float]:
    """Gflop and GB gathered of a Gibbs sweep, and of one of VB.

    A rating adds k (k + 1) / 2 products to the Gram sums and k to each of two right-hand sides, from a vector of k
    floats; by VB a vector of packed moments. A system takes (k + 1)^3 / 3, its inverse twice as many again.
    """
    reads, systems, size = 2 * design.n_rows, design.n_features * (k + 1) ** 3 / 3, int(packed_size(k))
    gibbs = 2 * reads * (k * (k + 1) / 2 + 2 * k) + systems
    vb = 2 * reads * (size + k + 2) + 3 * systems
    return gibbs / 1e9, 4 * reads * k / 1e9, vb / 1e9, 4 * reads * size / 1e9


def sweeps(design: Design, y: Any, factors: list[int], rival: bool) -> None:
    """Print the tables of sweeps."""
    threads = count_threads(None)
    peak, reading = gemm_speed(threads), read_speed(threads)
    print(f"{design.n_rows:,} ratings, {threads} threads, sgemm {peak:.0f} Gflop/s, reading {reading:.0f} GB/s\n")
    rows, seconds = [], {}
    for k in factors:
        by_als, by_gibbs, by_vb = (work(design, y, k, threads) for work in (time_als, time_gibbs, time_vb))
        flops, read, vb_flops, vb_read = work_of_sweep(design, k)
        seconds[k] = by_gibbs
        rows.append([k, "ALS", by_als, 1.0, f"{flops / by_als:.0f} ({flops / by_als / peak:.0%})", read / by_als])
        speed = f"{flops / by_gibbs:.0f} ({flops / by_gibbs / peak:.0%})"
        rows.append([k, "Gibbs", by_gibbs, by_gibbs / by_als, speed, read / by_gibbs])
        full = 4 * design.n_features * packed_size(k) <= 1 << 29
        speed = f"{vb_flops / by_vb:.0f} ({vb_flops / by_vb / peak:.0%})" if full else "-"
        name = "VB, covariances a column" if full else "VB, dimensions apart"
        rows.append([k, name, by_vb, by_vb / by_als, speed, vb_read / by_vb if full else None])
    headers = ["k", "sweep of", "s", "times ALS", "Gflop/s (of sgemm)", "gathered, GB/s"]
    print(tabulate(rows, headers, floatfmt=".3g", missingval="-"), end="\n\n", flush=True)
    if rival:
        theirs = time_myfm(design, y, 8)
        both = seconds.get(8) or time_gibbs(design, y, 8, threads)
        rows = [["all cores", theirs, both, theirs / both]]
        alone = time_gibbs(design, y, 8, 1)
        rows.append(["one core", theirs, alone, theirs / alone])
        headers = ["Gibbs sweep, k=8", "myFM (one core), s", "fmkit, s", "times as long"]
        print(tabulate(rows, headers, floatfmt=".3g"), end="\n\n", flush=True)


def to_the_same_error(names: list[str], n_iter: int | None) -> None:
    """Print seconds to the error that myFM ends at; predicting the held-out part after each sweep does not count."""
    for name in names:
        held = HeldOut.load(name)
        n_theirs = n_iter or {"movielens": 300, "goodbooks": 200}[name]
        theirs = trace_myfm(myfm.MyFMRegressor(8, random_seed=0), held, False, n_theirs)
        goal, whole = theirs.errors[-1], theirs.seconds[-1]
        first = theirs.first(goal + 0.0005)
        rows = [[f"myFM, Gibbs k=8, {n_theirs} sweeps", goal, whole, first, whole, 1.0]]
        for k, solver in ((8, "vb"), (16, "vb"), (8, "mcmc"), (16, "mcmc")):
            burn_in = {"burn_in": 20} if solver == "mcmc" else {}
            model = FMRegressor(k, solver=solver, random_state=0, max_iter=n_iter, **burn_in)
            ours = trace_fmkit(model, held, held.ids)
            reached = ours.first(goal)
            what = f"fmkit, {'VB' if solver == 'vb' else 'MCMC, burn_in=20'} k={k}"
            rows.append([what, ours.errors[-1], ours.seconds[-1], ours.first(goal + 0.0005), reached, whole / reached])
        headers = [name, "final RMSE", "whole fit, s", "s to myFM's + .0005", "s to myFM's", "times sooner"]
        print(tabulate(rows, headers, floatfmt=("", ".4f", ".3g", ".3g", ".3g", ".3g")), end="\n\n", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, default=10_000_000, help="synthetic ratings; 0 leaves the sweeps out")
    parser.add_argument("--factors", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--no-myfm", action="store_true", help="leave its sweep out")
    parser.add_argument("--sets", nargs="*", default=["movielens", "goodbooks"])
    parser.add_argument("--max-iter", type=int, help="sweeps of the fits to the same error, to try this file out")
    chosen = parser.parse_args()
    if chosen.ratings:
        n_users = chosen.ratings * 7 // 1000
        data = make(n_users, n_ratings=chosen.ratings)
        design = Design.from_codes([data["user"], data["item"]], [n_users, 10_000])
        y = data["rating"] - data["rating"].mean()
        sweeps(design, y, chosen.factors, not chosen.no_myfm)
        del data, design, y
    to_the_same_error(chosen.sets, chosen.max_iter)


if __name__ == "__main__":
    main()
