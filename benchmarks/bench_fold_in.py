"""10,000 new users of 20 ratings each, folded into a model of 32 factors, by every solver's model.

    python benchmarks/bench_fold_in.py

Beside the same systems by numpy, one user after the other, and all at once as stacks (ridge).
"""

import time
from typing import Any

import numpy as np
from scipy import sparse
from tabulate import tabulate

from fmkit import Design, FMRegressor
from fmkit.threads import count_threads

N_ITEMS, N_USERS, N_NEW, EACH, K = 5_000, 2_000, 10_000, 20, 32


def seconds(work: Any) -> float:
    """Best of three runs, after one that compiles."""
    best = float("inf")
    for run in range(4):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start) if run else best
    return best


def one_by_one(model: Any, items: Any, y: Any) -> Any:
    """A numpy solve a user."""
    penalty = np.append(np.full(K, model.penalties_.factors[0]), model.penalties_.linear[0])
    w, V = model.machine_.linear[N_USERS:], model.machine_.factors[N_USERS:]
    found = np.empty((N_NEW, K + 1))
    for j in range(N_NEW):
        mine = items[EACH * j : EACH * (j + 1)]
        z = np.column_stack([V[mine], np.ones(EACH)])
        rest = y[EACH * j : EACH * (j + 1)] - model.machine_.bias - w[mine]
        found[j] = np.linalg.solve(z.T @ z + np.diag(penalty), z.T @ rest)
    return found


def stacked(model: Any, items: Any, y: Any) -> Any:
    """All systems as one stack."""
    penalty = np.append(np.full(K, model.penalties_.factors[0]), model.penalties_.linear[0])
    w, V = model.machine_.linear[N_USERS:], model.machine_.factors[N_USERS:]
    z = np.concatenate([V[items], np.ones((len(items), 1), np.float32)], axis=1).reshape(N_NEW, EACH, K + 1)
    rest = (y - model.machine_.bias - w[items]).reshape(N_NEW, EACH, 1)
    return np.linalg.solve(z.transpose(0, 2, 1) @ z + np.diag(penalty), z.transpose(0, 2, 1) @ rest)


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(N_USERS), 50), rng.integers(0, N_ITEMS, 50 * N_USERS)
    y = rng.integers(1, 11, len(users)) / 2 + rng.standard_normal(N_ITEMS)[items]
    design = Design.from_codes([users, items], [N_USERS, N_ITEMS])
    codes, of_new = np.repeat(np.arange(N_NEW), EACH), rng.integers(0, N_ITEMS, EACH * N_NEW)
    ratings = rng.integers(1, 11, len(codes)) / 2.0
    one = np.ones(len(codes), np.float32)
    X = sparse.csr_array((one, of_new + N_USERS, np.arange(len(codes) + 1)), (len(codes), design.n_features))
    numeric = sparse.csr_array(sparse.hstack([X[:, :-1], rng.random((len(codes), 1)).astype(np.float32)]))
    rows = []
    for solver, sweeps in (("als", 5), ("vb", 5), ("mcmc", 10)):
        model = FMRegressor(K, solver=solver, max_iter=sweeps, random_state=0).fit(design, y)
        for name, known in (("an item", X), ("an item and a number", numeric)):
            took = seconds(lambda: model.fold_in(known, ratings, codes, like=0))  # noqa: B023
            rows.append([f"fmkit, {solver}", name, took, 1e6 * took / N_NEW])
        if solver == "als":
            for name, way in (("numpy, a solve each", one_by_one), ("numpy, stacked", stacked)):
                took = seconds(lambda: way(model, of_new, ratings))  # noqa: B023
                rows.append([name, "an item", took, 1e6 * took / N_NEW])
            new = model.fold_in(X, ratings, codes, like=0)
            apart = np.abs(np.column_stack([new.factors, new.linear]) - one_by_one(model, of_new, ratings)).max()
    print(f"{N_NEW:,} new users x {EACH} ratings, k = {K}, {count_threads(None)} threads")
    print(tabulate(rows, ["", "a row is", "seconds", "microseconds a user"], floatfmt=".3g"))
    print(f"largest difference from numpy's float64 solutions: {apart:.1e}")


if __name__ == "__main__":
    main()
