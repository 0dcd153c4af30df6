"""What a prediction costs a row, in batches, beside a loop of numpy that gathers vectors by codes it has already.

    python benchmarks/bench_score_rows.py

Nanoseconds of processor time a row, the best of several passes. Models have 50,000 users and 5,000 items, 16 factors
(8 where standard deviations are told); one id in ten thousand or so is unknown to them.
"""

import time
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.pipeline import make_pipeline
from tabulate import tabulate

from fmkit import FMRegressor, TableEncoder
from fmkit.recommend import Recommender

N_USERS, N_ITEMS, N_RATINGS, N_FACTORS = 50_000, 5_000, 500_000, 16
BATCHES = {65_536: 8, 1_024: 64}  # rows, and how many make a pass


def spent(work: Any, batches: list[Any]) -> float:
    """Nanoseconds a row: the best of seven passes, after two that load kernels and tables."""
    best = float("inf")
    for number in range(9):
        start = time.process_time_ns()
        for batch in batches:
            work(batch)
        taken = (time.process_time_ns() - start) / sum(len(batch) for batch in batches)
        best = min(best, taken) if number > 1 else best
    return best


def table_of(rng: np.random.Generator, n: int, kind: str) -> pa.Table:
    """Pairs drawn uniformly, of numbers or of texts."""
    table = pa.table({"user": rng.integers(0, N_USERS, n), "item": rng.integers(0, N_ITEMS, n)})
    if kind == "integers":
        return table
    return pa.table({name: [f"{name}-{code}" for code in table[name].to_pylist()] for name in table.column_names})


def floor(rng: np.random.Generator) -> Any:
    """Vectors gathered by codes and multiplied, as one would score with the factors of implicit."""
    users, items = (rng.standard_normal((n, N_FACTORS + 2), dtype=np.float32) for n in (N_USERS, N_ITEMS))

    def work(batch: pa.Table) -> Any:
        user, item = batch["user"].to_numpy(), batch["item"].to_numpy()
        return np.einsum("ij,ij->i", users[user], items[item])

    return work


def main() -> None:
    """Print the table."""
    rows: dict[str, list[float | None]] = {}
    for column, kind in enumerate(("integers", "texts")):
        rng = np.random.default_rng(0)
        table = table_of(rng, N_RATINGS, kind)
        ratings = rng.integers(1, 6, N_RATINGS).astype(np.float32)
        size = rng.standard_normal(N_RATINGS)
        rated = table.append_column("rating", pa.array(ratings))
        plain = Recommender(FMRegressor(N_FACTORS, max_iter=3)).fit(rated)
        sure = Recommender(quality="fast", max_iter=3).fit(rated)
        schema = {"user": "category", "item": "category"}
        pipeline = make_pipeline(TableEncoder(schema), FMRegressor(N_FACTORS, max_iter=3)).fit(table, ratings)
        with_size = TableEncoder({**schema, "size": "number"}).fit(table.append_column("size", pa.array(size)))
        measured = {
            "users_.ids.encode": lambda batch, m=plain: m.users_.ids.encode(batch["user"]),
            "Recommender.predict": lambda batch, m=plain: m.predict(batch["user"], batch["item"]),
            "the same with return_std": lambda batch, m=sure: m.predict(batch["user"], batch["item"], return_std=True),
            "TableEncoder.transform, two ids": pipeline[0].transform,
            "Pipeline.predict, two ids": pipeline.predict,
            "TableEncoder.transform, two ids and a number": with_size.transform,
        }
        if kind == "integers":
            measured["numpy, codes given: gather, multiply"] = floor(rng)
        for n, of_pass in BATCHES.items():
            asked = table_of(rng, n * of_pass, kind)
            for name, work in measured.items():
                full = asked.append_column("size", pa.array(rng.standard_normal(len(asked))))
                given = full if "number" in name else asked
                parts = [given.slice(first, n).combine_chunks() for first in range(0, len(given), n)]
                found = rows.setdefault(name, [None] * 4)
                found[2 * column + (n < max(BATCHES))] = spent(work, parts)
    headers = ["ns a row", *(f"{kind}, {n:,}" for kind in ("integers", "texts") for n in BATCHES)]
    print(tabulate([[name, *found] for name, found in rows.items()], headers, floatfmt=".0f", missingval=""))


if __name__ == "__main__":
    main()
