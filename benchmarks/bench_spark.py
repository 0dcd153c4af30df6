"""SparkFM beside the local solver and Spark's own ALS and FMRegressor: seconds a sweep, error, bytes shuffled.

    python benchmarks/bench_spark.py                     # 10M ratings, 20 minutes
    python benchmarks/bench_spark.py --rows 1000000 --models SparkFM local ALS

The ratings are those of synth_ratings.py in a Parquet file; a tenth is held out. Each fit runs in a process of its
own, `local[2]` with 4 GB of Java. A sweep's seconds are those of a fit of 3 + SWEEPS sweeps less those of a fit of 3,
by SWEEPS, as none of Spark's models tells them; for SparkFM and the local solver they are the median of all sweeps but
the first. Bytes are those that Spark's tasks told of: written to shuffles by the whole fit (`spark.eventLog`).
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
data = make(max(rows // 143, 100), min(10_000, rows // 100), rows)
table = pa.table({name: data[name] for name in ("user", "item", "rating")})
test = pa.array(data["test"])
pq.write_table(table.filter(test), f"{folder}/test.parquet")
train = table.filter(pa.compute.invert(test))
pq.write_table(train, f"{folder}/train.parquet", row_group_size=1 << 20)
print(len(train), data["bayes_rmse"])
"""

HEAD = """
import json, sys, time
import numpy as np
import pyarrow.parquet as pq
folder, k, sweeps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
penalty = {"reg_factors": float(sys.argv[5])} if len(sys.argv) > 5 else {}
tested = pq.read_table(f"{folder}/test.parquet")
def tell(predictions, **facts):
    error = float(np.sqrt(np.mean((np.asarray(predictions) - tested["rating"].to_numpy()) ** 2)))
    print(json.dumps({"rmse": error, **facts}))
def median(history):
    return float(np.median(np.diff([row["seconds"] for row in history])))
"""

SESSION = """
from fmkit.spark import SparkFM, local_session
spark = local_session(2, "4g", spark_ui_showConsoleProgress="false", spark_eventLog_enabled="true",
                      spark_eventLog_dir=f"file://{sys.argv[4]}", spark_eventLog_compress="false")
spark.sparkContext.setLogLevel("ERROR")
train, test = (spark.read.parquet(f"{folder}/{name}.parquet") for name in ("train", "test"))
def in_order(model):  # of the file, for RMSE by the same line as elsewhere
    predicted = model.transform(test).select("user", "item", "prediction").toArrow()
    asked = tested["user"].to_numpy().astype(np.int64) * 10**6 + tested["item"].to_numpy()
    found = predicted["user"].to_numpy().astype(np.int64) * 10**6 + predicted["item"].to_numpy()
    values = np.full(len(asked), 3.5)
    places = np.argsort(asked)
    values[places[np.searchsorted(asked[places], found)]] = predicted["prediction"].to_numpy()
    return values
def timed(fit):
    start = time.perf_counter()
    model = fit()
    return time.perf_counter() - start, model
"""

FITS = {
    "SparkFM": SESSION
    + """
seconds, model = timed(lambda: SparkFM(n_factors=k, max_iter=sweeps, **penalty).fit(train))
tell(model.pipeline.predict(tested.select(["user", "item"])), seconds=seconds, sweep=median(model.history))
""",
    "local": """
from fmkit import Design, FMRegressor
table = pq.read_table(f"{folder}/train.parquet")
codes = [np.unique(table[name].to_numpy(), return_inverse=True) for name in ("user", "item")]
of_test = [np.searchsorted(ids, tested[name].to_numpy()) for (ids, _), name in zip(codes, ("user", "item"))]
X, sizes = Design.from_codes([code for _, code in codes]), [len(ids) for ids, _ in codes]
start = time.perf_counter()
model = FMRegressor(k, max_iter=sweeps, random_state=0, **penalty).fit(X, table["rating"].to_numpy())
seconds = time.perf_counter() - start
tell(model.predict(Design.from_codes(of_test, sizes)), seconds=seconds, sweep=median(model.history_))
""",
    "ALS": SESSION
    + """
from pyspark.ml.recommendation import ALS
def fit(n, reg):
    return ALS(rank=k, maxIter=n, regParam=reg, numUserBlocks=2, numItemBlocks=2, userCol="user", itemCol="item",
               ratingCol="rating", seed=0).fit(train)
train.persist().count()
fit(3, 0.1)  # Java compiles what is hot
few, _ = timed(lambda: fit(3, 0.1))
regs = [0.03, 0.05, 0.1] if len(sys.argv) < 6 else [float(sys.argv[5])]
many, model = timed(lambda: fit(3 + sweeps, regs[0]))
best = min((in_order(m) for m in [model, *(fit(3 + sweeps, reg) for reg in regs[1:])]),
           key=lambda p: np.mean((p - tested["rating"].to_numpy()) ** 2))
tell(best, seconds=many, sweep=(many - few) / sweeps)
""",
    "FMRegressor": SESSION
    + """
from pyspark.ml.feature import OneHotEncoder, VectorAssembler
from pyspark.ml.regression import FMRegressor as Theirs
from pyspark.ml import Pipeline
hot = Pipeline(stages=[OneHotEncoder(inputCols=["user", "item"], outputCols=["u", "i"], dropLast=False),
                       VectorAssembler(inputCols=["u", "i"], outputCol="features")])
hot = hot.fit(train.union(test))
rows, test = hot.transform(train).select("features", "rating").persist(), hot.transform(test)
rows.count()
def fit(n):
    return Theirs(factorSize=k, maxIter=n, stepSize=0.05, labelCol="rating", seed=0, tol=0.0).fit(rows)
fit(3)
few, _ = timed(lambda: fit(3))
many, model = timed(lambda: fit(3 + sweeps))
tell(in_order(model), seconds=many, sweep=(many - few) / sweeps)
""",
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--factors", type=int, default=16)
    parser.add_argument("--sweeps", type=int, default=10)
    parser.add_argument("--models", nargs="+", choices=list(FITS), default=list(FITS))
    parser.add_argument("--reg", help="of ALS, in place of a choice of three by the test ratings, in its favour")
    parser.add_argument("--reg-factors", help="of SparkFM and the local solver, in place of their default")
    parser.add_argument("--folder", help="where the ratings are, or are to be kept")
    given = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(given.folder or folder)
        data.mkdir(parents=True, exist_ok=True)
        if not (data / "train.parquet").exists():
            print(run(MAKE, str(data), str(given.rows), str(Path(__file__).parent)).strip(), "rows, best RMSE")
        for name in given.models:
            log = Path(folder) / name
            log.mkdir()
            own = given.reg if name == "ALS" else given.reg_factors
            reg = [own] if own and name != "FMRegressor" else []
            told = json.loads(
                run(HEAD + FITS[name], str(data), str(given.factors), str(given.sweeps), str(log), *reg).splitlines()[
                    -1
                ]
            )
            written = shuffled(log)
            lines.append([name, told["seconds"], told["sweep"], written / 1e6, told["rmse"]])
            print(tabulate(lines[-1:], floatfmt=("", ".1f", ".2f", ".0f", ".4f")), flush=True)
    headers = ["", "s, the fit", "s, a sweep", "MB shuffled", "test RMSE"]
    print(tabulate(lines, headers=headers, floatfmt=("", ".1f", ".2f", ".0f", ".4f")))


def shuffled(log: Path) -> int:
    """Bytes that the tasks of a process wrote to shuffles."""
    total = 0
    for file in log.rglob("events*" if any(log.rglob("events*")) else "*"):
        if file.is_file():
            for line in file.read_text().splitlines():
                event = json.loads(line)
                if event["Event"] == "SparkListenerTaskEnd" and (metrics := event.get("Task Metrics")):
                    total += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
    return total


def run(program: str, *arguments: str) -> str:
    """What a Python process of its own prints."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return done.stdout


if __name__ == "__main__":
    main()
