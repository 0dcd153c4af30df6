"""Scores of many rows: ids are found as they are written, and a row has the same bits whichever others come with it."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmkit import FMOrdinal, FMRegressor, TableEncoder
from fmkit.errors import InputError
from fmkit.recommend import Recommender
from fmkit.recommend.vocabulary import Vocabulary
from fmkit.tables import places as places_module
from fmkit.tables.places import Places

WRITTEN = st.one_of(
    st.text("079aé-+ \t\u00a0\u3000\u2003語", max_size=20),
    st.integers(-(2**63), 2**64 - 1).map(str),
    st.integers(-30, 30).map(str),
)


@pytest.fixture(params=[0, 1 << 60], ids=["kernels", "arrow"])
def worth(request, monkeypatch):
    monkeypatch.setattr(places_module, "WORTH", request.param)


def places_twin(values, queries):
    """By a dictionary of Python's."""
    code_of = {str(value): code for code, value in enumerate(values)}
    trimmed = [None if query is None else str(query).strip() for query in queries]
    return [-2 if not text else code_of.get(text, -1) for text in trimmed]


def array_of(values):
    """As a vocabulary holds them: integers, if all are."""
    texts = pa.array(values, pa.string())
    try:
        numbers = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts
    return numbers if numbers.cast(pa.string()).equals(texts) else texts


@pytest.mark.usefixtures("worth")
@given(st.data())
@settings(max_examples=150)
def test_values_are_found_as_they_are_written(data):
    kinds = st.lists(st.one_of(WRITTEN, st.integers(-50, 50).map(str)), max_size=30)
    numbers = st.lists(st.integers(-(2**63), 2**63 - 1).map(str), max_size=30)
    values = list(dict.fromkeys(text.strip() for text in data.draw(st.one_of(kinds, numbers)) if text.strip()))
    known = st.sampled_from([*values, "7"])
    around = st.tuples(st.sampled_from(["", " ", "\u3000", "0"]), known, st.sampled_from(["", "\t", "\u00a0"]))
    queries = data.draw(st.lists(st.one_of(st.none(), WRITTEN, known, around.map("".join)), max_size=30))
    expected = places_twin(values, queries)
    for held in (array_of(values), pa.array(values, pa.string())):
        places, column = Places(held), pa.array(queries, pa.string())
        assert places.of(column).tolist() == expected
        assert places.of(column.cast(pa.large_string())).tolist() == expected
        assert places.of(column.dictionary_encode()).tolist() == expected
        assert places.of(column[3:]).tolist() == expected[3:]
        assert pickle.loads(pickle.dumps(places)).of(column).tolist() == expected


@pytest.mark.usefixtures("worth")
@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=20), st.booleans(), st.data())
def test_whole_numbers_are_found_by_number(values, as_text, data):
    some = st.sampled_from([*values, 5])
    queries = data.draw(st.lists(st.one_of(st.none(), some, st.integers(-(2**63), 2**63 - 1)), max_size=30))
    held = pa.array([*map(str, values), "x"]) if as_text else pa.array(values, pa.int64())
    places = Places(held)
    assert places.of(pa.array(queries, pa.int64())).tolist() == places_twin(values, queries)
    large = data.draw(st.lists(st.one_of(st.none(), st.integers(0, 2**64 - 1)), max_size=10))
    wrapped = [value % 2**64 for value in values]  # a negative id is none that is beyond int64
    assert places.of(pa.array(large + wrapped, pa.uint64())).tolist() == places_twin(values, large + wrapped)


@pytest.mark.usefixtures("worth")
def test_slots_are_found_however_many_there_are():
    rng = np.random.default_rng(0)
    numbers = np.unique(rng.integers(-(2**63), 2**63 - 1, 5000))
    for values in (pa.array(numbers), pa.array([f"id-{n}" for n in numbers]), pa.array(np.arange(-7, 4993))):
        places = Places(values)
        asked = rng.permutation(len(values))
        assert (places.of(values.take(pa.array(asked))) == asked).all()
        assert (places.of(values.cast(pa.string()).take(pa.array(asked))) == asked).all()


@pytest.mark.usefixtures("worth")
def test_ids_come_in_whatever_holds_them():
    of_numbers, of_texts = Vocabulary(pa.array([5, 7, -1])), Vocabulary(pa.array(["5", "ann", "007"]))
    assert of_numbers.encode(np.array([7.0, -1.0, -0.0])).tolist() == [1, 2, -1]
    assert of_numbers.encode(pa.array([7.0, None])).tolist() == [1, -1]
    assert of_numbers.encode(pa.array(["7", "5"]).dictionary_encode()).tolist() == [1, 0]
    assert of_numbers.encode(pa.chunked_array([[5], [7, 9]])).tolist() == [0, 1, -1]
    assert of_numbers.encode(pa.nulls(2)).tolist() == [-1, -1]
    assert of_texts.encode(pd.Series(["ann ", "5", None, "7"])).tolist() == [1, 0, -1, -1]
    assert of_texts.encode(np.array(["ann", "007"])).tolist() == [1, 2]
    assert of_texts.encode([5, "ann", 7]).tolist() == [0, 1, -1]
    assert of_texts.encode(pd.Series(["ann", "5"], dtype="category")).tolist() == [1, 0]
    for wrong in ([1.5], [np.nan], pa.array([1.5]).dictionary_encode(), [True]):
        with pytest.raises(InputError, match="ids must be integers or text"):
            of_numbers.encode(wrong)


N_USERS, N_ITEMS = 40, 25
MODELS = {
    "mcmc": lambda: FMRegressor(5, solver="mcmc", max_iter=6, random_state=0),
    "vb": lambda: FMRegressor(3, solver="vb", max_iter=4, random_state=0),
    "als": lambda: FMRegressor(4, max_iter=3, random_state=0),
    "classes": lambda: FMOrdinal(2, solver="mcmc", max_iter=6, random_state=0),
}


def ratings(with_context):
    rng = np.random.default_rng(0)
    table = {"user": rng.integers(0, N_USERS, 400), "item": rng.integers(0, N_ITEMS, 400)}
    if with_context:
        table["day"] = rng.choice(["mon", "tue"], 400)
    return {**table, "rating": rng.integers(1, 6, 400).astype(np.float32)}


@pytest.fixture(scope="module", params=[*MODELS, "a context", "clicks"])
def fitted(request):
    told = ratings(request.param == "a context")
    if request.param == "clicks":
        return Recommender(feedback="implicit", n_factors=4, max_iter=2, quality="fast").fit(told)
    model = MODELS.get(request.param, MODELS["vb"])()
    return Recommender(model).fit(told, context="day" if "day" in told else None)


PAIRS = st.lists(st.tuples(st.integers(-1, N_USERS + 1), st.integers(-1, N_ITEMS + 1)), min_size=1, max_size=60)


@given(PAIRS)
@settings(max_examples=25)
def test_pairs_have_the_scores_of_their_vectors(fitted, pairs):
    users, items = np.array(pairs).T
    user, item = fitted.users_.ids.encode(users), fitted.items_.ids.encode(items)
    model = fitted.model_
    asked = model.asked(model.find(user))
    np.testing.assert_allclose(fitted.scores(user, item), model.scores(asked, item), rtol=1e-5, atol=1e-5)
    if fitted.feedback_ == "explicit":
        np.testing.assert_allclose(fitted.predict(users, items), model.expected(asked, item), rtol=1e-5, atol=1e-5)
    if fitted.tells_std:
        found, expected = fitted.predict(users, items, return_std=True), model.ratings(asked, item)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@given(PAIRS, st.integers(1, 20))
@settings(max_examples=25)
def test_a_pair_has_the_same_bits_whichever_come_with_it(fitted, pairs, step):
    if fitted.feedback_ == "implicit" and len(fitted.model_.ranker.ranking_.weights) > 1:
        pytest.skip("a blend weighs its machines by products that BLAS makes for a batch")
    users, items = np.array(pairs).T
    how = {"return_std": True} if fitted.tells_std else {}
    whole = np.atleast_2d(fitted.predict(users, items, **how))
    parts = [
        np.atleast_2d(fitted.predict(users[i : i + step], items[i : i + step], **how))
        for i in range(0, len(users), step)
    ]
    assert np.concatenate(parts, axis=1).tobytes() == np.ascontiguousarray(whole).tobytes()


def test_some_users_are_foretold_after_a_fit_of_nobody_unknown_and_after_an_update():
    recommender = Recommender(MODELS["vb"]()).fit(ratings(False))
    before = recommender.predict([1, 99], [2, 2])
    recommender.partial_fit({"user": [99], "item": [2], "rating": [5.0]})
    after = recommender.predict([1, 99], [2, 2])
    user, item = recommender.users_.ids.encode([1, 99]), recommender.items_.ids.encode([2, 2])
    model = recommender.model_
    np.testing.assert_allclose(after, model.expected(model.asked(model.find(user)), item), rtol=1e-5)
    assert before[1] != after[1]


COLUMNS = st.fixed_dictionaries(
    {
        "id": st.one_of(st.none(), st.integers(-3, 9)),
        "name": st.one_of(st.none(), st.sampled_from(["ann", " ann", "bob", "7", "", "x"])),
        "size": st.one_of(st.none(), st.floats(-20, 20, width=32)),
        "tags": st.one_of(st.none(), st.sampled_from(["a|b", "b", "c|a"])),
    }
)
TYPES = {"id": pa.int64(), "name": pa.string(), "size": pa.float64(), "tags": pa.string()}


def table_of(rows):
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in TYPES.items()})


def encoded_twin(encoder, row):
    """A row as a dictionary of names of columns and values."""
    found, names = {}, encoder.get_feature_names_out()
    for column in ("id", "name"):
        text = "" if row[column] is None else str(row[column]).strip()
        name = f"{column}={text}" if text else f"{column} missing"
        if name in names:
            found[name] = 1.0
    knots = {float(name.removeprefix("size~")): name for name in names if name.startswith("size~")}
    if row["size"] is None:
        found["size missing"] = 1.0
    else:
        at, ends = list(knots), np.eye(len(knots))
        found |= {knots[k]: np.interp(row["size"], at, end) for k, end in zip(at, ends, strict=True)}
    tags = [] if row["tags"] is None else [tag for tag in row["tags"].split("|") if f"tags={tag}" in names]
    found |= {f"tags={tag}": len(tags) ** -0.5 for tag in tags}
    if row["tags"] is None:
        found["tags missing"] = 1.0
    return [found.get(name, 0.0) for name in names]


@pytest.mark.usefixtures("worth")
@pytest.mark.parametrize("columns", [["id", "name"], ["id", "size"], ["id", "name", "size", "tags"]])
@given(st.lists(COLUMNS, min_size=1, max_size=20), st.integers(1, 20))
@settings(max_examples=25)
def test_rows_of_a_table_are_encoded_as_they_read(columns, rows, step):
    nothing = dict.fromkeys(TYPES)
    fit = [nothing, *({"id": i, "name": "ann7"[i % 2 * 3 :][:3], "size": float(i), "tags": "a|b"} for i in range(6))]
    schema = {"id": "category", "name": "category", "size": "number", "tags": "set"}
    schema = {name: schema[name] for name in columns}
    encoder = TableEncoder(schema).fit(table_of(fit).select(columns))
    table = table_of(rows).select(columns)
    matrix = encoder.transform(table)
    if "tags" not in columns:
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert matrix.data.dtype == np.float32
    again = matrix.copy()
    again.has_canonical_format = False
    again.sum_duplicates()
    again.eliminate_zeros()
    assert again.nnz == matrix.nnz  # nothing twice, no zeros, and in order
    assert (again.indices == matrix.indices).all()
    twin = [encoded_twin(encoder, {**nothing, **{name: row[name] for name in columns}}) for row in rows]
    np.testing.assert_allclose(matrix.toarray(), twin, atol=1e-6)
    cut = [encoder.transform(table.slice(i, step)).toarray() for i in range(0, len(rows), step)]
    assert np.concatenate(cut).tobytes() == matrix.toarray().tobytes()


def test_columns_of_every_type_are_the_same_categories():
    encoder = TableEncoder({"id": "category"}).fit({"id": ["1", "2", "10"]})
    expected = encoder.transform({"id": ["2", "10", "3"]}).toarray()
    ints = pa.array([2, 10, 3])
    for column in (ints, ints.cast(pa.uint8()), ints.cast(pa.float64()), ints.cast(pa.string()).dictionary_encode()):
        assert (encoder.transform({"id": column}).toarray() == expected).all()
