"""Machines of other interactions: seconds an epoch beside libffm, and what they reach on a table.

    python benchmarks/bench_interactions.py speed   # about two minutes; beside libffm with `pip install pylibffm`
    python benchmarks/bench_interactions.py adult   # half a minute
    python benchmarks/bench_interactions.py ml      # half a minute

Speed: epochs of one thread, in processor seconds, the quickest of three, over rows of as many one-hot fields; libffm's
are the time that three epochs more take. `--scale 1` is all 10M rows of two fields and 1M of twenty.

adult: a fifth of the rows held out, mean of three seeds; all but the trees and the first row see `TableEncoder`'s
columns, with a field a column of the table. Defaults, but for 8 factors. ml: a tenth of MovieLens latest-small's
ratings held out, likewise, with the film's genres and year and the hour, month and year of the rating.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tabulate import tabulate

from fmkit import Design, FMClassifier, FMRegressor, TableEncoder
from fmkit.datasets import load_adult, load_movielens_small
from fmkit.interactions.solver import MACHINES, fit_interactions
from fmkit.solvers.groups import find_groups
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import column_units, scaled_penalties
from fmkit.solvers.sgd import sgd

FACTORS = 8


def seconds_an_epoch(kind: str, design: Design, y: NDArray[np.float32], k: int) -> float:
    """Of one thread, the quickest of three after the first."""
    units, rng = column_units(design, None), np.random.default_rng(0)
    objective = Objective(design, y, None, scaled_penalties(design, None, units, 3.0, 0.9, 0.25, 2.2), True)
    options: dict[str, Any] = {"learning_rate": 0.1, "spread": 2.2, "random_state": rng, "n_threads": 1}
    if kind == "fm":
        from fmkit import FactorizationMachine

        factors = 0.1 * rng.standard_normal((design.n_features, k), dtype=np.float32)
        plain = FactorizationMachine(0.0, np.zeros(design.n_features, np.float32), factors)
        epochs: Any = sgd(objective, plain, units, **options)
    else:
        machine = MACHINES[kind].begin(design, k, 0.0, 0.1, 2.2, units, rng)
        epochs = fit_interactions(objective, machine, units, **options)
    next(epochs)
    return min(processor_seconds(lambda: next(epochs)) for _ in range(3))


def processor_seconds(work: Callable[[], Any]) -> float:
    """Of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def seconds_of_libffm(X: Any, y: NDArray[np.float32], fields: NDArray[np.int32], k: int) -> float:
    """Of an epoch, or NaN where pylibffm is not installed."""
    try:
        import pylibffm
    except ImportError:
        return float("nan")
    with tempfile.TemporaryDirectory() as folder:
        matrix = sparse.csr_matrix(X)
        matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
        path, _ = pylibffm.make_bin(folder, matrix, y, fields)

        def train(n_epochs: int) -> None:
            pylibffm.train_with_bin(path, {"nr_iters": n_epochs, "k": k})

        few, many = (min(processor_seconds(partial(train, n)) for _ in range(2)) for n in (1, 4))
    return (many - few) / 3


def speed(scale: float) -> None:
    """Seconds an epoch."""
    rows = []
    for n_rows, levels in ((10_000_000, [70_000, 10_000]), (1_000_000, [5000] * 20), (1_000_000, [50] * 20)):
        n, rng = int(n_rows * scale), np.random.default_rng(0)
        # Few levels are frequent, most are rare.
        codes = [np.minimum(rng.random(n) ** 2 * m, m - 1).astype(np.int32) for m in levels]
        y = (rng.random(n) < 0.3).astype(np.float32)
        design = Design.from_codes(codes, levels)
        fields = np.repeat(np.arange(len(levels), dtype=np.int32), levels)
        told = [seconds_an_epoch(kind, design, y, 4) for kind in ("fm", *MACHINES)]
        libffm = seconds_of_libffm(design.to_csr(), y, fields, 4)
        rows.append([f"{n:,} rows, {len(levels)} fields of {levels[0]:,}", *told, libffm, libffm / told[1]])
    print(tabulate(rows, ["4 factors", "fm", *MACHINES, "libffm", "libffm / ffm"], floatfmt=".2f"))


def adult() -> None:
    """Log loss and AUC of what a fifth of adult's people earn."""
    X, y = load_adult(return_X_y=True, as_frame=True)
    y = np.asarray(y) == ">50K"
    numbers = list(X.select_dtypes("number"))
    texts = [name for name in X if name not in numbers]
    table = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), (StandardScaler(), numbers))
    results: dict[str, list[list[float]]] = {}
    for seed in range(3):
        train, test = train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed)
        encoder = TableEncoder().fit(X.iloc[train], y[train])
        A, B = encoder.transform(X.iloc[train]), encoder.transform(X.iloc[test])

        def tell(name: str, model: Any, A: Any, B: Any, size: float, train: Any = train, test: Any = test) -> None:
            start = time.perf_counter()
            p = model.fit(A, y[train]).predict_proba(B)[:, 1]
            row = [log_loss(y[test], p), roc_auc_score(y[test], p), time.perf_counter() - start, size]
            results.setdefault(name, []).append(row)

        linear = make_pipeline(table, LogisticRegression(max_iter=1000))
        tell("LogisticRegression", linear, X.iloc[train], X.iloc[test], float("nan"))
        tell("LogisticRegression, encoded", LogisticRegression(max_iter=1000), A, B, A.shape[1])
        trees = HistGradientBoostingClassifier(categorical_features=texts, random_state=seed)
        codes = X.assign(**{name: X[name].astype("category") for name in texts})
        tell("HistGradientBoosting", trees, codes.iloc[train], codes.iloc[test], float("nan"))
        for kind in ("fm", *MACHINES):
            model = FMClassifier(FACTORS, solver="sgd", interaction=kind, fields=encoder.fields_, random_state=seed)
            vectors = {"ffm": len(encoder.features_), "anova3": 2}.get(kind, 1)
            tell(kind, model, A, B, A.shape[1] * vectors * FACTORS)
        model = FMClassifier(FACTORS, solver="sgd", interaction="ffm", random_state=seed)
        tell(
            "ffm, fields found", model, A, B, A.shape[1] * (int(find_groups(Design.from_matrix(A)).max()) + 1) * FACTORS
        )
    rows = [[name, *np.mean(told, axis=0)] for name, told in results.items()]
    print(tabulate(rows, ["adult", "log loss", "AUC", "s", "factors"], floatfmt=(".1f", ".4f", ".4f", ".1f", ",.0f")))


def ratings() -> None:
    """RMSE of ratings by whom, of what, and when."""
    bunch = load_movielens_small(as_frame=True)
    table = bunch.frame.merge(bunch.movies, on="movieId", how="left")
    when = pd.to_datetime(table["timestamp"], unit="s").dt
    X = pd.DataFrame(
        {
            "user": "u" + table["userId"].astype(str),
            "movie": "m" + table["movieId"].astype(str),
            "genres": table["genres"].where(table["genres"] != "(no genres listed)", ""),
            "year": pd.to_numeric(table["title"].str.extract(r"\((\d{4})\)\s*$")[0]),
            "hour": when.hour.astype(str),
            "month": when.month.astype(str),
            "rated": when.year.astype(float),
        }
    )
    y = table["rating"].to_numpy()
    results: dict[str, list[list[float]]] = {}
    for seed in range(3):
        train, test = train_test_split(np.arange(len(y)), test_size=0.1, random_state=seed)
        encoder = TableEncoder().fit(X.iloc[train], y[train])
        A, B = encoder.transform(X.iloc[train]), encoder.transform(X.iloc[test])
        for kind in ("fm by ALS", "fm", *MACHINES):
            how = {"solver": "als"} if kind == "fm by ALS" else {"solver": "sgd", "interaction": kind}
            start = time.perf_counter()
            model = FMRegressor(FACTORS, **how, fields=encoder.fields_, random_state=seed).fit(A, y[train])
            rmse = float(np.sqrt(np.mean((np.clip(model.predict(B), 0.5, 5) - y[test]) ** 2)))
            vectors = {"ffm": len(encoder.features_), "anova3": 2}.get(kind, 1)
            row = [rmse, time.perf_counter() - start, A.shape[1] * vectors * FACTORS]
            results.setdefault(kind, []).append(row)
    rows = [[name, *np.mean(told, axis=0)] for name, told in results.items()]
    print(tabulate(rows, ["MovieLens latest-small", "RMSE", "s", "factors"], floatfmt=(".1f", ".4f", ".1f", ",.0f")))


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=["speed", "adult", "ml"])
    parser.add_argument("--scale", type=float, default=0.2)
    arguments = parser.parse_args()
    if arguments.table == "speed":
        speed(arguments.scale)
    else:
        {"adult": adult, "ml": ratings}[arguments.table]()


if __name__ == "__main__":
    main()
