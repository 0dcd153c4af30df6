"""Vectors, likeness and predictions of a recommender."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import fmkit
from fmkit import FMClassifier, FMOrdinal, FMRegressor
from fmkit.errors import InputError
from fmkit.recommend import Recommender
from tests.films import FILMS, PEOPLE, some_ratings


def fit(model="auto", **tables):
    return Recommender(model, n_factors=8, max_iter=5).fit(some_ratings(120), **tables)


def test_similar_items_and_users_are_the_largest_cosines():
    recommender = fit(items=FILMS, users=PEOPLE)
    for side, ask in ((recommender.model_.items, recommender.similar_items),
                      (recommender.model_.users, recommender.similar_users)):  # fmt: skip
        unit = side.vectors / np.linalg.norm(side.vectors, axis=1, keepdims=True)
        table = ask([3, "7"], n=4)
        cosine = unit @ unit[[3, 7]].T
        cosine[[3, 7], [0, 1]] = -np.inf
        np.testing.assert_allclose(table["similarity"], -np.sort(-cosine, axis=0)[:4].T.ravel(), atol=1e-5)
        assert table["rank"].to_pylist() == [1, 2, 3, 4] * 2
        assert table["similar"].to_pylist() == np.argsort(-cosine, axis=0)[:4].T.ravel().tolist()
        assert len(ask(3, n=999)) == len(side) - 1
        with pytest.raises(InputError, match="nowhere is unknown to the model"):
            ask(["nowhere"])
        with pytest.raises(InputError, match="n must be at least 1, got 0"):
            ask(3, n=0)
    assert "title" in recommender.similar_items(3).column_names


def test_products_of_vectors_and_levels_are_the_ratings_expected():
    for context in (None, ["device", "hour"]):
        recommender = fit(items=FILMS, users=PEOPLE, context=context)
        users, items = recommender.vectors("users"), recommender.vectors()
        X, Z = (np.array(table["vector"].to_pylist(), np.float32) for table in (users, items))
        scores = X @ Z.T + users["level"].to_numpy()[:, None]
        pairs = np.repeat(np.arange(30), 22), np.tile(np.arange(22), 30)
        np.testing.assert_allclose(scores.ravel(), recommender.scores(*pairs), atol=1e-5)
        assert items["id"].to_pylist() == FILMS["item"]
        with pytest.raises(InputError, match="side must be 'items' or 'users', got 'films'"):
            recommender.vectors("films")


def test_predictions_and_their_deviations():
    recommender = fit(items=FILMS)
    expected, deviation = recommender.predict([1, "nobody", 3], [2, 5, "nothing"], return_std=True)
    assert ((expected >= 0.5) & (expected <= 5)).all()
    assert deviation[0] < deviation[2]
    model = recommender.model_
    asked, item = model.asked(model.find(np.array([1]))), np.array([2])
    variance = model.deviations(asked, item) ** 2 + model.noise_of(asked, item)
    assert deviation[0] == pytest.approx(np.sqrt(variance[0]))
    with pytest.raises(InputError, match="users and items must be of one length, got 2 and 1"):
        recommender.predict([1, 2], [3])
    with pytest.raises(InputError, match="only MCMC and VB tell a standard deviation"):
        fit(model=FMRegressor(2, max_iter=2)).predict([1], [2], return_std=True)


def test_a_title_that_is_no_text_is_none():
    films = {"item": list(range(22)), "title": [["a", "b"]] * 22}
    assert "title" not in fit(items=films).recommend([1]).column_names
    assert fit(items={**films, "title": list(range(22))}).recommend([1], n=1)["title"].type == pa.string()


@pytest.mark.parametrize(
    ("model", "least"),
    [
        (FMOrdinal(3, max_iter=20, random_state=0), 0.5),
        (FMClassifier(3, solver="mcmc", max_iter=20, random_state=0), 0),
    ],
)
def test_ordered_classes_are_listed_explained_and_saved_too(model, least, tmp_path):
    rows = some_ratings()
    if least == 0:
        rows["rating"] = [float(one > 3) for one in rows["rating"]]
    recommender = Recommender(model).fit(rows, users=PEOPLE, items=FILMS, context=["device", "hour"])
    table = recommender.recommend(n=4, explain=True)
    assert least <= min(table["predicted"].to_pylist()) <= max(table["predicted"].to_pylist()) <= max(rows["rating"])
    parts, scores = recommender.explain([3, 5], [1, 7]), recommender.scores(np.array([3, 5]), np.array([1, 7]))
    sums = pd.Series(parts["value"]).groupby(pd.Series(parts["user"])).sum()
    np.testing.assert_allclose(sums, scores, atol=1e-5)
    fmkit.save(recommender, tmp_path / "m.fmkit")
    loaded = fmkit.load(tmp_path / "m.fmkit")
    assert loaded.recommend(n=4, explain=True).equals(table)
    today = {"user": [3, 99], "item": [5, 98], "rating": rows["rating"][:2], "device": ["tv"] * 2, "hour": [2, 3]}
    assert (
        loaded.partial_fit(today)
        .forget(4)
        .recommend(n=2)
        .equals(recommender.partial_fit(today).forget(4).recommend(n=2))
    )
    assert len(recommender.recommend_for({3: rows["rating"][0], 4: rows["rating"][1]}, n=5)) == 5


def test_rows_of_no_weight_say_nothing():
    rows = {**some_ratings(), "weight": [0] + [1] * 299}
    recommender = Recommender(FMRegressor(2, max_iter=5, random_state=0)).fit(rows, weight="weight")
    (reason,) = recommender.reasons(0, [3])
    assert np.isfinite(reason.score)
    assert reason.influences[reason.rated == 0].tolist() == [0]
