"""Fits to streams: the same bits however rows are cut and wherever a fit was; and a sentence for what is wrong."""

import gzip
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

from fmkit import Design, FMClassifier, FMRegressor, load, save
from fmkit.datasets import load_movielens_small, write_libffm, write_libfm
from fmkit.errors import InputError
from fmkit.streams.hashing import print_column
from fmkit.streams.vocabulary import Vocabulary

IDS = ["user", "item"]


def ratings(n=3000, seed=0, **more):
    """Users and items with an effect each, and a number that counts."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 60, n), rng.integers(0, 40, n)
    age = rng.normal(40, 10, n)
    y = rng.standard_normal(60)[user] + rng.standard_normal(40)[item] + age / 20 + 0.3 * rng.standard_normal(n) + 3
    return pa.table({"user": user, "item": item, "age": age, "rating": y, **more})


def batches(table, sizes):
    """The table in batches of these sizes, the rest as one."""
    start = 0
    for size in [*sizes, len(table)]:
        yield table.slice(start, size)
        start += size


def fitted(reader, model=None, **how):
    model = FMRegressor(4, solver="sgd", random_state=0) if model is None else model
    how = {"target": "rating", "ids": IDS, "batch_rows": 256, "n_hash": 4096, **how}
    return model.fit_stream(reader, **how)


def same(a, b):
    """Whether two models hold the same bits."""
    one, other = a.machine_, b.machine_
    assert one.bias == other.bias
    np.testing.assert_array_equal(one.linear, other.linear)
    np.testing.assert_array_equal(one.factors, other.factors)
    told = [[{k: v for k, v in row.items() if k != "seconds"} for row in model.history_] for model in (a, b)]
    assert told[0] == told[1]
    return True


KINDS = {
    "hashed": {"numbers": ["age"]},
    "pairs": {},
    "vocabulary": {"n_hash": None, "numbers": ["age"]},
    "two passes": {"passes": 2, "n_hash": None},
}


@pytest.mark.parametrize("kind", KINDS)
@given(sizes=st.lists(st.sampled_from([0, 1, 2, 255, 256, 257, 700]), max_size=6))
@settings(max_examples=8, deadline=None)
def test_however_rows_are_cut_the_bits_are_the_same(kind, sizes):
    table = ratings(1500)
    assert same(fitted(list(batches(table, sizes)), **KINDS[kind]), fitted(table, **KINDS[kind]))


@pytest.mark.parametrize(
    ("kind", "cut"), [*((kind, cut) for kind in KINDS for cut in (1, 4, 7)), ("two passes", 14), ("two passes", 24)]
)
def test_a_stream_that_was_cut_goes_on_to_the_same_bits(kind, cut, tmp_path):
    table = ratings()
    path = tmp_path / "stream.checkpoint"
    model = FMRegressor(4, solver="sgd", random_state=5, checkpoint_sweeps=2)

    class Cut(Exception): ...

    def raise_at(progress):
        if progress.sweep == cut:
            raise Cut

    with pytest.raises(Cut):
        fitted(table, clone(model).set_params(callbacks=[raise_at]), checkpoint=path, **KINDS[kind])
    assert path.exists() == (cut > 2)
    resumed = fitted(table, clone(model), checkpoint=path, **KINDS[kind])
    assert not path.exists()
    assert same(resumed, fitted(table, clone(model), **KINDS[kind]))


def test_a_checkpoint_of_another_stream_is_refused(tmp_path):
    path = tmp_path / "stream.checkpoint"

    def stop(progress):
        if progress.sweep == 3:
            raise KeyError

    model = FMRegressor(4, solver="sgd", random_state=0, checkpoint_sweeps=1)
    with pytest.raises(KeyError):
        fitted(ratings(), clone(model).set_params(callbacks=[stop]), checkpoint=path)
    with pytest.raises(InputError, match="other data"):
        fitted(ratings(seed=1), clone(model), checkpoint=path)
    with pytest.raises(InputError, match="batch_rows=256 there, 128 here"):
        fitted(ratings(), clone(model), checkpoint=path, batch_rows=128)
    with pytest.raises(InputError, match="ended 212 rows before"):
        fitted(ratings().slice(0, 300), clone(model), checkpoint=path)


@pytest.mark.parametrize("n_hash", [2**18, None])
@pytest.mark.parametrize("task", [FMRegressor, FMClassifier])
def test_one_pass_is_as_good_as_an_epoch_in_memory(task, n_hash):
    X, y = load_movielens_small(return_X_y=True)
    if task is FMClassifier:
        y = y >= 4
    order = np.random.default_rng(0).permutation(len(y))
    test, train = order[:10_000], order[10_000:]
    codes = [np.unique(column, return_inverse=True)[1] for column in X.T]
    levels = [int(c.max()) + 1 for c in codes]
    of = lambda rows: Design.from_codes([c[rows] for c in codes], levels)  # noqa: E731
    table = pa.table({"user": X[:, 0], "item": X[:, 1], "rating": y})
    model = task(8, solver="sgd", random_state=0, max_iter=1)

    def loss(predicted):
        if task is FMRegressor:
            return np.sqrt(np.mean((predicted - y[test]) ** 2))
        return np.mean(np.logaddexp(0, predicted) - y[test] * predicted)

    ask = "predict" if task is FMRegressor else "decision_function"
    in_memory = loss(getattr(clone(model).fit(of(train), y[train]), ask)(of(test)))
    streamed = clone(model).fit_stream(table.take(train), target="rating", ids=IDS, n_hash=n_hash, batch_rows=4096)
    assert loss(getattr(streamed, ask)(table.take(test))) < 1.01 * in_memory


def test_a_batch_is_predicted_before_it_is_learned():
    table = ratings(1000)
    history = fitted(table, numbers=["age"]).history_
    before = fitted(table.slice(0, 512), numbers=["age"])
    error = np.mean((before.predict(table.slice(512, 256)) - table["rating"].to_numpy()[512:768]) ** 2)
    assert history[2]["validation_loss"] == pytest.approx(error, rel=1e-4)
    rows = [256, 256, 256, 232]
    losses = [row["validation_loss"] for row in history]
    assert history[-1]["running_loss"] == pytest.approx(np.average(losses, weights=rows))
    assert [row["rows"] for row in history] == [256, 512, 768, 1000]
    later = fitted(table, numbers=["age"], passes=2).history_[4:]
    assert {row["validation_loss"] for row in later} == {None}
    assert {row["running_loss"] for row in later} == {history[-1]["running_loss"]}


def test_ids_are_the_same_from_every_kind_of_table(tmp_path):
    table = ratings(1000)
    frame = table.to_pandas()
    pq.write_table(table, tmp_path / "r.parquet", row_group_size=300)
    pyarrow.csv.write_csv(table, tmp_path / "r.csv")
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress((tmp_path / "r.csv").read_bytes()))
    texts = table.set_column(0, "user", table["user"].cast(pa.string()))
    models = [
        fitted(reader)
        for reader in (
            tmp_path / "r.parquet",
            str(tmp_path / "r.csv"),
            tmp_path / "r.csv.gz",
            frame,
            frame.astype({"user": "category"}),
            frame.astype({"user": float}),
            pl.from_arrow(table),
            texts,
            table.to_batches(100),
            lambda: iter(table.to_batches(77)),
            iter(table.to_batches(50)),
        )
    ]
    assert all(same(model, models[0]) for model in models[1:])
    pq.write_table(table.slice(0, 400), tmp_path / "a.parquet")
    pq.write_table(table.slice(400), tmp_path / "b.parquet")
    assert same(fitted([tmp_path / "a.parquet", tmp_path / "b.parquet"]), models[0])
    predicted = models[0].predict(tmp_path / "r.csv")
    np.testing.assert_array_equal(predicted, models[0].predict(frame[["item", "user"]]))
    np.testing.assert_array_equal(predicted, models[0].predict({name: table[name] for name in IDS}))


def test_prints_tell_ids_and_fields_apart():
    def prints(values, field=0):
        column = pa.array(values)
        out = np.empty(len(column), np.uint64)
        print_column(column, field, out)
        return out

    numbers = prints(np.arange(-1000, 200_000))
    assert len(np.unique(numbers)) == len(numbers)
    np.testing.assert_array_equal(prints([str(n) for n in range(-50, 50)]), prints(np.arange(-50, 50)))
    assert not np.isin(prints(np.arange(1000), 1), numbers).any()
    texts = [*(f"id{n}" for n in range(20_000)), "", "-", "007", "7", "-0", "abcdefgh", "abcdefgh\0", "é" * 9]
    assert len(np.unique(prints(texts))) == len(texts)
    counts = np.bincount((numbers >> np.uint64(54)).astype(int), minlength=1024)
    assert abs(counts.var() / counts.mean() - 1) < 0.3  # as buckets of a Poisson number of ids


def test_a_vocabulary_numbers_ids_as_they_come():
    vocabulary, rng = Vocabulary(), np.random.default_rng(0)
    met = []
    for _ in range(5):
        prints = rng.integers(1, 20_000, 9_000).astype(np.uint64)
        columns = vocabulary.columns(prints, grow=True)
        met += prints.tolist()
        order = list(dict.fromkeys(met))
        np.testing.assert_array_equal(vocabulary.prints, order)
        np.testing.assert_array_equal(vocabulary.prints[columns], prints)
    assert len(fitted(ratings(), n_hash=None).machine_.linear) == 100


def test_ids_that_were_never_seen_and_gaps_are_nothing():
    table = ratings(2000)
    for n_hash in (None, 2**20):
        model = fitted(table, n_hash=n_hash)
        unknown = model.predict({"user": [1_000_000, None, 3], "item": [-5, None, None]})
        np.testing.assert_allclose(unknown[:2], model.machine_.bias, rtol=1e-6)
        assert unknown[2] != unknown[0]
    gaps = table.set_column(0, "user", pa.array([None if u % 3 == 0 else u for u in table["user"].to_pylist()]))
    assert np.isfinite(fitted(gaps, numbers=["age"]).predict(gaps)).all()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", None]), st.floats(-5, 5)), min_size=1),
    st.integers(1, 9),
    st.sampled_from([None, 1, 3, 64]),
)
@settings(max_examples=40, deadline=None)
def test_small_streams_of_any_shape_are_learned(rows, batch_rows, n_hash):
    user, item, y = zip(*rows, strict=True)
    table = pa.table({"user": user, "item": pa.array(item, pa.string()), "rating": pa.array(y, pa.float64())})
    for kind in (FMRegressor, FMClassifier):
        how = {"batch_rows": batch_rows, "n_hash": n_hash}
        if kind is FMClassifier:
            table = table.set_column(2, "rating", pa.array([value > 0 for value in y]))
            how["classes"] = [False, True]
        model = fitted(table, kind(3, solver="sgd", random_state=0), **how)
        assert len(model.predict(table)) == len(rows)
        assert all(np.isfinite(row["train_loss"]) for row in model.history_)


def test_all_rows_of_one_user_are_learned():
    table = ratings(2000)
    one = table.set_column(0, "user", pa.array(np.zeros(len(table), int)))
    model = fitted(one)
    assert np.corrcoef(model.predict(one), one["rating"])[0, 1] > 0.5


def test_rows_without_weight_are_no_rows():
    table = ratings(1000)
    weights = np.where(np.arange(1000) % 4 == 0, 0.0, 1.0)
    weighted = fitted(table.append_column("weight", pa.array(weights)), sample_weight="weight", n_hash=None)
    assert np.array_equal(
        weighted.predict(table), fitted(table.filter(pa.array(weights > 0)), n_hash=None).predict(table)
    )
    with pytest.raises(InputError, match="row 3 of the stream: a weight in column 'weight' is negative"):
        fitted(table.append_column("weight", pa.array([1.0, 1, -1] + 997 * [1.0])), sample_weight="weight")


def test_labels_are_those_of_the_first_batch_or_those_that_are_named(tmp_path):
    table = ratings(1000)
    liked = pa.array(np.where(table["rating"].to_numpy() > 5, "yes", "no"))
    table = table.set_column(3, "rating", liked)
    model = FMClassifier(4, solver="sgd", random_state=0)
    one = fitted(table, clone(model), numbers=["age"])
    assert one.classes_.tolist() == ["no", "yes"]
    assert (one.predict(table) == liked.to_numpy(zero_copy_only=False)).mean() > 0.8
    turned = pa.concat_tables([table.slice(i, 1) for i in np.argsort(liked.to_numpy(False), kind="stable")[::-1][:600]])
    with pytest.raises(InputError, match=r"the first 256 rows hold one label only, 'yes': name both, classes="):
        fitted(turned, clone(model))
    named = fitted(turned, clone(model), classes=["no", "yes"])
    assert named.classes_.tolist() == ["no", "yes"]
    only = fitted(table.filter(pa.compute.equal(table["rating"], "no")), clone(model), classes=["no", "yes"])
    assert set(only.predict(table)) == {"no"}
    third = liked.to_pylist()
    third[700] = "maybe"
    with pytest.raises(InputError, match="row 701 of the stream: the label 'maybe' in column 'rating' was never seen"):
        fitted(table.set_column(3, "rating", pa.array(third)), clone(model))
    pyarrow.csv.write_csv(table.set_column(3, "rating", pa.array(third)), tmp_path / "r.csv")
    with pytest.raises(InputError, match=r"r\.csv, line 702: the label 'maybe'"):
        fitted(tmp_path / "r.csv", clone(model))


CSV = "user,item,age,rating\n1,a,30,4\n2,b,,3\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (CSV + "3,c,20,\n", "line 4: there is no target in column 'rating'"),
        (CSV + "\n3,c,20,good\n", "line 5: 'good' is no number in column 'rating'"),
        (CSV + "3,c,20,inf\n", "line 4: the target inf is not finite in column 'rating'"),
        (CSV + "3,c,old,4\n", "line 4: 'old' is no number in column 'age'"),
        (CSV + "3,c,inf,4\n", "line 4: a number in column 'age' is not finite"),
        (CSV + "3,c\n", "line 4: the line has 2 fields, the header has 4"),
        (CSV + "3,\udce9,20,4\n", "line 4: the line is not UTF-8 text"),
        ("user,item,rating\n1,a,4\n", "there is no column 'age'"),
        ("", "the file is empty"),
        (CSV[:21], "the stream has no rows"),
        ("\0\1", "this is no table"),
    ],
)
def test_a_hostile_table_is_told_with_its_line(text, sentence, tmp_path):
    path = tmp_path / "r.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as told:
        fitted(path, numbers=["age"])
    assert sentence in str(told.value)


def test_a_hostile_sparse_text_or_parquet_is_told_with_its_place(tmp_path):
    model = FMRegressor(2, solver="sgd", random_state=0)
    path = tmp_path / "r.libsvm"
    path.write_text("1 0:1 3:1\n2 1:1\n3 5;1\n")
    with pytest.raises(InputError, match=r"r\.libsvm, line 3: entry 1, '5;1'"):
        clone(model).fit_stream(path)
    path.write_text("# labels\n1 0:1\n0 1:1\n\n7 1:1\n")
    with pytest.raises(InputError, match=r"r\.libsvm, line 5: the label 7.0 .* was never seen before"):
        FMClassifier(2, solver="sgd").fit_stream(path)
    path = tmp_path / "r.parquet"
    pq.write_table(ratings(5000), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 4) + whole[-len(whole) // 4 :])
    with pytest.raises(InputError, match=r"r\.parquet: the file is damaged"):
        fitted(path)
    gzipped = tmp_path / "r.csv.gz"
    gzipped.write_bytes(gzip.compress(CSV.encode() * 9000)[:300])
    with pytest.raises(InputError, match=r"r\.csv\.gz: the file is damaged"):
        fitted(gzipped)
    path = tmp_path / "r.libffm"
    path.write_text("1 0:1:1\n2 2000000000:1:1\n")
    with pytest.raises(InputError, match=r"r\.libffm, line 2: entry 1, '2000000000:1:1': the field"):
        clone(model).fit_stream(path)
    path = tmp_path / "r.parquet"
    pq.write_table(ratings(50).set_column(3, "rating", pa.array([1.0] * 30 + [None] + [1.0] * 19)), path)
    with pytest.raises(InputError, match=r"r\.parquet: row 31: there is no target in column 'rating'"):
        fitted(path)
    with pytest.raises(FileNotFoundError):
        fitted(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("reader", "how", "sentence"),
    [
        (ratings(9), {"target": None}, "which column is the target"),
        (ratings(9), {"target": "stars"}, "no column 'stars', only 'user', 'item'"),
        (ratings(9), {"ids": ["user", "rating"]}, "column 'rating' is named 2 times"),
        (ratings(9), {"ids": []}, "ids or numbers are needed"),
        (ratings(9).append_column("bag", pa.array([[1]] * 9)), {"ids": ["bag"]}, "column 'bag': it holds list"),
        (ratings(9).append_column("name", pa.array(["x"] * 9)), {"numbers": ["name"]}, "must hold numbers"),
        (iter(ratings(9).to_batches()), {"passes": 2}, "read again"),
        ([ratings(9), ratings(9).drop(["item"])], {}, "no column 'item': every batch"),
        ([], {}, "the stream has no rows"),
        (sparse.csr_array(np.eye(3)), {"target": None, "ids": None}, "a sparse matrix holds no targets"),
        (ratings(0), {}, "the stream has no rows"),
        (5, {}, "a reader is a path"),
    ],
)
def test_a_reader_or_column_that_does_not_fit_is_told(reader, how, sentence):
    with pytest.raises(InputError, match=sentence):
        fitted(reader, **how)


def test_only_plain_machines_take_steps_over_streams():
    for model, sentence in [
        (FMRegressor(), "fit_stream is for solver='sgd', got solver='als'"),
        (FMRegressor(solver="sgd", interaction="ffm"), "interaction='fm'"),
        (FMRegressor(solver="sgd", early_stopping=True), "set early_stopping=False"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            fitted(ratings(9), model)
    for name in ("passes", "batch_rows", "n_hash"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            fitted(ratings(9), **{name: 0})
    streamed = fitted(ratings(50))
    with pytest.raises(ValueError, match="was fitted by fit_stream"):
        streamed.partial_fit([[1.0, 2.0]], [1])
    X = np.eye(3)
    assert streamed.fit(X, [1, 2, 3]).predict(X).shape == (3,)  # a fit to a matrix forgets the stream


def test_columns_are_chosen_by_type_where_nobody_names_them():
    model = fitted(ratings(100, kind=pa.array(["x", "y"] * 50)), ids=None)
    assert (model.stream_.roles.ids, model.stream_.roles.numbers) == (("user", "item", "kind"), ("age",))


def test_numbers_mean_the_same_in_any_unit():
    table = ratings(2000)
    thousands = table.set_column(2, "age", pa.array(1000 * table["age"].to_numpy() - 7))
    one, other = fitted(table, numbers=["age"]), fitted(thousands, numbers=["age"])
    np.testing.assert_allclose(one.predict(table), other.predict(thousands), atol=1e-3)
    without = fitted(table).history_[-1]["running_loss"]
    assert one.history_[-1]["running_loss"] < without


@pytest.mark.parametrize("n_hash", [4096, None])
def test_a_saved_model_reads_the_same_tables(n_hash, tmp_path):
    table = ratings(1000)
    model = fitted(table, numbers=["age"], n_hash=n_hash)
    save(model, tmp_path / "m.fmkit")
    np.testing.assert_array_equal(load(tmp_path / "m.fmkit").predict(table), model.predict(table))
    labels = table.set_column(3, "rating", pa.array(table["rating"].to_numpy() > 5))
    classifier = fitted(labels, FMClassifier(4, solver="sgd", random_state=0), n_hash=n_hash)
    save(classifier, tmp_path / "c.fmkit")
    np.testing.assert_array_equal(load(tmp_path / "c.fmkit").predict_proba(table), classifier.predict_proba(table))


def test_sparse_text_is_learned_in_any_number_of_files(tmp_path):
    rng = np.random.default_rng(0)
    X = sparse.random_array((900, 50), density=0.1, rng=rng, dtype=np.float32, format="csr")
    y = X @ rng.standard_normal(50) + 0.1 * rng.standard_normal(900)
    write_libfm(tmp_path / "r.libfm", X, y)
    write_libfm(tmp_path / "a.libfm", X[:300], y[:300])
    write_libfm(tmp_path / "b.libfm.gz", X[300:], y[300:])
    model = FMRegressor(2, solver="sgd", random_state=0)
    one = clone(model).fit_stream(tmp_path / "r.libfm", passes=30, n_hash=None)
    assert np.corrcoef(one.predict(X), y)[0, 1] > 0.9
    np.testing.assert_array_equal(one.predict(tmp_path / "r.libfm"), one.predict(X))
    parts = clone(model).fit_stream([tmp_path / "a.libfm", tmp_path / "b.libfm.gz"], passes=30, n_hash=None)
    assert same(one, parts)
    with pytest.raises(InputError, match="another kind"):
        one.predict({"user": [1]})
    write_libffm(tmp_path / "r.libffm", X, y, np.arange(50) % 2)
    fields = clone(model).fit_stream(tmp_path / "r.libffm", passes=30, n_hash=2**16)
    assert np.corrcoef(fields.predict(tmp_path / "r.libffm"), y)[0, 1] > 0.9
    with pytest.raises(InputError, match="files of libffm, whose entries have fields, are needed"):
        fields.predict(X)


def test_reading_keeps_few_batches_ahead_and_ends_with_the_fit():
    read, ahead = [], []
    table = ratings(256 * 40)

    def reader():
        for batch in table.to_batches(256):
            read.append(len(batch))
            yield batch

    def watch(progress):
        ahead.append(len(read) - progress.sweep)
        return progress.sweep == 20

    model = fitted(reader, FMRegressor(4, solver="sgd", random_state=0, callbacks=[watch]), n_hash=None)
    assert max(ahead) < 8
    assert len(model.history_) == 20
    assert len(read) < 30
    assert np.isfinite(model.predict(table)).all()  # ids that were read and never learned are nothing
    assert not any(thread.name == "fmkit-stream" for thread in threading.enumerate())


@pytest.mark.parametrize("kind", [FMRegressor, FMClassifier])
def test_partial_fit_takes_steps_over_chunks(kind):
    rng = np.random.default_rng(0)
    X = sparse.csr_array(np.eye(20)[rng.integers(0, 20, 4000)] + np.roll(np.eye(20)[rng.integers(0, 10, 4000)], 10))
    y = X @ rng.standard_normal(20) + 0.1 * rng.standard_normal(4000)
    how = {} if kind is FMClassifier else {"passes": 1}
    y = y > 0 if kind is FMClassifier else y
    model = kind(2, solver="sgd", random_state=0)
    for start in range(0, 4000, 500):
        rows = slice(start, start + 500)
        model.partial_fit(X[rows], y[rows], **(how if start == 0 else {}))
    assert len(model.history_) == 8
    assert model.score(X, y) > 0.85
    again = clone(model)
    for start in range(0, 4000, 500):
        again.partial_fit(X[start : start + 500], y[start : start + 500], **how)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :5], y)


def test_partial_fit_of_classes_waits_for_those_that_are_named():
    X, y = np.eye(3), np.array(["a", "b", "c"])
    model = FMClassifier(2, solver="sgd", random_state=0)
    with pytest.raises(ValueError, match="one class only"):
        clone(model).partial_fit(X[:1], y[:1])
    model.partial_fit(X[:1], y[:1], classes=y)
    for _ in range(50):
        model.partial_fit(X, y)
    assert model.predict(X).tolist() == y.tolist()
    with pytest.raises(ValueError, match="the label 'd' was never seen before"):
        model.partial_fit(X[:1], ["d"])
    assert not hasattr(FMClassifier(), "partial_fit")


@pytest.mark.parametrize("kind", [FMRegressor, FMClassifier])
def test_partial_fit_goes_on_from_a_fit(kind, tmp_path):
    rng = np.random.default_rng(0)
    X = np.eye(20)[rng.integers(0, 20, 2000)]
    y = (X @ rng.standard_normal(20) > 0).astype(float)
    model = kind(2, solver="sgd", random_state=0).fit(X, y)
    save(model, tmp_path / "m.fmkit")
    read = load(tmp_path / "m.fmkit")
    fitted, passes = model.score(X, y), {"passes": 2}
    np.testing.assert_array_equal(
        model.partial_fit(X, y, **passes).predict(X), read.partial_fit(X, y, **passes).predict(X)
    )
    assert model.score(X, y) > fitted - 0.02
    assert model.partial_fit(X[:1], y[:1]).n_iter_ == 2


def test_pandas_numbers_with_gaps_are_ids_as_they_were():
    table = ratings(500).to_pandas()
    gaps = table.assign(user=table["user"].where(table["user"] > 5))  # floats now
    gaps = gaps.astype({"user": float})
    whole = pd.DataFrame(gaps).astype({"user": "Int64"})
    assert same(fitted(gaps), fitted(whole))
