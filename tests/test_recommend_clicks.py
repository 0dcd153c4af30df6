"""A recommender of clicks: lists, wishes, parts that sum to the score, updates and people forgotten."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import fmkit
from fmkit import FMRanker
from fmkit.errors import InputError
from fmkit.ranking.factors import Factors
from fmkit.ranking.implicit import Objective
from fmkit.ranking.item_item import ItemItem
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.ranking import Ranking
from fmkit.recommend import Recommender
from fmkit.recommend.accounts import accounts, names_of_items
from fmkit.recommend.explanations import ranking_parts
from fmkit.recommend.ranking_model import RankingModel
from tests.films import FILMS, N_FILMS, N_USERS, PEOPLE, greedy, some_ratings

KINDS = {
    "squared loss": FMRanker("implicit", n_factors=8, random_state=0),
    "softmax": FMRanker("softmax", n_factors=8, max_iter=10, item_item=False, random_state=0),
    "softmax, items": FMRanker("softmax", n_factors=8, max_iter=10, item_item=True, random_state=0),
    "blend": FMRanker("auto", n_factors=8, max_iter=10, item_item=True, random_state=0),
    "warp": FMRanker("warp", n_factors=8, max_iter=5, random_state=0),
}


def clicks(n=300, seed=0):
    rows = some_ratings(n, seed)
    return {"user": rows["user"], "item": rows["item"]}


def fit(kind, rows=None, **tables):
    return Recommender(KINDS[kind], n_jobs=2).fit(rows or clicks(), **tables)


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    return fit(request.param, users=PEOPLE, items=FILMS)


@pytest.fixture(scope="module")
def seen():
    seen, rows = np.zeros((N_USERS, N_FILMS + 2), bool), clicks()
    seen[rows["user"], rows["item"]] = True
    return seen


def scores_of_all(recommender):
    n, m = len(recommender.users_), len(recommender.items_)
    pairs = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    return recommender.scores(*pairs).reshape(n, m)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_lists_are_all_scores_sorted(fitted, seen, exclude_seen):
    scores = np.where(seen & exclude_seen, -np.inf, scores_of_all(fitted))
    table = fitted.recommend(n=6, exclude_seen=exclude_seen)
    assert table.column_names == ["user", "rank", "item", "title", "score"]
    best = -np.sort(-scores, axis=1)[:, :6]
    np.testing.assert_allclose(table["score"], best[np.isfinite(best)], atol=1e-4)
    pairs = table["user"].to_numpy(), table["item"].to_numpy()
    np.testing.assert_allclose(table["score"], scores[pairs], atol=1e-4)


def test_wishes_go_with_clicks_too(fitted, seen):
    scores = scores_of_all(fitted)
    groups = [{author} - {None} for author in FILMS["author"]]
    table = fitted.recommend([5], n=8, at_most={"author": 2}, filter="year > 1981 or 'C' in genres", pinned=[0])
    allowed = np.array([(y or 0) > 1981 or "C" in g for y, g in zip(FILMS["year"], FILMS["genres"], strict=True)])
    allowed &= ~seen[5]
    allowed[0] = False
    expected = [0, *greedy(scores[5], allowed, 7, groups, dict.fromkeys(["Ang", "Bong", "Coen"], 2), [0])]
    assert table["item"].to_pylist() == expected
    assert len(fitted.recommend([5], n=5, diversity=0.5)) == 5
    assert len(fitted.recommend([5], candidates=[])) == 0
    with pytest.raises(InputError, match="a ranker of clicks tells no deviation"):
        fitted.recommend([5], risk="explore")


def test_parts_sum_to_the_score_and_name_what_the_user_has(fitted, seen):
    scores, users, items = scores_of_all(fitted), [3, 3, 5, 9], [1, 20, 7, 21]
    found = {}
    for row in fitted.explain(users, items).to_pylist():
        found.setdefault((row["user"], row["item"]), {})[row["part"]] = row["value"]
    for (user, item), parts in found.items():
        assert sum(parts.values()) == pytest.approx(scores[user, item], rel=1e-5, abs=1e-5)
        has = {part.removeprefix("has ") for part in parts if part.startswith("has ")}
        assert has <= {str(one) for one in np.flatnonzero(seen[user])}
        assert {"item", "user"} <= parts.keys()


def test_the_parts_of_a_machine_made_by_hand():
    """Two users by id with histories as features, and weights between items."""
    queries, items = (sparse.csr_array(np.eye(n, dtype=np.float32)) for n in (2, 3))
    pairs = Pairs.of([[0, 0], [0, 1], [1, 2]], 2, 3)
    V, Z = np.array([[0.5], [0], [1], [2], [3]], np.float32), np.array([[1], [2], [4]], np.float32)
    machine = RankingMachine(V, Z, np.array([0.1, 0.2, 0.3], np.float32))
    B = np.array([[0, 1, 5], [2, 0, 3], [1, 1, 0]], np.float32)
    ranker = FMRanker()
    for item_item, weights, expected in (
        (None, [1.0], {"item": 0.3, "has A": 2.0, "has B": 4.0, "user": 2.0}),
        (ItemItem(B, 1.0, 0.0), [0.0, 1.0], {"item": 0.0, "has A": 5 / B[:2].sum(axis=0).std(), "user": 0.0}),
    ):
        factors = [Factors("softmax", machine, 1.0, Objective(), 3)] if item_item is None else []
        ranker.ranking_ = Ranking(queries, items, pairs, factors, item_item, weights[-1:])
        model = RankingModel(ranker, 0)
        asked = model.find(np.array([0]))
        found = {name: values[0] for name, values in ranking_parts(model, asked, 0, np.array([2]), ["A", "B", "C"])}
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=1e-5)


def test_vectors_reproduce_the_scores_of_machines(fitted):
    users, items = fitted.vectors("users"), fitted.vectors()
    X, Z = (np.array(table["vector"].to_pylist()) for table in (users, items))
    scores = X @ Z.T + users["level"].to_numpy()[:, None]
    if fitted.model_.ranker.ranking_.item_item is None or fitted.model_.ranker.weights_.get("item_item", 0) == 0:
        np.testing.assert_allclose(scores, scores_of_all(fitted), atol=1e-4)
    assert X.shape[1] == Z.shape[1]


def test_people_with_the_same_clicks_get_the_same_list_be_they_known_or_not():
    recommender = fit("softmax")
    has = recommender.items_.ids.decode(recommender.history_.of(4).items).to_pylist()
    known, new = recommender.recommend([4], n=5), recommender.recommend_for(likes=has, n=5)
    assert known["item"].to_pylist() == new["item"].to_pylist()
    assert recommender.recommend_for(dict.fromkeys(has, 1), n=5).equals(new)


def test_somebody_new_gets_a_list_with_reasons(fitted):
    table = fitted.recommend_for(likes=[3, 5, "nothing"], features={"city": "Rome"}, n=4, explain=True)
    assert len(table) == 4
    assert not {3, 5} & set(table["item"].to_pylist())
    assert all(one.startswith("you have ") or one == "many have it" for one in table["reason"].to_pylist())
    assert len(fitted.recommend(["nobody"], n=4)) == 4
    with pytest.raises(InputError, match="none of the items is known"):
        fitted.recommend_for(likes=["nothing"])


def test_what_only_ratings_have_is_refused(fitted):
    with pytest.raises(InputError, match="a ranker of clicks tells no standard deviation"):
        fitted.predict([1], [2], return_std=True)
    with pytest.raises(InputError, match="reasons by past ratings are for ratings: explain tells what past clicks add"):
        fitted.reasons(1, [2])
    with pytest.raises(InputError, match="the fit had no context"):
        fitted.recommend([1], context={"device": "tv"})


@pytest.mark.parametrize("kind", KINDS)
def test_today_and_the_forgotten(kind, tmp_path):
    rows = clicks()
    named = {**rows, "user": [f"reader-{u}-{u * 7919}" for u in rows["user"]]}
    people = {**PEOPLE, "user": [f"reader-{u}-{u * 7919}" for u in PEOPLE["user"]]}
    recommender = fit(kind, named, users=people, items=FILMS)
    recommender.partial_fit(pd.DataFrame({"user": ["zoe", "zoe", "reader-3-23757"], "item": [4, 99, 21]}))
    assert recommender.told_[-1] == "3 rows more, with 1 new user and 1 new item"
    assert len(recommender.recommend(["zoe"], n=3)) == 3
    assert 21 not in recommender.recommend(["reader-3-23757"], n=99)["item"].to_pylist()
    assert 99 in recommender.recommend(["reader-3-23757"], n=99)["item"].to_pylist()
    vectors = recommender.model_.ranker.ranking_.factors[0].machine.query_factors
    n_before = len(recommender.interactions_)
    recommender.forget(["reader-4-31676", "nobody"])
    fmkit.save(recommender, tmp_path / "m.fmkit")
    content = (tmp_path / "m.fmkit").read_bytes()
    assert b"reader-4-31676" not in content
    assert b"reader-5-39595" in content
    if recommender.model_.ranker.ranking_.factors[0].power is None and kind != "softmax":
        gone = len(recommender.users_.feature_names) + 4
        assert vectors[gone].tobytes() not in content
    assert len(recommender.users_) == N_USERS
    assert len(recommender.interactions_) < n_before
    ranking = recommender.model_.ranker.ranking_
    assert ranking.pairs.n_queries == N_USERS
    for user in (0, 5, 29):  # the others have what they had, wherever they stand now
        id_ = recommender.users_.ids.ids[user].as_py()
        number = None if id_ == "zoe" else int(id_.split("-")[1])
        expected = {4, 99} if number is None else {i for u, i in zip(*rows.values(), strict=True) if u == number}
        items = recommender.items_.ids.decode(ranking.pairs.rows(np.array([user])).items).to_pylist()
        assert set(items) - {21} == expected - {21}
    lists = recommender.recommend(n=4)
    assert recommender.forget("nobody").forget("reader-4-31676").recommend(n=4).equals(lists)
    loaded = fmkit.load(tmp_path / "m.fmkit")
    assert loaded.recommend(n=4, explain=True).equals(recommender.recommend(n=4, explain=True))
    more = {"user": ["zoe"], "item": [7]}
    assert loaded.partial_fit(more).recommend(n=4).equals(recommender.partial_fit(more).recommend(n=4))


def test_weights_count():
    rows = {**clicks(), "plays": [1] * 300}
    heavy = {**rows, "plays": [50 if item == 4 else 1 for item in rows["item"]]}
    ranks = []
    for table in (rows, heavy):
        recommender = Recommender(KINDS["squared loss"]).fit(table, weight="plays")
        scores = scores_of_all(recommender)
        ranks.append((scores > scores[:, [4]]).sum())
    assert ranks[1] < ranks[0]


def test_what_people_go_for_together_is_recommended():
    """Two circles of taste: whoever has some of one gets the rest of it."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 8)
    items = np.concatenate([10 * (u % 2) + rng.permutation(10)[:8] for u in range(40)])
    for quality in ("fast", "balanced"):
        recommender = Recommender(quality=quality, n_factors=4, max_iter=10).fit({"user": users, "item": items})
        table = recommender.recommend(n=2)
        assert ((table["item"].to_numpy() >= 10) == (table["user"].to_numpy() % 2 == 1)).all()
        assert all(item // 10 == 1 for item in recommender.recommend_for(likes=[11, 15], n=4)["item"].to_pylist()), (
            quality
        )


def test_of_items_that_nobody_has_nobody_is_said_to_have_them():
    clicks = {"user": [1, 1, 2, 2, 3, 3], "item": ["a", "b", "a", "c", "b", "c"]}
    items = {"item": ["a", "b", "c", "new"], "kind": ["x", "y", "x", "x"]}
    recommender = Recommender(quality="fast", n_factors=2, max_iter=3).fit(clicks, items=items)
    told = recommender.recommend(1, n=4, candidates=["new", "c"], explain=True)
    why = dict(zip(told["item"].to_pylist(), told["reason"].to_pylist(), strict=True))
    assert "many have it" not in why["new"]
    new, old = recommender.items_.ids.encode(["new", "c"])
    own, code = recommender.history_.of(0), np.array([0])
    asked = recommender.model_.find(code)
    names = names_of_items(recommender)
    found = accounts(recommender, asked, 0, own, np.array([new, old]), np.zeros(2), names)
    labels = [{name for name, _ in parts} for parts in found]
    assert "what is known of the item, which nobody has" in labels[0]
    assert "liked by all" in labels[1]
    assert "liked by all" not in labels[0]
