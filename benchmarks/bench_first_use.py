"""From `import fmkit` to a machine fitted on MovieLens latest-small, in a new process.

    python benchmarks/bench_first_use.py

Cold: nothing compiled yet, as on a fresh machine. Warm: the second process and all later ones.
"""

import os
import subprocess
import sys
import tempfile

from tabulate import tabulate

CHILD = """
import time
start = time.perf_counter()
from fmkit import Design, FMRegressor
imported = time.perf_counter()
from fmkit.datasets import load_movielens_small
import numpy as np
X, y = load_movielens_small(return_X_y=True)
codes = [np.unique(column, return_inverse=True)[1] for column in np.asarray(X).T]
loaded = time.perf_counter()
FMRegressor(random_state=0).fit(Design.from_codes(codes), y)
print(imported - start, loaded - imported, time.perf_counter() - loaded)
"""


def main() -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", "warm", "warm"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
            done = subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True, env=environment)
            seconds = [float(part) for part in done.stdout.split()]
            rows.append([name, *seconds, sum(seconds)])
    print(tabulate(rows, ["kernels", "import", "read ratings", "fit, 30 sweeps", "all, s"], floatfmt=".2f"))


if __name__ == "__main__":
    main()
