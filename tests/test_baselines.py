"""Baselines: dense twins, and what they reach on real ratings."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fmkit.datasets import load_movielens_small
from fmkit.recommend import EASE, ItemKNN, Popularity, UserItemMeans, evaluate_scores, rating_metrics, split

PAGE = Path(__file__).parent.parent / "docs" / "evaluation.md"


def table(seed, n_users=25, n_items=14, density=0.3):
    rng = np.random.default_rng(seed)
    return rng.integers(1, 6, (n_users, n_items)) * (rng.random((n_users, n_items)) < density).astype(np.float32)


def knn_twin(X, k, shrinkage):
    lengths = np.sqrt((X**2).sum(axis=0))
    similar = X.T @ X / np.maximum(np.outer(lengths, lengths) + shrinkage, 1e-30)
    np.fill_diagonal(similar, 0)
    kept = np.zeros_like(similar)
    for j in range(len(similar)):
        nearest = np.lexsort((np.arange(len(similar)), -similar[:, j]))[:k]
        kept[nearest, j] = similar[nearest, j]
    return X @ kept


def test_popularity_counts_users_not_values():
    X = table(0)
    scores = Popularity().fit(sparse.csr_array(X)).scores(np.array([3, 4]))
    np.testing.assert_array_equal(scores, np.tile((X > 0).sum(axis=0), (2, 1)))
    assert scores.dtype == np.float32


@given(st.integers(0, 9999), st.floats(0.1, 30), st.floats(0.1, 30))
def test_means_are_the_ridge_regression_on_users_and_items(seed, user_damping, item_damping):
    X = table(seed)
    X[2], X[:, 3] = 0, 0
    user, item = np.nonzero(X)
    one_hot = np.hstack([np.eye(25)[user], np.eye(14)[item]])
    r = X[user, item] - X[user, item].mean()
    penalty = np.diag(np.r_[np.full(25, user_damping), np.full(14, item_damping)])
    theta = np.linalg.solve(one_hot.T @ one_hot + penalty, one_hot.T @ r)
    model = UserItemMeans(user_damping, item_damping).fit(sparse.csr_array(X))
    np.testing.assert_allclose(np.r_[model.users_, model.items_], theta, atol=1e-4)
    assert (model.users_[2], model.items_[3]) == (0, 0)
    users, items = np.array([0, 2, 5]), np.array([3, 1, 7])
    predicted = model.mean_ + theta[users] + theta[25 + items]
    np.testing.assert_allclose(model.predict(users, items), predicted, atol=1e-4)
    np.testing.assert_allclose(model.scores(users)[np.arange(3), items], model.predict(users, items), rtol=1e-6)


def test_a_rating_of_0_is_a_rating():
    matrix = sparse.csr_array((np.array([0.0, 4, 2]), ([0, 0, 1], [0, 1, 0])), shape=(2, 2))
    assert UserItemMeans().fit(matrix).mean_ == 2


@given(st.integers(0, 9999), st.sampled_from([1, 3, 50]), st.sampled_from([0.0, 5.0]))
def test_neighbours_are_those_of_the_dense_twin(seed, k, shrinkage):
    rng = np.random.default_rng(seed)
    X = table(seed) * rng.uniform(0.5, 1.5, (25, 14)).astype(np.float32)  # no ties
    model = ItemKNN(k, shrinkage).fit(sparse.csr_array(X))
    np.testing.assert_allclose(model.scores(np.arange(25)), knn_twin(X, k, shrinkage), rtol=1e-4, atol=1e-5)
    assert (model.similarities_.diagonal() == 0).all()
    assert np.diff(model.similarities_.tocsc().indptr).max() <= k


def test_blocks_and_threads_do_not_matter(monkeypatch):
    matrix = sparse.random_array((60, 40), density=0.2, rng=np.random.default_rng(0), format="csr", dtype=np.float32)
    whole = ItemKNN(5, n_jobs=1).fit(matrix).similarities_
    monkeypatch.setattr("fmkit.recommend.baselines.NUMBERS_AT_ONCE", 200)
    parts = ItemKNN(5, n_jobs=3).fit(matrix).similarities_
    np.testing.assert_array_equal(parts.toarray(), whole.toarray())


def test_ease_is_the_closed_form():
    X = (table(1) > 0).astype(float)
    P = np.linalg.inv(X.T @ X + 7 * np.eye(14))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    expected = X[[4, 9]] @ B
    expected /= expected.std(axis=1, keepdims=True)
    np.testing.assert_allclose(EASE(7).fit(sparse.csr_array(X)).scores([4, 9]), expected, atol=1e-4)


@pytest.fixture(scope="module")
def movielens():
    data = load_movielens_small()
    user, item = (np.unique(ids, return_inverse=True)[1] for ids in data.data.T)
    return user, item, data.target, split(user, item, how="random")


def test_baselines_reach_their_places_on_movielens(movielens):
    """Of films rated 4 and better; four lists by the same call."""
    user, item, stars, parts = movielens
    train, test = (
        sparse.csr_array((np.ones(kept.sum(), np.float32), (user[kept], item[kept])), shape=(610, 9724))
        for kept in (parts.train & (stars >= 4), parts.test & (stars >= 4))
    )
    popularity, knn = (
        evaluate_scores(model.fit(train).scores, test, exclude=train, metrics="ndcg@10").mean()["ndcg@10"]
        for model in (Popularity(), ItemKNN())
    )
    assert popularity == pytest.approx(0.147, abs=0.003)
    assert knn == pytest.approx(0.238, abs=0.003)


def test_means_are_worth_their_stars_on_movielens(movielens):
    user, item, stars, parts = movielens
    train = sparse.csr_array((stars[parts.train], (user[parts.train], item[parts.train])), shape=(610, 9724))
    predicted = UserItemMeans().fit(train).predict(user[parts.test], item[parts.test])
    result = rating_metrics(stars[parts.test], predicted, users=user[parts.test])
    assert result.values["rmse"] == pytest.approx(0.869, abs=0.002)
    low, high = result.intervals["rmse"]
    assert 0.02 < high - low < 0.06


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (UserItemMeans(user_damping=0), "dampings must be above 0, got 0 and 5"),
        (ItemKNN(n_neighbours=0), "n_neighbours must be at least 1 and shrinkage at least 0, got 0 and 10"),
    ],
)
def test_bad_settings_are_told(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(sparse.csr_array([[1.0]]))


def test_bad_tables_are_told():
    for model in (Popularity(), UserItemMeans(), ItemKNN(), EASE()):
        with pytest.raises(TypeError, match="matrix must be a sparse matrix of"):
            model.fit([[1]])
    with pytest.raises(ValueError, match="at least one rating"):
        UserItemMeans().fit(sparse.csr_array((2, 2)))


@pytest.mark.skipif(not PAGE.exists(), reason="the page does not come with the source distribution")
def test_the_examples_of_the_page_print_what_they_say(capsys):
    blocks, names = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL), {}
    for code in blocks:  # the second goes on from the first
        exec(compile(code, PAGE.name, "exec"), names)
    printed = capsys.readouterr().out
    told = re.findall(r"print\(.*\)  # (.*)", "".join(blocks))
    assert len(told) == 8
    assert not [comment for comment in told if comment not in printed]


@pytest.mark.parametrize("model", [Popularity(), ItemKNN(), EASE(), UserItemMeans()])
@pytest.mark.parametrize("user", [-1, 3])
def test_users_that_do_not_exist_are_told(model, user):
    model.fit(sparse.csr_array(np.float32([[1, 1, 0], [0, 1, 1], [1, 0, 1]])))
    with pytest.raises(ValueError, match=rf"users must lie in 0\.\.2, got {user}"):
        model.scores(np.array([user]))
