"""What it takes to score files, beside reading and writing them alone, and numpy with implicit's factors.

    python benchmarks/bench_batch.py [FOLDER] [--rows N]

Each line is a process of its own: seconds with its start, and its peak memory. Pairs of 100,000 users and 10,000 items,
a `Recommender` with 16 factors; beside it, reading and writing the same file and nothing else, and a loop over numpy
with the factors of implicit.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from tabulate import tabulate

N_USERS, N_ITEMS, FACTORS = 100_000, 10_000, 16
GROUP = 1 << 20

COPY_PARQUET = """
import sys, pyarrow.parquet as pq
source = pq.ParquetFile(sys.argv[1], pre_buffer=False, buffer_size=1 << 20)
with pq.ParquetWriter(sys.argv[2], source.schema_arrow, compression="zstd", compression_level=1) as writer:
    for group in range(source.num_row_groups):
        writer.write_table(source.read_row_group(group))
"""
COPY_CSV = """
import sys, pyarrow.csv as csv
source = csv.open_csv(sys.argv[1])
with csv.CSVWriter(sys.argv[2], source.schema) as writer:
    for batch in source:
        writer.write_batch(batch)
"""
IMPLICIT = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
users, items = np.load(sys.argv[3]), np.load(sys.argv[4])
source = pq.ParquetFile(sys.argv[1], pre_buffer=False, buffer_size=1 << 20)
schema = source.schema_arrow.append(pa.field("prediction", pa.float32()))
with pq.ParquetWriter(sys.argv[2], schema, compression="zstd", compression_level=1) as writer:
    for batch in source.iter_batches(1 << 16):
        u, i = np.asarray(batch["user"]), np.asarray(batch["item"])
        scores = np.einsum("rk,rk->r", users[u], items[i])
        writer.write_batch(batch.append_column("prediction", pa.array(scores.astype(np.float32))))
"""


def timed(*command):
    """Seconds and peak megabytes of a process, as the system tells them while it runs."""
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen([str(word) for word in command])
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError, ValueError):
            peak = max(peak, int(status.read_text().split("VmHWM:")[1].split()[0]))
        time.sleep(0.02)
    assert process.returncode == 0, command
    return time.perf_counter() - began, peak / 1024


def write_pairs(path, rows, rng):
    """Row groups of a million pairs."""
    schema = pa.schema([("user", pa.int64()), ("item", pa.int64())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, GROUP):
            n = min(GROUP, rows - first)
            columns = rng.integers(0, N_USERS, n), rng.integers(0, N_ITEMS, n)
            writer.write_table(pa.table(list(columns), schema=schema))


def models(folder, rng):
    """A recommender's file, and the factors of implicit."""
    from implicit.als import AlternatingLeastSquares
    from scipy import sparse

    from fmkit import FMRegressor, save
    from fmkit.recommend import Recommender

    n = 2_000_000
    users, items = rng.integers(0, N_USERS, n), rng.integers(0, N_ITEMS, n)
    stars = rng.integers(1, 6, n).astype(np.float32)
    machine = FMRegressor(FACTORS, solver="als", max_iter=2)
    save(Recommender(machine).fit({"user": users, "item": items, "rating": stars}), folder / "model.fmkit")
    rival = AlternatingLeastSquares(FACTORS, iterations=2, use_gpu=False)
    rival.fit(sparse.csr_matrix((stars, (users, items)), (N_USERS, N_ITEMS)), show_progress=False)
    np.save(folder / "users.npy", rival.user_factors)
    np.save(folder / "items.npy", rival.item_factors)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=100_000_000)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as made:
        folder = given.folder or Path(made)
        models(folder, rng)
        score = (sys.executable, "-c", "from fmkit.cli import main; main()", "score", folder / "model.fmkit")
        table = []
        for rows in [n for n in (given.rows // 100, given.rows // 10, given.rows) if n]:
            pairs, out = folder / "pairs.parquet", folder / "out.parquet"
            write_pairs(pairs, rows, rng)
            timed(*score, pairs, "--out", out, "--quiet", "--overwrite", "--memory", "1GB")  # the files are in memory
            for name, command in (
                ("fmkit score", (*score, pairs, "--out", out, "--quiet", "--overwrite", "--memory", "1GB")),
                ("read and written by pyarrow", (sys.executable, "-c", COPY_PARQUET, pairs, folder / "copy.parquet")),
                ("numpy, factors of implicit", (sys.executable, "-c", IMPLICIT, pairs, folder / "copy.parquet",
                                                folder / "users.npy", folder / "items.npy")),
            ):  # fmt: skip
                seconds, megabytes = timed(*command)
                table.append([name, f"{rows:,} pairs, Parquet", seconds, rows / seconds / 1e6, megabytes])
        rows = given.rows // 10
        pairs = folder / "pairs.csv"
        write_pairs(folder / "pairs.parquet", rows, rng)
        pa.csv.write_csv(pq.read_table(folder / "pairs.parquet"), pairs)
        for name, command in (
            ("fmkit score", (*score, pairs, "--out", folder / "out.csv", "--quiet", "--overwrite")),
            ("read and written by pyarrow", (sys.executable, "-c", COPY_CSV, pairs, folder / "copy.csv")),
        ):
            seconds, megabytes = timed(*command)
            table.append([name, f"{rows:,} pairs, CSV", seconds, rows / seconds / 1e6, megabytes])
        print(tabulate(table, headers=["", "", "s", "M rows/s", "peak MB"], floatfmt=("", "", ".1f", ".1f", ".0f")))


if __name__ == "__main__":
    main()
