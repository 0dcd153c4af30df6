"""Sweeps of squared loss over all pairs, 10 million of them seen, beside implicit's ALS; and with features.

    python benchmarks/bench_implicit.py [--pairs 1e7] [--factors 64] [--threads 2] [--sweeps 3]   # fmkit[benchmarks]

Both start from the same factors and make the same passes, by Cholesky factorisation, on the same objective: implicit's
seen pairs weigh A and aim at 1, the unseen weigh 1. Ours with seen weights A - 1 beside 1 for all pairs aims at
g = (A - 1) / A, so its factors are those of implicit times sqrt(g), with a penalty of g times the other's.
"""

import argparse
import time
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from fmkit import Design, RelationBlock
from fmkit.ranking.implicit import Implicit, Objective
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.side import Side

N_USERS, N_ITEMS = 70_000, 10_000
ALPHA, PENALTY = 5.0, 10.0
G = (ALPHA - 1) / ALPHA


def make_pairs(n: int) -> Pairs:
    """Users and items by a square law of popularity."""
    rng = np.random.default_rng(0)
    draws = int(1.25 * n)
    users = rng.integers(0, N_USERS, draws)
    items = (N_ITEMS * rng.random(draws) ** 2).astype(np.int64)
    cells = rng.permutation(np.unique(users * N_ITEMS + items))[:n]
    return Pairs.of(np.stack([cells // N_ITEMS, cells % N_ITEMS], axis=1), N_USERS, N_ITEMS)


def objective(pairs: Pairs, X: Any, Y: Any) -> float:
    """Implicit's, in float64."""
    X, Y = X.astype(float), Y.astype(float)
    seen = 0.0
    for start in range(0, len(pairs), 1 << 20):
        some = np.s_[start : start + (1 << 20)]
        s = np.einsum("ij,ij->i", X[pairs.queries[some]], Y[pairs.items[some]])
        seen += float((ALPHA * (1 - s) ** 2 - s**2).sum())
    penalty = PENALTY * (np.square(X).sum() + np.square(Y).sum())
    return seen + float(((X.T @ X) * (Y.T @ Y)).sum()) + penalty


def timed(sweeps: Any, n: int) -> tuple[float, float]:
    """Seconds of wall and of processor a sweep, after one that is not counted."""
    next(sweeps)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(n):
        next(sweeps)
    return (time.perf_counter() - wall) / n, (time.process_time() - processor) / n


def ours(pairs: Pairs, queries: Design, items: Design, start: Any, objective: Objective, n_threads: int) -> Any:
    """A solver whose ids begin with given factors."""
    machine = RankingMachine.random(
        queries.n_features, items.n_features, start[0].shape[1], 0.01, np.random.default_rng(1)
    )
    machine.query_factors[:N_USERS], machine.item_factors[:N_ITEMS] = start
    solver = Implicit(Side.of(queries, pairs), Side.of(items, pairs.transposed), machine, objective, n_threads)
    return machine, iter(solver)


def with_features(pairs: Pairs) -> tuple[Pairs, Design, Design]:
    """A context of 8 levels beside the user, two features of 20 and 100 levels beside the item."""
    rng = np.random.default_rng(2)
    context = rng.integers(0, 8, len(pairs))
    rows, row = np.unique(pairs.queries.astype(np.int64) * 8 + context, return_inverse=True)
    in_context = Pairs.of(np.stack([row, pairs.items], axis=1), len(rows), N_ITEMS)
    features = [np.eye(n, dtype=np.float32)[rng.integers(0, n, N_ITEMS)] for n in (20, 100)]
    items = Design.from_matrix(sparse.hstack([sparse.eye_array(N_ITEMS), *features], format="csr"))
    users = RelationBlock(Design.from_codes([np.arange(N_USERS)]), rows // 8)
    return in_context, Design.from_blocks([users], Design.from_codes([rows % 8])), items


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, default=1e7)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sweeps", type=int, default=3)
    arguments = parser.parse_args()
    pairs, k, n = make_pairs(int(arguments.pairs)), arguments.factors, arguments.sweeps
    rng = np.random.default_rng(0)
    start = [(rng.standard_normal((size, k)) / k).astype(np.float32) for size in (N_USERS, N_ITEMS)]
    ids = Design.from_codes([np.arange(N_USERS)]), Design.from_codes([np.arange(N_ITEMS)])
    told = Objective(unseen=1.0, reg=G * PENALTY, power=0)
    weighted = Pairs(N_USERS, N_ITEMS, pairs.before, pairs.items, np.full(len(pairs), ALPHA - 1, np.float32))
    rows = []
    with threadpool_limits(1, "blas"):
        machine, sweeps = ours(weighted, *ids, [np.sqrt(np.float32(G)) * f for f in start], told, arguments.threads)
        plain = timed(sweeps, n)
        X, Y = (f / np.sqrt(G) for f in (machine.query_factors, machine.item_factors))
        rows.append(["fmkit, ids", *plain, 1.0, objective(pairs, X, Y)])
        model = AlternatingLeastSquares(
            k, regularization=PENALTY, alpha=ALPHA, iterations=1, use_cg=False, num_threads=arguments.threads
        )
        model.user_factors, model.item_factors = (f.copy() for f in start)
        matrix = sparse.csr_matrix(pairs.csr)

        def passes() -> Any:
            while True:
                model.fit(matrix, show_progress=False)
                yield

        theirs = timed(passes(), n)
        rows.append(
            ["implicit", *theirs, theirs[1] / plain[1], objective(pairs, model.user_factors, model.item_factors)]
        )
        in_context, queries, items = with_features(pairs)
        _, sweeps = ours(in_context, queries, items, start, Objective(1.0, 0.01), arguments.threads)
        featured = timed(sweeps, n)
        rows.append(["fmkit, 2 item features and a context", *featured, featured[1] / plain[1], None])
    print(f"{len(pairs):,} pairs, {k} factors, {arguments.threads} threads, after {n + 1} sweeps")
    print(
        tabulate(
            rows,
            ["", "s a sweep", "CPU s", "times fmkit's ids", "objective"],
            floatfmt=("", ".2f", ".2f", ".2f", ".6g"),
        )
    )


if __name__ == "__main__":
    main()
