"""What contexts add to rankings of clicks: lifts in closed form, their weights, and lists that go by them."""

import numpy as np
import pytest
from scipy import sparse
from scipy.special import gammaln

import fmkit
from fmkit import FMRanker
from fmkit.errors import InputError
from fmkit.ranking.lifts import MOST_COLUMNS, PRIOR, RANK, SHAPES, Choices, Lifts, log_lifts
from fmkit.recommend import Recommender

N_USERS, N_ITEMS = 300, 120
HOURS = ("morning", "noon", "night")


def shop(effect, seed=0, per_user=20):
    """Clicks of users with tastes of their own, at times of which each lifts and lowers half of the items."""
    rng = np.random.default_rng(seed)
    tastes = rng.standard_normal((N_USERS, 3)) @ rng.standard_normal((3, N_ITEMS)) + rng.standard_normal(N_ITEMS)
    lifts = effect * rng.standard_normal((len(HOURS), N_ITEMS)) * (rng.random((len(HOURS), N_ITEMS)) < 0.5)
    users, items, hours = [], [], []
    for user in range(N_USERS):
        for hour in range(len(HOURS)):
            chances = np.exp(tastes[user] + lifts[hour])
            chosen = rng.choice(N_ITEMS, per_user // len(HOURS), replace=False, p=chances / chances.sum())
            users += [user] * len(chosen)
            items += chosen.tolist()
            hours += [hour] * len(chosen)
    return np.array(users), np.array(items), np.array(hours), lifts


def choices_of(users, items, hours, weights=None):
    context = sparse.csr_array((np.ones(len(hours), np.float32), (np.arange(len(hours)), hours)))
    weights = np.ones(len(users), np.float32) if weights is None else weights
    return Choices(users, items, weights, context)


def table_of(users, items, hours):
    return {"user": users, "item": items, "when": [HOURS[hour] for hour in hours]}


def slow_log_lifts(choices, n_users, n_items):
    """Of one group of columns, a column, an item and a user at a time."""
    X, w = choices.context.toarray().astype(float), choices.weights.astype(float)
    history = np.zeros((n_users, n_items))
    np.add.at(history, (choices.queries, choices.items), w)
    popularity, sizes = history.sum(axis=0) / history.sum(), history.sum(axis=1)
    n, mean = np.zeros((2, X.shape[1], n_items))
    for c in range(X.shape[1]):
        there = np.bincount(choices.queries, X[:, c] * w, n_users)
        for i in range(n_items):
            n[c, i] = (X[:, c] * w * (choices.items == i)).sum()
            for u in range(n_users):
                share = there[u] / (sizes[u] + PRIOR)
                own = history[u, i] * share
                mean[c, i] += own + share * PRIOR * popularity[i]
                n[c, i] -= own * share  # what could not have been otherwise
                mean[c, i] -= own * share
    n, mean = np.maximum(n, 0), np.maximum(mean, 0)

    def evidence(c):
        if np.isinf(c):
            return -mean.sum()
        return (gammaln(n + c) - gammaln(c) + c * np.log(c) - (n + c) * np.log(mean + c)).sum()

    c = max(SHAPES, key=evidence)
    return np.zeros_like(n) if np.isinf(c) else np.log((n + c) / (mean + c))


@pytest.mark.parametrize("weighted", [False, True])
def test_lifts_are_those_of_the_slow_twin(weighted):
    users, items, hours, _ = shop(1.5)
    some = users < 25
    weights = np.random.default_rng(1).uniform(0.5, 2, some.sum()).astype(np.float32) if weighted else None
    choices = choices_of(users[some], items[some], hours[some], weights)
    found = log_lifts(choices, np.zeros(3, np.intp), (25, N_ITEMS))
    assert np.abs(found).max() > 0.1
    np.testing.assert_allclose(found, slow_log_lifts(choices, 25, N_ITEMS), atol=1e-4)


def test_lifts_are_found_where_there_are_some_and_none_where_there_are_none():
    users, items, hours, truth = shop(1.0)
    found = log_lifts(choices_of(users, items, hours), np.zeros(3, np.intp), (N_USERS, N_ITEMS))
    beyond = truth - truth.mean(axis=0)  # what all contexts share is the item's own
    assert np.corrcoef(found.ravel(), beyond.ravel())[0, 1] > 0.7
    hours = np.random.default_rng(0).integers(0, 3, len(users))  # of no account
    nothing = log_lifts(choices_of(users, items, hours), np.zeros(3, np.intp), (N_USERS, N_ITEMS))
    assert not nothing.any()


@pytest.mark.parametrize("loss", ["implicit", "softmax", "auto"])
def test_lists_in_a_context_find_more_of_what_is_hidden(loss):
    users, items, hours, _ = shop(1.5)
    hidden = np.random.default_rng(2).random(len(users)) < 0.2
    table = table_of(users[~hidden], items[~hidden], hours[~hidden])
    model = FMRanker(loss, n_factors=8, max_iter=10, random_state=0)
    recommender = Recommender(model).fit(table, context="when")
    hits = {}
    for asked in ("told", "usual"):
        hits[asked] = 0
        for hour, name in enumerate(HOURS):
            context = {"when": name} if asked == "told" else None
            lists = recommender.recommend(list(range(N_USERS)), n=3, context=context)
            listed = set(zip(lists["user"].to_pylist(), lists["item"].to_pylist(), strict=True))
            own = hidden & (hours == hour)
            hits[asked] += len(listed & set(zip(users[own].tolist(), items[own].tolist(), strict=True)))
    assert hits["told"] > 1.1 * hits["usual"] > 0


@pytest.fixture(scope="module")
def fitted():
    table = table_of(*shop(1.5)[:3])
    model = FMRanker("auto", n_factors=8, max_iter=6, random_state=0)
    return Recommender(model).fit(table, context="when")


def test_lists_are_all_scores_sorted_in_each_context(fitted):
    for context in (None, {"when": "noon"}):
        known = fitted.items_.ids.ids.to_numpy()
        pairs = np.repeat([3, 7], len(known)), np.tile(known, 2)
        scores = fitted.predict(*pairs, context=context).reshape(2, -1)
        lists = fitted.recommend([3, 7], n=len(known), context=context, exclude_seen=False)
        np.testing.assert_allclose(lists["score"], -np.sort(-scores, axis=1).ravel(), atol=2e-5)
        best = known[np.argsort(-scores, axis=1, kind="stable")[:, :20]].ravel().tolist()
        assert lists.filter(np.array(lists["rank"]) <= 20)["item"].to_pylist() == best
    assert "what is chosen more often there counts more in a context: when" in fitted.told_


def test_parts_add_up_in_a_context_and_tell_what_it_adds(fitted):
    context = {"when": "night"}
    parts = fitted.explain([3] * 5, range(5), context=context)
    scores = fitted.predict([3] * 5, range(5), context=context)
    for item, score in enumerate(scores):
        own = parts.filter(np.array(parts["item"]) == item)
        assert sum(own["value"].to_pylist()) == pytest.approx(score, abs=1e-5)
        told = dict(zip(own["part"].to_pylist(), own["value"].to_pylist(), strict=True))
        usual = fitted.predict([3], [item])[0]
        assert told["context"] == pytest.approx(score - usual, abs=1e-5)


def test_somebody_new_is_listed_in_a_context(fitted):
    lists = [fitted.recommend_for(likes=[1, 2], n=5, context=c)["item"].to_pylist() for c in (None, {"when": "night"})]
    assert lists[0] != lists[1]


def test_a_saved_recommender_knows_its_contexts(fitted, tmp_path):
    fmkit.save(fitted, tmp_path / "m.fmkit")
    again = fmkit.load(tmp_path / "m.fmkit")
    for ask in ({"context": {"when": "noon"}}, {}):
        assert again.recommend([5, 6], **ask).equals(fitted.recommend([5, 6], **ask))


def test_todays_rows_and_people_forgotten_change_the_lifts():
    users, items, hours, _ = shop(1.5)
    model = FMRanker("implicit", n_factors=4, max_iter=3, random_state=0)
    old = users < 200
    recommender = Recommender(model).fit(table_of(users[old], items[old], hours[old]), context="when")
    weights = recommender.model_.lifts.weights
    recommender.partial_fit(table_of(users[~old], items[~old], hours[~old]))
    recommender.forget(list(range(50)))
    left = users >= 50
    told = recommender.context_encoder_.transform({"when": [HOURS[hour] for hour in hours[left]]})
    whole = Choices(users[left] - 50, items[left], np.ones(left.sum(), np.float32), told)
    expected = log_lifts(whole, np.zeros(3, np.intp), (N_USERS - 50, N_ITEMS)) * weights
    lifts = recommender.model_.lifts
    of_items = recommender.items_.ids.encode(np.arange(N_ITEMS))
    met = of_items >= 0
    np.testing.assert_allclose(
        (lifts.columns @ lifts.items.T)[:, of_items[met]], expected[:, met], rtol=1e-4, atol=1e-6
    )


def test_a_context_of_many_columns_is_told_by_fewer():
    users, items, hours, _ = shop(2.0)
    days = hours + 3 * np.random.default_rng(0).integers(0, RANK, len(users))
    many = choices_of(users, items, days)
    lifts = Lifts.of(many, np.zeros(3 * RANK, np.intp), np.ones(1, np.float32), (N_USERS, N_ITEMS))
    assert lifts.items.shape == (N_ITEMS, RANK)
    whole = log_lifts(many, np.zeros(3 * RANK, np.intp), (N_USERS, N_ITEMS))
    approximated = lifts.columns @ lifts.items.T
    assert np.square(approximated - whole).sum() < 0.5 * np.square(whole).sum()  # of items fewer than columns


def test_a_context_that_is_an_id_is_refused():
    context = sparse.csr_array((np.ones(2, np.float32), ([0, 1], [0, MOST_COLUMNS])))
    one = np.ones(2, np.float32)
    with pytest.raises(InputError, match=r"the context has 2,001 columns, of 2 items at most 2,000 can be told apart"):
        log_lifts(Choices(np.array([0, 1]), np.array([0, 1]), one, context), np.zeros(2001, np.intp), (2, 2))


def test_a_context_that_only_somebody_forgotten_was_in_is_forgotten_too(tmp_path):
    users, items, hours, _ = shop(1.5)
    table = table_of(users, items, hours)
    table["when"] = ["secret" if user == 5 else when for user, when in zip(users, table["when"], strict=True)]
    model = FMRanker("implicit", n_factors=4, max_iter=3, random_state=0)
    recommender = Recommender(model).fit(table, context="when").forget([5])
    assert len(recommender.recommend([3], context={"when": "noon"})) == 10
    fmkit.save(recommender, tmp_path / "m.fmkit")
    assert b"secret" not in (tmp_path / "m.fmkit").read_bytes()
    assert len(fmkit.load(tmp_path / "m.fmkit").recommend([3], context={"when": "noon"})) == 10
