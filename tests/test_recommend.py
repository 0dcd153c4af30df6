"""Recommender: exact lists, known and unknown users, and every wish of a list against a slow twin."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fmkit import FMRegressor
from fmkit.errors import InputError
from fmkit.ranking.topn import TILE, Doubt, top_n
from fmkit.recommend import Recommender
from tests.films import FILMS, N_FILMS, N_USERS, PEOPLE, greedy, scores_of, some_ratings

ALL = list(range(N_USERS))
GROUPS = {
    "author": [{author} - {None} for author in FILMS["author"]],
    "genres": [set(genres.split("|")) for genres in FILMS["genres"]],
}


@pytest.fixture(scope="module")
def fitted():
    recommender = Recommender(n_factors=8, max_iter=12, n_jobs=2)
    return recommender.fit(some_ratings(), users=PEOPLE, items=FILMS, context="device")


@pytest.fixture(scope="module")
def seen():
    seen = np.zeros((N_USERS, N_FILMS + 2), bool)
    rows = some_ratings()
    seen[rows["user"], rows["item"]] = True
    return seen


def lists_of(table, users=ALL):
    """Items of each user, in order."""
    found = {user: [] for user in users}
    for user, item in zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True):
        found[user].append(item)
    return [found[user] for user in users]


def top_n_by_sorting(scores, n, seen):
    codes = np.full((len(scores), n), -1)
    for r, row in enumerate(scores):
        best = [i for i in np.lexsort((np.arange(len(row)), -row)) if i not in seen[r]][:n]
        codes[r, : len(best)] = best
    return codes


def flat(seen):
    before = np.cumsum([0, *(len(s) for s in seen)])
    return before, np.array([i for s in seen for i in sorted(s)], np.int32)


@given(st.data())
def test_top_n_is_sorting_all_scores_and_ties_go_by_code(data):
    n_queries, n_items, n_dimensions = (data.draw(st.integers(1, high)) for high in (20, 40, 5))
    # Small integers, and variances that are squares: scores are exact, and ties are many.
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    queries = rng.integers(-2, 3, (n_queries, n_dimensions)).astype(np.float32)
    items = rng.integers(-2, 3, (n_items, n_dimensions)).astype(np.float32)
    of_queries, of_items = (np.square(rng.integers(0, 3, (m, 1))).astype(np.float32) for m in (n_queries, n_items))
    risk = data.draw(st.sampled_from([0, 1, 2, -1]))
    seen = [set(rng.integers(0, n_items, rng.integers(0, 2 * n_items)).tolist()) for _ in range(n_queries)]
    n, doubt = data.draw(st.integers(1, n_items)), Doubt(risk, of_queries, of_items) if risk else None
    codes, scores = top_n(queries, items, n, *flat(seen), data.draw(st.sampled_from([1, 3])), doubt)
    expected = queries @ items.T - risk * np.sqrt(of_queries @ of_items.T)
    np.testing.assert_array_equal(codes, top_n_by_sorting(expected, n, seen))
    listed = np.take_along_axis(expected, np.maximum(codes, 0), axis=1)
    np.testing.assert_array_equal(scores, np.where(codes < 0, -np.inf, listed))


def test_top_n_over_several_tiles_of_items_has_the_same_bits_for_one_query_and_for_many():
    rng = np.random.default_rng(0)
    queries, items = rng.standard_normal((37, 9), np.float32), rng.standard_normal((3 * TILE + 5, 9), np.float32)
    seen = [set(rng.integers(0, len(items), 100).tolist()) for _ in queries]
    codes, scores = top_n(queries, items, 20, *flat(seen), n_threads=2)
    np.testing.assert_array_equal(codes, top_n_by_sorting(queries @ items.T, 20, seen))
    alone = top_n(queries[5:6], items, 20, *flat(seen[5:6]), n_threads=1)
    np.testing.assert_array_equal(alone, (codes[5:6], scores[5:6]))


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("risk", [0, 2, 0.5, -1])
@pytest.mark.parametrize("device", [None, "tv"])
def test_lists_are_all_scores_sorted(fitted, seen, exclude_seen, risk, device):
    context = None if device is None else {"device": device}
    row = None if device is None else fitted.context_encoder_.transform(pa.table({"device": [device]}))
    scores = scores_of(fitted.model_, row, risk)
    table = fitted.recommend(n=7, risk=risk, exclude_seen=exclude_seen, context=context)
    scores_left = np.where(seen & exclude_seen, -np.inf, scores)
    best = -np.sort(-scores_left, axis=1)[:, :7]
    assert table["user"].to_pylist() == np.repeat(ALL, np.isfinite(best).sum(axis=1)).tolist()
    np.testing.assert_allclose(table["score"], best[np.isfinite(best)], atol=2e-5)
    pairs = table["user"].to_numpy(), table["item"].to_numpy()
    np.testing.assert_allclose(table["score"], scores_left[pairs], atol=2e-5)
    expected = np.clip(scores_of(fitted.model_, row), 0.5, 5)[pairs]
    np.testing.assert_allclose(table["predicted"], expected, atol=2e-5)
    assert table["title"].to_pylist() == [f"Film {item}" for item in table["item"].to_pylist()]


def test_the_usual_risk_is_two_deviations(fitted):
    assert fitted.recommend(n=3).equals(fitted.recommend(n=3, risk=2))


def test_a_list_longer_than_the_catalogue_is_all_of_it(fitted, seen):
    everything = fitted.recommend([3], n=999, exclude_seen=False)
    assert sorted(everything["item"].to_pylist()) == FILMS["item"]
    assert everything["rank"].to_pylist() == list(range(1, N_FILMS + 3))
    assert len(fitted.recommend([3], n=999)) == (~seen[3]).sum()


def test_someone_unknown_gets_what_an_average_person_gets(fitted):
    table = fitted.recommend(["nobody", 4, 3.0], n=4)
    assert table["user"].to_pylist() == ["nobody"] * 4 + ["4"] * 4 + ["3.0"] * 4
    assert table["item"].to_pylist()[:4] == fitted.recommend_for(n=4)["item"].to_pylist()
    nobody = fitted.model_.users.expected(fitted.model_.users.rows[:1] * 0)[0] + fitted.model_.users.unmet
    items = fitted.model_.items
    assert fitted.predict(["nobody"], [7]) == pytest.approx(
        fitted.model_.bias
        + nobody[-1]
        + items.weights[7]
        + fitted.model_.usual[-1]
        + (nobody[:-1] + fitted.model_.usual[:-1]) @ items.vectors[7]
        + nobody[:-1] @ fitted.model_.usual[:-1],
        abs=1e-5,
    )


def test_lists_of_nobody_of_one_and_in_batches(fitted, monkeypatch):
    assert fitted.recommend([]).num_rows == 0
    assert fitted.recommend(3).equals(fitted.recommend([3]))
    assert fitted.recommend("3").equals(fitted.recommend(["3"]))
    monkeypatch.setattr("fmkit.recommend.listing.ROWS_AT_ONCE", 21)
    batches = list(fitted.recommend_batches(n=3, context={"device": ["tv"] * N_USERS}, explain=True))
    assert [len(batch) for batch in batches] == [21, 21, 21, 21, 6]
    monkeypatch.undo()
    assert (
        pa.Table.from_batches(batches)
        .combine_chunks()
        .equals(fitted.recommend(n=3, context={"device": "tv"}, explain=True))
    )


SOME = {
    "candidates": {"candidates": [3, 21, 9, 3]},
    "a set of candidates": {"candidates": {3, 9, 21}},
    "a column with an index": {"candidates": pd.Series([21, 9, 3], index=[7, 8, 9])},
    "text": {"filter": "year in (1983, 1981, 1984) and not ('X' in genres) or year > 1985 and 'D' in genres"},
    "a mapping": {"filter": {"year": [1981, 1983], "genres": "D|X"}},
    "a function": {"filter": lambda films: films["year"].to_pandas() > 1984},
    "a mask": {"filter": np.arange(N_FILMS + 2) % 3 == 0},
    "both": {"candidates": list(range(10)), "filter": "author == 'Ang'"},
    "nothing": {"candidates": []},
    "nothing fits": {"filter": "year > 2050"},
}
YEARS = np.array([0 if year is None else year for year in FILMS["year"]])
ALLOWED = {
    "candidates": np.isin(FILMS["item"], [3, 9, 21]),
    "a set of candidates": np.isin(FILMS["item"], [3, 9, 21]),
    "a column with an index": np.isin(FILMS["item"], [3, 9, 21]),
    "text": np.array(
        [
            (year in (1981, 1983, 1984) and "X" not in genres) or (year > 1985 and "D" in genres)
            for year, genres in zip(YEARS, FILMS["genres"], strict=True)
        ]
    ),
    "a mapping": np.isin(YEARS, [1981, 1983]) & (np.array(FILMS["genres"]) == "D|X"),
    "a function": YEARS > 1984,
    "a mask": np.arange(N_FILMS + 2) % 3 == 0,
    "both": (np.arange(N_FILMS + 2) < 10) & (np.array(FILMS["author"]) == "Ang"),
    "nothing": np.zeros(N_FILMS + 2, bool),
    "nothing fits": np.zeros(N_FILMS + 2, bool),
}


@pytest.mark.parametrize("which", SOME)
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_only_some_items_may_be_listed(fitted, seen, which, exclude_seen):
    allowed = ALLOWED[which] & ~(seen & exclude_seen)
    scores = scores_of(fitted.model_, risk=2)
    expected = [greedy(scores[u], allowed[u], 5, [set()] * len(YEARS), {}) for u in ALL]
    assert lists_of(fitted.recommend(n=5, exclude_seen=exclude_seen, **SOME[which])) == expected


@given(st.data())
@settings(max_examples=60)
def test_at_most_so_many_of_a_group_and_never_fewer_than_possible(fitted, seen, data):
    pool = data.draw(st.sampled_from([1, 10]))  # how far down is looked at first
    n, columns = data.draw(st.integers(1, 12)), data.draw(st.sampled_from([["author"], ["genres"], [*GROUPS]]))
    at_most = {column: data.draw(st.integers(1, 4)) for column in columns}
    pinned = data.draw(st.lists(st.integers(0, N_FILMS + 1), max_size=3, unique=True))
    users = data.draw(st.lists(st.integers(0, N_USERS - 1), min_size=1, max_size=4, unique=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fmkit.recommend.wishes.POOL", pool)
        found = lists_of(fitted.recommend(users, n, at_most=at_most, pinned=pinned), users)
    groups = [set().union(*({(name, g) for g in GROUPS[name][i]} for name in columns)) for i in range(N_FILMS + 2)]
    limits = {group: at_most[group[0]] for of_item in groups for group in of_item}
    scores = scores_of(fitted.model_, risk=2)
    for user, items in zip(users, found, strict=True):
        allowed = ~seen[user] & ~np.isin(FILMS["item"], pinned)
        first = pinned[:n]
        assert items == first + greedy(scores[user], allowed, n - len(first), groups, limits, first)


def test_pinned_items_stand_first_with_their_scores(fitted):
    table = fitted.recommend([3, 4], n=4, pinned=[20, 0], risk=1)
    assert [items[:2] for items in lists_of(table, [3, 4])] == [[20, 0], [20, 0]]
    for item, score in zip([20, 0], table["score"].to_pylist(), strict=False):
        assert sum(fitted.explain(3, item, risk=1)["value"].to_pylist()) == pytest.approx(score, abs=2e-5)
    rest = fitted.recommend([3, 4], n=2, candidates=[i for i in FILMS["item"] if i not in (0, 20)], risk=1)
    assert [items[2:] for items in lists_of(table, [3, 4])] == lists_of(rest, [3, 4])
    assert lists_of(fitted.recommend([3], n=1, pinned=[7, 8]), [3]) == [[7]]
    assert lists_of(fitted.recommend([3], n=9, pinned=[7], candidates=[]), [3]) == [[7]]


def diverse(scores, vectors, long, n, diversity, pinned):
    """Maximal marginal relevance, item by item."""
    order = np.lexsort((np.arange(len(scores)), -scores))
    order = order[np.isfinite(scores[order])][:long]
    of = vectors[order] / np.linalg.norm(vectors[order], axis=1, keepdims=True)
    before = vectors[pinned] / np.linalg.norm(vectors[pinned], axis=1, keepdims=True)
    value = (scores[order] - scores[order[-1]]) / (scores[order[0]] - scores[order[-1]])
    taken = []
    while len(taken) < min(n, len(order)):
        alike = np.max([np.zeros(len(order)), *(of @ of[j] for j in taken), *(of @ one for one in before)], axis=0)
        worth = (1 - diversity) * value - diversity * alike
        worth[taken] = -np.inf
        taken.append(int(np.argmax(worth)))
    return order[taken].tolist()


@pytest.mark.parametrize("diversity", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("pinned", [[], [4]])
@pytest.mark.parametrize("pool", [2, 10])
def test_diverse_lists_are_those_of_maximal_marginal_relevance(fitted, seen, diversity, pinned, pool, monkeypatch):
    monkeypatch.setattr("fmkit.recommend.wishes.POOL", pool)
    found = lists_of(fitted.recommend(n=5, diversity=diversity, pinned=pinned or None))
    vectors, n = fitted.model_.items.vectors.astype(np.float64), 5 - len(pinned)
    for user in ALL:
        scores = np.where(seen[user] | np.isin(FILMS["item"], pinned), -np.inf, scores_of(fitted.model_, risk=2)[user])
        assert found[user] == pinned + diverse(scores, vectors, pool * n, n, diversity, pinned)


def test_exploring_draws_what_the_ratings_allow(fitted):
    lists = [lists_of(fitted.recommend(n=4, risk="explore", random_state=seed)) for seed in (1, 1, 2)]
    assert lists[0] == lists[1] != lists[2]
    assert lists_of(fitted.recommend(n=4, risk="explore")) != lists_of(fitted.recommend(n=4, risk="explore"))
    # Of two films, how often the better one leads: Phi(difference / its standard deviation), of independent draws.
    user, films = 3, [6, 20]
    model = fitted.model_
    draws = np.random.default_rng(0)
    first = [fitted.recommend([user], 1, candidates=films, exclude_seen=False, risk="explore", random_state=s) for s in
             range(300)]  # fmt: skip
    often = np.mean([table["item"][0].as_py() == films[0] for table in first])
    q, p = (side.vectors[codes] for side, codes in ((model.users, [user]), (model.items, films)))
    of_user = q + draws.standard_normal((9999, 1, q.shape[1])) * np.sqrt(model.users.var_vectors[user])
    of_items = p + draws.standard_normal((9999, 2, q.shape[1])) * np.sqrt(model.items.var_vectors[films])
    weights = model.items.weights[films] + draws.standard_normal((9999, 2)) * np.sqrt(model.items.var_weights[films])
    score = weights + ((of_user + model.usual[:-1]) * of_items).sum(axis=2)
    assert 0.05 < often < 0.95
    assert often == pytest.approx((score[:, 0] > score[:, 1]).mean(), abs=0.1)


def test_draws_have_the_moments_of_what_is_known(fitted):
    side = fitted.model_.users
    many = side.select(np.full(40_000, 3)).drawn(np.random.default_rng(0))
    k = side.var_vectors.shape[1]
    q, c = many.vectors[:, :k].astype(np.float64), many.weights.astype(np.float64)
    scale = np.sqrt(side.var_vectors[3]), np.sqrt(side.var_weights[3])
    np.testing.assert_allclose((q.mean(axis=0) - side.vectors[3, :k]) / scale[0], 0, atol=0.03)
    assert (c.mean() - side.weights[3]) / scale[1] == pytest.approx(0, abs=0.03)
    np.testing.assert_allclose(q.std(axis=0) / scale[0], 1, atol=0.03)
    correlation = ((q - q.mean(axis=0)) * (c - c.mean())[:, None]).mean(axis=0) / (scale[0] * scale[1])
    np.testing.assert_allclose(correlation, side.covariance[3] / (scale[0] * scale[1]), atol=0.03)
    assert np.abs(side.covariance[3] / (scale[0] * scale[1])).max() > 0.1
    own = np.square(side.covariance[3]) / side.var_vectors[3]  # of independent dimensions
    assert c.var() == pytest.approx(max(side.var_weights[3], own.sum()), rel=0.05)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"n": 0}, "n must be at least 1, an integer, got 0"),
        ({"n": 2.5}, "n must be at least 1, an integer, got 2.5"),
        ({"diversity": 1.5}, "diversity must lie between 0 .none. and 1, got 1.5"),
        ({"diversity": "much"}, "diversity must lie between 0 .none. and 1, got 'much'"),
        ({"risk": "bold"}, "risk must be a number of standard deviations or 'explore', got 'bold'"),
        ({"risk": float("nan")}, "risk must be a number of standard deviations or 'explore', got nan"),
        ({"candidates": [3, "Alien"]}, "candidates holds 'Alien', which is none of the 22 items"),
        ({"candidates": pd.Series([99], index=[4])}, "candidates holds '99', which is none of the 22 items"),
        ({"pinned": [3, "3"]}, "pinned holds an item twice"),
        ({"pinned": [77]}, "pinned holds '77', which is none of the 22 items"),
        ({"at_most": {"director": 2}}, "the column 'director', the table of items has 'title', 'year', 'genres', 'aut"),
        ({"at_most": {"author": 0}}, "at_most of 'author' must be an integer of at least 1, got 0"),
        ({"context": {"device": ["tv"] * 3}}, "the context must have one row, or one for each of 2, got 3"),
        ({"context": {"day": "Monday"}}, "the context has the columns 'device'; got 'day'"),
    ],
)
def test_wishes_that_cannot_be_are_told(fitted, wishes, message):
    with pytest.raises(InputError, match=message):
        fitted.recommend([1, 2], **wishes)


def test_a_context_that_the_fit_never_met_is_warned_of(fitted):
    usual = fitted.predict([1], [2], context={"device": "tv"})
    told = "the context 'device' holds 'fridge', which the fit never met: it counts for nothing"
    for ask in (
        lambda: fitted.predict([1, 2], [2, 3], context={"device": "fridge"}),
        lambda: fitted.recommend([1, 2], context={"device": "fridge"}),
        lambda: fitted.score_pairs({"user": [1, 2], "item": [2, 3], "device": ["tv", "fridge"]}),
    ):
        with pytest.warns(UserWarning, match=told) as caught:
            ask()
        assert len(caught) == 1
    with pytest.warns(UserWarning, match="holds 'fridge' and 1 more, which the fit never met"):
        fitted.predict([1, 2], [2, 3], context={"device": ["fridge", "watch"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted.predict([1], [2], context={"device": "tv"}) == usual
        fitted.predict([1], [2], context={"device": None})


def test_a_recommender_is_an_estimator():
    recommender = Recommender(FMRegressor(3, random_state=1), schema={"genres": ("set", "|")}, quality="best")
    again = clone(recommender)
    assert again.get_params()["model__n_factors"] == 3
    assert again.set_params(model__n_factors=4, quality="fast").model.n_factors == 4
    assert recommender.model.n_factors == 3
    assert repr(Recommender(n_factors=4, quality="fast")) == "Recommender(n_factors=4, quality='fast')"
    calls = ("recommend", "predict", "explain", "reasons", "similar_items", "similar_users", "score_pairs", "forget")
    for name in calls:
        with pytest.raises(NotFittedError):
            getattr(Recommender(), name)(*[[1]] * (1 + (name in ("predict", "explain", "reasons"))))
