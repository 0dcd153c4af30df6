"""Epochs of WARP on four million pairs, and the precision that they reach, beside LightFM's, in one run.

    python benchmarks/bench_warp.py 2         # threads; needs pip install rectools-lightfm

The synthetic ratings of 4 and more, a tenth of them left out; 32 factors, AdaGrad with learning rate .05, 10 draws a
visit. Epochs take turns, so that what else the machine does slows them alike; CPU seconds are those of all threads.
Precision is that of top-10 lists for every user with a pair left out, what they were fitted on taken off the lists.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from lightfm import LightFM
from scipy import sparse
from synth_ratings import make
from tabulate import tabulate

from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.sampled import sampled
from fmkit.ranking.topn import top_n

EPOCHS, TOLD = 10, (1, 2, 5, 10)
FACTORS, RATE = 32, 0.05


def precision(queries: Any, items: Any, train: Any, test: Any) -> float:
    """Share of the places of all lists that hold a pair left out."""
    users = np.flatnonzero(np.diff(test.indptr) > 0)
    seen = train[users]
    codes, _ = top_n(queries[users], items, 10, seen.indptr.astype(np.int64), seen.indices, 1)
    return float(test[np.repeat(users, 10), codes.ravel()].sum() / codes.size)


def fmkit_epochs(train: Any, loss: Any, reg: float, threads: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """What does an epoch, and what gives the vectors of both sides."""
    rng = np.random.default_rng(0)
    machine = RankingMachine.random(*train.shape, FACTORS, 0.01, rng)
    sides = [sparse.eye_array(n, format="csr", dtype=np.float32) for n in train.shape]
    steps = sampled(
        Pairs.of(train),
        *sides,
        machine,
        loss=loss,
        learning_rate=RATE,
        reg=reg,
        max_trials=10,
        popularity=0.0,
        random_state=rng,
        n_threads=threads,
    )
    return lambda: next(steps), lambda: (machine.query_vectors(sides[0]), machine.item_vectors(sides[1]))


def lightfm_epochs(train: Any, threads: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The same of LightFM."""
    model = LightFM(no_components=FACTORS, loss="warp", learning_rate=RATE, random_state=0)
    matrix = sparse.csr_matrix(train)

    def vectors() -> tuple[Any, Any]:
        (_, users), (weights, items) = model.get_user_representations(), model.get_item_representations()
        return np.c_[users, np.ones(len(users), np.float32)], np.c_[items, weights]

    return lambda: model.fit_partial(matrix, epochs=1, num_threads=threads), vectors


def main(threads: int) -> None:
    """Print the table."""
    data = make()
    keep, held = data["rating"] >= 4, data["test"]
    train, test = (
        sparse.csr_array((np.ones(part.sum(), np.float32), (data["user"][part], data["item"][part])), (70_000, 10_000))
        for part in (keep & ~held, keep & held)
    )
    few = train[:50]
    for loss in ("warp", "bpr"):
        fmkit_epochs(few, loss, 0.1, 1)[0]()  # kernels are compiled, or read from the cache
    contenders = {
        "LightFM, WARP": lightfm_epochs(train, threads),
        "fmkit, WARP": fmkit_epochs(train, "warp", 0.1, threads),
        "fmkit, BPR": fmkit_epochs(train, "bpr", 0.0, threads),
    }
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    reached: dict[str, list[float]] = {name: [] for name in contenders}
    for epoch in range(1, EPOCHS + 1):
        for name, (run, vectors) in contenders.items():
            began, worked = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - began)
            cpu[name].append(time.process_time() - worked)
            if epoch in TOLD:
                reached[name].append(precision(*vectors(), train, test))
    rows = [[name, *(np.median(x[name]) for x in (wall, cpu)), *reached[name]] for name in contenders]
    print(f"{train.nnz} pairs, {threads} threads")
    headers = ["", "s an epoch", "CPU s", *(f"precision@10 after {n}" for n in TOLD)]
    print(tabulate(rows, headers, floatfmt=("", ".2f", ".2f", *[".4f"] * len(TOLD))))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
