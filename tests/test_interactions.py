"""Interactions and what is known of users and items: from tables of every kind, and what is wrong with one told."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmkit import FMRegressor
from fmkit.datasets import load_movielens_small
from fmkit.errors import InputError
from fmkit.recommend.entities import Entities
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.rating_design import RatingDesign

FRAME = pd.DataFrame(
    {
        "userId": ["ann", "bob", "ann", "cat", "ann"],
        "movieId": [7, 7, 8, 9, 7],
        "rating": [5.0, 1.0, 3.0, 2.0, 4.0],
        "when": pd.to_datetime(["2024-05-01", "2024-05-02", "2024-05-03", None, "2024-01-01"]),
        "mood": ["good", "bad", "good", None, "bad"],
    }
)
TIMED = Columns(time="when")


def triples(x: Interactions) -> list[tuple[Any, Any, float]]:
    users, items = x.users.decode(x.user_codes).to_pylist(), x.items.decode(x.item_codes).to_pylist()
    assert x.ratings is not None
    return list(zip(users, items, x.ratings.tolist(), strict=True))


def test_of_the_same_pair_the_latest_counts() -> None:
    x = Interactions.of(FRAME, TIMED)
    assert triples(x) == [("ann", 7, 5.0), ("bob", 7, 1.0), ("ann", 8, 3.0), ("cat", 9, 2.0)]
    assert x.n_replaced == 1
    assert triples(Interactions.of(FRAME))[-1] == ("ann", 7, 4.0)  # without times, the one further down
    in_context = Interactions.of(FRAME, Columns(time="when", context=("mood",)))
    assert len(in_context) == 5
    assert in_context.context is not None
    assert in_context.context["mood"].to_pylist() == ["good", "bad", "good", None, "bad"]


@pytest.mark.parametrize("kind", ["polars", "arrow", "mapping", "csv", "tsv.gz", "parquet", "two files"])
def test_tables_of_all_kinds_are_the_same(kind: str, tmp_path: Path) -> None:
    source: Any
    if kind == "polars":
        source = pl.from_pandas(FRAME)
    elif kind == "arrow":
        source = pa.Table.from_pandas(FRAME)
    elif kind == "mapping":
        source = {name: FRAME[name].tolist() for name in FRAME} | {
            "when": [*FRAME["when"].dt.date[:3], None, dt.date(2024, 1, 1)]
        }
    elif kind == "parquet":
        source = tmp_path / "t.parquet"
        pa.parquet.write_table(pa.Table.from_pandas(FRAME.astype({"when": str}).replace("NaT", None)), source)
    elif kind == "two files":
        source = [tmp_path / "a.csv", tmp_path / "b.csv"]
        FRAME[:2].to_csv(source[0], index=False)
        FRAME[2:].to_csv(source[1], index=False)
    else:
        source = tmp_path / f"t.{kind}"
        FRAME.to_csv(source, index=False, sep="\t" if kind == "tsv.gz" else ",")
    x, expected = Interactions.of(source, TIMED), Interactions.of(FRAME, TIMED)
    assert triples(x) == triples(expected)
    np.testing.assert_array_equal(x.times, expected.times)


def test_times_in_seconds_milliseconds_and_texts() -> None:
    for when in (
        [1_700_000_000],
        [1_700_000_000_000],
        ["2023-11-14 22:13:20"],
        ["2023-11-14T22:13:20Z"],
        ["1700000000"],
    ):
        x = Interactions.of({"user": [1], "item": [2], "when": when}, TIMED)
        assert x.times is not None
        assert x.times.tolist() == [1_700_000_000]


def test_without_ratings_rows_stay_as_they_are() -> None:
    x = Interactions.of({"user": [1, 1, 2], "item": ["a", "a", "b"], "n": [2, 3, 1]}, Columns(weight="n"))
    assert x.ratings is None
    assert x.weights is not None
    assert x.weights.tolist() == [2, 3, 1]
    assert len(x) == 3


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        ({"rating": ["5", "1", "three", "2", "4"]}, Columns(), "column 'rating': 'three' is no number"),
        ({"rating": [dt.date(2024, 1, 1)] * 5}, Columns(), "column 'rating': numbers are needed, it holds date32"),
        ({"rating": [1, 2, None, 3, 4]}, Columns(), "row 3 has no finite number in column 'rating'"),
        ({"userId": ["a", None, "b", "c", "d"]}, Columns(), "row 2 has no id in column 'userId'"),
        ({"userId": [1.5, 2, 3, 4, 5]}, Columns(), "column 'userId': ids must be integers or text"),
        ({}, Columns(time="then"), "there is no column 'then', the table has 'userId', 'movieId', "),
        ({}, Columns(rating="stars"), "there is no column 'stars' for rating"),
        ({"n": [1, 2, -3, 4, 5]}, Columns(weight="n"), "weights must not be negative, row 3 of 'n' is"),
        ({"when": ["soon"] * 5}, TIMED, "column 'when': dates are needed"),
    ],
)
def test_what_is_wrong_is_told(change: dict[str, Any], columns: Columns, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Interactions.of(
            FRAME.assign(**{name: pd.Series(values, dtype=object) for name, values in change.items()}), columns
        )


def test_two_columns_of_ratings_are_no_table_without_any(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("user,item,rating,rating\n1,2,3,4\n")
    with pytest.raises(InputError, match="the table has 2 columns named 'rating'"):
        Interactions.of(path)


def test_a_file_at_fault_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("user,item,rating\n1,2,3\n1,3,x\n")
    with pytest.raises(InputError, match=r"t\.csv, line 3: 'x' is no number in column 'rating'"):
        Interactions.of(path)
    path.write_text("user,item,rating\n")
    with pytest.raises(InputError, match=r"t\.csv: the table holds no interactions, only a header"):
        Interactions.of(path)
    path.write_text("1,2,3\n4,5,6\n")
    with pytest.raises(InputError, match=r"no column for user was found: .* or add a header line"):
        Interactions.of(path)


ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 5), st.integers(0, 9)), min_size=1, max_size=40
)


@given(ROWS)
@settings(max_examples=60)
def test_the_last_of_each_pair_is_kept(rows: list[tuple[int, int, int, int]]) -> None:
    user, item, rating, when = map(list, zip(*rows, strict=True))
    x = Interactions.of({"user": user, "item": item, "rating": rating, "when": when}, TIMED)
    last = {}
    for u, i, r, t in rows:
        if (u, i) not in last or t >= last[u, i][1]:
            last[u, i] = r, t
    assert {(u, i): r for u, i, r in triples(x)} == {pair: r for pair, (r, _) in last.items()}
    assert x.n_replaced == len(rows) - len(last)


def test_tables_of_items_are_aligned_and_bring_new_ones() -> None:
    x = Interactions.of(FRAME)
    movies = {"movieId": [9, 11, 7, 7], "genres": ["Drama", "Drama|War", "War", "Comedy"]}
    items = Entities.of(x.items, movies, "item", schema={"genres": "set"})
    assert items.ids.ids.to_pylist() == [7, 8, 9, 11]
    assert items.n_replaced == 1
    names = [name.removeprefix("genres=") for name in items.encoder.get_feature_names_out()]  # type: ignore[union-attr]
    has = [{names[j] for j in row.nonzero()[0]} for row in items.features.toarray()]
    assert has == [{"Comedy"}, set(), {"Drama"}, {"Drama", "War"}]
    with pytest.raises(
        InputError, match="shares no id with the interactions: are ids written alike, as tt7 here and 7 there"
    ):
        Entities.of(x.items, {"item": ["tt7", "tt8"], "year": [1, 2]}, "item")
    with pytest.raises(InputError, match="the table of items has no id in row 2 of column 'item'"):
        Entities.of(x.items, {"item": ["7", ""], "year": [1, 2]}, "item")


def test_what_is_known_of_films_makes_ratings_better() -> None:
    """MovieLens latest-small, a tenth held out by RandomState(42): without titles and genres .8206."""
    bunch = load_movielens_small()
    user, item = np.asarray(bunch.data).T
    x = Interactions.of({"user": user, "item": item, "rating": bunch.target})
    test = np.zeros(len(x), bool)
    test[np.random.RandomState(42).permutation(len(x))[: len(x) // 10]] = True
    users, items = Entities.of(x.users, None, "user"), Entities.of(x.items, pd.DataFrame(bunch.movies), "item")
    fitted, held = x.select(~test), x.select(test)
    design = RatingDesign.of(users, items, fitted.user_codes, fitted.item_codes)
    model = FMRegressor(8, solver="vb", random_state=0)
    model.fit(design.rows(fitted.user_codes, fitted.item_codes), fitted.ratings)
    errors = np.clip(model.predict(design.rows(held.user_codes, held.item_codes)), 0.5, 5) - held.ratings
    assert np.sqrt(np.square(errors).mean()) < 0.814
