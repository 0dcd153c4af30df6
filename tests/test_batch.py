"""Scores of record batches: any cut gives the same, rows keep their number and order, what will not do is named."""

import datetime
import decimal
import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline

from fmkit import FMClassifier, FMOrdinal, FMRanker, FMRegressor, TableEncoder
from fmkit.batch import Scorer, score
from fmkit.errors import InputError
from fmkit.recommend import Recommender

N = 400


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    pairs = rng.choice(40 * 30, N, replace=False)
    return pa.table({"user": pairs // 30, "item": pairs % 30, "rating": rng.integers(1, 6, N).astype(float)})


@pytest.fixture(scope="module")
def recommender(ratings):
    return Recommender(quality="fast", n_factors=3, max_iter=4).fit(ratings)


@pytest.fixture(scope="module")
def customers():
    rng = np.random.default_rng(1)
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(int(d)) for d in rng.integers(0, 700, N)]
    return pa.table(
        {
            "city": rng.choice(["Rome", "Oslo", "Lima"], N),
            "age": rng.uniform(18, 80, N),
            "since": [day.isoformat() for day in days],
        }
    )


@pytest.fixture(scope="module")
def churn(customers):
    labels = np.where(np.asarray(customers["age"]) > 50, "leaves", "stays")
    return make_pipeline(TableEncoder(), FMClassifier(max_iter=5)).fit(customers, labels)


def scored(model, batches, **options):
    return pa.Table.from_batches(list(score(model, batches, **options)))


def cut(table, cuts):
    """A table in batches, some of them empty."""
    edges = [0, *sorted(cuts), len(table)]
    whole = table.combine_chunks().to_batches()[0]
    return [whole.slice(a, b - a) for a, b in itertools.pairwise(edges)]


@given(st.lists(st.integers(0, N), max_size=8))
@settings(max_examples=25, deadline=None)
def test_any_cut_into_batches_gives_the_same(recommender, ratings, cuts):
    whole = scored(recommender, ratings, std=True)
    assert scored(recommender, cut(ratings, cuts), std=True).combine_chunks().equals(whole.combine_chunks())


@given(st.lists(st.integers(0, N), max_size=8))
@settings(max_examples=15, deadline=None)
def test_any_cut_of_a_table_with_gaps_and_dates_gives_the_same(churn, customers, cuts):
    whole = scored(churn, customers, proba=True)
    assert scored(churn, cut(customers, cuts), proba=True).combine_chunks().equals(whole.combine_chunks())


def test_rows_keep_their_number_and_order_and_columns(recommender, ratings):
    numbered = ratings.append_column("row", pa.array(np.arange(N)))
    out = scored(recommender, numbered)
    assert out.column_names == ["user", "item", "rating", "row", "prediction"]
    assert out.drop_columns(["prediction"]).equals(numbered.combine_chunks())


def test_predictions_are_those_of_the_model(recommender, ratings, churn, customers):
    mean, std = recommender.predict(ratings["user"], ratings["item"], return_std=True)
    out = scored(recommender, ratings, std=True)
    np.testing.assert_array_equal(out["prediction"], mean)
    np.testing.assert_array_equal(out["prediction_std"], std)
    out = scored(churn, customers, proba=True)
    assert out["prediction"].to_pylist() == churn.predict(customers).tolist()
    np.testing.assert_array_equal(out["proba_leaves"], churn.predict_proba(customers)[:, 0])


def test_lists_are_those_of_recommend_for_each_row_again(recommender):
    users = pa.table({"user": [5, 7, 5, 99]})
    out = scored(recommender, users, top=3)
    told = recommender.recommend([5, 7, 99], 3)
    for row, user in enumerate([5, 7, 5, 99]):
        mask = np.asarray(told["user"]) == user
        assert out["items"][row].as_py() == np.asarray(told["item"])[mask].tolist()
        np.testing.assert_array_equal(out["scores"][row].as_py(), np.asarray(told["score"])[mask])


def test_a_user_who_has_everything_gets_an_empty_list():
    table = {"user": [1, 1, 2, 2, 3], "item": [1, 2, 1, 2, 1], "rating": [5, 1, 2, 4, 3]}
    recommender = Recommender(quality="fast", max_iter=3).fit(table)
    assert [len(items) for items in scored(recommender, pa.table({"user": [1, 3, 2]}), top=5)["items"]] == [0, 1, 0]


def test_the_columns_of_a_matrix_are_found_by_name_number_or_order():
    X, y = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50.0)
    model = FMRegressor(max_iter=3).fit(X, y)
    want = model.predict(X)
    for names in (["x0", "x1"], ["a", "b"]):
        np.testing.assert_array_equal(scored(model, pa.table(dict(zip(names, X.T, strict=True))))["prediction"], want)
    swapped = pa.table({"x1": X[:, 1], "id": np.arange(50), "x0": X[:, 0]})
    np.testing.assert_array_equal(scored(model, swapped, keep=["id"])["prediction"], want)


def test_sparse_rows_come_as_lists():
    X = np.random.default_rng(0).random((30, 6)) * (np.random.default_rng(1).random((30, 6)) < 0.3)
    model = FMRegressor(max_iter=3).fit(X, np.arange(30.0))
    lists = pa.table({
        "indices": [np.flatnonzero(row).tolist() for row in X],
        "values": [row[row != 0].tolist() for row in X],
    })  # fmt: skip
    np.testing.assert_allclose(scored(model, lists)["prediction"], model.predict(X), rtol=1e-6)
    wrong = pa.table({"indices": [[0], [9], [0, 1], None], "values": [[1.0], [1.0], [1.0], [1.0]]})
    rejects = []
    assert len(scored(model, wrong, rejects=rejects)) == 1
    assert [row["reason"] for row in rejects[0].to_pylist()] == [
        "one of the columns is none of the model's, 0 to 5",
        "indices and values are of different lengths",
        "one of the columns is none of the model's, 0 to 5",
    ]


def test_a_model_of_a_stream_is_asked_of_its_columns():
    table = pa.table({"user": ["a", "b"] * 50, "age": np.arange(100.0), "y": np.arange(100.0) % 7})
    model = FMRegressor(solver="sgd").fit_stream(table, target="y")
    rejects = []
    out = scored(model, pa.table({"user": ["a", None, "b"], "age": [1.0, None, np.inf]}), rejects=rejects)
    assert len(out) == 2
    assert rejects[0].to_pylist() == [
        {"row": 2, "column": "age", "reason": "the number is not finite", "value": "inf"}
    ]  # fmt: skip


def test_ordinal_classes_and_rankers():
    X, y = np.eye(4)[[0, 1, 2, 3] * 5], np.array([1, 2, 3, 3] * 5)
    ordinal = FMOrdinal(max_iter=5).fit(X, y)
    out = scored(ordinal, pa.table(dict(zip("abcd", X.T, strict=True))), proba=True)
    assert out["prediction"].to_pylist() == ordinal.predict(X).tolist()
    ranker = FMRanker(n_factors=2, max_iter=3).fit([[0, 0], [0, 1], [1, 1], [1, 2]])
    rejects = []
    out = scored(ranker, pa.table({"query": [0, 1, 5], "item": [2, 0, 0]}), rejects=rejects)
    np.testing.assert_array_equal(out["prediction"], ranker.score([0, 1], [2, 0]))
    assert rejects[0]["reason"].to_pylist() == ["the fit had rows 0 to 1"]


NO_ID, DECIMALS = "there is no id", "an id is a whole number or text, and this has decimals"


@pytest.mark.parametrize(
    ("column", "faults"),
    [
        (pa.array(["1", None, " ", "x"]), {1: NO_ID, 2: NO_ID}),
        (pa.array([1.0, 2.5, None, np.nan]), {1: DECIMALS, 2: NO_ID, 3: NO_ID}),
        (pa.array([decimal.Decimal(1), decimal.Decimal("2.5"), None, decimal.Decimal(7)]), {1: DECIMALS, 2: NO_ID}),
        (pa.array([1, None, 3, 4], pa.uint8()), {1: NO_ID}),
        (pa.array(["1", None, "1", "2"]).dictionary_encode(), {1: NO_ID}),
        (pa.array(["1", None, "3", "4"], pa.large_string()), {1: NO_ID}),
        (pa.nulls(4), dict.fromkeys(range(4), NO_ID)),
    ],
)  # fmt: skip
def test_ids_of_every_type_and_their_faults(recommender, column, faults):
    rejects = []
    out = scored(recommender, pa.table({"user": column, "item": [1] * 4}), rejects=rejects)
    assert {row["row"]: row["reason"] for batch in rejects for row in batch.to_pylist()} == faults
    assert out["user"].to_pylist() == [value for row, value in enumerate(column.to_pylist()) if row not in faults]


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.binary(), pa.bool_()])
def test_columns_that_cannot_be_ids_are_told_at_once(recommender, kind):
    with pytest.raises(InputError, match=r"column 'user': ids are whole numbers or text, it holds"):
        scored(recommender, pa.table({"user": pa.nulls(2, kind), "item": [1, 2]}))


def test_numbers_of_a_table_and_their_faults(churn):
    wrong = pa.table({
        "city": ["Rome", None, "Atlantis", "Oslo", "Oslo", "Oslo", "Oslo"],
        "age": ["30", "NA", "+4e1", "inf", "1e99", "4,5", " 50 "],
        "since": ["2024-01-01", "", "2024-13-01", "2024-01-01", "2024-01-01", "2024-01-01", "2024-01-01T10:00:00Z"],
    })  # fmt: skip
    rejects = []
    out = scored(churn, wrong, rejects=rejects)
    told = [(row["row"], row["column"], row["reason"], row["value"]) for row in rejects[0].to_pylist()]
    assert told == [
        (2, "since", "a date as ISO 8601 is needed", "2024-13-01"),
        (3, "age", "the number is not finite", "inf"),
        (4, "age", "the number is larger than 32 bits hold, 3.4e38", "1e99"),
        (5, "age", "it is text where a number is needed", "4,5"),
    ]
    alone = [scored(churn, wrong.slice(row, 1))["prediction"][0].as_py() for row in (0, 1, 6)]
    assert out["prediction"].to_pylist() == alone  # others are as if nothing had been wrong


def test_dates_that_are_numbers_have_the_unit_of_the_fit_in_any_batch_and_format():
    milliseconds = np.arange(0, 86_400_000 * 500, 86_400_000 * 5)  # from 1970 on, of which the first look like seconds
    model = make_pipeline(TableEncoder({"at": "date"}), FMRegressor(max_iter=5)).fit(
        {"at": milliseconds}, np.sin(np.arange(100.0))
    )
    want = model.predict({"at": milliseconds})
    for column in (pa.array(milliseconds), pa.array(milliseconds.astype(str)), pa.array(milliseconds.astype(float))):
        batches = pa.table({"at": column}).to_batches(max_chunksize=3)
        np.testing.assert_array_equal(scored(model, batches)["prediction"], want)
    rejects = []
    scored(model, pa.table({"at": ["1", "2024-01-01"]}), rejects=rejects)
    assert rejects[0]["reason"].to_pylist() == ["it is text where a number is needed"]


def test_without_a_place_for_rejects_the_first_ends_the_stream(recommender):
    batches = [pa.record_batch({"user": [1, 2], "item": [1, 2]}), pa.record_batch({"user": [1, None], "item": [1, 2]})]
    stream = score(recommender, batches)
    assert len(next(stream)) == 2
    with pytest.raises(InputError, match="row 4 of the stream, column 'user': there is no id"):
        next(stream)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"keep": ["nope"]}, "there is no column 'nope' to keep: the columns are user, item"),
        ({"proba": True}, "this recommender does not grant proba: probabilities are told by classifiers"),
        ({"top": 0}, "top must be at least 1, got 0"),
        ({"columns": {"user": "who"}}, "there is no column 'who' for user"),
        ({"columns": {"text": "user"}}, "this recommender has no column for 'text': user, item"),
    ],
)
def test_wishes_that_cannot_be_granted(recommender, options, sentence):
    with pytest.raises(InputError, match=sentence):
        scored(recommender, pa.table({"user": [1], "item": [2]}), **options)


def test_columns_that_are_missing_doubled_or_in_the_way(recommender, churn, customers):
    with pytest.raises(InputError, match="there is no column 'age', and the model needs it: the columns are city"):
        scored(churn, customers.select(["city"]))
    twice = pa.Table.from_arrays([customers["city"]] * 2 + [customers["age"], customers["since"]],
                                 ["city", "city", "age", "since"])  # fmt: skip
    with pytest.raises(InputError, match="2 columns 'city'"):
        scored(churn, twice.to_batches())
    with pytest.raises(InputError, match="have a column 'prediction' already"):
        scored(recommender, pa.table({"user": [1], "item": [2], "prediction": [3.0]}))
    with pytest.raises(InputError, match="the FMRegressor is not fitted"):
        scored(FMRegressor(), customers)
    with pytest.raises(InputError, match="there are no columns"):
        scored(churn, pa.table({}).to_batches() or [pa.RecordBatch.from_pylist([], schema=pa.schema([]))])


def test_a_stream_keeps_its_columns(recommender):
    first = pa.record_batch({"user": [1], "item": [1]})
    for later, sentence in (
        (pa.record_batch({"user": [1]}), "a batch has no column 'item'"),
        (pa.record_batch({"user": ["1"], "item": [1]}), "held int64 in the first batch, and holds string in a later"),
    ):
        with pytest.raises(InputError, match=sentence):
            list(score(recommender, [first, later]))


def test_whatever_holds_batches_is_taken(recommender, ratings):
    want = scored(recommender, ratings)["prediction"].combine_chunks()
    reader = pa.RecordBatchReader.from_batches(ratings.schema, ratings.to_batches())
    import pandas as pd  # noqa: F401 (which makes the frame)
    import polars as pl

    for given_batches in (reader, iter(ratings.to_batches()), [ratings.to_pandas()], pl.from_arrow(ratings)):
        assert scored(recommender, given_batches)["prediction"].combine_chunks().equals(want)
    with pytest.raises(InputError, match="record batches, or an iterable of some, are needed, got int"):
        list(score(recommender, 3))
    assert list(score(recommender, [])) == []


def test_no_rows_are_no_trouble(recommender, churn, customers):
    empty = scored(recommender, pa.table({"user": pa.array([], pa.int64()), "item": pa.array([], pa.int64())}))
    assert (len(empty), empty.column_names) == (0, ["user", "item", "prediction"])
    assert scored(churn, customers.slice(0, 0), proba=True).column_names[-1] == "proba_stays"


def test_a_scorer_tells_its_columns_before_it_scores(churn, customers):
    scorer = Scorer(churn, customers.schema, keep=["city"], proba=True)
    assert scorer.needed == ["city", "age", "since"]
    assert scorer.schema.names == ["city", "prediction", "proba_leaves", "proba_stays"]
    assert scorer(customers.combine_chunks().to_batches()[0]).schema == scorer.schema


def test_a_faulty_id_leaves_its_neighbours_as_they_are():
    large = [9007199254740993, 9007199254740995, 3]
    table = {"user": large * 2, "item": [1, 1, 1, 2, 2, 2], "rating": [5.0, 1, 3, 4, 1, 2]}
    model = Recommender(quality="fast", max_iter=4).fit(table)
    want = model.predict(large[:2], [1, 1]).tolist()
    for kind, values in (
        (pa.decimal128(20, 1), [decimal.Decimal(one) for one in large[:2]] + [decimal.Decimal("1.5")]),
        (pa.decimal128(38, 0), [decimal.Decimal(one) for one in large[:2]] + [None]),
        (pa.string(), [str(one) for one in large[:2]] + [" "]),
    ):
        rejects = []
        out = scored(model, pa.table({"user": pa.array(values, kind), "item": [1, 1, 1]}), rejects=rejects)
        assert out["prediction"].to_pylist() == want
        assert len(rejects[0]) == 1
    beyond = pa.array([decimal.Decimal(10**30)], pa.decimal128(38, 0))  # larger than any integer: an id nobody met
    np.testing.assert_array_equal(
        scored(model, pa.table({"user": beyond, "item": [1]}))["prediction"], model.predict(["x"], [1])
    )


def test_ids_of_a_stream_are_taken_as_they_are_written():
    table = pa.table({"g": ["a", " a", "b"] * 30, "y": [1.0, 5.0, 3.0] * 30})
    for n_hash in (None, 4096):
        model = FMRegressor(solver="sgd").fit_stream(table, target="y", n_hash=n_hash)
        asked = pa.table({"g": ["a", " a", "b", "a "]})
        assert scored(model, asked)["prediction"].to_pylist() == model.predict(asked).tolist()


def test_rows_at_fault_may_come_out_marked(recommender):
    batch = pa.record_batch({"user": ["1", None, "2", " "], "item": [1, 2, 3, None]})
    scorer = Scorer(recommender, batch.schema, keep=["item"])
    out = scorer.mark(batch, "why")
    assert out.schema == scorer.marked_schema("why")
    assert out["item"].to_pylist() == [1, 2, 3, None]
    assert out["why"].to_pylist() == [None, "column 'user': there is no id", None, "column 'user': there is no id"]
    assert out["prediction"].to_pylist() == [
        one and float(one) for one in (recommender.predict([1], [1])[0], None, recommender.predict([2], [3])[0], None)
    ]
    assert scorer.mark(batch.slice(0, 1))["fault"].null_count == 1
    with pytest.raises(InputError, match="there is a column 'item' already"):
        scorer.mark(batch, "item")


def test_columns_that_would_come_out_twice_are_told(recommender):
    with pytest.raises(InputError, match="column 'user' would come out more than once"):
        scored(recommender, pa.table({"user": [1], "item": [2]}), keep=["user", "user"])
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3]), pa.array([4])], list("uikk"))
    with pytest.raises(InputError, match="column 'k' would come out more than once"):
        scored(recommender, twice.to_batches(), columns={"user": "u", "item": "i"})
