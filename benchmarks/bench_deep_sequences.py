"""Recurrent nets beside what else classifies sequences: padded rows for a perceptron, TF-IDF, a plain LSTM.

    python benchmarks/bench_deep_sequences.py vowels [PATH]                    # fmkit[benchmarks,deep]
    python benchmarks/bench_deep_sequences.py series PATH/ItalyPowerDemand.npz
    python benchmarks/bench_deep_sequences.py digits [PATH]
    python benchmarks/bench_deep_sequences.py text [PATH] [--folds 10]

PATH is what fetch_japanese_vowels, fetch_spoken_digits or fetch_sentence_polarity of `fmkit.datasets` reads; without
it, the set is downloaded. Those of series are npz files of X_train (n, channels, length, NaN after the end of each),
y_train, X_test and y_test.

Seeds 0, 1, 2 unless `--seeds` names others; the processor's seconds, by one thread, of a fit. All nets with their
defaults. Those were chosen on parts of the training rows of JapaneseVowels; of texts, n-grams and dropout on the
sentences but for the first tenth, which `text` tests on without --folds, the number of epochs on random parts of all.
The other test rows were looked at here alone.

vowels, series: the archives' own split. digits: the test rows are the recordings 0 to 4 of every speaker and digit.
text: a tenth of the rows, the first of numpy.random.RandomState(42).permutation (with --folds, that many such tenths,
one after the other); its rival has words or words and pairs, and C of .3 to 30, by three-fold cross-validation on the
training rows, which its seconds include.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as ScikitLearnMLP
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from fmkit.datasets import fetch_japanese_vowels, fetch_sentence_polarity, fetch_spoken_digits
from fmkit.deep import RNNClassifier
from fmkit.deep.audio import log_mel

Rows = tuple[Any, Any]
Rivals = dict[str, Callable[[int], Any]]


def judged(rivals: Rivals, parts: list[tuple[Rows, Rows]], seeds: list[int]) -> list[list[Any]]:
    """A row a rival: seconds of a fit, accuracy on the test parts, and its lowest and highest."""
    table = []
    for name, make in rivals.items():
        seconds, accuracies = [], []
        for train, test in parts:
            for seed in seeds:
                model = make(seed)
                start = time.process_time()
                model.fit(*train)
                seconds.append(time.process_time() - start)
                accuracies.append(np.mean(model.predict(test[0]) == test[1]))
        row = [name, np.mean(seconds), np.mean(accuracies), min(accuracies), max(accuracies)]
        print(*row, flush=True)
        table.append(row)
    return table


def flat(longest: int) -> FunctionTransformer:
    """Sequences as rows: drawn to the longest, by linear interpolation, one channel after the other."""

    def resampled(X: Any) -> np.ndarray:
        at = [np.linspace(0, len(x) - 1, longest) for x in X]
        rows = np.array([[np.interp(t, np.arange(len(x)), c) for c in x.T] for t, x in zip(at, X, strict=True)])
        return rows.reshape(len(X), -1)

    return FunctionTransformer(resampled)


def perceptron(longest: int) -> Callable[[int], Any]:
    return lambda seed: make_pipeline(flat(longest), StandardScaler(), ScikitLearnMLP(max_iter=500, random_state=seed))


def nets(**settings: Any) -> Rivals:
    plain = {"cell": "lstm", "bidirectional": False, "pooling": "last", "layer_norm": False, "dropout": 0.0}
    return {
        "RNNClassifier()": lambda seed: RNNClassifier(random_state=seed, **settings),
        "plain LSTM, its last state": lambda seed: RNNClassifier(random_state=seed, **{**settings, **plain}),
    }


def series(given: argparse.Namespace) -> None:
    for path in given.paths:
        data = np.load(path)

        def part(name: str, data: Any = data) -> Rows:
            X = data[f"X_{name}"].transpose(0, 2, 1)
            return [x[: np.isfinite(x).any(axis=1).sum()] for x in X], data[f"y_{name}"]

        judge_series(Path(path).stem, part("train"), part("test"), given.seeds)


def vowels(given: argparse.Namespace) -> None:
    bunch = fetch_japanese_vowels(given.path)
    judge_series("JapaneseVowels", (bunch.data, bunch.target), (bunch.test_data, bunch.test_target), given.seeds)


def judge_series(title: str, train: Rows, test: Rows, seeds: list[int]) -> None:
    longest = max(len(x) for x in [*train[0], *test[0]])
    rivals = {**nets(), "scikit-learn MLPClassifier, series resampled": perceptron(longest)}
    report(title, judged(rivals, [(train, test)], seeds))


def digits(given: argparse.Namespace) -> None:
    bunch = fetch_spoken_digits(given.path)

    def part(chosen: np.ndarray) -> Rows:
        return [bunch.data[i] for i in np.flatnonzero(chosen)], bunch.target[chosen]

    spectra = FunctionTransformer(lambda X: [log_mel(x, bunch.sample_rate) for x in X])
    rivals = {
        **nets(sampling_rate=bunch.sample_rate),
        "scikit-learn MLPClassifier, log-mel resampled": lambda seed: make_pipeline(spectra, perceptron(40)(seed)),
    }
    report("spoken digits", judged(rivals, [(part(~bunch.test), part(bunch.test))], given.seeds))


def text(given: argparse.Namespace) -> None:
    bunch = fetch_sentence_polarity(given.path)
    order = np.random.RandomState(42).permutation(len(bunch.data))
    parts = []
    for held in np.array_split(order, 10)[: given.folds]:
        train = np.delete(np.arange(len(order)), held)
        parts.append(tuple(([bunch.data[i] for i in rows], bunch.target[rows]) for rows in (train, held)))
    grid = {"tfidfvectorizer__ngram_range": [(1, 1), (1, 2)], "logisticregression__C": [0.3, 1, 3, 10, 30]}
    rivals = {
        "TF-IDF + logistic regression, tuned": lambda _: GridSearchCV(
            make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)), grid, cv=3
        ),
        "RNNClassifier()": lambda seed: RNNClassifier(random_state=seed),
        "RNNClassifier(ngrams=0, char_ngrams=0)": lambda seed: RNNClassifier(
            random_state=seed, ngrams=0, char_ngrams=0
        ),
    }
    report("sentence polarity", judged(rivals, parts, given.seeds))


def report(title: str, rows: list[list[Any]]) -> None:
    print(title)
    print(tabulate(rows, ["", "CPU s", "accuracy", "lowest", "highest"], floatfmt=("", ".2f", ".4f", ".4f", ".4f")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for work in (series, vowels, digits, text):
        command = commands.add_parser(work.__name__)
        command.set_defaults(work=work)
        command.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
        if work is series:
            command.add_argument("paths", nargs="+")
        else:
            command.add_argument("path", nargs="?")
        if work is text:
            command.add_argument("--folds", type=int, default=1)
    arguments = parser.parse_args()
    with threadpool_limits(1):
        arguments.work(arguments)
