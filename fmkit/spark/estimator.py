"""SparkFM and SparkFMModel: a factorization machine among the estimators of pyspark.ml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters

from fmkit.errors import InputError
from fmkit.modelfile import load, save
from fmkit.spark.fit import Settings, fit
from fmkit.spark.scoring import score

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from sklearn.pipeline import Pipeline


def _of(name: str, doc: str, convert: Any) -> Any:
    return Param(Params._dummy(), name, doc, typeConverter=convert)


class Predicting(Params):
    """What fit and model share."""

    prediction = _of("prediction", "column of the predictions", TypeConverters.toString)


class SparkFM(Estimator[Any], Predicting):
    """A factorization machine, fitted where the rows are: `FMRegressor(solver="als")` on a Spark cluster.

    The rows are passed over twice, which leaves them cut into blocks by the ids of each column in turn; a sweep then
    sends factors to the blocks and solved ones back, and no row moves any more (docs/spark.md has figures). The result
    is that of `FMRegressor` with the same settings on `Design.from_codes` of the ids' codes, an id's code being its
    place among the sorted ids of its column; it is the same, bit for bit, for any number of blocks, and for tasks that
    failed and were done again. The process that calls holds the machine, 4 (n_factors + 1) bytes an id.

    Parameters are pyspark.ml's, so that ParamGridBuilder takes them: `SparkFM.n_factors`.

    Parameters
    ----------
    ids : list of str, default=["user", "item"]
        Columns of ids, two or more: texts, whole numbers, dates; 7, 7.0 and "7" are one id. A row without one is an
        error.
    target : str, default="rating"
        Column of numbers.
    sample_weight : str, optional
        Column of the rows' weights, not negative.
    prediction : str, default="prediction"
        Column that `transform` adds.
    solver : {"als"}, default="als"
        Alternating least squares.
    n_factors, max_iter, reg_linear, reg_factors, init_scale
        As of `fmkit.FMRegressor`, with its defaults: 16, 30, 3.0, 0.9, 0.1.
    random_state : int, default=0
        Draws the first factors.
    checkpoint : str, optional
        A file of this computer from which a fit that was cut goes on, when it is called once more with the same
        parameters and rows, to the same result bit for bit. It is removed when the fit has ended.
    checkpoint_sweeps : int, default=5
        Write the checkpoint after so many sweeps each.
    n_blocks : int, optional
        Blocks of each column's ids; by default as many as tasks run at once. The result does not depend on it.
    verbose : bool, default=False
        Show a progress bar.

    Examples
    --------
    >>> from fmkit.spark import SparkFM, local_session
    >>> spark = local_session(2, "1g", spark_ui_showConsoleProgress="false", spark_sql_shuffle_partitions=2)
    >>> rows = [("ann", 1, 5.0), ("ann", 2, 4.0), ("bob", 2, 2.0), ("bob", 3, 1.0)] * 5
    >>> ratings = spark.createDataFrame(rows, "user string, film long, stars double")
    >>> model = SparkFM(ids=["user", "film"], target="stars", n_factors=2, max_iter=5).fit(ratings)
    >>> asked = spark.createDataFrame([("ann", 2), ("bob", 9)], "user string, film long")
    >>> [round(row["prediction"]) for row in model.transform(asked).collect()]
    [4, 2]
    >>> model.pipeline.predict({"user": ["ann"], "film": [1]}).round()  # without Spark
    array([5.], dtype=float32)
    """

    ids = _of("ids", "columns of ids, a field each", TypeConverters.toListString)
    target = _of("target", "column of the targets", TypeConverters.toString)
    sample_weight = _of("sample_weight", "column of the rows' weights", TypeConverters.toString)
    solver = _of("solver", "'als'", TypeConverters.toString)
    n_factors = _of("n_factors", "length of an id's vector of factors", TypeConverters.toInt)
    max_iter = _of("max_iter", "sweeps", TypeConverters.toInt)
    reg_linear = _of("reg_linear", "ridge penalty of weights", TypeConverters.toFloat)
    reg_factors = _of("reg_factors", "ridge penalty of factors", TypeConverters.toFloat)
    init_scale = _of("init_scale", "standard deviation of the first factors", TypeConverters.toFloat)
    random_state = _of("random_state", "draws the first factors", TypeConverters.toInt)
    checkpoint = _of("checkpoint", "file that a fit that was cut goes on from", TypeConverters.toString)
    checkpoint_sweeps = _of("checkpoint_sweeps", "sweeps from one checkpoint to the next", TypeConverters.toInt)
    n_blocks = _of("n_blocks", "blocks of each column's ids", TypeConverters.toInt)
    verbose = _of("verbose", "show a progress bar", TypeConverters.toBoolean)

    def __init__(
        self,
        *,
        ids: list[str] | None = None,
        target: str = "rating",
        sample_weight: str | None = None,
        prediction: str = "prediction",
        solver: str = "als",
        n_factors: int = 16,
        max_iter: int = 30,
        reg_linear: float = 3.0,
        reg_factors: float = 0.9,
        init_scale: float = 0.1,
        random_state: int = 0,
        checkpoint: str | Path | None = None,
        checkpoint_sweeps: int = 5,
        n_blocks: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__()
        self._set(
            ids=["user", "item"] if ids is None else ids,
            target=target,
            sample_weight=sample_weight,
            prediction=prediction,
            solver=solver,
            n_factors=n_factors,
            max_iter=max_iter,
            reg_linear=reg_linear,
            reg_factors=reg_factors,
            init_scale=init_scale,
            random_state=random_state,
            checkpoint=None if checkpoint is None else str(checkpoint),
            checkpoint_sweeps=checkpoint_sweeps,
            n_blocks=n_blocks,
            verbose=verbose,
        )

    def _fit(self, dataset: DataFrame) -> SparkFMModel:
        given = {param.name: value for param, value in self.extractParamMap().items()}
        if given["solver"] != "als":
            raise InputError(f"solver must be 'als', got {given['solver']!r}: the others are FMRegressor's")
        names = Settings.__dataclass_fields__
        pipeline = fit(
            dataset,
            given["ids"],
            given["target"],
            given.get("sample_weight"),
            Settings(**{name: given[name] for name in names}),
            checkpoint=given.get("checkpoint"),
            checkpoint_sweeps=given["checkpoint_sweeps"],
            n_blocks=given.get("n_blocks"),
            verbose=given["verbose"],
        )
        return self._copyValues(SparkFMModel(pipeline))


class SparkFMModel(Model, Predicting):
    """What `SparkFM` fits, and any model file of such.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        A fitted TableEncoder and an FMRegressor: fmkit's own, for use without Spark.
    prediction : str, default="prediction"
        Column that `transform` adds.

    Examples
    --------
    See `SparkFM`.
    """

    def __init__(self, pipeline: Pipeline, prediction: str = "prediction") -> None:
        super().__init__()
        self.pipeline = pipeline
        self._set(prediction=prediction)

    @property
    def history(self) -> list[dict[str, Any]]:
        """`sweep`, `train_loss` and `seconds` of every sweep."""
        history: list[dict[str, Any]] = self.pipeline[-1].history_
        return history

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """The rows with a column of predictions; ids that the fit did not see count nothing, for or against."""
        return score(dataset, self.pipeline).withColumnRenamed("prediction", self.getOrDefault(self.prediction))

    def save(self, path: str | Path) -> None:
        """Write `pipeline` by `fmkit.save`, to a file of this computer that `fmkit.load` reads, too."""
        save(self.pipeline, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        pipeline = load(path)
        if [type(step).__name__ for _, step in getattr(pipeline, "steps", [])] != ["TableEncoder", "FMRegressor"]:
            raise InputError("the file holds no model of SparkFM: read it by fmkit.load", path=path)
        return cls(pipeline)
