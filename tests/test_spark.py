"""Fits and predictions by Spark's local mode: the result of the local solver, whatever happens to a task."""

import doctest
import os
import pkgutil
import shutil
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fmkit import Design, FMRegressor, load, save
from fmkit.errors import InputError

JAVA = "JAVA_HOME" in os.environ or shutil.which("java") is not None
pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed (pip install 'fmkit[spark]')"),
    pytest.mark.skipif(not JAVA, reason="there is no Java (apt install openjdk-17-jre-headless)"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"),
]

SETTINGS = {"n_factors": 4, "max_iter": 6}
IDS = ["user", "item"]


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    from fmkit.spark import local_session

    conf = {"spark_sql_shuffle_partitions": 2, "spark_ui_showConsoleProgress": "false"}
    session = local_session(2, "1g", spark_sql_warehouse_dir=tmp_path_factory.mktemp("spark"), **conf)
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


def ratings(n=3000, sizes=(60, 40), seed=0):
    """Codes of each field, all of them in use, and targets in which the fields meet."""
    rng = np.random.default_rng(seed)
    codes = [np.r_[np.arange(size), rng.integers(0, size, n - size)] for size in sizes]
    factors = [rng.standard_normal((size, 2)) for size in sizes]
    total = sum(v[c] for v, c in zip(factors, codes, strict=True))
    pairs = (total**2 - sum(v[c] ** 2 for v, c in zip(factors, codes, strict=True))).sum(axis=1) / 2
    return codes, 3 + pairs + 0.5 * rng.standard_normal(n)


def as_table(codes, y, names=IDS, **more):
    return pa.table({**dict(zip(names, codes, strict=True)), "rating": y, **more})


@pytest.fixture(scope="module")
def problem():
    return ratings()


@pytest.fixture(scope="module")
def frame(spark, problem):
    return spark.createDataFrame(as_table(*problem)).repartition(3).persist()


@pytest.fixture(scope="module")
def model(frame):
    from fmkit.spark import SparkFM

    return SparkFM(**SETTINGS).fit(frame)


def machine_of(model):
    return model.pipeline[-1].machine_


def test_predictions_are_those_of_the_local_solver(problem, model):
    codes, y = problem
    design = Design.from_codes(codes)
    local = FMRegressor(random_state=0, **SETTINGS).fit(design, y)
    found = model.pipeline.predict({"user": codes[0], "item": codes[1]})
    np.testing.assert_allclose(found, local.predict(design), atol=1e-4)
    assert [row["train_loss"] for row in model.history] == pytest.approx(
        [row["train_loss"] for row in local.history_], rel=1e-4
    )


def test_three_fields_and_weights_as_well(spark):
    from fmkit.spark import SparkFM

    codes, y = ratings(sizes=(60, 40, 5))
    weights = np.random.default_rng(1).integers(0, 4, len(y)).astype(float)
    table = as_table(codes, y, [*IDS, "day"], weight=weights)
    model = SparkFM(ids=[*IDS, "day"], sample_weight="weight", **SETTINGS).fit(spark.createDataFrame(table))
    design = Design.from_codes(codes)
    local = FMRegressor(random_state=0, **SETTINGS).fit(design, y, weights)
    found = model.pipeline.predict(dict(zip([*IDS, "day"], codes, strict=True)))
    np.testing.assert_allclose(found, local.predict(design), atol=1e-4)


def test_neither_the_order_of_rows_nor_the_number_of_blocks_changes_a_bit(spark, problem, model):
    from fmkit.spark import SparkFM

    order = np.random.default_rng(2).permutation(len(problem[1]))
    shuffled = as_table([codes[order] for codes in problem[0]], problem[1][order])
    again = SparkFM(n_blocks=3, **SETTINGS).fit(spark.createDataFrame(shuffled).repartition(2))
    assert (machine_of(again).factors == machine_of(model).factors).all()
    assert machine_of(again).bias == machine_of(model).bias


def test_a_fit_that_was_cut_goes_on_to_the_same_bits(frame, model, tmp_path, monkeypatch):
    from fmkit.spark import SparkFM
    from fmkit.spark.sweeps import ClusterAls

    path = tmp_path / "fit.checkpoint"
    fm = SparkFM(checkpoint=path, checkpoint_sweeps=2, **SETTINGS)
    solve, done = ClusterAls._solve, []

    def cut(self, field):
        done.append(field)
        if len(done) == 8:  # in the fourth sweep
            raise RuntimeError("the driver is gone")
        return solve(self, field)

    monkeypatch.setattr(ClusterAls, "_solve", cut)
    with pytest.raises(RuntimeError, match="gone"):
        fm.fit(frame)
    with pytest.raises(InputError, match=r"another fit \(reg_factors=0.9 there, 2.0 here\)"):
        fm.copy({fm.reg_factors: 2.0}).fit(frame)
    with pytest.raises(InputError, match="other data"):
        fm.fit(frame.where("rating > 0"))
    done[:] = [0] * 8
    resumed = fm.fit(frame)
    assert len(done) == 8 + 2 * 4  # two of six sweeps were in the file
    assert (machine_of(resumed).factors == machine_of(model).factors).all()
    assert machine_of(resumed).bias == machine_of(model).bias
    assert not path.exists()


def test_a_task_whose_worker_dies_is_done_again_to_the_same_bits(frame, model, tmp_path, monkeypatch):
    from fmkit.spark import SparkFM, sweeps

    in_arrow, marker = sweeps.in_arrow, str(tmp_path / "died")

    def frail(blocks, work, schema, *arguments):
        def die_once(batches):
            for batch in batches:
                try:
                    os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    yield batch
                else:
                    os._exit(1)

        return in_arrow(blocks.mapInArrow(die_once, blocks.schema), work, schema, *arguments)

    monkeypatch.setattr(sweeps, "in_arrow", frail)
    again = SparkFM(**SETTINGS).fit(frame)
    assert Path(marker).exists()
    assert (machine_of(again).factors == machine_of(model).factors).all()


def test_ids_are_texts_numbers_and_codes_follow_their_order(spark):
    from fmkit.spark.levels import find_levels

    users = pa.array(["b", "a", " b ", "B"], pa.large_string())
    items = pa.array([10, 9, 10, -1])
    levels = find_levels(spark.createDataFrame(as_table([users, items], [1.0, 2.0, 3.0, 6.0])), IDS, "rating", None)
    assert [ids.to_pylist() for ids in levels.ids] == [["B", "a", "b"], ["-1", "9", "10"]]
    assert [counts.tolist() for counts in levels.counts] == [[1, 1, 2], [1, 1, 2]]
    assert (levels.n_rows, levels.mean) == (4, 3.0)


def test_transform_keeps_the_rows_and_unknown_ids_get_what_is_known_of_the_rest(spark, problem, model):
    asked = pa.table({"note": ["x", None, "y"], "user": [1, 1, 999], "item": [2, 999, 999]})
    found = model.transform(spark.createDataFrame(asked)).toArrow()
    assert found.column_names == ["note", "user", "item", "prediction"]
    assert found.drop_columns("prediction").to_pylist() == asked.to_pylist()
    machine = machine_of(model)
    known, half, none = found["prediction"].to_pylist()
    assert known == pytest.approx(model.pipeline.predict({"user": [1], "item": [2]})[0], abs=1e-6)
    assert half == pytest.approx(machine.bias + machine.linear[1], abs=1e-5)
    assert none == pytest.approx(machine.bias, abs=1e-5)


def test_in_a_pipeline_and_a_cross_validator(frame):
    from pyspark.ml import Pipeline
    from pyspark.ml.evaluation import RegressionEvaluator
    from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

    from fmkit.spark import SparkFM

    fm = SparkFM(n_factors=4, max_iter=2)
    grid = ParamGridBuilder().addGrid(fm.reg_factors, [0.5, 50.0]).build()
    judge = RegressionEvaluator(labelCol="rating")
    search = CrossValidator(
        estimator=Pipeline(stages=[fm]), estimatorParamMaps=grid, evaluator=judge, numFolds=2, seed=0
    ).fit(frame)
    assert search.avgMetrics[0] < 0.9 * search.avgMetrics[1]
    assert judge.evaluate(search.transform(frame)) < search.avgMetrics[0]


def test_a_saved_model_is_fmkits_own(problem, model, spark, tmp_path):
    from fmkit.spark import SparkFMModel

    codes, _ = problem
    model.save(tmp_path / "model.fmkit")
    alone = load(tmp_path / "model.fmkit")
    asked = {"user": codes[0][:9], "item": codes[1][:9]}
    assert (alone.predict(asked) == model.pipeline.predict(asked)).all()
    again = SparkFMModel.load(tmp_path / "model.fmkit").transform(spark.createDataFrame(pa.table(asked)))
    np.testing.assert_allclose(again.toArrow()["prediction"], alone.predict(asked), atol=1e-6)

    save(alone[-1], tmp_path / "other.fmkit")
    with pytest.raises(InputError, match="no model of SparkFM"):
        SparkFMModel.load(tmp_path / "other.fmkit")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"user": [None, 1, 2]}, "column 'user' has 1 rows without an id"),
        ({"rating": [1.0, None, float("nan")]}, "column 'rating' has 2 rows without a finite number"),
        ({"weight": [1.0, -1.0, None]}, "column 'weight' has 2 weights that are negative or no numbers"),
        ({"weight": [0.0, 0.0, 0.0]}, "there are no rows to fit to"),
        ({"item": [5, 5, 5]}, "column 'item' holds one id only"),
        ({"rating": ["1", "2", "3"]}, "column 'rating' is of string: numbers are needed"),
        ({"user": [[1], [2], [3]]}, "column 'user' cannot hold ids"),
    ],
)
def test_rows_that_cannot_be_fitted_to_are_told(spark, change, sentence):
    from fmkit.spark import SparkFM

    columns = {"user": [1, 2, 3], "item": [1, 2, 3], "rating": [1.0, 2.0, 3.0], "weight": [1.0, 1.0, 1.0]}
    frame = spark.createDataFrame(pa.table(columns | change))
    with pytest.raises(InputError, match=sentence):
        SparkFM(sample_weight="weight", **SETTINGS).fit(frame)


def test_columns_and_solvers_that_are_not_there_are_told(frame):
    from fmkit.spark import SparkFM

    with pytest.raises(InputError, match="there is no column 'film': the table has user, item, rating"):
        SparkFM(ids=["user", "film"]).fit(frame)
    with pytest.raises(InputError, match="ids must name two columns or more"):
        SparkFM(ids=["user"]).fit(frame)
    with pytest.raises(InputError, match="solver must be 'als'"):
        SparkFM(solver="vb").fit(frame)


def test_texts_in_arrows_large_form(spark, problem, model):
    from fmkit.spark import SparkFM

    codes, y = problem
    spark.conf.set("spark.sql.execution.arrow.useLargeVarTypes", "true")
    try:
        names = [pa.array([f"{code}" for code in of_field], pa.large_string()) for of_field in codes]
        frame = spark.createDataFrame(as_table(names, y))
        again = SparkFM(**SETTINGS).fit(frame)
        assert (machine_of(again).factors == machine_of(model).factors).all()
        assert len(again.transform(frame).where("abs(prediction - rating) < 3").toArrow()) > 0.9 * len(y)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.useLargeVarTypes")


def test_workers_of_another_python_are_told(spark, monkeypatch, tmp_path):
    from fmkit.spark import session

    monkeypatch.setattr(session, "_checked", set())
    monkeypatch.setattr(spark.sparkContext, "pythonExec", str(tmp_path / "python"))
    with pytest.raises(InputError, match="PYSPARK_PYTHON=" + sys.executable):
        session.check_workers(spark)

    bare = tmp_path / "bare"
    bare.mkdir()
    script = bare / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 -S "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(spark.sparkContext, "pythonExec", str(script))
    with pytest.raises(InputError, match=r"the Python of Spark's workers has no \w+: set .* PYSPARK_PYTHON="):
        session.check_workers(spark)


def test_no_java_and_an_old_pyspark_are_told(monkeypatch):
    import pyspark

    from fmkit.spark import session

    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="Spark needs Java 17 or newer, and none is found here: install one"):
        session.local_session(2)
    monkeypatch.setattr(pyspark, "__version__", "3.5.1")
    with pytest.raises(InputError, match=r"needs pyspark 4 or newer, this is 3\.5\.1"):
        session.local_session(2)


def test_lists_for_all_users(spark, tmp_path):
    from fmkit.recommend import Recommender
    from fmkit.spark import recommend_for_all_users

    codes, y = ratings(n=600, sizes=(12, 9))
    table = as_table([[f"u{code}" for code in codes[0]], codes[1]], y)
    recommender = Recommender(quality="fast", random_state=0).fit(table)
    save(recommender, tmp_path / "films.fmkit")
    lists = recommend_for_all_users(spark.createDataFrame(table), tmp_path / "films.fmkit", 2).toArrow().to_pylist()
    assert sorted(row["user"] for row in lists) == sorted(f"u{code}" for code in range(12))
    told = recommender.recommend(["u3"], n=2)
    (mine,) = [row for row in lists if row["user"] == "u3"]
    assert [str(item) for item in mine["items"]] == [str(item) for item in told["item"].to_pylist()]
    with pytest.raises(InputError, match="there is no column 'person'"):
        recommend_for_all_users(spark.createDataFrame(table), recommender, user="person")


def test_rows_that_cannot_be_scored_may_come_out_with_the_reason(spark):
    from fmkit.recommend import Recommender
    from fmkit.spark import score

    table = {"user": [1, 1, 2, 2, 3], "item": [1, 2, 2, 3, 1], "rating": [5, 1, 1, 4, 5]}
    model = Recommender(quality="fast", max_iter=3).fit(table)
    rows = spark.createDataFrame([(1, 3), (None, 1), (2, 1)], "user long, item long").repartition(2)
    told = [(row["item"], row["fault"], row["prediction"]) for row in score(rows, model, faults="fault").collect()]
    want = float(model.predict([1], [3])[0]), float(model.predict([2], [1])[0])
    assert sorted(told, key=str) == sorted(
        [(3, None, want[0]), (1, "column 'user': there is no id", None), (1, None, want[1])], key=str
    )


def test_examples_in_docstrings_run(spark):
    import fmkit.spark

    n_run = 0
    for module in pkgutil.walk_packages(fmkit.spark.__path__, "fmkit.spark."):
        result = doctest.testmod(import_module(module.name), optionflags=doctest.NORMALIZE_WHITESPACE)
        assert result.failed == 0
        n_run += result.attempted
    assert n_run > 10
