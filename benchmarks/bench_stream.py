"""A pass over 20M ratings in a Parquet file, by `fit_stream` and in memory: seconds, peak memory, error (Linux).

    python benchmarks/bench_stream.py                  # three minutes
    python benchmarks/bench_stream.py --rows 2000000

The ratings are those of synth_ratings.py, for twice as many users and items; a tenth is held out. Each fit runs in a
process of its own, whose peak is all that it had: interpreter, libraries, kernels (compiled before the clock starts),
ratings and machine. A fit in memory starts from the file, too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

MAKE = """
import sys
import pyarrow as pa
import pyarrow.parquet as pq
sys.path.insert(0, sys.argv[3])
from synth_ratings import make
folder, rows = sys.argv[1], int(sys.argv[2])
data = make(min(140_000, rows // 142), 20_000, rows * 10 // 9)
table = pa.table({name: data[name] for name in ("user", "item", "rating")})
test = pa.array(data["test"])
pq.write_table(table.filter(test), f"{folder}/test.parquet")
train = table.filter(pa.compute.invert(test))
pq.write_table(train, f"{folder}/train.parquet")
print(len(train))
"""

HEAD = """
import json, sys, time
import numpy as np
import pyarrow.parquet as pq
from pathlib import Path
from fmkit import Design, FMRegressor

folder, k = Path(sys.argv[1]), int(sys.argv[2])
def codes(table):
    return [table[name].to_numpy() for name in ("user", "item")]
def tell(start, busy, predict):
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    test = pq.read_table(folder / "test.parquet")
    error = float(np.sqrt(np.mean((predict(test) - test["rating"].to_numpy()) ** 2)))
    print(json.dumps({"seconds": seconds, "busy": busy, "peak": peak, "rmse": error}))
"""

STREAM = """
how = {"target": "rating", "ids": ["user", "item"], **json.loads(sys.argv[3])}
few = {"user": [1, 2] * 9, "item": [1, 2] * 9, "rating": [1.0, 2.0] * 9}
FMRegressor(k, solver="sgd").fit_stream(few, **how)
start, busy = time.perf_counter(), time.process_time()
model = FMRegressor(k, solver="sgd", random_state=0).fit_stream(folder / "train.parquet", **how)
tell(start, busy, model.predict)
"""

MEMORY = """
FMRegressor(k, solver="sgd", max_iter=1).fit(Design.from_codes([[0, 1], [1, 0]]), [1, 2])
start, busy = time.perf_counter(), time.process_time()
table = pq.read_table(folder / "train.parquet")
levels = [140_000, 20_000]
X = Design.from_codes(codes(table), levels)
model = FMRegressor(k, solver="sgd", max_iter=1, random_state=0).fit(X, table["rating"].to_numpy())
tell(start, busy, lambda test: model.predict(Design.from_codes(codes(test), levels)))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000, help="ratings that are learned, about")
    parser.add_argument("--factors", type=int, nargs="+", default=[8, 16])
    given = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        rows = int(run(MAKE, folder, str(given.rows), str(Path(__file__).parent)))
        print(f"{rows:,} rows")
        for k in given.factors:
            for name, how in (
                ("stream, 2^21 buckets", {}),
                ("stream, 2^20 buckets", {"n_hash": 2**20}),
                ("stream, vocabulary", {"n_hash": None}),
            ):
                lines.append(told(name, k, rows, run(HEAD + STREAM, folder, str(k), json.dumps(how))))
            lines.append(told("in memory, an epoch", k, rows, run(HEAD + MEMORY, folder, str(k))))
    headers = ["", "k", "s", "processor s", "M rows/s", "peak MB", "test RMSE"]
    print(tabulate(lines, headers=headers, floatfmt=("", "", ".1f", ".1f", ".2f", ".0f", ".4f")))


def run(program: str, *arguments: str) -> str:
    """What a Python process of its own prints."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def told(name: str, k: int, rows: int, answer: str) -> list[object]:
    """A line of the table."""
    facts = json.loads(answer)
    return [name, k, facts["seconds"], facts["busy"], rows / facts["seconds"] / 1e6, facts["peak"], facts["rmse"]]


if __name__ == "__main__":
    main()
