"""libFM's, svmlight's and libffm's text formats read and written, beside scikit-learn, on one core.

    python benchmarks/bench_text_formats.py         # five minutes, most of them scikit-learn's

A million rows of 20 entries: standard normal values, with all digits of a float32; and ones, as one-hot columns have.
Seconds are the processor's, of the best of three reads and writes (one by scikit-learn), in a file that is in memory;
kernels are compiled before. The rows that are read are those that were written, or the benchmark stops.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.datasets import dump_svmlight_file, load_svmlight_file
from tabulate import tabulate

from fmkit.datasets import iter_libffm, iter_libfm, read_libffm, read_libfm, write_libffm, write_libfm

N_FIELDS, N_LEVELS = 20, 5_000


def timed(work: Callable[[], Any], times: int) -> tuple[float, Any]:
    """Processor seconds of the quickest of some runs, and what it gives."""
    seconds = []
    for _ in range(times):
        result = None
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return min(seconds), result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="fewer, to try this file out")
    n_rows = parser.parse_args().rows
    random = np.random.default_rng(0)
    columns = random.integers(N_LEVELS, size=(n_rows, N_FIELDS)) + np.arange(N_FIELDS) * N_LEVELS
    n_features = N_FIELDS * N_LEVELS
    field_of = np.repeat(np.arange(N_FIELDS), N_LEVELS)
    indptr = np.arange(0, N_FIELDS * n_rows + 1, N_FIELDS, dtype=np.int32)
    y = random.integers(2, size=n_rows).astype(np.float32)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.txt"
        write_libffm(path, [[0.5]], [1], [0])
        read_libffm(path)
        for kind in ("normal", "ones"):
            n_entries = n_rows * N_FIELDS
            values = random.standard_normal(n_entries) if kind == "normal" else np.ones(n_entries)
            indices = columns.ravel().astype(np.int32)
            X = sparse.csr_array((values.astype(np.float32), indices, indptr), shape=(n_rows, n_features))
            calls: list[tuple[str, int, Callable[[], Any]]] = [
                ("write_libffm", 3, lambda X=X: write_libffm(path, X, y, field_of)),
                ("read_libffm", 3, lambda: read_libffm(path, n_features=n_features)),
                ("iter_libffm", 3, lambda: sum(1 for _ in iter_libffm(path, n_features=n_features))),
                ("write_libfm", 3, lambda X=X: write_libfm(path, X, y)),
                ("read_libfm", 3, lambda: read_libfm(path, n_features=n_features)),
                ("iter_libfm", 3, lambda: sum(1 for _ in iter_libfm(path, n_features=n_features))),
                ("load_svmlight_file", 1, lambda: load_svmlight_file(str(path), n_features=n_features, dtype="f4")),
                ("dump_svmlight_file", 1, lambda X=X: dump_svmlight_file(X, y, str(path))),
                ("load_svmlight_file", 1, lambda: load_svmlight_file(str(path), n_features=n_features, dtype="f4")),
                ("read_libfm", 3, lambda: read_libfm(path, n_features=n_features)),
            ]
            writer = ""
            for name, times, call in calls:
                seconds, result = timed(call, times)
                if "write" in name or "dump" in name:
                    writer = name
                elif "iter" not in name:
                    same = (result[0] != X).nnz == 0 and np.array_equal(result[1], y)
                    assert same, f"{name} gives other rows than {writer} was given"
                size = path.stat().st_size
                rows.append([kind, writer, size / 1e6, name, seconds, n_rows / seconds / 1e3, size / 1e6 / seconds])
    header = ["values", "file of", "MB", "", "s", "thousand rows/s", "MB/s"]
    print(tabulate(rows, header, floatfmt=("", "", ".0f", "", ".2f", ".0f", ".0f")))


if __name__ == "__main__":
    main()
