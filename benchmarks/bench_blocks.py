"""A Gibbs sweep over rated sets as relation blocks, beside the same design written out, and myFM's relation blocks.

    python benchmarks/bench_blocks.py         # three minutes; needs pip install 'fmkit[benchmarks]'
    python benchmarks/bench_blocks.py --flat-users 0

The training part of MovieLens latest-small: a user's id and rated items, an item's id and raters. Written out, a row
holds all of them: 54 million entries, held several times over while fields are found. `--flat-users` writes out the
rows of so many users, drawn at random, and tells seconds in proportion to the entries: of few users that is far too
much, for thousands of fields are then short and each costs a dispatch. "Gflop/s": the multiply-adds of the sums, of a
block row's part in the systems of its columns, and of the systems, beside a plain sgemm of the same run.
"""

import argparse
import io
import time
from contextlib import redirect_stderr
from typing import Any

import numpy as np
from bench_gibbs import gemm_speed, quickest, start
from held_out import HeldOut, myfm
from scipy import sparse
from tabulate import tabulate

from fmkit import Design
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.vb import Variational
from fmkit.threads import count_threads


def time_fmkit(design: Design, y: Any, k: int, threads: int, solver: str = "mcmc", n: int = 5) -> float:
    """Seconds of the quickest of n sweeps after the first."""
    if solver == "vb":
        fit: Any = Variational(design, y, None, start(design, k, 0.5), noise_fields=None, n_threads=threads)
    else:
        how: dict[str, Any] = {"burn_in": 0, "n_sweeps": 500, "keep_draws": 0, "seed": 1, "n_threads": threads}
        fit = Chain(design, y, None, start(design, k, 0.1), noise_fields=None, **how)
    return quickest(iter(fit), n)


def time_myfm(held: HeldOut, k: int, sweeps: int) -> float:
    """Seconds of the quickest sweep of myFM's relation blocks after the first."""
    times: list[float] = []

    def callback(*state: Any) -> tuple[bool, None]:
        times.append(time.perf_counter())
        return False, None

    X, relations, shapes = held.of_myfm(~held.test, True)
    with redirect_stderr(io.StringIO()):
        model = myfm.MyFMRegressor(k)
        how: dict[str, Any] = {"n_kept_samples": 1, "group_shapes": shapes, "callback": callback}
        model.fit(X, held.y[~held.test], X_rel=relations, n_iter=sweeps + 1, **how)
    return float(np.diff(times).min())


def written_out(held: HeldOut, rows: Any) -> Design:
    """Rows of the design without blocks: the same columns in the same groups."""
    matrix = sparse.hstack([table[code[rows]] for table, code in zip(held.tables, (held.user, held.item), strict=True)])
    n_users, n_items = held.sizes
    return Design.from_matrix(matrix.tocsr(), np.repeat(np.arange(4), [n_users, n_items, n_items, n_users]))


def gflop(held: HeldOut, k: int) -> float:
    """Of a sweep: a rating and side k (k + 1) / 2 + 2 k products, an entry of a table 2 k^2 + 8 k, and the systems.

    An entry adds x^2 C_u and t t' (k (k + 1) / 2 each) and two right-hand sides, and follows with C_u d (k^2) and
    three sums of k.
    """
    ratings, entries = 2 * int((~held.test).sum()), sum(table.nnz for table in held.tables)
    systems = 2 * sum(held.sizes) * (k + 1) ** 3 / 3
    return (2 * ratings * (k * (k + 1) / 2 + 2 * k) + 2 * entries * (2 * k * k + 8 * k) + systems) / 1e9


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="movielens", choices=["movielens", "goodbooks"])
    parser.add_argument("--factors", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--flat-users", type=int, help="users whose rows are written out; default all, 0 for none")
    parser.add_argument("--sweeps", type=int, default=10, help="sweeps of which the quickest counts")
    chosen = parser.parse_args()
    held = HeldOut.load(chosen.set)
    train, y = held.sets(hierarchical=False).select(~held.test), held.y[~held.test]
    hierarchical = held.rated_sets.select(~held.test)
    spread = float(y.std())
    y = ((y - y.mean()) / spread).astype(np.float32)
    threads = count_threads(None)
    peak = gemm_speed(threads)
    entries = [table.nnz for table in held.tables]
    print(
        f"{held.name}: {len(y):,} ratings, tables of {entries[0]:,} and {entries[1]:,} entries, "
        f"{threads} threads, sgemm {peak:.0f} Gflop/s\n"
    )
    rows, seconds = [], {}
    for k in chosen.factors:
        seconds[k] = time_fmkit(train, y, k, threads, n=chosen.sweeps)
        one = time_fmkit(train, y, k, 1, n=chosen.sweeps)
        faster = time_fmkit(hierarchical, y, k, threads, n=chosen.sweeps)
        by_vb = time_fmkit(hierarchical, y, k, threads, "vb", n=chosen.sweeps)
        theirs = time_myfm(held, k, chosen.sweeps)
        speed = gflop(held, k) / seconds[k]
        rows.append([k, seconds[k], one, faster, by_vb, theirs, theirs / seconds[k], theirs / faster, f"{speed:.0f}"])
        rows[-1][-1] += f" ({speed / peak:.0%})"
    headers = ["k", "Gibbs, s", "one thread", "hierarchical, s", "VB, s", "myFM (one core), s"]
    headers += ["times", "times, hierarchical"]
    print(tabulate(rows, [*headers, "Gflop/s (of sgemm)"], floatfmt=".3g"), end="\n\n", flush=True)

    if chosen.flat_users != 0:
        in_train = np.flatnonzero(~held.test)
        n_users = held.sizes[0]
        users = np.random.default_rng(0).permutation(n_users)[: chosen.flat_users or n_users]
        some = np.isin(held.user[in_train], users)
        began = time.perf_counter()
        flat = written_out(held, in_train[some])
        built = time.perf_counter() - began
        of_user, of_item = (np.diff(table.indptr) for table in held.tables)
        of_row = of_user[held.user[in_train]] + of_item[held.item[in_train]]
        share, whole = int(of_row[some].sum()), int(of_row.sum())
        k = chosen.factors[0]
        swept = time_fmkit(flat, y[some], k, threads, n=1)
        scaled = swept * whole / share
        print(
            f"Written out: {share:,} of {whole:,} entries, {len(flat.fields):,} fields found in {built:.0f} s. "
            f"A Gibbs sweep, k={k}: {swept:.2f} s, for all {scaled:.2f} s, {scaled / seconds[k]:.0f} times the blocks'."
        )


if __name__ == "__main__":
    main()
