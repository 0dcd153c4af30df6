"""Held-out accuracy on MovieLens latest-small, user and item ids only, beside what else fits the same matrix.

    python benchmarks/bench_accuracy.py       # a minute; needs pip install 'fmkit[benchmarks]'

myFM samples (MCMC, 8 factors, 200 iterations, one seed); the others are point estimates.
The test part is the field's: the first tenth of numpy.random.RandomState(42).permutation(n). Predictions are not
clipped to the range of the ratings.
"""

import time
from typing import Any

import numpy as np
from myfm import MyFMClassifier, MyFMRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import OneHotEncoder
from tabulate import tabulate

from fmkit import FMClassifier, FMRegressor
from fmkit.datasets import load_movielens_small

SEEDS = (0, 1, 2)


def fitted(make: Any, X: Any, y: Any) -> tuple[list[Any], float]:
    """A model a seed, and the seconds of the quickest fit."""
    models, seconds = [], []
    for seed in SEEDS:
        start = time.perf_counter()
        models.append(make(seed).fit(X, y))
        seconds.append(time.perf_counter() - start)
    return models, min(seconds)


def fitted_by_myfm(model: Any, X: Any, y: Any) -> tuple[Any, float]:
    """The model, fitted with users and items as groups, and the seconds that it took."""
    start = time.perf_counter()
    model.fit(X.astype(np.float64), y, n_iter=200, group_shapes=[610, X.shape[1] - 610])
    return model, time.perf_counter() - start


def main() -> None:
    """Print both tables."""
    X, y = load_movielens_small(return_X_y=True)
    test = np.zeros(len(y), bool)
    test[np.random.RandomState(42).permutation(len(y))[: len(y) // 10]] = True
    X = OneHotEncoder().fit_transform(X).tocsr()
    train, held, y = X[~test], X[test], np.asarray(y, np.float64)

    rows = []
    for name, make in {
        "FMRegressor()": lambda seed: FMRegressor(random_state=seed),
        "FMRegressor(8)": lambda seed: FMRegressor(8, random_state=seed),
        'FMRegressor(solver="sgd")': lambda seed: FMRegressor(solver="sgd", random_state=seed),
        'FMRegressor(solver="sgd", n_jobs=2)': lambda seed: FMRegressor(solver="sgd", n_jobs=2, random_state=seed),
        "scikit-learn Ridge(3)": lambda seed: Ridge(3.0, random_state=seed),
    }.items():
        models, seconds = fitted(make, train, y[~test])
        errors = [float(np.sqrt(np.mean((m.predict(held) - y[test]) ** 2))) for m in models]
        rows.append([name, errors[0], np.mean(errors), seconds])
    sampled, seconds = fitted_by_myfm(MyFMRegressor(8, random_seed=0), train, y[~test])
    rows.append(["myFM, MCMC", float(np.sqrt(np.mean((sampled.predict(held) - y[test]) ** 2))), None, seconds])
    print(tabulate(rows, ["ratings", "RMSE, random_state=0", "mean of 3", "s a fit"], floatfmt=".4f"), end="\n\n")

    rows, liked = [], y >= 4
    for name, make in {
        "FMClassifier()": lambda seed: FMClassifier(random_state=seed),
        "FMClassifier(32)": lambda seed: FMClassifier(32, random_state=seed),
        'FMClassifier(solver="sgd")': lambda seed: FMClassifier(solver="sgd", random_state=seed),
        'FMClassifier(32, solver="sgd")': lambda seed: FMClassifier(32, solver="sgd", random_state=seed),
        "scikit-learn LogisticRegression()": lambda seed: LogisticRegression(max_iter=1000, random_state=seed),
    }.items():
        models, seconds = fitted(make, train, liked[~test])
        chances = [m.predict_proba(held)[:, 1] for m in models]
        auc = [roc_auc_score(liked[test], p) for p in chances]
        loss = [log_loss(liked[test], p) for p in chances]
        rows.append([name, auc[0], loss[0], np.mean(auc), np.mean(loss), seconds])
    sampled, seconds = fitted_by_myfm(MyFMClassifier(8, random_seed=0), train, liked[~test])
    p = sampled.predict_proba(held)
    rows.append(["myFM, MCMC, probit", roc_auc_score(liked[test], p), log_loss(liked[test], p), None, None, seconds])
    headers = ["rating >= 4", "AUC, random_state=0", "log loss", "mean AUC of 3", "mean log loss", "s a fit"]
    print(tabulate(rows, headers, floatfmt=".4f"))


if __name__ == "__main__":
    main()
