"""What tables a recommender takes, what it makes of them, and what it says where one is not as it should be."""

import datetime as dt
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmkit import FMClassifier, FMRanker, FMRegressor
from fmkit.errors import InputError
from fmkit.recommend import Recommender
from tests.films import FILMS, PEOPLE, some_ratings

FAST = {"quality": "fast", "max_iter": 5}
RATINGS = some_ratings(120)


def fit(rows=None, **tables):
    how = {name: tables.pop(name) for name in ("model", "feedback", "schema") if name in tables}
    return Recommender(**FAST, **how).fit(RATINGS if rows is None else rows, **tables)


@pytest.fixture(scope="module")
def expected():
    return fit(users=PEOPLE, items=FILMS, context="device").recommend(n=4, explain=True)


def as_kind(table, kind, path):
    frame = pd.DataFrame(table)
    if kind == "polars":
        return pl.DataFrame(table)
    if kind == "lazy polars":
        return pl.LazyFrame(table)
    if kind == "pyarrow":
        return pa.table(table)
    if kind == "record batch":
        return pa.RecordBatch.from_pydict(table)
    if kind == "csv":
        frame.to_csv(path, index=False)
        return str(path)
    if kind == "parquet":
        pa.parquet.write_table(pa.table(table), path)
        return path
    if kind == "an index":
        return frame.set_index(np.arange(len(frame))[::-1] * 3)
    return frame if kind == "pandas" else table


KINDS = ["mapping", "pandas", "an index", "polars", "lazy polars", "pyarrow", "record batch", "csv", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_all_kinds_give_equal_lists(kind, tmp_path, expected):
    ratings, people, films = (
        as_kind(table, kind, tmp_path / f"{number}.{kind}") for number, table in enumerate((RATINGS, PEOPLE, FILMS))
    )
    recommender = fit(ratings, users=people, items=films, context="device")
    table = recommender.recommend(n=4, explain=True)
    assert table["item"].equals(expected["item"])
    np.testing.assert_allclose(table["score"], expected["score"], atol=1e-5)
    assert table["title"].to_pylist() == expected["title"].to_pylist()
    assert recommender.predict(pd.Series([1, 2]), pl.Series([3, 4])).shape == (2,)
    pairs = as_kind({"user": [1, 2], "item": [3, 4]}, kind, tmp_path / "pairs")
    if kind not in ("csv", "parquet"):
        scored = recommender.score_pairs(pairs)
        assert scored.column_names == ["user", "item", "score"]
        np.testing.assert_array_equal(scored["score"], recommender.predict([1, 2], [3, 4]))


def test_what_was_found_is_told():
    rows = pd.DataFrame(some_ratings()).assign(timestamp=pd.date_range("2024", periods=300, tz="Europe/Berlin"))
    films = {name: [*values, values[0]] for name, values in FILMS.items()}
    recommender = fit(rows, users=PEOPLE, items={**films, "new": [True, False] * 11 + [True]})
    assert recommender.told_ == [
        "left out: 58 ratings, because the same user rated the same item again later, by 'timestamp'",
        "242 rows of explicit feedback: there are ratings from 0.5 to 5",
        "features of users: city (category), age (number)",
        "the table of items tells of 1 twice: the last row counts",
        "features of items: title (text), year (number), genres (set), author (category), new (category)",
        "ratings are foretold by VB with 8 factors and 5 sweeps, from ids, features and what was rated beside",
        "lists are of what would be rated best; feedback='implicit' makes those of what is chosen",
    ]
    assert {name: len(found) for name, found in recommender.features_.items()} == {"users": 2, "items": 5, "context": 0}
    fitted = recommender.fitted_
    assert (fitted["rows"], fitted["users"], fitted["items"]) == (242, 30, 20)


ALL_ONE = {**RATINGS, "rating": [3] * 120}
WITHOUT = {"user": RATINGS["user"], "item": RATINGS["item"]}


@pytest.mark.parametrize(
    ("rows", "how", "feedback", "why"),
    [
        (RATINGS, {}, "explicit", "there are ratings from 0.5 to 5"),
        (RATINGS, {"feedback": "implicit"}, "implicit", "as asked for"),
        (ALL_ONE, {}, "implicit", "all ratings are 3"),
        (ALL_ONE, {"feedback": "explicit"}, "explicit", "as asked for"),
        (WITHOUT, {}, "implicit", "there is no column of ratings"),
        (RATINGS, {"model": FMRegressor(2, max_iter=2)}, "explicit", "the model is an FMRegressor"),
        (ALL_ONE, {"model": FMRegressor(2, max_iter=2)}, "explicit", "the model is an FMRegressor"),
        (RATINGS, {"model": FMRanker("implicit", n_factors=2)}, "implicit", "the model is an FMRanker"),
    ],
)
def test_feedback_goes_by_the_ratings_unless_it_is_told(rows, how, feedback, why):
    recommender = fit(rows, **how)
    assert recommender.feedback_ == feedback
    assert f"{feedback} feedback: {why}" in " ".join(recommender.told_)
    assert len(recommender.recommend([1], n=3)) == 3


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"feedback": "likes"}, "feedback must be one of 'auto', 'explicit', 'implicit', got 'likes'"),
        ({"quality": "splendid"}, "quality must be one of 'fast', 'balanced', 'best', got 'splendid'"),
        ({"model": "als"}, r"model must be 'auto', an FMRegressor, .* or an FMRanker \(clicks\), got 'als'"),
        ({"model": FMClassifier(solver="als")}, "an FMClassifier must know how sure it is: solver='mcmc' or 'vb'"),
        ({"model": FMRanker(), "feedback": "explicit"}, "feedback='explicit' does not go with an FMRanker"),
        ({"model": FMRegressor(), "feedback": "implicit"}, "feedback='implicit' does not go with an FMRegressor"),
        ({"schema": {"colour": "category"}}, "the schema names the column 'colour', which no table has: title, year"),
        ({"schema": {"year": "colour"}}, "column 'year': the schema gives 'colour': its kind must be one of number"),
        ({"schema": {"title": "number"}}, "'Film 0' is no number"),
    ],
)
def test_parameters_that_do_not_go_are_told(how, message):
    with pytest.raises(InputError, match=message):
        Recommender(**{**FAST, **how}).fit(RATINGS, items=FILMS)


def test_a_schema_says_what_columns_hold():
    recommender = fit(items=FILMS, schema={"genres": ("set", "|"), "year": "category", "title": "ignore"})
    assert [(one.column, one.kind) for one in recommender.features_["items"]] == [
        ("title", "ignore"),
        ("year", "category"),
        ("genres", "set"),
        ("author", "category"),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rating": ["5 stars"] * 120}, "column 'rating': '5 stars' is no number"),
        ({"rating": [dt.date(2024, 1, 1)] * 120}, "column 'rating': numbers are needed, it holds date32"),
        (
            {"rating": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)] * 120},
            "column 'rating': numbers are needed, it holds ti",
        ),
        ({"rating": [1.0] * 9 + [float("nan")] + [2.0] * 110}, "row 10 has no finite number in column 'rating'"),
        ({"rating": [1.0] * 9 + [None] + [2.0] * 110}, "row 10 has no finite number in column 'rating'"),
        ({"rating": [[1]] * 120}, "column 'rating': numbers are needed, it holds list"),
        ({"user": [1] * 4 + [None] + [2] * 115}, "row 5 has no id in column 'user'"),
        ({"item": ["a"] * 4 + [" "] + ["b"] * 115}, "row 5 has no id in column 'item'"),
        ({"user": [1.5] * 120}, "column 'user': ids must be integers or text, got numbers with decimals"),
        ({"user": [True, False] * 60}, "column 'user': ids must be integers or text, got bool"),
        ({"user": [dt.date(2024, 1, 1)] * 120}, "column 'user': ids must be integers or text, got date32"),
        ({"user": [[1]] * 120}, "column 'user': ids must be integers or text, got list"),
        ({"user": [b"x"] * 120}, "column 'user': ids must be integers or text, got binary"),
        ({"user": [1, 2]}, "columns must be of one length, got user 2, item 120"),
        ({"user": [], "item": [], "rating": [], "device": [], "hour": []}, "the table holds no interactions"),
    ],
)
def test_columns_that_hold_something_else_are_told(change, message):
    with pytest.raises(InputError, match=message):
        fit({**RATINGS, **change})


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        ([[1, 2, 3], [4, 5, 6]], {}, "no column for user was found: .* name one .user=COLUMN., or add a header line"),
        (
            {"item": [1], "rating": [2]},
            {},
            "no column for user was found: looked for user, userid, .* 'item', 'rating'",
        ),
        ({"user": [1], "rating": [2]}, {}, "no column for item was found: looked for item, itemid, "),
        (RATINGS, {"user": "who"}, "there is no column 'who' for user, the table has 'user', 'item', 'rating'"),
        (RATINGS, {"item": "user"}, "column 'user' cannot hold both user and item"),
        (RATINGS, {"rating": "stars"}, "there is no column 'stars' for rating"),
        (RATINGS, {"weight": "plays"}, "there is no column 'plays', the table has 'user'"),
        (RATINGS, {"time": "when"}, "there is no column 'when', the table has 'user'"),
        (RATINGS, {"context": "mood"}, "there is no column 'mood', the table has 'user'"),
        ({**RATINGS, "w": [-1] + [1] * 119}, {"weight": "w"}, "weights must not be negative, row 1 of 'w' is"),
        ({**RATINGS, "w": [0] * 120}, {"weight": "w"}, "all rows weigh 0 in column 'w': some must count"),
        (
            {**WITHOUT, "w": [0] * 120},
            {"weight": "w", "feedback": "implicit"},
            "all rows weigh 0 in column 'w': some must count",
        ),
        (WITHOUT, {"feedback": "explicit"}, "explicit feedback needs ratings: name their column with rating="),
        (17, {}, "a table is needed: a DataFrame, a pyarrow.Table, an array or a mapping of columns, got int"),
        (RATINGS, {"items": {"name": ["x"]}}, "the table of items: no column for item was found"),
        (
            RATINGS,
            {"items": {"item": ["tt1"], "year": [1]}},
            "shares no id with the interactions: are ids written alike",
        ),
        (
            RATINGS,
            {"items": {name: RATINGS[name] for name in ("user", "item", "rating")}},
            "the table of items has rows of the same item with another 'user' each, as interactions have: give one wi",
        ),
        (RATINGS, {"users": RATINGS}, "the table of users has rows of the same user with another 'item' each"),
        (
            RATINGS,
            {"users": {"user": [1, None], "age": [1, 2]}},
            "the table of users has no id in row 2 of column 'user'",
        ),
        (RATINGS, {"users": {"user": [1.5], "age": [1]}}, "the table of users, column 'user': ids must be integers"),
    ],
)
def test_tables_without_what_is_needed_are_told(rows, names, message):
    with pytest.raises(InputError, match=message):
        fit(rows, **names)


@pytest.mark.parametrize("text", [["5", "1", "3.5"], [" 5", "1 ", "3.5"]])
def test_ratings_written_as_text_are_numbers(text):
    rows = {"user": ["a", "b", "a"], "item": [1, 1, 2], "rating": text}
    assert fit(rows).interactions_.ratings.tolist() == [5, 1, 3.5]


def test_of_several_ratings_the_last_by_time_counts():
    rows = {"user": [1, 1, 2, 2], "item": [7, 7, 7, 8], "rating": [5, 1, 3, 4]}
    for when, kept in (
        ({}, 1),
        ({"timestamp": [2, 1, 0, 0]}, 5),
        ({"Date": ["2024-05-02", "2024-05-01", None, "2024-01-01"]}, 5),
        ({"timestamp": pd.to_datetime(["2024-05-02", "2024-05-01"] * 2).tz_localize("Asia/Tokyo")}, 5),
        ({"date": ["soon", "later", "never", "now"]}, 1),  # whatever it holds, nobody said that it is a time
    ):
        recommender = fit({**rows, **when})
        assert sorted(recommender.interactions_.ratings) == sorted([kept, 3, 4])
        by = f"by '{next(iter(when))}'" if kept == 5 else "further down"
        assert recommender.told_[0] == (
            f"left out: 1 rating, because the same user rated the same item again later, {by}"
        )
    with pytest.raises(InputError, match="column 'date': dates are needed"):
        fit({**rows, "date": ["soon", "later", "never", "now"]}, time="date")
    assert len(fit({**rows, "date": [1, 2, 3, 4]}, context="date").interactions_) == 4


def test_people_and_films_that_only_their_tables_have_can_be_asked_for():
    people = {"user": [*PEOPLE["user"], "newcomer"], "city": [*PEOPLE["city"], "Rome"], "age": [*PEOPLE["age"], 22]}
    for feedback in ("explicit", "implicit"):
        recommender = fit(users=people, items=FILMS, feedback=feedback)
        assert len(recommender.recommend(["newcomer"], n=5)) == 5
        assert {20, 21} < set(recommender.recommend(["newcomer"], n=99)["item"].to_pylist())
        assert len(recommender.recommend(n=1)) == 31
        assert recommender.explain("newcomer", 21)["value"].to_numpy().sum() == pytest.approx(
            float(recommender.scores(np.array([30]), np.array([21]))[0]), abs=1e-5
        )


@pytest.mark.parametrize("feedback", ["explicit", "implicit"])
@pytest.mark.parametrize(
    "rows",
    [
        {"user": [1], "item": [1], "rating": [4]},
        {"user": [1, 1, 1], "item": [1, 2, 3], "rating": [4, 2, 5]},
        {"user": [1, 2, 3], "item": [1, 1, 1], "rating": [4, 2, 5]},
        {"user": [1, 1, 2], "item": [1, 2, 2], "rating": [3, 3, 3]},
    ],
    ids=["one row", "one user", "one item", "one rating"],
)
def test_tiny_tables(rows, feedback):
    recommender = fit(rows, feedback=feedback)
    table = recommender.recommend(n=5, exclude_seen=False, explain=True)
    assert len(table) == len(set(rows["user"])) * len(set(rows["item"]))
    assert np.isfinite(table["score"]).all()
    assert len(recommender.recommend_for(likes=[1], exclude_seen=False)) == len(set(rows["item"]))
    recommender.partial_fit({"user": [9], "item": [1], "rating": [min(rows["rating"])]})
    assert len(recommender.recommend([9], exclude_seen=False)) == len(set(rows["item"]))
    if feedback == "explicit":
        low, high = min(rows["rating"]), max(rows["rating"])
        assert all(low <= one <= high for one in table["predicted"].to_pylist())


def test_ids_of_every_kind_are_asked_for_as_they_were_given():
    of_uuid = [uuid.UUID(int=number) for number in range(4)]
    for ids, out in (
        ([7, 8, 9, 10], [7, 8, 9, 10]),
        (["007", "8", "9", "x"], ["007", "8", "9", "x"]),
        ([7, "8", "x", 10], ["7", "8", "x", "10"]),
        (["Ørs", "日本", "ann lee", "😀"], ["Ørs", "日本", "ann lee", "😀"]),
        (of_uuid, [str(one) for one in of_uuid]),
        ([7.0, 8.0, 9.0, 10.0], [7, 8, 9, 10]),
        ([2**63 + 1, 2**63 + 2, 2**63 + 3, 2**63 + 4], [str(2**63 + k) for k in (1, 2, 3, 4)]),
    ):
        rows = {"user": ids * 2, "item": [1, 2, 3, 4, 2, 3, 4, 1], "rating": [1, 2, 3, 4, 5, 4, 3, 2]}
        for table in (rows, pd.DataFrame(rows)):
            recommender = fit(table)
            assert recommender.users_.ids.ids.to_pylist() == out
            asked = recommender.recommend(ids, n=1)
            assert len(asked) == 4
            assert asked["item"].equals(recommender.recommend(n=1)["item"])
            assert not {1, 2} & set(recommender.recommend(ids[:1], n=4)["item"].to_pylist())
            assert recommender.similar_users(ids[0], 3)["user"].to_pylist() == out[:1] * 3
            assert len(recommender.forget(ids[0]).users_) == 3
    with pytest.raises(InputError, match="ids must be integers or text, got bool"):
        fit().recommend([True])
    with pytest.raises(InputError, match="ids must be integers or text, got numbers with decimals"):
        fit().recommend([1.5])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from([1.0, 2.0, 5.0])), min_size=1))
@settings(max_examples=30)
def test_whatever_the_rows_lists_hold_all_that_a_user_has_not(rows):
    users, items, ratings = map(list, zip(*rows, strict=True))
    recommender = Recommender(FMRegressor(2, max_iter=1, random_state=0)).fit(
        {"user": users, "item": items, "rating": ratings}
    )
    has = {(user, item) for user, item, _ in rows}
    table = recommender.recommend(n=9)
    found = set(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))
    assert found == {(user, item) for user in users for item in items} - has
