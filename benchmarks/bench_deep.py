"""Multilayer perceptrons beside scikit-learn's, skorch's, gradient boosting and factorization machines.

    python benchmarks/bench_deep.py digits                     # fmkit[benchmarks,deep]
    python benchmarks/bench_deep.py fashion [PATH]
    python benchmarks/bench_deep.py adult
    python benchmarks/bench_deep.py movielens

PATH is what `fmkit.datasets.fetch_fashion_mnist` reads; without it, the set is downloaded.

Three seeds each; the processor's seconds, by one thread. Settings that differ from the defaults were chosen on parts of
the training rows; the test rows were looked at here alone.

digits: a rival is asked how many epochs it needs until the mean accuracy on a quarter of the rows is .97, and what
these cost; so a schedule comes to its end each time.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as ScikitLearnMLP
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from fmkit import FMRegressor
from fmkit.datasets import fetch_fashion_mnist, load_adult, load_movielens_small
from fmkit.deep import MLPClassifier, MLPRegressor

SEEDS = (0, 1, 2)
Score = Callable[[Any, Any, Any], float]


def accuracy(model: Any, X: Any, y: Any) -> float:
    return float(np.mean(model.predict(X) == y))


def loss(model: Any, X: Any, y: Any) -> float:
    return float(log_loss(y, model.predict_proba(X), labels=model.classes_))


def auc(model: Any, X: Any, y: Any) -> float:
    return float(roc_auc_score(y, model.predict_proba(X)[:, 1]))


def rmse(model: Any, X: Any, y: Any) -> float:
    return float(root_mean_squared_error(y, model.predict(X)))


def judged(make: Callable[[int], Any], train: Any, test: Any, *scores: Score) -> list[float]:
    """Processor seconds of a fit, and scores, means over the seeds."""
    rows = []
    for seed in SEEDS:
        model = make(seed)
        start = time.process_time()
        model.fit(*train)
        rows.append([time.process_time() - start, *(score(model, *test) for score in scores)])
    return [float(mean) for mean in np.mean(rows, axis=0)]


def skorch_net(epochs: int, seed: int, rate: float, batch_size: int) -> Any:
    from skorch import NeuralNetClassifier

    def module() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))

    torch.manual_seed(seed)
    net = NeuralNetClassifier(
        module,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=rate,
        batch_size=batch_size,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
    )
    narrow = FunctionTransformer(lambda X: X.astype(np.float32))
    return make_pipeline(StandardScaler(), narrow, net)


def digits(_: argparse.Namespace) -> None:
    X, y = load_digits(return_X_y=True)
    train_X, test_X, train_y, test_y = train_test_split(X, y, test_size=0.25, random_state=42, stratify=y)
    rivals: dict[str, Callable[[int], Callable[[int], Any]]] = {
        "fmkit": lambda n: lambda seed: MLPClassifier(max_epochs=n, random_state=seed),
        "fmkit, (100,), constant .01, batches of 64": lambda n: (
            lambda seed: MLPClassifier(
                (100,), schedule="constant", learning_rate=0.01, batch_size=64, max_epochs=n, random_state=seed
            )
        ),
        "scikit-learn MLPClassifier": lambda n: (
            lambda seed: make_pipeline(StandardScaler(), ScikitLearnMLP(max_iter=n, random_state=seed))
        ),
        "its learning_rate_init=.01": lambda n: (
            lambda seed: make_pipeline(
                StandardScaler(), ScikitLearnMLP(learning_rate_init=0.01, max_iter=n, random_state=seed)
            )
        ),
        "skorch, Adam": lambda n: lambda seed: skorch_net(n, seed, 0.001, 128),
        "its lr=.005, batch_size=32": lambda n: lambda seed: skorch_net(n, seed, 0.005, 32),
    }
    rows = []
    for name, rival in rivals.items():
        judged(rival(1), (train_X, train_y), (test_X, test_y))  # what loads late
        for n in (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 80, 120, 160, 200):
            seconds, reached = judged(rival(n), (train_X, train_y), (test_X, test_y), accuracy)
            if reached >= 0.97 or n == 200:
                rows.append([name, n, seconds, reached])
                break
    print(tabulate(rows, ["", "epochs", "CPU s", "accuracy"], floatfmt=("", "", ".3f", ".4f")))


def fashion(arguments: argparse.Namespace) -> None:
    bunch = fetch_fashion_mnist(arguments.path)
    train = bunch.data.reshape(60_000, 784), bunch.target
    test = bunch.test_data.reshape(10_000, 784), bunch.test_target
    rows = [
        ["fmkit", *judged(lambda seed: MLPClassifier(random_state=seed), train, test, accuracy)],
        [
            "fmkit, hidden_layer_sizes=(256, 128), max_epochs=15",
            *judged(lambda seed: MLPClassifier((256, 128), max_epochs=15, random_state=seed), train, test, accuracy),
        ],
    ]
    if arguments.rivals:

        def sklearn(seed: int) -> Any:
            return make_pipeline(StandardScaler(), ScikitLearnMLP((256,), max_iter=10, random_state=seed))

        rows.append(["scikit-learn MLPClassifier, ten epochs", *judged(sklearn, train, test, accuracy)])
    print(tabulate(rows, ["", "CPU s", "accuracy"], floatfmt=("", ".1f", ".4f")))


def adult(_: argparse.Namespace) -> None:
    X, y = load_adult(return_X_y=True, as_frame=True)
    categories = X.select_dtypes(exclude="number").columns
    X = X.astype(dict.fromkeys(categories, "category"))
    train_X, test_X, train_y, test_y = train_test_split(X, y, test_size=0.2, random_state=42, stratify=y)
    one_hot = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
        remainder=StandardScaler(),
    )
    rivals: dict[str, Callable[[int], Any]] = {
        "fmkit MLPClassifier, embeddings": lambda seed: MLPClassifier(random_state=seed),
        "fmkit DeepFM": lambda seed: MLPClassifier(
            factorization=True, learning_rate=0.001, max_epochs=5, random_state=seed
        ),
        "HistGradientBoosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
        "scikit-learn MLPClassifier, one-hot": lambda seed: make_pipeline(
            clone(one_hot), ScikitLearnMLP(early_stopping=True, random_state=seed)
        ),
    }
    train, test = (train_X, train_y), (test_X, test_y)
    rows = [[name, *judged(make, train, test, loss, auc)] for name, make in rivals.items()]
    print(tabulate(rows, ["", "CPU s", "log loss", "AUC"], floatfmt=("", ".1f", ".4f", ".4f")))


def movielens(_: argparse.Namespace) -> None:
    X, y = load_movielens_small(return_X_y=True)
    X = np.char.zfill(X.astype(np.int64).astype(str), 6)  # so that both have the levels in one order
    test, train = np.split(np.random.RandomState(42).permutation(len(y)), [len(y) // 10])
    encoder = OneHotEncoder(handle_unknown="ignore").fit(X[train])
    rows = []
    for solver in ("als", "vb"):
        machines, nets, kept = [], [], []
        for seed in SEEDS:
            machine = FMRegressor(8, solver=solver, random_state=seed).fit(encoder.transform(X[train]), y[train])
            machines.append(rmse(machine, encoder.transform(X[test]), y[test]))
            net = MLPRegressor(
                categorical_features=[0, 1],
                factorization=FMRegressor(8, solver=solver, random_state=seed),
                random_state=seed,
                early_stopping=True,
                max_epochs=3,
                learning_rate=0.0005,
                dropout=0.5,
            )
            nets.append(rmse(net.fit(X[train], y[train]), X[test], y[test]))
            kept.append(net.best_epoch_)
        rows.append([solver, np.mean(machines), np.mean(nets), kept])
    print(tabulate(rows, ["", "FMRegressor", "DeepFM started from it", "epochs kept"], floatfmt=".4f"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for command in (digits, fashion, adult, movielens):
        sub = commands.add_parser(command.__name__)
        sub.set_defaults(run=command)
        if command is fashion:
            sub.add_argument("path", nargs="?")
            sub.add_argument("--rivals", action="store_true", help="scikit-learn's too, which takes minutes")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        arguments.run(arguments)


if __name__ == "__main__":
    main()
