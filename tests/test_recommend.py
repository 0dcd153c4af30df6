"""Recommender: exact lists, reasons that add up, users without a fit, saved models."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

import fmkit
from fmkit.datasets import load_movielens_small
from fmkit.errors import InputError
from fmkit.ranking.topn import TILE, top_n
from fmkit.recommend import RatingsTable, Recommender
from fmkit.recommend.lists import write_lists
from fmkit.recommend.recommender import ROWS_AT_ONCE


def top_n_by_sorting(queries, items, n, seen):
    """The twin of `top_n`: score every pair, sort, drop what was seen."""
    codes = np.full((len(queries), n), -1)
    scores = np.full((len(queries), n), -np.inf)
    for r, query in enumerate(queries):
        products = items @ query
        best = [i for i in np.lexsort((np.arange(len(items)), -products)) if i not in seen[r]][:n]
        codes[r, : len(best)], scores[r, : len(best)] = best, products[best]
    return codes, scores


def flat(seen):
    before = np.cumsum([0, *(len(s) for s in seen)])
    return before, np.array([i for s in seen for i in sorted(s)], np.int32)


@pytest.fixture(scope="module")
def movielens():
    ids, ratings = load_movielens_small(return_X_y=True)
    return RatingsTable.from_arrays(ids[:, 0], ids[:, 1], ratings)


@pytest.fixture(scope="module")
def fitted(movielens):
    return Recommender(n_factors=8).fit(movielens)


@given(st.data())
def test_top_n_is_sorting_all_scores(data):
    n_queries, n_items, n_dimensions = (data.draw(st.integers(1, high)) for high in (20, 40, 5))
    # Small integers: products are exact, and ties are many.
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    queries = rng.integers(-2, 3, (n_queries, n_dimensions)).astype(np.float32)
    items = rng.integers(-2, 3, (n_items, n_dimensions)).astype(np.float32)
    seen = [set(rng.integers(0, n_items, rng.integers(0, 2 * n_items)).tolist()) for _ in range(n_queries)]
    n = data.draw(st.integers(1, n_items))
    codes, scores = top_n(queries, items, n, *flat(seen), n_threads=data.draw(st.sampled_from([1, 3])))
    expected_codes, expected_scores = top_n_by_sorting(queries, items, n, seen)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(scores, expected_scores)


def test_top_n_over_several_tiles_of_items_has_the_same_bits_for_one_query_and_for_many():
    rng = np.random.default_rng(0)
    queries, items = rng.standard_normal((37, 9), np.float32), rng.standard_normal((3 * TILE + 5, 9), np.float32)
    seen = [set(rng.integers(0, len(items), 100).tolist()) for _ in queries]
    codes, scores = top_n(queries, items, 20, *flat(seen), n_threads=2)
    np.testing.assert_array_equal(codes, top_n_by_sorting(queries, items, 20, seen)[0])
    alone = top_n(queries[5:6], items, 20, *flat(seen[5:6]), n_threads=1)
    np.testing.assert_array_equal(alone, (codes[5:6], scores[5:6]))


def test_predictions_are_those_of_the_machine_and_seen_items_are_left_out(fitted, movielens):
    lists = fitted.recommend([1, 414], n=50)
    assert lists["user"].to_pylist() == [1] * 50 + [414] * 50
    assert lists["rank"].to_pylist() == [*range(1, 51)] * 2
    users, items = movielens.users.encode(lists["user"]), movielens.items.encode(lists["item"])
    for user, item in zip(users, items, strict=True):
        assert item not in movielens.of_user(user)[0]
    design = fmkit.Design.from_codes([users, items], [len(movielens.users), len(movielens.items)])
    expected = fitted.machine_.predict(design)
    np.testing.assert_allclose(lists["predicted"], np.clip(expected, 0.5, 5), atol=1e-5)
    ranked_by = expected - 2 * fitted.learned_.appeal_errors[items]
    assert (np.diff(ranked_by[:50]) <= 1e-6).all()


def test_seen_items_are_listed_if_asked_for(fitted, movielens):
    n_items = len(movielens.items)
    everything = fitted.recommend([1], n=n_items + 5, exclude_seen=False)
    rest = fitted.recommend([1], n=n_items + 5)
    assert sorted(everything["item"].to_pylist()) == sorted(movielens.items.ids.to_pylist())
    assert len(rest) == n_items - len(movielens.of_user(int(movielens.users.encode([1])[0]))[0])


def test_all_users_in_batches_get_the_lists_they_get_alone(fitted, movielens, monkeypatch):
    monkeypatch.setattr("fmkit.recommend.recommender.ROWS_AT_ONCE", 300)
    batches = list(fitted.recommend_batches(n=3))
    assert ROWS_AT_ONCE > 3 * len(movielens.users) > 300
    assert [len(batch) for batch in batches] == [300] * 6 + [30]
    table = pa.Table.from_batches(batches)
    assert table["user"].to_pylist()[::3] == movielens.users.ids.to_pylist()
    assert table.slice(300 * 3, 3).equals(fitted.recommend([table["user"][900].as_py()], n=3))


def test_a_list_for_nobody_is_empty_and_one_of_nothing_is_refused(fitted):
    assert fitted.recommend([]).num_rows == 0
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        fitted.recommend([1], n=0)


def test_an_unknown_user_gets_what_everyone_likes_best(fitted, movielens):
    lists = fitted.recommend(["nobody", 1], n=5)
    assert lists["user"].to_pylist() == ["nobody"] * 5 + ["1"] * 5
    appeal = fitted.machine_.linear[len(movielens.users) :] - 2 * fitted.learned_.appeal_errors
    assert movielens.items.encode(lists["item"])[:5].tolist() == np.argsort(-appeal, kind="stable")[:5].tolist()
    assert lists["item"][0].as_py() == 318  # The Shawshank Redemption


def test_users_are_the_ridge_solution_of_their_ratings(fitted, movielens):
    level_penalty, factor_penalty = fitted.learned_.level_penalty, fitted.learned_.factor_penalty
    w, V = fitted.machine_.linear[len(movielens.users) :], fitted.machine_.factors[len(movielens.users) :]
    for user in (0, 5, 413):
        items, ratings = movielens.of_user(user)
        Z = np.c_[V[items], np.ones(len(items))].astype(np.float64)
        penalty = np.diag([factor_penalty] * 8 + [level_penalty])
        theta = np.linalg.solve(Z.T @ Z + penalty, Z.T @ (ratings - fitted.machine_.bias - w[items]))
        np.testing.assert_allclose(fitted.machine_.factors[user], theta[:-1], atol=2e-5)
        np.testing.assert_allclose(fitted.machine_.linear[user], theta[-1], atol=2e-5)


def test_reasons_add_up_to_the_prediction(fitted):
    for user in (1, 5, 414, "nobody"):
        lists = fitted.recommend([user], n=20)
        reasons = fitted.explain(user, lists["item"].combine_chunks())
        scores = [reason.bias + reason.level + reason.appeal + reason.influences.sum() for reason in reasons]
        np.testing.assert_allclose(np.clip(scores, 0.5, 5), lists["predicted"], atol=1e-4)
        assert [reason.score for reason in reasons] == pytest.approx(scores)


def test_the_influence_of_a_rating_is_what_the_score_loses_without_its_surprise(fitted, movielens):
    # A rating equal to what bias and appeal foretell has no influence; so setting one rating to that value must take
    # exactly its influence (and its share in the level) off the score.
    item = fitted.recommend([5], n=1)["item"].combine_chunks()
    before = fitted.explain(5, item)[0]
    at = int(before.strongest(1)[0])
    user = int(movielens.users.encode([5])[0])
    ratings = movielens.ratings.copy()
    w = fitted.machine_.linear[len(movielens.users) :]
    ratings[movielens.indptr[user] + at] = fitted.machine_.bias + w[before.rated[at]]
    changed = RatingsTable(movielens.users, movielens.items, movielens.indptr, movielens.item_codes, ratings)
    after = fitted.fold_in(changed).explain(5, item)[0]
    assert before.influences[at] > 0
    assert after.match == pytest.approx(before.match - before.influences[at], abs=1e-6)


def test_the_strongest_reasons_are_positive_and_ordered(fitted):
    reason = fitted.explain(414, [1])[0]
    strongest = reason.influences[reason.strongest(3)]
    assert len(strongest) == 3
    assert strongest.tolist() == sorted(reason.influences)[:-4:-1]
    assert strongest[-1] > 0
    with pytest.raises(InputError, match="item 10 of nowhere is unknown"):
        fitted.explain(414, ["1", "10 of nowhere"])


def test_new_users_are_recommended_to_without_a_fit():
    """A fifth of the users unseen in the fit: folded in with 9 tenths of their ratings, they beat the items' means."""
    ids, ratings = load_movielens_small(return_X_y=True)
    new = ids[:, 0] % 5 == 0
    rng = np.random.default_rng(0)
    hidden = new & (rng.random(len(ids)) < 0.1)
    fitted = Recommender().fit(RatingsTable.from_arrays(ids[~new, 0], ids[~new, 1], ratings[~new]))
    shown = new & ~hidden
    table = RatingsTable.from_arrays(ids[shown, 0], ids[shown, 1], ratings[shown])
    folded = fitted.fold_in(table)
    users, items = folded.users.encode(ids[hidden, 0]), folded.items.encode(ids[hidden, 1])
    known = (users >= 0) & (items >= 0)
    design = fmkit.Design.from_codes([users[known], items[known]], [len(folded.users), len(folded.items)])
    error = ratings[hidden][known] - folded.machine_.predict(design)
    appeal = folded.machine_.bias + folded.machine_.linear[len(folded.users) :][items[known]]
    assert np.sqrt(np.mean(error**2)) < 0.89
    assert np.sqrt(np.mean((ratings[hidden][known] - appeal) ** 2)) > 0.93
    assert folded.recommend([5], n=1)["item"][0].as_py() in folded.items.ids.to_pylist()


def test_items_unknown_to_the_model_are_left_out_of_a_fold_in(fitted):
    folded = fitted.fold_in(RatingsTable.from_arrays(["me", "me", "you"], [1, -7, -8], [5, 5, 5]))
    assert len(folded.ratings_) == 1
    unknown = fitted.recommend(["nobody"], n=3)["item"]
    assert folded.recommend(["you"], n=3)["item"].to_pylist() == unknown.to_pylist()
    with pytest.raises(InputError, match="none of the table's items is known to the model"):
        fitted.fold_in(RatingsTable.from_arrays(["me"], [-7], [5]))


def test_caution_keeps_obscure_items_from_the_top(fitted, movielens):
    counts = np.bincount(movielens.item_codes, minlength=len(movielens.items))
    cautious, bold = (counts[movielens.items.encode(fitted.recommend(caution=c)["item"])] for c in (2, 0))
    assert (cautious <= 5).mean() < 0.001
    assert np.median(cautious) > 3 * np.median(bold)
    expected = fitted.recommend([1, 5], n=30, caution=0)["predicted"].to_numpy()
    assert (np.diff(expected[:30]) <= 1e-6).all()


def test_what_users_liked_best_is_found_again(movielens):
    """A fifth of the ratings hidden: the ten items listed hold more than 12 % of those rated 4.5 or 5 there."""
    shown = np.random.RandomState(42).permutation(len(movielens)) >= len(movielens) // 5
    users = movielens.users.decode(movielens.user_codes).to_numpy()
    items = movielens.items.decode(movielens.item_codes).to_numpy()
    fitted = Recommender().fit(RatingsTable.from_arrays(users[shown], items[shown], movielens.ratings[shown]))
    liked = {}
    for user, item in zip(*(ids[~shown & (movielens.ratings >= 4.5)] for ids in (users, items)), strict=True):
        liked.setdefault(user, set()).add(item)
    hits = sum(row["item"] in liked[row["user"]] for row in fitted.recommend(list(liked)).to_pylist())
    assert hits / sum(min(10, len(best)) for best in liked.values()) > 0.12


@pytest.mark.parametrize("solver", ["als", "sgd"])
def test_small_tables(solver):
    one = Recommender(n_factors=2, solver=solver).fit(RatingsTable.from_arrays(["ann"], ["x"], [4]))
    assert one.recommend(["ann"]).num_rows == 0
    assert one.recommend(["ann"], exclude_seen=False)["predicted"].to_pylist() == [4.0]
    same = Recommender(solver=solver).fit(RatingsTable.from_arrays([1, 1, 2], [1, 2, 2], [3, 3, 3]))
    assert same.recommend([2])["predicted"].to_pylist() == [3.0]


def test_a_saved_recommender_is_the_same(fitted, tmp_path):
    fmkit.save(fitted, tmp_path / "m.fmkit")
    loaded = fmkit.load(tmp_path / "m.fmkit")
    assert loaded.recommend(n=3).equals(fitted.recommend(n=3))
    assert loaded.explain(1, [50])[0].score == fitted.explain(1, [50])[0].score
    words = Recommender(n_factors=1).fit(RatingsTable.from_arrays(["ann", "Ørs"], ["ü", "日本"], [1, 2]))
    fmkit.save(words, tmp_path / "w.fmkit")
    assert fmkit.load(tmp_path / "w.fmkit").recommend(["ann"]).equals(words.recommend(["ann"]))


def set_first(value):
    def change(array):
        array = array.copy()
        array[0] = value
        return array

    return change


DAMAGE = {
    "item_codes": (set_first(2**30), "names an item that does not exist"),
    "ratings": (set_first(np.nan), "'ratings' holds a number that is not finite"),
    "appeal_errors": (lambda a: a[None], "'appeal_errors' has type float32 and shape"),
    "linear": (lambda a: a[:-1], "'linear' has type float32 and shape"),
    "factors": (lambda a: a.astype(np.float64), "'factors' has type float64"),
    "indptr": (set_first(3), "do not follow each other"),
    "users": (lambda a: np.zeros_like(a), "ids of the users are missing or not unique"),
    "items": (None, "'items.bytes' is missing|items.bytes is missing"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_model_file_is_refused_with_a_sentence(fitted, tmp_path, name):
    change, message = DAMAGE[name]
    path = tmp_path / "m.fmkit"
    fmkit.save(fitted, path)
    with safe_open(path, framework="numpy") as file:
        arrays, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    if change:
        arrays[name] = change(arrays[name])
    else:
        del arrays[name]
    save_file(arrays, path, metadata)
    with pytest.raises(InputError, match=message):
        fmkit.load(path)


def test_facts_that_make_no_sense_are_refused(fitted, tmp_path):
    path = tmp_path / "m.fmkit"
    fmkit.save(fitted, path)
    with safe_open(path, framework="numpy") as file:
        arrays, header = {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["fmkit"])  # noqa: SIM118
    for fact, value in (("lowest", None), ("level_penalty", float("nan")), ("bias", "much"), ("parameters", [1])):
        changed = header | {"facts": header["facts"] | {fact: value}}
        save_file(arrays, path, {"fmkit": json.dumps(changed)})
        with pytest.raises(InputError, match="damaged"):
            fmkit.load(path)


def test_lists_are_written_whole_or_not_at_all(fitted, tmp_path):
    for name in ("l.parquet", "l.csv"):
        write_lists(tmp_path / name, fitted.recommend_batches(n=2))
    read = pa.parquet.read_table(tmp_path / "l.parquet")
    assert read.equals(fitted.recommend(n=2))
    assert pa.csv.read_csv(tmp_path / "l.csv")["item"].to_pylist() == read["item"].to_pylist()

    def broken():
        yield from fitted.recommend_batches([1], n=2)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_lists(tmp_path / "l.csv", broken())
    assert pa.csv.read_csv(tmp_path / "l.csv").num_rows == len(read)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.csv", "l.parquet"]
    with pytest.raises(InputError, match=r"written to \.csv or \.parquet files"):
        write_lists(tmp_path / "l.xlsx", fitted.recommend_batches([1]))
