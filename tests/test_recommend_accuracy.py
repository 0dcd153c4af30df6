"""MovieLens latest-small: how well ratings are foretold, lists hold what was liked, and newcomers are served."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from fmkit.datasets import load_movielens_small
from fmkit.recommend import Recommender, UserItemMeans


@pytest.fixture(scope="module")
def rows():
    bunch = load_movielens_small()
    user, item = np.asarray(bunch.data).T
    return pd.DataFrame({"userId": user, "movieId": item, "rating": bunch.target}), pd.DataFrame(bunch.movies)


@pytest.fixture(scope="module")
def hidden(rows):
    hidden = np.zeros(len(rows[0]), bool)
    hidden[np.random.RandomState(42).permutation(len(hidden))[: len(hidden) // 10]] = True
    return hidden


@pytest.fixture(scope="module")
def fitted(rows, hidden):
    ratings, movies = rows
    return Recommender(quality="fast", n_jobs=2).fit(ratings[~hidden], items=movies)


def rmse(errors):
    return float(np.sqrt(np.square(errors).mean()))


def test_ratings_are_foretold_better_than_by_means(fitted, rows, hidden):
    shown, test = rows[0][~hidden], rows[0][hidden]
    user, item = fitted.users_.ids.encode(test["userId"]), fitted.items_.ids.encode(test["movieId"])
    assert (item >= 0).all()  # those that nobody rated are in the table of movies
    codes = fitted.users_.ids.encode(shown["userId"]), fitted.items_.ids.encode(shown["movieId"])
    matrix = sparse.csr_array((shown["rating"], codes), shape=(len(fitted.users_), len(fitted.items_)))
    by_means = np.clip(UserItemMeans().fit(matrix).predict(user, item), 0.5, 5)
    expected, deviation = fitted.predict(test["userId"], test["movieId"], return_std=True)
    errors = expected - test["rating"]
    assert rmse(errors) < 0.835
    assert rmse(errors) < rmse(by_means - test["rating"]) - 0.02
    # Deviations tell how far off: about the right size, and larger where errors are.
    assert 0.9 < np.square(errors / deviation).mean() < 1.2
    sure = deviation < np.median(deviation)
    assert rmse(errors[sure]) < 0.85 * rmse(errors[~sure])


def test_items_that_nobody_rated_are_where_others_with_few_ratings_are(fitted, rows, hidden):
    items = fitted.model_.items
    counts = np.bincount(fitted.interactions_.item_codes, minlength=len(items))
    prior = items.unrated(items.rows).weights
    np.testing.assert_allclose(items.weights[counts == 0], prior[counts == 0], atol=0.05)  # what the fit had of them

    ratings = rows[0]
    rare = ratings["movieId"].map(ratings["movieId"].value_counts()) < 10
    left = rare & (ratings["movieId"] % 3 == 0)
    model = Recommender(quality="fast", n_jobs=2).fit(ratings[~left])
    errors = model.predict(ratings["userId"][left], ratings["movieId"][left]) - ratings["rating"][left]
    assert abs(errors.mean()) < 0.1
    assert rmse(errors) < 1.02


def test_caution_keeps_obscure_items_from_the_top(fitted):
    counts = np.bincount(fitted.interactions_.item_codes, minlength=len(fitted.items_))
    cautious, bold = (counts[fitted.items_.ids.encode(fitted.recommend(risk=risk)["item"])] for risk in (2, 0))
    assert (cautious <= 5).mean() < 0.06
    assert (cautious <= 5).mean() < 0.6 * (bold <= 5).mean()
    assert np.median(cautious) > 1.1 * np.median(bold)


def test_what_users_liked_best_is_found_again(fitted, rows, hidden):
    """Of those rated 4.5 or 5 and hidden, ten items listed hold more than a tenth, and caution finds more of them."""
    best = rows[0][hidden & (rows[0]["rating"] >= 4.5)]
    liked = set(zip(best["userId"], best["movieId"], strict=True))
    most, found = best.groupby("userId").size().clip(upper=10).sum(), {}
    for risk in (2, 0):
        table = fitted.recommend(best["userId"].unique(), risk=risk)
        listed = set(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))
        found[risk] = len(liked & listed) / most
    assert found[2] > 0.1
    assert found[2] > 1.1 * found[0]


def test_newcomers_are_served_without_a_fit(rows):
    """A fifth of the users unseen in the fit, folded in with 9 tenths of their ratings, from a table of many."""
    ratings, movies = rows
    new = (ratings["userId"] % 5 == 0).to_numpy()
    asked = new & (np.random.default_rng(0).random(len(new)) < 0.1)
    recommender = Recommender(quality="fast", max_iter=30, n_jobs=2).fit(ratings[~new], items=movies)
    average = recommender.predict(ratings[asked]["userId"], ratings[asked]["movieId"])
    recommender.partial_fit(ratings[new & ~asked])
    known = recommender.predict(ratings[asked]["userId"], ratings[asked]["movieId"])
    assert rmse(known - ratings[asked]["rating"]) < 0.875
    assert rmse(known - ratings[asked]["rating"]) < rmse(average - ratings[asked]["rating"]) - 0.05


def test_titles_and_reasons_are_there(fitted):
    table = fitted.recommend([1, 5], n=5, explain=True, filter="'Comedy' in genres", at_most={"genres": 3})
    assert len(table) == 6  # all are comedies, of which three may stand in a list
    assert table["title"].null_count == 0
    assert all(len(reason) > 10 for reason in table["reason"].to_pylist())
