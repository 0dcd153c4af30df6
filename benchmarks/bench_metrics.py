"""NDCG@10 and Recall@20 of full rankings, 70,000 users x 10,000 items, beside plain numpy, in one run (Linux).

    python benchmarks/bench_metrics.py        # two minutes

Vectors of 64 numbers, about 140 items a user left out and 14 relevant. Plain numpy is the usual evaluation: blocks of
512 users, BLAS, argpartition, a dense table of what is relevant. Users agree if their NDCG@10 is that of the first row:
scores that are equal but for rounding may change places. Memory is what the process's peak rises by.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from synth_ratings import make
from tabulate import tabulate

from fmkit.recommend.metrics import evaluate, evaluate_scores
from fmkit.threads import count_threads

METRICS = ["ndcg@10", "recall@20"]
Values = dict[str, NDArray[np.float64]]


def megabytes(key: str) -> float:
    """Of this process."""
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) / 1024


def by_numpy(
    score: Callable[[NDArray[np.int64]], NDArray[np.float32]], relevant: sparse.csr_array, exclude: sparse.csr_array
) -> Values:
    """The same metrics, a block of users at a time."""
    users = np.flatnonzero(np.diff(relevant.indptr))
    discounts = 1 / np.log2(np.arange(2, 12))
    out = {name: np.full(relevant.shape[0], np.nan) for name in METRICS}
    for start in range(0, len(users), 512):
        block = users[start : start + 512]
        scores = score(block)
        scores[exclude[block].nonzero()] = -np.inf
        top = np.argpartition(-scores, 20, axis=1)[:, :20]
        top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1), 1)
        table = relevant[block].toarray() > 0
        hits, n = np.take_along_axis(table, top, 1), table.sum(axis=1)
        out["recall@20"][block] = hits.sum(axis=1) / n
        out["ndcg@10"][block] = (hits[:, :10] * discounts).sum(axis=1) / np.cumsum(discounts)[np.minimum(n, 10) - 1]
    return out


def main() -> None:
    """Print the table."""
    data = make()
    shape = data["user"].max() + 1, data["item"].max() + 1
    exclude, relevant = (
        sparse.csr_array((np.ones(part.sum(), np.float32), (data["user"][part], data["item"][part])), shape=shape)
        for part in (~data["test"], data["test"])
    )
    del data
    rng = np.random.default_rng(0)
    users, items = (rng.standard_normal((n, 64), dtype=np.float32) for n in shape)

    def score(block: NDArray[np.int64]) -> NDArray[np.float32]:
        return users[block] @ items.T

    every = count_threads(None)
    ways: list[tuple[str, int, Callable[[], Values]]] = [
        ("evaluate", 1, lambda: evaluate(users, items, relevant, exclude=exclude, metrics=METRICS, n_jobs=1).per_query),
        ("evaluate", every, lambda: evaluate(users, items, relevant, exclude=exclude, metrics=METRICS).per_query),
        (
            "evaluate_scores",
            every,
            lambda: evaluate_scores(score, relevant, exclude=exclude, metrics=METRICS).per_query,
        ),
        ("plain numpy", every, lambda: by_numpy(score, relevant, exclude)),
    ]
    # Compiled code is no part of it.
    evaluate(users[:1], items[:2], sparse.csr_array([[1, 0]]))
    evaluate_scores(lambda _: np.ones((1, 2), np.float32), sparse.csr_array([[1, 0]]))
    rows, first = [], None
    for name, threads, work in ways:
        ctypes.CDLL(None).malloc_trim(0)  # or what was freed before would be used without a trace
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
        before, start, cpu = megabytes("VmRSS"), perf_counter(), process_time()
        values = work()
        seconds, cpu = perf_counter() - start, process_time() - cpu
        first = first or values
        agree = np.mean(np.isclose(values["ndcg@10"], first["ndcg@10"], equal_nan=True))
        mean = [float(np.nanmean(values[metric])) for metric in METRICS]
        rows.append([name, threads, seconds, cpu, megabytes("VmHWM") - before, *mean, f"{agree:.3%}"])
    headers = ["", "threads", "s", "CPU s", "MB", *METRICS, "users that agree"]
    print(tabulate(rows, headers, floatfmt=("", "", ".1f", ".1f", ".0f", ".6f", ".6f", "")))


if __name__ == "__main__":
    main()
