"""Predictions and lists for the rows of a DataFrame: `fmkit.batch` in Spark's tasks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fmkit.batch import Scorer
from fmkit.errors import InputError
from fmkit.modelfile import load, save
from fmkit.pipelines import set_threads
from fmkit.spark.session import check_workers, in_arrow, threads_of_task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BATCH_ROWS = (
    1 << 16
)  # that are scored at once: Spark hands over 10,000, for each of which a model would look up its ids


def score(
    frame: DataFrame,
    model: Any,
    *,
    keep: Sequence[str] | None = None,
    std: bool = False,
    proba: bool = False,
    top: int | None = None,
    columns: Mapping[str, str] | None = None,
    faults: str | None = None,
) -> DataFrame:
    """The rows of a DataFrame with predictions beside them, by `fmkit.batch.score`.

    The model is written to a file once, which Spark brings to every machine; each worker maps it into its memory when
    it first meets it and keeps it, and workers of one machine share it. A task has as many threads as `spark.task.cpus`
    says.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
    model : str, path, or estimator of fmkit
        A model file, or what could be saved to one.
    keep, std, proba, top, columns
        As of `fmkit.batch.score`.
    faults : str, optional
        Name of a column more that says why a row is not scored, null where it is: all rows come out, and
        `where("fault is null")` has those that are scored. By default a row that cannot be scored ends the job.

    Returns
    -------
    pyspark.sql.DataFrame
        Worked out when it is asked for.

    Raises
    ------
    InputError
        If the frame lacks a column that the model is asked by, or has it in a type that does not do.

    Examples
    --------
    >>> from fmkit import FMRegressor
    >>> from fmkit.spark import local_session, score
    >>> spark = local_session(2, "1g", spark_ui_showConsoleProgress="false", spark_sql_shuffle_partitions=2)
    >>> model = FMRegressor(0, random_state=0).fit([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [1, 2, 3])
    >>> rows = spark.createDataFrame([(7, 1.0, 1.0)], "id long, x0 double, x1 double")
    >>> score(rows, model, keep=["id"]).columns
    ['id', 'prediction']
    """
    spark = frame.sparkSession
    check_workers(spark)
    if isinstance(model, str | Path):
        content, fitted = Path(model).read_bytes(), load(model)
    else:
        fitted = model
        with tempfile.TemporaryDirectory() as folder:
            save(model, Path(folder) / "model.fmkit")
            content = (Path(folder) / "model.fmkit").read_bytes()
    options: dict[str, Any] = {
        "std": std,
        "proba": proba,
        "top": top,
        "columns": None if columns is None else dict(columns),
    }
    schema = frame.limit(0).toArrow().schema
    scorer = Scorer(fitted, schema, keep=keep, **options)
    answered = scorer.schema if faults is None else scorer.marked_schema(faults)
    types = spark.createDataFrame(answered.empty_table()).schema
    kept = {field.name: field.dataType for field in frame.schema.fields}
    for field in types.fields:
        field.dataType = kept.get(field.name, field.dataType)
    shipped = _ship(spark, content)
    asked = frame.select(*[frame["`" + name.replace("`", "``") + "`"] for name in scorer.needed])
    return in_arrow(asked, score_batches, types, shipped, scorer.kept, options, faults)


def recommend_for_all_users(frame: DataFrame, model: Any, n: int = 10, *, user: str = "user") -> DataFrame:
    """Lists of the best items for every user of a DataFrame, by a Recommender.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        With a column of users; each of them gets one list, however many rows it has.
    model : str, path, or Recommender
    n : int, default=10
    user : str, default="user"
        The column.

    Returns
    -------
    pyspark.sql.DataFrame
        The users, with the lists `items` and `scores`, best first.
    """
    if user not in frame.columns:
        raise InputError(f"there is no column '{user}': the table has {', '.join(frame.columns)}")
    if n < 1:
        raise InputError(f"n must be at least 1, got {n}")
    users = frame.select(frame["`" + user.replace("`", "``") + "`"]).dropna().distinct()
    return score(users, model, top=n, columns={"user": user})


def _ship(spark: SparkSession, content: bytes) -> str:
    """Have Spark bring a file to every machine; returns the name that tasks find it by."""
    from pyspark import SparkFiles

    name = f"fmkit-{blake2b(content, digest_size=16).hexdigest()}.fmkit"
    folder = Path(tempfile.gettempdir()) / "fmkit-spark"
    folder.mkdir(exist_ok=True)
    path = folder / name
    if not path.exists() or path.stat().st_size != len(content):
        path.write_bytes(content)
    try:
        context = spark.sparkContext
    except Exception:  # pyspark's own, of Connect
        spark.addArtifact(str(path), file=True)
    else:
        if not Path(SparkFiles.get(name)).exists():
            context.addFile(str(path))
    return name


def score_batches(
    batches: Iterator[pa.RecordBatch], shipped: str, kept: Sequence[str], options: Mapping[str, Any], faults: str | None
) -> Iterator[pa.RecordBatch]:
    """The batches of a task, scored."""
    model, scorer = _load(shipped, threads_of_task()), None
    for batch in _joined(batches):
        if scorer is None:
            scorer = Scorer(model, batch.schema, keep=kept, **options)
        yield scorer(batch) if faults is None else scorer.mark(batch, faults)


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= BATCH_ROWS:
            yield pa.concat_batches(held)
            held = []
    if held:
        yield pa.concat_batches(held)


@lru_cache(maxsize=2)
def _load(shipped: str, n_threads: int) -> Any:
    """A model of this worker's, kept for later tasks."""
    from pyspark import SparkFiles

    model = load(SparkFiles.get(shipped), mapped=True)  # which workers of one machine share
    set_threads(model, n_threads)
    return model
