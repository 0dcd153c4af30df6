"""What a GPU makes of ten million ratings, beside the processor's kernels, in one run.

    python benchmarks/bench_gpu.py                     # two minutes, on a computer with a GPU; needs torch
    python benchmarks/bench_gpu.py --device torch-cpu --ratings 300000

Sweeps of ALS, Gibbs and the implicit solver, predictions and top-10 lists. "two cores" is what two threads take, "all"
what one thread a core does. "loss off by" is how far the training loss is from the processor's after as many sweeps
from the same start, relative.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import click
import numpy as np
import torch
from synth_ratings import make
from tabulate import tabulate

from fmkit import Design, FactorizationMachine
from fmkit.ranking.implicit import Implicit
from fmkit.ranking.implicit import Objective as ImplicitObjective
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.table import Table
from fmkit.ranking.topn import top_n
from fmkit.solvers.als import Als
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import scaled_penalties
from fmkit.tensors.device import find_device
from fmkit.tensors.prediction import predict
from fmkit.tensors.topn import top_n as top_n_there
from fmkit.threads import count_threads

SWEEPS = 4


def start(design: Design, k: int) -> FactorizationMachine:
    """The same for every solver."""
    factors = np.random.default_rng(0).standard_normal((design.n_features, k), dtype=np.float32) * np.float32(0.1)
    return FactorizationMachine(0.0, np.zeros(design.n_features, np.float32), factors)


def swept(sweeps: Iterator[Any]) -> tuple[float, float]:
    """Seconds of the quickest sweep after the first, and the loss after the last."""
    told = list(islice(sweeps, SWEEPS))
    return float(np.diff([progress.seconds for progress in told]).min()), told[-1].train_loss


def als(design: Design, y: Any, k: int, threads: int, device: Any) -> tuple[float, float]:
    """Of ALS."""
    penalties = scaled_penalties(design, None, np.ones(design.n_features), 3.0, 0.9, 1.0, 1.0)
    return swept(iter(Als(Objective(design, y, None, penalties, False), start(design, k), threads, device=device)))


def gibbs(design: Design, y: Any, k: int, threads: int, device: Any) -> tuple[float, float]:
    """Of a chain with a noise level a user and an item."""
    how: dict[str, Any] = {"noise_fields": None, "burn_in": 100, "n_sweeps": 200, "keep_draws": 0, "seed": 1}
    machine = start(design, k)
    return swept(iter(Chain(design, y, None, machine, n_threads=threads, device=device, **how)))


def implicit(table: Table, k: int, threads: int, device: Any) -> tuple[float, float]:
    """Of the squared loss over all pairs."""
    rng = np.random.default_rng(0)
    machine = RankingMachine.random(table.queries.n_features, table.items.n_features, k, 0.1 / np.sqrt(k), rng)
    return swept(iter(Implicit(*table.sides, machine, ImplicitObjective(), threads, device)))


def best_of(work: Callable[[], Any]) -> float:
    """Seconds of the quickest of three runs after one."""
    work()
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


@click.command()
@click.option("--device", "name", default="cuda", show_default=True)
@click.option("--ratings", default=10_000_000, show_default=True)
@click.option("--sizes", default="16,64,128", show_default=True, help="Numbers of factors for ALS.")
def main(name: str, ratings: int, sizes: str) -> None:
    """Print the table."""
    device = find_device(name, 0, 0)
    assert device is not None, "the package's kernels are what the device is compared with"
    n_users, n_items = ratings // 143 + 1, ratings // 1000 + 1  # as many ratings each as MovieLens-10M has
    data = make(n_users, n_items, ratings)
    design = Design.from_codes([data["user"], data["item"]], [n_users, n_items])
    y, every = data["rating"] - data["rating"].mean(), count_threads(None)
    few = min(2, every)
    table = Table.of(np.column_stack([data["user"], data["item"]]), None, None, None)
    machine, none = start(design, 64), np.zeros(n_users + 1, np.int64)
    P, Z = machine.factors[:n_users], machine.factors[n_users:]
    jobs: list[tuple[str, Callable[[int, Any], tuple[float, float]]]] = [
        *((f"ALS, k={k}", lambda n, d, k=k: als(design, y, k, n, d)) for k in map(int, sizes.split(","))),
        ("Gibbs, k=64", lambda n, d: gibbs(design, y, 64, n, d)),
        ("implicit, k=64", lambda n, d: implicit(table, 64, n, d)),
    ]
    calls: list[tuple[str, Callable[[int], Any], Callable[[], Any]]] = [
        ("predictions, k=64", lambda n: machine.predict(design, n), lambda: predict(machine, design, device, every)),
        (
            f"top 10 for {n_users:,}, k=64",
            lambda n: top_n(P, Z, 10, none, np.empty(0, np.int32), n),
            lambda: top_n_there(P, Z, 10, none, np.empty(0, np.int32), device),
        ),
    ]
    rows = []
    for job, run in jobs:
        of_two, of_all, there = run(few, None), run(every, None), run(every, device)
        off = abs(there[1] / of_two[1] - 1)
        rows.append([job, of_two[0], of_all[0], there[0], of_two[0] / there[0], of_all[0] / there[0], f"{off:.0e}"])
    for job, here, on_device in calls:
        seconds = [best_of(lambda n=n, here=here: here(n)) for n in (few, every)]
        taken = best_of(on_device)
        rows.append([job, *seconds, taken, seconds[0] / taken, seconds[1] / taken, ""])
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else "torch on processors"
    print(f"{design.n_rows:,} ratings; {what}, torch {torch.__version__}; {every} cores\n")
    headers = ["a sweep of", "two cores, s", f"all {every}, s", f"{name}, s", "times", "times", "loss off by"]
    print(tabulate(rows, headers, floatfmt=".3g"))


if __name__ == "__main__":
    main()
