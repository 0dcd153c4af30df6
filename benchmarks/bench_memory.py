"""Peak memory of a fit of ten million ratings, beyond the input (Linux).

    python benchmarks/bench_memory.py

Each fit runs in a process of its own; the peak is the process's, from just before the fit, with the input in memory.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
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

folder, form, k = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
FMRegressor(k, max_iter=2).fit(Design.from_codes([[0, 1], [1, 0]]), [1, 2])  # compiled code is no part of the fit
user, item, rating = (np.load(folder / f"{name}.npy") for name in ("user", "item", "rating"))
if form == "codes":
    X = Design.from_codes([user, item])
else:
    indices = np.stack([user, item + np.int32(70_000)], axis=1).ravel()
    X = sparse.csr_matrix((np.ones(len(indices)), indices, np.arange(0, len(indices) + 1, 2)))
    del indices, user, item
Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
before = megabytes("VmRSS")
FMRegressor(k, max_iter=3, random_state=0).fit(X, rating)
print(megabytes("VmHWM") - before)
"""


def main() -> None:
    """Print the table."""
    data = make()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("user", "item", "rating"):
            np.save(Path(folder) / f"{name}.npy", data[name])
        for k in (16, 64):
            for form in ("codes", "one-hot float64 CSR"):
                child = [sys.executable, "-c", CHILD, folder, form, str(k)]
                rows.append([form, k, float(subprocess.run(child, check=True, capture_output=True).stdout)])
    print(tabulate(rows, ["10M ratings as", "k", "peak beyond the input, MB"], floatfmt=".0f"))


if __name__ == "__main__":
    main()
