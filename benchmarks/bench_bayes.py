"""Held-out accuracy of every exact solver on MovieLens latest-small and goodbooks, beside myFM, with defaults.

    python benchmarks/bench_bayes.py          # 45 minutes; needs pip install 'fmkit[benchmarks]'
    python benchmarks/bench_bayes.py --sets movielens --rows 'ids|VB' --seeds 0

A row is the mean of three fits, random_state 0, 1, 2 (of `--seeds`). "In 90 %": share of the held-out ratings inside
`predict_interval`. "Rated sets": the items that a user rated, and the users who rated an item, as hierarchical blocks.
The test part is the first tenth of numpy.random.RandomState(42).permutation(n).
"""

import argparse
import io
import re
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

import numpy as np
from held_out import HeldOut, myfm
from sklearn.metrics import log_loss, roc_auc_score
from tabulate import tabulate

from fmkit import Design, FMClassifier, FMOrdinal, FMRegressor

Scores = list[float | None]
MYFM_SWEEPS = {"movielens": 300, "goodbooks": 200}  # of its figures that went round before


def clock(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` returns, and the seconds that it took."""
    start = time.perf_counter()
    with redirect_stderr(io.StringIO()):  # myFM's progress bars
        result = work()
    return result, time.perf_counter() - start


def regress(model: Any, held: HeldOut, design: Design) -> Scores:
    """RMSE, clipped RMSE, share inside the interval, seconds."""
    _, seconds = clock(lambda: model.fit(design.select(~held.test), held.y[~held.test]))
    test, y = design.select(held.test), held.y[held.test]
    predicted = model.predict_mean(test) if isinstance(model, FMOrdinal) else model.predict(test)
    inside = None
    if isinstance(model, FMRegressor) and model.posterior_ is not None:
        low, high = model.predict_interval(test)
        inside = float(np.mean((low <= y) & (y <= high)))
    return [held.rmse(predicted), held.clipped_rmse(predicted), inside, seconds]


def regress_by_myfm(model: Any, held: HeldOut, blocks: bool, n_iter: int) -> Scores:
    """The same of myFM."""
    X, relations, shapes = held.of_myfm(~held.test, blocks)
    y, levels = held.y[~held.test], np.unique(held.y)
    if isinstance(model, myfm.MyFMOrderedProbit):
        y = np.searchsorted(levels, y)
    _, seconds = clock(lambda: model.fit(X, y, X_rel=relations, n_iter=n_iter, group_shapes=shapes))
    X, relations, _ = held.of_myfm(held.test, blocks)
    if isinstance(model, myfm.MyFMOrderedProbit):
        predicted = model.predict_proba(X, relations) @ levels
    else:
        predicted = model.predict(X, relations)
    return [held.rmse(predicted), held.clipped_rmse(predicted), None, seconds]


def rows_of_ratings(held: HeldOut, n_iter: int | None) -> dict[str, Callable[[int], Scores]]:
    """Name and one fit of a seed, of every row of the table of ratings."""

    def ours(design: str, k: int, make: Any = FMRegressor, **parameters: Any) -> Callable[[int], Scores]:
        sweeps = {} if n_iter is None else {"max_iter": n_iter}
        return lambda seed: regress(make(k, random_state=seed, **parameters, **sweeps), held, getattr(held, design))

    def theirs(make: Any, k: int, blocks: bool, sweeps: int) -> Callable[[int], Scores]:
        return lambda seed: regress_by_myfm(make(k, random_seed=seed), held, blocks, n_iter or sweeps)

    rows = {"ids, ALS k=8": ours("ids", 8), "ids, ALS k=16": ours("ids", 16)}
    rows |= {f"ids, ALS average=True k={k}": ours("ids", k, average=True) for k in (8, 16)}
    rows |= {f"ids, VB k={k}": ours("ids", k, solver="vb") for k in (8, 16)}
    rows |= {f"ids, MCMC k={k}": ours("ids", k, solver="mcmc") for k in (8, 16)}
    rows["ids, FMOrdinal k=8"] = ours("ids", 8, FMOrdinal)
    rows |= {f"rated sets, VB k={k}": ours("rated_sets", k, solver="vb") for k in (8, 16)}
    rows |= {f"rated sets, MCMC k={k}": ours("rated_sets", k, solver="mcmc") for k in (8, 16)}
    if held.name == "movielens":
        what = "rated sets, genres, year, day"
        rows |= {f"{what}, MCMC k={k}": ours("all_known", k, solver="mcmc") for k in (8, 16)}
    sweeps = MYFM_SWEEPS[held.name]
    rows["myFM, ids, variational k=8"] = theirs(myfm.VariationalFMRegressor, 8, False, sweeps)
    rows["myFM, ids, Gibbs k=8"] = theirs(myfm.MyFMRegressor, 8, False, sweeps)
    rows["myFM, ids, ordered probit k=8"] = theirs(myfm.MyFMOrderedProbit, 8, False, 200)
    rows["myFM, rated sets, Gibbs k=8"] = theirs(myfm.MyFMRegressor, 8, True, sweeps)
    return rows


def rows_of_classes(held: HeldOut, n_iter: int | None) -> dict[str, Callable[[int], Scores]]:
    """The same of the table of ratings of 4 and more."""
    liked, test = held.y >= 4, held.test

    def ours(design: str, k: int, **parameters: Any) -> Callable[[int], Scores]:
        def run(seed: int) -> Scores:
            sweeps = {} if n_iter is None else {"max_iter": n_iter}
            model = FMClassifier(k, random_state=seed, **parameters, **sweeps)
            X = getattr(held, design)
            _, seconds = clock(lambda: model.fit(X.select(~test), liked[~test]))
            chances = model.predict_proba(X.select(test))[:, 1]
            return [roc_auc_score(liked[test], chances), log_loss(liked[test], chances), seconds]

        return run

    def theirs(seed: int) -> Scores:
        X, _, shapes = held.of_myfm(~test, False)
        model = myfm.MyFMClassifier(8, random_seed=seed)
        _, seconds = clock(
            lambda: model.fit(X, liked[~test], n_iter=n_iter or MYFM_SWEEPS[held.name], group_shapes=shapes)
        )
        chances = model.predict_proba(held.of_myfm(test, False)[0])
        return [roc_auc_score(liked[test], chances), log_loss(liked[test], chances), seconds]

    return {
        "ids, ALS k=8": ours("ids", 8),
        "ids, MCMC k=8": ours("ids", 8, solver="mcmc"),
        "ids, VB k=8": ours("ids", 8, solver="vb"),
        "rated sets, MCMC k=8": ours("rated_sets", 8, solver="mcmc"),
        "myFM, ids, probit k=8": theirs,
    }


def table(rows: dict[str, Callable[[int], Scores]], wanted: str, seeds: list[int], headers: list[str]) -> None:
    """Print the rows whose names hold `wanted`: means over the seeds, seconds of the quickest fit."""
    lines = []
    for name, run in rows.items():
        if re.search(wanted, name):
            scores = [run(seed) for seed in seeds]
            *columns, seconds = zip(*scores, strict=True)
            means = [None if None in column else float(np.mean(column)) for column in columns]
            lines.append([name, *means, float(np.ptp(columns[0])), min(seconds)])
    formats = ("", *[".4f"] * (len(headers) - 2), ".1f")
    print(tabulate(lines, headers, floatfmt=formats, missingval="-"), end="\n\n", flush=True)


def main() -> None:
    """Print a table of ratings and one of classes a set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=["movielens", "goodbooks"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", default="", help="rows whose name this regular expression finds")
    parser.add_argument("--tables", nargs="+", default=["ratings", "classes"], choices=["ratings", "classes"])
    parser.add_argument("--max-iter", type=int, help="sweeps of every fit, to try this file out")
    chosen = parser.parse_args()
    for name in chosen.sets:
        held = HeldOut.load(name)
        warm = Design.from_codes([[0, 1], [1, 0]])
        for solver in ("als", "vb", "mcmc"):  # compiles the kernels
            FMRegressor(2, solver=solver, max_iter=2).fit(warm, [1, 2])
        if "ratings" in chosen.tables:
            headers = [
                f"{name}, {held.test.sum():,} held out",
                "RMSE",
                "clipped",
                "in 90 %",
                "range of RMSE",
                "s a fit",
            ]
            table(rows_of_ratings(held, chosen.max_iter), chosen.rows, chosen.seeds, headers)
        if "classes" in chosen.tables:
            headers = [f"{name}, rating >= 4", "AUC", "log loss", "range of AUC", "s a fit"]
            table(rows_of_classes(held, chosen.max_iter), chosen.rows, chosen.seeds, headers)


if __name__ == "__main__":
    main()
