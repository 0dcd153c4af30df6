"""Peak memory with ten million ratings: of a fit beyond its input, and of `fmkit recommend` as a whole (Linux).

    python benchmarks/bench_memory.py         # six minutes
    python benchmarks/bench_memory.py --fits mcmc:16

Each fit runs in a process of its own; the peak is the process's, from just before the fit, with the input in memory.
MCMC does ten sweeps, after which it has cut its stack of draws down once; the others three.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from synth_ratings import make
from tabulate import tabulate

CHILD = """
import sys
import numpy as np
from pathlib import Path
from scipy import sparse
from fmkit import Design, FMRegressor

def megabytes(key):
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) / 1024

folder, form, solver, k = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
# Compiled code is no part of the fit.
FMRegressor(k, solver=solver, max_iter=2).fit(Design.from_codes([[0, 1], [1, 0]]), [1, 2])
user, item, rating = (np.load(folder / f"{name}.npy") for name in ("user", "item", "rating"))
if form == "codes":
    X = Design.from_codes([user, item])
else:
    indices = np.stack([user, item + np.int32(user.max() + 1)], axis=1).ravel()
    X = sparse.csr_matrix((np.ones(len(indices)), indices, np.arange(0, len(indices) + 1, 2)))
    del indices, user, item
Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
before = megabytes("VmRSS")
FMRegressor(k, solver=solver, max_iter=10 if solver == "mcmc" else 3, burn_in=0, random_state=0).fit(X, rating)
print(megabytes("VmHWM") - before)
"""

# A process inherits the peak of the one that starts it: a small one stands between.
COMMAND = """
import resource, subprocess, sys
program = "from fmkit.cli import main; main()"
command = [sys.executable, "-c", program, "recommend", sys.argv[1], "--user", "5"]
subprocess.run(command, check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    fits = ["als:16", "als:64", "mcmc:16", "mcmc:64", "vb:16"]
    parser.add_argument("--fits", nargs="+", default=fits, help="solver:n_factors of each; of some, no other table")
    parser.add_argument("--ratings", type=int, default=10_000_000, help="fewer, to try this file out")
    chosen = parser.parse_args()
    data = make(chosen.ratings * 7 // 1000, n_ratings=chosen.ratings)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("user", "item", "rating"):
            np.save(Path(folder) / f"{name}.npy", data[name])
        for fit in chosen.fits:
            for form in ("codes", "one-hot float64 CSR"):
                solver, k = fit.split(":")
                child = [sys.executable, "-c", CHILD, folder, form, solver, k]
                rows.append([form, solver, k, float(subprocess.run(child, check=True, capture_output=True).stdout)])
    number = f"{len(data['user']) / 1e6:g}M ratings"
    print(tabulate(rows, [f"{number} as", "solver", "k", "peak beyond the input, MB"], floatfmt=".0f"), end="\n\n")
    if chosen.fits != fits:
        return

    columns = {"user": data["user"].astype(np.int64), "item": data["item"].astype(np.int64)}
    table = pa.table({**columns, "rating": data["rating"].astype(np.float64)})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        pa.csv.write_csv(table, f"{folder}/ratings.csv")
        pa.parquet.write_table(table, f"{folder}/ratings.parquet")
        for name in ("ratings.csv", "ratings.parquet"):
            command = [sys.executable, "-c", COMMAND, f"{folder}/{name}"]
            peak = int(subprocess.run(command, check=True, capture_output=True).stdout) * 1024
            rows.append([f"fmkit recommend {name} --user 5", peak / 1e6, peak / table.nbytes])
    print(tabulate(rows, [number, "peak of the process, MB", "times the columns' size"], floatfmt=("", ".0f", ".1f")))


if __name__ == "__main__":
    main()
