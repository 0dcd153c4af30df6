"""What ALS costs on many nodes: rates of this machine, the plan of docs/scale.md by them, and its shuffle simulated.

    python benchmarks/bench_scale.py rates       # one thread, 6 GB of memory, a minute; prints the plan, too
    python benchmarks/bench_scale.py simulate    # a minute
    python benchmarks/bench_scale.py             # both

`simulate` takes 1, 2, 4, 8 and 16 partitions of users with as many ratings each, one partition after the other, in the
layouts of layouts.py. Users, items and ratings of the 16 are in the plan's proportions, a 20,000th of each. "differs"
is the largest difference from a prediction of the engine's own ALS over the undivided rows, after three sweeps.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from layouts import (
    LAYOUTS,
    by_engine,
    length_of_sums,
    make_cluster,
    make_parts,
    popularity,
    predictions,
    solve_items,
    sum_items,
)
from numpy.typing import NDArray
from tabulate import tabulate

from fmkit import Design, FactorizationMachine
from fmkit.ranking.topn import top_n
from fmkit.solvers.columns import NONE, sort_by_code
from fmkit.spark.sweeps import Rest, solve_block

FACTORS = 64
RATINGS, USERS, ITEMS = 10**11, 10**9, 10**7  # of the plan


def simulate(n_ratings: int, sweeps: int = 3) -> None:
    """Print the table."""
    n_users, n_items = n_ratings // 100, n_ratings // 625  # of 16 partitions, the plan's proportions
    for layout in LAYOUTS:  # kernels are compiled before time is taken
        make_cluster(layout, make_parts(2, 2000, 20, 30), 30, FACTORS).sweep()
    lines = []
    for n_parts in (1, 2, 4, 8, 16):
        parts = make_parts(n_parts, n_ratings, n_users, n_items)
        whole = by_engine(parts, n_items, FACTORS, sweeps)
        line: list[Any] = [n_parts, n_parts * n_ratings / 1e6]
        for layout in LAYOUTS:
            cluster = make_cluster(layout, parts, n_items, FACTORS)
            seconds = []
            for _ in range(sweeps):
                before = time.process_time()
                cluster.sweep()
                seconds.append(time.process_time() - before)
            rows = n_parts * n_ratings
            differs = float(np.abs(predictions(cluster) - whole).max())
            line += [min(seconds) / rows * 1e9, cluster.wire.bytes / sweeps / rows, f"{differs:.0e}"]
        lines.append(line)
    heads = [f"{layout}: {what}" for layout in LAYOUTS for what in ("ns", "bytes", "differs")]
    formats = ("", ".1f", *(".0f", ".2f", "") * 3)
    print(f"\n{n_users:,} users a partition, {n_items:,} items, k = {FACTORS}; a rating and sweep\n")
    print(tabulate(lines, ["partitions", "M ratings", *heads], floatfmt=formats))


def best_of(work: Callable[[], Any], repeats: int = 3) -> float:
    """CPU seconds of the cheapest run, after one to compile."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def random_table(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vectors, none of them zero."""
    table = rng.random((n, FACTORS), dtype=np.float32)
    table -= np.float32(0.5)
    return table


def rates() -> dict[str, float]:
    """CPU seconds of one thread, tables being as large as a node's, or larger than any cache."""
    rng = np.random.default_rng(0)
    k, n = FACTORS, 2_000_000
    y = rng.standard_normal(n, dtype=np.float32)
    found: dict[str, float] = {}

    items = random_table(ITEMS, rng)
    linear = np.zeros(ITEMS, np.float32)
    rest = Rest(0.0, linear, items, 1, 3.0, 1.0, False)
    drawn = np.searchsorted(np.cumsum(popularity(ITEMS)), rng.random(n))
    other = rng.permutation(ITEMS).astype(np.int32)[np.minimum(drawn, ITEMS - 1)]
    ptr, empty = np.arange(0, n + 1, 100), np.zeros(n // 100 + 1, np.int64)
    both = best_of(lambda: solve_block(ptr, other, y, NONE, rest, 1))
    solve = best_of(lambda: solve_block(empty, other[:0], y[:0], NONE, rest, 1))
    found["users: a rating's sums"], found["a system of 65"] = (both - solve) / n, solve / (n // 100)

    users = random_table(4_000_000, rng)
    known = np.zeros(len(users), np.float32)
    source, of_item = rng.integers(0, len(users), n).astype(np.int32), np.arange(0, n + 1, 625)
    out = np.empty((len(of_item) - 1, length_of_sums(k)), np.float32)
    work = (0, len(out), of_item, source, y, np.float32(0), known, users, out)
    found["items: a rating's sums"] = best_of(lambda: sum_items(*work)) / n
    small = (source % 50_000).astype(np.int32)
    work = (0, len(out), of_item, small, y, np.float32(0), known, users, out)
    found["the same, 50,000 users (13 MB)"] = best_of(lambda: sum_items(*work)) / n

    w, V = np.empty(len(out), np.float32), np.empty((len(out), k), np.float32)
    found["items: sums unpacked and solved"] = best_of(lambda: solve_items(out, 3.0, 1.0, w, V)) / len(out)
    total = np.zeros(1 << 26, np.float32)
    found["a float32 added to another"] = best_of(lambda: np.add(total, total, out=total)) / len(total)
    copy = np.empty_like(total)
    found["a byte copied"] = best_of(lambda: np.copyto(copy, total)) / total.nbytes

    codes = rng.integers(0, 10_000, 20_000_000).astype(np.int32)
    found["a rating sorted by item"] = best_of(lambda: sort_by_code(codes, 10_000), 1) / len(codes)
    asking, none = users[:1000], np.zeros(1001, np.int64)
    lists = best_of(lambda: top_n(asking, items[:500_000], 10, none, source[:0], 1), 1)
    found["a pair scored for a list"] = lists / (1000 * 500_000)
    machine, half = FactorizationMachine(0.0, known, users), len(users) // 2
    pairs = Design.from_codes([source % half, rng.integers(0, half, n).astype(np.int32)], [half, half])
    found["a pair predicted"] = best_of(lambda: machine.predict(pairs, 1)) / n
    return found


def plan(rate: dict[str, float]) -> list[list[Any]]:
    """Lines of the plan's table: nodes, and what each has, sends and takes.

    Parameters
    ----------
    rate : dict
        Of `rates`.
    """
    a_vector, cores, own = 4 * (FACTORS + 1), 32, 16  # of an id, beside its vector: itself, and where its rows begin
    sums, solved = ITEMS * 4.0 * length_of_sums(FACTORS), ITEMS * float(a_vector)
    counts = RATINGS * popularity(ITEMS)
    lines = []
    for nodes in (16, 32, 64, 128):
        memory = (2 * 8.0 * RATINGS + (a_vector + own) * USERS) / nodes + (a_vector + own) * ITEMS
        away = (nodes - 1) / nodes
        # Of an item that a node has few ratings of, rows are less than their sums: a user's vector and a rating each.
        rows = np.minimum(sums / ITEMS, counts / nodes * (a_vector + 4)).sum()
        of_users = (RATINGS * rate["users: a rating's sums"] + USERS * rate["a system of 65"]) / nodes / cores
        of_items = RATINGS * rate["items: a rating's sums"] / nodes / cores
        of_items += ITEMS * rate["items: sums unpacked and solved"] / nodes / cores
        of_items += sums / 4 * rate["a float32 added to another"] / cores
        minutes = [
            30
            / 60
            * (of_users + max(of_items, away * sent / (gigabits * 1.25e8)) + away * solved / (gigabits * 1.25e8))
            for gigabits, sent in ((10, sums), (10, sums / 2), (25, sums), (100, sums))
        ]
        gigabytes = [away * (sent + solved) / 1e9 for sent in (sums, rows, USERS * a_vector)]
        lines.append([nodes, memory / 1e9, of_users, of_items, *gigabytes, *minutes])
    return lines


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["rates", "simulate", "all"], default="all")
    parser.add_argument("--ratings", type=int, default=312_500, help="of a partition")
    given = parser.parse_args()
    if given.what != "simulate":
        found = rates()
        print(tabulate([[name, 1e9 * seconds] for name, seconds in found.items()], ["", "ns"], floatfmt=".3g"))
        print("\nNodes of 32 cores; a sweep's seconds, and GB that a node sends; minutes of 30 sweeps\n")
        heads = ["nodes", "GB held", "users, s", "items, s", "GB: sums", "sums or rows", "factors"]
        heads += ["min: 10 Gbit/s", "10, halves", "25", "100"]
        print(tabulate(plan(found), heads, floatfmt=("", ".0f", *(".1f",) * 9)), end="\n\n")
    if given.what != "rates":
        simulate(given.ratings)


if __name__ == "__main__":
    main()
