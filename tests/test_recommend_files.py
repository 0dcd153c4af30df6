"""Saved recommenders: the same afterwards; damaged and hostile files are told in a sentence."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

import fmkit
from fmkit import FMRanker, FMRegressor
from fmkit.errors import InputError
from fmkit.recommend import Recommender
from fmkit.recommend.lists import write_lists
from tests.films import FILMS, PEOPLE, some_ratings

TODAY = {"user": [3, 99], "item": [1, 77], "rating": [1.0, 5.0], "device": ["tv", "pc"], "hour": [1, 2]}


@pytest.fixture(scope="module")
def fitted():
    recommender = Recommender(quality="fast", max_iter=10, schema={"genres": ("set", "|")})
    return recommender.fit(some_ratings(), users=PEOPLE, items=FILMS, context=["device", "hour"])


@pytest.fixture(scope="module")
def of_ids():
    return Recommender(FMRegressor(3, max_iter=5, random_state=0)).fit(some_ratings(100))


def again(recommender, tmp_path):
    fmkit.save(recommender, tmp_path / "m.fmkit")
    return fmkit.load(tmp_path / "m.fmkit")


def test_a_loaded_recommender_is_the_same_to_the_bit_and_goes_on(fitted, of_ids, tmp_path):
    for recommender in (fitted, of_ids):
        loaded = again(recommender, tmp_path)
        assert loaded.recommend(n=5, explain=True).equals(recommender.recommend(n=5, explain=True))
        for wishes in ({"risk": 0.5}, {"risk": "explore", "random_state": 3}, {"diversity": 0.4}):
            assert loaded.recommend(n=5, **wishes).equals(recommender.recommend(n=5, **wishes))
        assert loaded.recommend_for({3: 5, 7: 1}).equals(recommender.recommend_for({3: 5, 7: 1}))
        before, after = recommender.reasons(1, [5])[0], loaded.reasons(1, [5])[0]
        assert before.score == after.score
        assert before.influences.tolist() == after.influences.tolist()
        assert loaded.explain(1, 5).equals(recommender.explain(1, 5))
        assert loaded.vectors("users").equals(recommender.vectors("users"))
        assert loaded.told_ == recommender.told_
        assert loaded.fitted_ == recommender.fitted_
        assert loaded.features_ == recommender.features_
        assert loaded.feedback_ == "explicit"


def test_a_loaded_recommender_goes_on_as_the_one_saved(tmp_path):
    recommender = Recommender(quality="fast", max_iter=10).fit(
        some_ratings(), users=PEOPLE, items=FILMS, context=["device", "hour"]
    )
    loaded = again(recommender, tmp_path)
    recommender.partial_fit(TODAY).forget(4)
    loaded.partial_fit(TODAY).forget(4)
    assert loaded.recommend(n=5).equals(recommender.recommend(n=5))
    assert loaded.told_ == recommender.told_
    assert again(loaded, tmp_path).recommend(n=5).equals(recommender.recommend(n=5))


def test_parameters_come_back(fitted, tmp_path):
    assert again(fitted, tmp_path).get_params() == fitted.get_params()
    of_numpy = Recommender(quality="fast", max_iter=np.int64(3), random_state=np.int64(1)).fit(some_ratings(50))
    loaded = again(of_numpy, tmp_path)
    assert (loaded.max_iter, loaded.random_state) == (3, 1)


def test_tables_of_ids_alone(tmp_path):
    recommender = Recommender(quality="fast", max_iter=5).fit(some_ratings(), items={"item": list(range(25))})
    loaded = again(recommender, tmp_path)
    assert 24 in loaded.recommend([1], n=99)["item"].to_pylist()
    with pytest.raises(InputError, match="give a table of them to the fit, by items="):
        loaded.recommend([1], filter="year > 3")


IDS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).filter(lambda s: s.strip()),
    st.uuids(),
)


@given(st.lists(IDS, min_size=2, max_size=8, unique_by=lambda one: str(one).strip()), st.booleans())
@settings(max_examples=20)
def test_ids_come_out_of_a_loaded_recommender_as_they_went_in(tmp_path_factory, ids, of_items):
    others = list(range(len(ids)))
    users, items = (others, ids) if of_items else (ids, others)
    rows = {"user": users + users, "item": items + items[1:] + items[:1], "rating": [1, 5] * len(ids)}
    recommender = Recommender(FMRegressor(2, max_iter=2, random_state=0)).fit(rows)
    loaded = again(recommender, tmp_path_factory.mktemp("ids"))
    column = "item" if of_items else "user"
    everything = loaded.recommend(users, n=99, exclude_seen=False)
    found = set(everything[column].to_pylist())
    assert {str(one) for one in found} == {str(one).strip() for one in ids}
    if all(isinstance(one, int) for one in ids):
        assert found == set(ids)
    for one in ids if of_items else ():  # each is found again, as it was given
        assert loaded.recommend(users[:1], n=1, candidates=[one], exclude_seen=False).num_rows == 1
    codes = (loaded.items_ if of_items else loaded.users_).ids
    assert codes.encode(codes.ids).tolist() == list(range(len(ids)))
    assert (codes.encode([str(one).strip() for one in ids]) >= 0).all()


def parts_of(path):
    with safe_open(path, framework="numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["fmkit"])  # noqa: SIM118


def test_nothing_in_a_file_is_executed(fitted, tmp_path):
    fmkit.save(fitted, tmp_path / "m.fmkit")
    arrays, header = parts_of(tmp_path / "m.fmkit")
    assert header["class"] == "Recommender"
    assert not any(b"\x80\x04\x95" in array.tobytes()[:8] for array in arrays.values())  # how a pickle begins


def first(value):
    def change(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return change


DAMAGE = {
    "a code out of range": ("interactions.item_codes", first(2**30), "an interaction names items that do not exist"),
    "a negative code": ("interactions.user_codes", first(-1), "an interaction names users that do not exist"),
    "NaN in ratings": ("interactions.ratings", first(np.nan), "'ratings' holds a number that is not finite"),
    "NaN in vectors": ("model.items.vectors", first(np.nan), "'model.items.vectors' holds a number that is not finite"),
    "infinity": ("model.users.precision", first(np.inf), "'model.users.precision' holds a number that is not finite"),
    "another shape": ("model.items.weights", lambda a: a[None], "'model.items.weights' has type float32 and shape"),
    "a row less": ("model.users.vectors", lambda a: a[:-1], "'model.users.vectors' has type float32 and shape"),
    "another type": ("model.users.vectors", lambda a: a.astype(np.float64), "'model.users.vectors' has type float64"),
    "columns of nobody": ("model.items.members", lambda a: a[:-1], "columns, which are neither features nor partners"),
    "no users": ("users.ids", None, "'users.ids'|users.ids.bytes is missing"),
    "an id twice": ("users.ids", lambda a: np.zeros_like(a), "the ids of the users are not unique"),
    "ids of another type": ("items.ids", lambda a: a.astype(np.float32), "'items.ids' has type float32"),
    "no table": ("items.table", lambda a: a[:40], "its table of items cannot be read"),
    "a table of bits": ("items.table", lambda a: np.full(999, 255, np.uint8), "its table of items cannot be read"),
    "a shorter context": ("interactions.item_codes", lambda a: a[:-1], "are not of one length"),
    "other times": ("interactions.times", lambda a: np.zeros(3), "its times are not those of its interactions"),
    "no context": ("model.context", lambda a: a[:, 1:], "'model.context' has type float32 and shape"),
    "features beyond": ("items.features.columns", first(2**30), "features"),
}


@pytest.mark.parametrize("which", DAMAGE)
def test_a_damaged_file_is_refused_with_a_sentence(fitted, tmp_path, which):
    name, change, message = DAMAGE[which]
    fmkit.save(fitted, tmp_path / "m.fmkit")
    arrays, header = parts_of(tmp_path / "m.fmkit")
    if change is None:
        del arrays[name]
    else:
        arrays[name] = np.ascontiguousarray(change(arrays.get(name)))
    save_file(arrays, tmp_path / "m.fmkit", {"fmkit": json.dumps(header)})
    with pytest.raises(InputError, match=message) as caught:
        fmkit.load(tmp_path / "m.fmkit")
    assert str(caught.value).startswith(str(tmp_path / "m.fmkit"))


def test_variances_of_different_lengths_do_not_reach_the_search(fitted, tmp_path):
    fmkit.save(fitted, tmp_path / "m.fmkit")
    arrays, header = parts_of(tmp_path / "m.fmkit")
    for name in ("var_vectors", "covariance"):
        arrays[f"model.items.{name}"] = np.ascontiguousarray(arrays[f"model.items.{name}"][:, :1])
    save_file(arrays, tmp_path / "m.fmkit", {"fmkit": json.dumps(header)})
    with pytest.raises(InputError, match="variances of users and of items are of different lengths"):
        fmkit.load(tmp_path / "m.fmkit")


FACTS = [
    (("model", "bias"), "much"),
    (("model", "noise"), -1.0),
    (("model", "lowest"), None),
    (("model", "users_shape"), float("nan")),
    (("model",), []),
    (("parameters",), [1]),
    (("parameters", "quality"), "splendid"),
    (("parameters", "model"), {"a": 1}),
    (("columns", "user"), 7),
    (("columns", "context"), 7),
    (("columns",), None),
    (("users", "encoder"), {"kind": "x"}),
    (("users",), None),
    (("context_encoder",), 3),
    (("fitted",), 3),
    (("told",), 3),
]


@pytest.mark.parametrize(("path", "value"), FACTS, ids=lambda x: ".".join(x) if isinstance(x, tuple) else None)
def test_facts_that_make_no_sense_are_refused(fitted, tmp_path, path, value):
    fmkit.save(fitted, tmp_path / "m.fmkit")
    arrays, header = parts_of(tmp_path / "m.fmkit")
    facts = header["facts"]
    for name in path[:-1]:
        facts = facts[name]
    facts[path[-1]] = value
    save_file(arrays, tmp_path / "m.fmkit", {"fmkit": json.dumps(header)})
    with pytest.raises(InputError, match="damaged"):
        fmkit.load(tmp_path / "m.fmkit")


def test_a_ranker_of_other_users_is_refused(tmp_path):
    rows = {name: some_ratings(200)[name] for name in ("user", "item")}
    recommender = Recommender(FMRanker("implicit", n_factors=3, random_state=0)).fit(rows, users=PEOPLE)
    fmkit.save(recommender, tmp_path / "m.fmkit")
    arrays, header = parts_of(tmp_path / "m.fmkit")
    header["facts"]["model"]["n_features"] = 1
    save_file(arrays, tmp_path / "m.fmkit", {"fmkit": json.dumps(header)})
    with pytest.raises(InputError, match="its ranker is not one of its users and items"):
        fmkit.load(tmp_path / "m.fmkit")


@given(st.data())
@settings(max_examples=60)
def test_no_array_of_other_bytes_breaks_more_than_the_file(fitted, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("hostile") / "m.fmkit"
    fmkit.save(fitted, path)
    arrays, header = parts_of(path)
    name = data.draw(st.sampled_from(sorted(arrays)))
    array = arrays[name].copy()
    content = bytearray(array.tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    arrays[name] = np.frombuffer(bytes(content), array.dtype).reshape(array.shape)
    save_file(arrays, path, {"fmkit": json.dumps(header)})
    try:
        loaded = fmkit.load(path)
    except InputError:
        return
    with np.errstate(all="ignore"):
        lists = loaded.recommend(n=3, exclude_seen=False)
    # Numbers may be others; what is listed is still each user's, and of the items that the file names.
    assert len(lists) == 3 * len(loaded.users_)
    assert lists["user"].unique().equals(loaded.users_.ids.ids)
    assert set(lists["item"].to_pylist()) <= set(loaded.items_.ids.ids.to_pylist())


def test_lists_are_written_whole_or_not_at_all(of_ids, tmp_path):
    for name in ("l.parquet", "l.csv"):
        write_lists(tmp_path / name, of_ids.recommend_batches(n=2))
    read = pa.parquet.read_table(tmp_path / "l.parquet")
    assert read.equals(of_ids.recommend(n=2))
    assert pa.csv.read_csv(tmp_path / "l.csv")["item"].to_pylist() == read["item"].to_pylist()

    def broken():
        yield from of_ids.recommend_batches([1], n=2)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_lists(tmp_path / "l.csv", broken())
    assert pa.csv.read_csv(tmp_path / "l.csv").num_rows == len(read)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.csv", "l.parquet"]
    with pytest.raises(InputError, match=r"written to \.parquet, \.csv, \.ndjson or \.arrow files"):
        write_lists(tmp_path / "l.xlsx", of_ids.recommend_batches([1]))
