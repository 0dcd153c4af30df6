"""TableEncoder: what columns are taken for, what they become, and that nothing a table may hold breaks it."""

import datetime as dt
import uuid
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmkit import FMRegressor, TableEncoder, load, save
from fmkit.datasets import load_goodbooks, load_movielens_small
from fmkit.errors import InputError

WORDS = ["red", "green", "blue", "the end", "été", "日本", "ß", "a b c"]


def kinds(table: Any, **options: Any) -> dict[str, str]:
    return {feature.column: feature.kind for feature in TableEncoder(**options).fit(table).features_}


def encoded(column: Any, fit_on: Any = None, **options: Any) -> Any:
    """A column's dense design, fitted on it or on another."""
    encoder = TableEncoder(**options).fit({"c": column if fit_on is None else fit_on})
    return encoder.transform({"c": column}).toarray()


@parametrize_with_checks([TableEncoder(sparse_output=False), TableEncoder()])
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_kinds_are_recognised_by_types_and_texts() -> None:
    n = 40
    table = {
        "year": np.arange(n),
        "price": np.linspace(0, 1, n),
        "flag": [True, False] * (n // 2),
        "city": ["Rome", "Oslo"] * (n // 2),
        "genres": ["Action|Comedy", "Comedy", "Action", "Drama|Action"] * (n // 4),
        "tags": [["a", "b"], ["b"]] * (n // 2),
        "title": [f"a film about number {i}" for i in range(n)],
        "when": [dt.date(2020, 1, 1) + dt.timedelta(i) for i in range(n)],
        "written": [f"{1 + i % 28:02}.{1 + i % 12:02}.2021" for i in range(n)],
        "number as text": [f"{i}.5" for i in range(n)],
        "zip": [f"0{1000 + i // 2}" for i in range(n)],
        "id": [f"u{i}" for i in range(n)],
        "nothing": [None] * n,
        "same": ["x"] * n,
    }
    assert kinds(table) == {
        "year": "number",
        "price": "number",
        "flag": "category",
        "city": "category",
        "genres": "set",
        "tags": "set",
        "title": "text",
        "when": "date",
        "written": "date",
        "number as text": "number",
        "zip": "category",
        "id": "ignore",
        "nothing": "ignore",
        "same": "ignore",
    }


def test_real_tables() -> None:
    assert kinds(load_movielens_small().movies) == {"movieId": "ignore", "title": "text", "genres": "set"}
    books = kinds(load_goodbooks().books)
    assert books.items() >= {"title": "text", "authors": "set", "year": "number", "language": "category"}.items()


def test_the_schema_overrides() -> None:
    table = {"code": [1, 2, 3, 2], "letters": ["a/b", "b", "a", "c"]}
    encoder = TableEncoder({"code": "category", "letters": ("set", "/")}).fit(table)
    np.testing.assert_array_equal(
        encoder.get_feature_names_out(), ["code=1", "code=2", "code=3", "letters=a", "letters=b", "letters=c"]
    )
    design = encoder.transform(table).toarray()
    np.testing.assert_allclose(design[0], [1, 0, 0, 0.5**0.5, 0.5**0.5, 0], rtol=1e-6)
    with pytest.raises(InputError, match="names the column 'cod', the table has code, letters"):
        TableEncoder({"cod": "category"}).fit(table)
    with pytest.raises(InputError, match="column 'code': the schema gives 'sets': its kind must be one of number, "):
        TableEncoder({"code": "sets"}).fit(table)
    with pytest.raises(InputError, match="column 'letters': 'a/b' is no number"):
        TableEncoder({"letters": "number"}).fit(table)
    with pytest.raises(InputError, match=r"column 'letters': dates are needed, .*: 'a/b' is none"):
        TableEncoder({"letters": "date"}).fit(table)


def test_a_number_is_linear_between_knots() -> None:
    design = encoded([0.0, 2.5, 10.0, -7.0, 99.0], fit_on=[0.0, 10.0])
    np.testing.assert_allclose(design, [[1, 0], [0.75, 0.25], [0, 1], [1, 0], [0, 1]])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.integers(2, 20))
@settings(max_examples=60)
def test_numbers_come_back_from_their_columns(numbers: list[float], n_knots: int) -> None:
    """Columns times knots, within the ends, are the number; the columns of each sum to 1."""
    encoder = TableEncoder({"c": "number"}, n_knots=n_knots).fit({"c": np.array(numbers)})
    design = encoder.transform({"c": np.array(numbers)}).toarray().astype(float)
    assert design.shape[1] <= max(n_knots, 1)
    np.testing.assert_allclose(design.sum(axis=1), 1, rtol=1e-6)
    knots = encoder._encoders["c"].knots  # type: ignore[union-attr]
    assert knots[0] == min(numbers)
    assert knots[-1] == max(numbers)
    np.testing.assert_allclose(design @ knots, numbers, rtol=1e-5, atol=1e-6 * max(1, np.ptp(numbers)))


def test_a_number_that_most_rows_have_leaves_knots_to_the_others() -> None:
    rng = np.random.default_rng(0)
    gains = np.where(rng.random(20_000) < 0.9, 0, rng.integers(100, 50_000, 20_000))
    assert encoded(gains).shape[1] >= 12


@given(st.lists(st.one_of(st.none(), st.sampled_from(WORDS)), min_size=1, max_size=30).filter(any))
@settings(max_examples=60)
def test_categories_come_back_from_their_columns(values: list[str | None]) -> None:
    encoder = TableEncoder({"c": "category"}).fit({"c": values})
    design = encoder.transform({"c": values}).toarray()
    names = encoder.get_feature_names_out()
    assert (design.sum(axis=1) == 1).all()
    back = [names[row.argmax()] for row in design]
    assert back == ["c missing" if value is None else f"c={value}" for value in values]


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=5), min_size=1, max_size=20).filter(any), st.booleans())
@settings(max_examples=60)
def test_sets_come_back_from_their_columns(sets: list[list[str]], as_text: bool) -> None:
    column = ["|".join(members) for members in sets] if as_text else pa.array(sets, pa.list_(pa.string()))
    encoder = TableEncoder({"c": "set"}).fit({"c": column})
    design = encoder.transform({"c": column}).toarray()
    names = [name.partition("=")[2] for name in encoder.get_feature_names_out()]
    for row, members in zip(design, sets, strict=True):
        found = {name for name, value in zip(names, row, strict=True) if value} - {""}
        assert found == set(members)
        if members:
            assert np.square(row).sum() == pytest.approx(1, rel=1e-6)


def test_words_of_a_text_come_back() -> None:
    encoder = TableEncoder().fit({"t": ["The red house (1999)", "A RED car", "ÉTÉ in the house", "été, 1999!"]})
    np.testing.assert_array_equal(encoder.get_feature_names_out(), ["t:the", "t:red", "t:house", "t:1999", "t:été"])
    design = encoder.transform({"t": ["red, red HOUSE", "boat", None]}).toarray()
    np.testing.assert_allclose(design[0], [0, 0.5**0.5, 0.5**0.5, 0, 0], rtol=1e-6)
    assert not design[1:].any()
    most = TableEncoder(max_words=2).fit({"t": ["a b x1", "a b x2", "a c x3", "c d x4"]})
    np.testing.assert_array_equal(most.get_feature_names_out(), ["t:a", "t:b"])


def test_what_the_fit_did_not_see_is_left_out() -> None:
    assert not encoded(["mars", None], fit_on=["earth", "venus", "earth", "venus"]).any()
    assert encoded([None, "earth"], fit_on=["earth", None, "venus", "earth"])[0].tolist() == [0, 0, 1]
    assert not encoded([np.nan], fit_on=[1.0, 2.0]).any()
    assert encoded([np.nan], fit_on=[1.0, 2.0, np.nan])[0].tolist() == [0, 0, 1]


def test_dates_have_parts_as_far_as_they_differ() -> None:
    hours = pd.date_range("2023-01-01", "2024-06-30", freq="7h")
    encoder = TableEncoder(n_knots=4).fit(pd.DataFrame({"d": hours}))
    names = list(encoder.get_feature_names_out())
    assert len(names) == 4 + 12 + 7 + 24
    at = encoder.transform(pd.DataFrame({"d": pd.to_datetime(["2023-12-25 13:00"])})).toarray()[0]
    assert [names[j] for j in np.flatnonzero(at) if j >= 4] == ["d month=12", "d weekday=0", "d hour=13"]
    days = TableEncoder(n_knots=4).fit({"d": [dt.date(2024, 5, day) for day in range(1, 6)] * 40})
    assert days.get_feature_names_out().tolist() == ["d~2024-05-01", "d~2024-05-03", "d~2024-05-05"]


def test_time_zones_are_where_the_clock_stood() -> None:
    utc = pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC")
    encoder = TableEncoder({"d": "date"}).fit(pd.DataFrame({"d": utc.tz_convert("Asia/Tokyo")}))
    design = encoder.transform(pd.DataFrame({"d": utc[:1].tz_convert("Asia/Tokyo")})).toarray()[0]
    names = encoder.get_feature_names_out()
    assert "d hour=9" in names[design > 0]


@pytest.mark.parametrize("times", [[0, 86_400 * 800], [0, 86_400_000 * 800]])
def test_numbers_as_dates_count_from_1970(times: list[int]) -> None:
    names = TableEncoder({"t": "date"}).fit({"t": times}).get_feature_names_out()
    assert names[:2].tolist() == ["t~1970-01-01", "t~1972-03-11"]


def test_frames_of_all_kinds_are_the_same() -> None:
    frame = pd.DataFrame(
        {
            "n": [1.5, np.nan, 3.0, 2.0],
            "c": pd.Categorical(["a", "b", None, "a"]),
            "s": ["x|y", "y", None, "x"],
            "d": pd.to_datetime(["2020-01-01", None, "2021-05-05", "2022-01-01"]),
        }
    )
    encoder = TableEncoder({"s": "set"}).fit(frame)
    expected = encoder.transform(frame).toarray()
    for other in (pl.from_pandas(frame), pa.Table.from_pandas(frame), pl.from_pandas(frame).lazy().collect()):
        np.testing.assert_array_equal(encoder.transform(other).toarray(), expected)
        np.testing.assert_array_equal(clone(encoder).fit_transform(other).toarray(), expected)


def test_odd_values() -> None:
    ids = [uuid.UUID(int=i % 2) for i in range(6)]
    assert kinds(pd.DataFrame({"u": ids})) == {"u": "category"}
    mixed = pd.DataFrame({"m": [1, "one", 1, 2.5, None, "one", 1, "one"]}, dtype=object)
    names = TableEncoder().fit(mixed).get_feature_names_out()
    assert set(names) == {"m=1", "m=one", "m=2.5", "m missing"}
    with pytest.raises(InputError, match="column 's': it holds struct<a: int64>"):
        TableEncoder().fit(pa.table({"s": [{"a": 1}, {"a": 2}]}))
    with pytest.raises(InputError, match="2 columns named 'a'"):
        TableEncoder().fit(pa.table([pa.array([1, 2]), pa.array([3, 4])], names=["a", "a"]))
    with pytest.raises(InputError, match="got NoneType"):
        TableEncoder().fit(None)


def test_a_million_levels() -> None:
    levels = pa.array(np.arange(1_000_000).astype(str))
    encoder = TableEncoder({"c": "category"}).fit(pa.table({"c": levels}))
    design = encoder.transform(pa.table({"c": levels.slice(999_990)}))
    assert design.shape == (10, 1_000_000)
    np.testing.assert_array_equal(design.indices, np.arange(999_990, 1_000_000))


def test_it_is_kept_in_a_file(tmp_path: Any) -> None:
    frame = pd.DataFrame(load_movielens_small().movies)[:500].assign(when=pd.date_range("2020-01-01", periods=500))
    encoder = TableEncoder({"genres": ("set", "|"), "movieId": "category"}).fit(frame)
    save(encoder, tmp_path / "encoder.fmkit")
    again = load(tmp_path / "encoder.fmkit")
    np.testing.assert_array_equal(again.get_feature_names_out(), encoder.get_feature_names_out())
    assert (again.transform(frame) != encoder.transform(frame)).nnz == 0
    assert again.features_ == encoder.features_
    assert again.get_params() == encoder.get_params()


def test_in_pipelines() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(TableEncoder(), FMRegressor(n_factors=2, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.4
    search = GridSearchCV(pipeline, {"tableencoder__n_knots": [2, 8]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.4
    dense = TableEncoder(sparse_output=False).set_output(transform="pandas").fit(X)
    assert list(dense.transform(X).columns) == list(dense.get_feature_names_out())
    parts = ColumnTransformer([("table", TableEncoder(), ["age", "sex"])], remainder="drop").fit(X)
    assert parts.get_feature_names_out()[0].startswith("table__age~")


def test_day_and_month_keep_their_places() -> None:
    encoder = TableEncoder({"d": "date"}).fit({"d": ["25/12/2020", "01/02/2021", "03/04/2022"] * 3})
    both = encoder.transform({"d": ["25/12/2020", "01/02/2021"]}).toarray()
    np.testing.assert_array_equal(encoder.transform({"d": ["01/02/2021"]}).toarray()[0], both[1])
    with pytest.raises(InputError, match=r"dates are needed, as %d/%m/%Y: '12/25/2020' is none"):
        encoder.transform({"d": ["12/25/2020"]})
    assert kinds({"d": ["25/12/20", "01/02/21"] * 9})["d"] != "date"  # of which century?


def test_a_clock_stays_in_its_zone() -> None:
    here = pd.Series(pd.date_range("2020-06-01 00:30", periods=200, freq="D", tz="Europe/Berlin"))
    encoder = TableEncoder().fit({"d": pa.array(here)})
    assert encoder.get_feature_names_out()[0] == "d~2020-06-01"
    same = encoder.transform({"d": pa.array(here.dt.tz_convert("UTC"))})
    np.testing.assert_array_equal(same.toarray(), encoder.transform({"d": pa.array(here)}).toarray())


def test_gaps_among_numbers_and_dates_are_no_values() -> None:
    assert kinds({"n": ["1.5", "2", "?", "NA", "7", "8"], "d": ["2020-01-01", "unknown", "2021-05-05"] * 2}) == {
        "n": "number",
        "d": "date",
    }
    assert encoded(["2", "NA"], fit_on=["1", "3", "n/a"])[1].tolist() == [0, 0, 1]


def test_booleans_come_back_from_files() -> None:
    expected = encoded([True, False], fit_on=[True, False] * 3)
    for again in (["True", "FALSE"], ["1", "0"], [1, 0]):
        np.testing.assert_array_equal(encoded(again, fit_on=[True, False] * 3), expected)


def test_ids_are_categories_by_their_names() -> None:
    table = {
        "userId": [1, 1, 2, 2, 3, 3],
        "movie_id": [4, 5, 4, 5, 4, 5],
        "id": [1, 2, 3, 4, 5, 6],
        "paid": [1, 2, 3, 4, 5, 6],
    }
    assert kinds(table) == {"userId": "category", "movie_id": "category", "id": "ignore", "paid": "number"}
    assert kinds({"big": [2**62 + i for i in range(9)], "vector": [[0.5, 1.5]] * 9}) == {
        "big": "ignore",
        "vector": "ignore",
    }


def test_frames_without_names_or_with_odd_ones() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "x"]})
    encoder = TableEncoder().fit(frame)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert (encoder.transform(frame.to_numpy()) != encoder.transform(frame)).nnz == 0
    shuffled = pa.Table.from_pandas(frame.iloc[[2, 0, 1]])
    assert [feature.column for feature in TableEncoder().fit(shuffled).features_] == ["a", "b"]
    assert kinds(pd.DataFrame([[1, 7], [2, 8]]), schema={0: "category"})["0"] == "category"
    for wrong, message in (
        ({"a": [1, 2], "b": [1]}, "columns must be of one length, got a 2, b 1"),
        ({"a": 1}, "a column must hold a value for each row, got int"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the table has 2 columns named 'a'"),
    ):
        with pytest.raises(InputError, match=message):
            TableEncoder().fit(wrong)


def test_columns_out_have_names_of_their_own() -> None:
    table = {"minute": pd.date_range("2020-01-01", periods=1000, freq="min"), "near": 1e6 + np.linspace(0, 0.5, 1000)}
    names = TableEncoder().fit(pd.DataFrame(table)).get_feature_names_out()
    assert len(set(names)) == len(names) == 10
