"""Why: parts that sum to the score, what each past rating adds; people folded in, against a system solved by hand."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from fmkit import FMRegressor
from fmkit.errors import InputError
from fmkit.recommend import Recommender
from fmkit.recommend.entities import Entities
from fmkit.recommend.explanations import rating_parts
from fmkit.recommend.rating_design import known_of, pairs_of
from fmkit.recommend.rating_model import RatingModel, Ratings
from fmkit.recommend.rating_side import RatingSide
from fmkit.recommend.reasons import Reason, in_words, reasons
from fmkit.recommend.scale import Scale
from fmkit.recommend.vocabulary import Vocabulary
from fmkit.tables.levels import unit_rows
from tests.films import FILMS, N_USERS, PEOPLE, contexts_of, scores_of, solution, some_ratings

PAIRS = [3, 3, 5, 9], [1, 20, 7, 21]


@pytest.fixture(scope="module")
def fitted():
    return Recommender(quality="fast", max_iter=12).fit(some_ratings(), users=PEOPLE, items=FILMS)


@pytest.fixture(scope="module")
def in_context():
    recommender = Recommender(quality="fast", max_iter=12)
    return recommender.fit(some_ratings(), users=PEOPLE, items=FILMS, context=["device", "hour"])


@pytest.fixture(scope="module")
def of_ids():
    return Recommender(FMRegressor(3, max_iter=15, random_state=0)).fit(some_ratings())


def sums(table):
    """Of the parts of each pair, in order."""
    found = {}
    rows = (table[name].to_pylist() for name in ("user", "item", "value"))
    for user, item, value in zip(*rows, strict=True):
        found[user, item] = found.get((user, item), 0) + value
    return list(found.values())


@pytest.mark.parametrize("how", [{"quality": "fast"}, {"model": FMRegressor(3, random_state=0)}])
@pytest.mark.parametrize("context", [None, "device", ["device", "hour"]])
def test_scores_are_those_of_the_fitted_machine(monkeypatch, how, context):
    kept = {}

    def fit(design, ratings, estimator):
        model = of(design, ratings, estimator)
        kept["rows"], kept["estimator"] = design.rows(ratings.users, ratings.items, ratings.context), estimator
        return model

    of = RatingModel.fit
    monkeypatch.setattr(RatingModel, "fit", fit)
    recommender = Recommender(max_iter=5, **how).fit(some_ratings(), users=PEOPLE, items=FILMS, context=context)
    all_rows = recommender.history_.ratings
    scores = recommender.scores(all_rows.users, all_rows.items, all_rows.context)
    np.testing.assert_allclose(scores, kept["estimator"].predict(kept["rows"]), atol=1e-5)


@pytest.mark.parametrize("risk", [0, 1.5])
def test_parts_sum_to_the_score(fitted, in_context, of_ids, risk):
    for recommender, pairs in ((fitted, PAIRS), (in_context, PAIRS), (of_ids, ([3, 5], [1, 7]))):
        found = sums(recommender.explain(*pairs, risk=risk))
        np.testing.assert_allclose(found, scores_of(recommender.model_, risk=risk)[pairs], atol=1e-5)


def test_parts_sum_to_the_score_in_every_context(in_context):
    devices = pa.table({"device": ["tv", "pc", "phone", "radio"], "hour": [3, 2.5, 22, 99]})
    table = in_context.explain(*PAIRS, context=devices)
    rows = in_context.context_encoder_.transform(devices)
    users, items = (np.array(codes) for codes in PAIRS)
    np.testing.assert_allclose(sums(table), in_context.scores(users, items, rows), atol=1e-5)
    assert {"context", "id × context", "city=Oslo × context", "context × genres=D"} <= set(table["part"].to_pylist())


def test_one_user_goes_with_many_items_and_lengths_must_fit(fitted):
    assert sums(fitted.explain(3, [1, 20])) == pytest.approx(sums(fitted.explain([3, 3], [1, 20])))
    with pytest.raises(InputError, match="users and items must be of one length, got 2 and 3"):
        fitted.explain([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="item 10 of nowhere is unknown to the model"):
        fitted.explain(1, [1, "10 of nowhere"])
    with pytest.raises(InputError, match="user nobody is unknown to the model"):
        fitted.explain("nobody", 1)


def side(own, entities, partners, members, weights):
    rows = known_of(entities, partners)
    n, d = own.shape
    vectors = np.asarray(own + rows @ members[:, :-1], np.float32)
    nothing = np.zeros((n, 0), np.float32)
    ones = np.ones(d + 1, np.float32)
    certain = nothing, nothing, np.zeros(n, np.float32), np.ones(n, np.float32)
    return RatingSide(vectors, np.asarray(weights, np.float32), *certain, rows, members, ones, 0 * ones, 0.0)


def test_the_parts_of_a_machine_made_by_hand():
    users = Entities.of(Vocabulary(pa.array(["ann", "bob"])), {"user": ["ann", "bob"], "city": ["Oslo", "Rome"]},
                        "user", schema={"city": "category"})  # fmt: skip
    items = Entities.of(Vocabulary(pa.array([1, 2])), {"item": [1, 2], "kind": ["C", "D"]}, "item",
                        schema={"kind": "category"})  # fmt: skip
    met = pairs_of([0, 1], [0, 1], 2, 2)
    # Columns of members: two partners, then two levels; one factor, then the weight.
    of_users = np.array([[1, 0], [2, 0], [3, 0], [4, 0]], np.float32)
    of_items = np.array([[5, 0], [6, 0], [7, 0], [8, 0]], np.float32)
    ann, film = (
        side(np.array([[0.5], [0]]), users, met, of_users, [0.25, 0]),
        side(np.array([[0.125], [0]]), items, met.T.tocsr(), of_items, [0.75, 0]),
    )
    context = np.array([[10, 2]], np.float32)
    model = RatingModel(3.0, ann, film, context, np.zeros(2, np.float32), 1.0, Scale(1, 5, np.empty(0), np.empty(0)))
    person = model.find(np.array([0]))
    asked = model.asked(person, sparse.csr_array(np.ones((1, 1), np.float32)))
    parts = {name: float(values[0]) for name, values in rating_parts(model, person, asked, np.array([0]), users, items)}
    assert parts == {
        "mean": 3.0,
        "user": 0.25,
        "item": 0.75,
        "context": 2.0,
        "id × context": 0.5 * 10,
        "rated before × context": 1 * 10,
        "city=Oslo × context": 3 * 10,
        "context × id": 10 * 0.125,
        "context × rated by": 10 * 5,
        "context × kind=C": 10 * 7,
        "id × id": 0.5 * 0.125,
        "rated before × id": 1 * 0.125,
        "city=Oslo × id": 3 * 0.125,
        "id × rated by": 0.5 * 5,
        "rated before × rated by": 5.0,
        "city=Oslo × rated by": 15.0,
        "id × kind=C": 3.5,
        "rated before × kind=C": 7.0,
        "city=Oslo × kind=C": 21.0,
    }
    assert sum(parts.values()) == pytest.approx(float(model.scores(asked, np.array([0]))[0]))


def of_user(recommender, user):
    return recommender.history_.of(user)


@pytest.mark.parametrize("user", [0, 4, 13])
def test_reasons_sum_to_the_score_and_the_strongest_are_positive_and_ordered(fitted, in_context, user):
    for recommender in (fitted, in_context):
        found = recommender.reasons(user, FILMS["item"])
        np.testing.assert_allclose([one.score for one in found], scores_of(recommender.model_)[user], atol=1e-5)
        own = of_user(recommender, user)
        assert found[0].rated.tolist() == own.items.tolist()
        assert found[0].ratings.tolist() == own.values.tolist()
        strongest = found[2].influences[found[2].strongest(3)]
        assert strongest.tolist() == [value for value in sorted(found[2].influences)[::-1] if value > 0][:3]
    with pytest.raises(InputError, match="item 99 is unknown"):
        fitted.reasons(user, [99])


def test_somebody_unknown_has_no_reasons_beside_the_average(fitted):
    (reason,) = fitted.reasons("nobody", [4])
    assert len(reason.rated) == 0
    assert reason.score == pytest.approx(float(fitted.scores(np.array([-1]), np.array([4]))[0]), abs=1e-5)


def test_an_influence_is_what_the_score_loses_when_the_rating_is_the_one_expected(of_ids):
    """With ALS, of which a user is the exact solution; in what is expected all but the values of ratings is known."""
    rated, model = {2: 5.0, 7: 1.0, 11: 4.5, 3: 2.0}, of_ids.model_
    codes, values = np.array(list(rated)), np.array(list(rated.values()), np.float32)
    no_features = sparse.csr_array((1, 0), dtype=np.float32)
    people = model.folded(Ratings(np.zeros(4, np.int32), codes, values), no_features)
    before = reasons(model, people, Ratings(np.zeros(4, np.int32), codes, values), np.array([9]))[0]
    assert before.score == pytest.approx(float(model.scores(model.asked(people), np.array([9]))[0]), abs=1e-5)
    assert before.rest == pytest.approx(0, abs=1e-5)
    level = float(people.weights[0])
    for place, item in enumerate(rated):
        expected = float(of_ids.scores(np.array([-1]), np.array([item]))[0])
        changed = {**rated, item: expected}
        table = of_ids.recommend_for(changed, 1, candidates=[9], risk=0)
        people = model.folded(Ratings(np.zeros(4, np.int32), codes, np.array([*changed.values()], np.float32)),
                              no_features)  # fmt: skip
        lost_by_level = level - float(people.weights[0])
        lost = before.score - table["score"][0].as_py() - lost_by_level
        assert lost == pytest.approx(before.influences[place], abs=1e-5)


def test_reasons_in_words():
    names = {1: "Alien", 2: "Heat", 3: "Up"}
    reason = Reason(3.5, 0.2, 0.6, np.array([1, 2, 3]), np.array([5, 2, 4.5], np.float32), np.array([0.4, 0.2, -0.1]))
    assert in_words(reason, names.get, 3) == "liked by everyone, +0.6; you gave 5 to Alien, only 2 to Heat"
    assert in_words(reason, names.get, 0).startswith("by what is known of it, for nobody rated it, +0.6; ")
    assert in_words(Reason(3.5, 0, 0, np.array([], int), np.array([]), np.array([])), names.get, 1) == (
        "nothing speaks for it but the average rating"
    )


def test_lists_tell_their_reasons(fitted):
    words = fitted.recommend([3], n=3, explain=True)["reason"].to_pylist()
    assert all(words)
    assert words == fitted.recommend(range(N_USERS), n=3, explain=True)["reason"].to_pylist()[9:12]
    assert any("Film" in one or "liked by everyone" in one for one in words)
    rated = {one: 5 if one % 2 else 1 for one in range(8)}
    assert len(fitted.recommend_for(rated, n=3, explain=True)["reason"]) == 3


def features_row(recommender, features, codes):
    """What is known of a person with these films: partners, then features."""
    n_films = len(recommender.items_)
    partners = unit_rows(pairs_of([0] * len(codes), codes, 1, n_films))
    told = sparse.csr_array((1, recommender.users_.features.shape[1]), dtype=np.float32)
    if features:
        told = recommender.users_.encoded([features])
    return sparse.hstack([partners, told], format="csr")


@pytest.mark.parametrize("features", [None, {"city": "Rome"}, {"city": "Oslo", "age": 27}])
def test_somebody_folded_in_is_the_solution_of_the_ratings(fitted, features):
    rated = {2: 5.0, 7: 1.0, 11: 4.5, 3: 2.0, "none such": 1}
    codes, values = np.array([2, 7, 11, 3]), [5, 1, 4.5, 2]
    row = features_row(fitted, features, codes)
    model = fitted.model_
    person = model.folded(Ratings(np.zeros(4, np.int32), codes, np.array(values, np.float32)),
                          row[:, len(FILMS["item"]):])  # fmt: skip
    expected = solution(model, model.users, model.items, row, codes, values, level=float(person.noise[0]))
    scores = model.bias + expected[-1] + model.items.vectors @ expected[:-1] + model.items.weights
    scores[codes] = -np.inf
    table = fitted.recommend_for(rated, n=6, features=features, risk=0)
    assert table.column_names == ["rank", "item", "title", "score", "predicted"]
    assert table["item"].to_pylist() == np.argsort(-scores, kind="stable")[:6].tolist()
    np.testing.assert_allclose(table["score"], -np.sort(-scores)[:6], atol=2e-5)


def test_a_known_user_folded_in_by_ridge_is_the_fit_again(of_ids):
    """ALS ends with the items, so users are the solution of the items before: nearly those of the fit."""
    model = of_ids.model_
    nothing = sparse.csr_array((1, 0), dtype=np.float32)
    for user in (0, 7, 29):
        own = of_user(of_ids, user)
        expected = solution(model, model.users, model.items, nothing, own.items, own.values)
        scores = model.bias + expected[-1] + model.items.vectors @ expected[:-1] + model.items.weights
        rated = dict(zip(of_ids.items_.ids.decode(own.items).to_pylist(), own.values.tolist(), strict=True))
        table = of_ids.recommend_for(rated, n=50, risk=0, exclude_seen=False)
        codes = of_ids.items_.ids.encode(table["item"])
        np.testing.assert_allclose(table["score"], scores[codes], atol=2e-5)
        assert (np.diff(table["score"]) <= 0).all()


def test_ratings_in_a_context_are_folded_in_with_it(in_context):
    rated, model = {2: 5.0, 7: 1.0}, in_context.model_
    codes, values = np.array([2, 7]), np.array([5, 1], np.float32)
    row = features_row(in_context, None, codes)
    for context in (None, {"device": "tv", "hour": 4.5}):
        told, r = None, model.usual
        if context is not None:
            told = in_context.context_encoder_.transform(pa.table({"device": ["tv"], "hour": [4.5]}))
            (r,) = contexts_of(model, told)
            told = told[np.zeros(2, int)]
        rest = row[:, len(FILMS["item"]) :]
        person = model.folded(Ratings(np.zeros(2, np.int32), codes, values, None, told), rest)
        expected = solution(model, model.users, model.items, row, codes, values, level=float(person.noise[0]),
                            context=[r, r])  # fmt: skip
        scores = model.bias + expected[-1] + r[-1] + expected[:-1] @ r[:-1] + model.items.weights
        scores = scores + model.items.vectors @ (expected[:-1] + r[:-1])
        table = in_context.recommend_for(rated, n=5, context=context, risk=0)
        np.testing.assert_allclose(table["score"], scores[table["item"].to_numpy()], atol=2e-5)


def test_many_are_folded_in_from_a_table_as_each_alone(fitted):
    rows = {
        "user": ["x", "y", "x", "y", "x"],
        "item": [2, 2, 7, 5, 7],
        "rating": [5, 1, 2, 3, 4],
        "when": [3, 1, 9, 2, 8],
    }
    table = fitted.recommend_for(pa.table(rows), n=4)
    assert table["user"].to_pylist() == ["x"] * 4 + ["y"] * 4
    for user, rated in (("x", {2: 5, 7: 2}), ("y", {2: 1, 5: 3})):
        alone = fitted.recommend_for(rated, n=4)
        several = table.filter(pa.compute.equal(table["user"], user))
        assert several["item"].to_pylist() == alone["item"].to_pylist()
        np.testing.assert_allclose(several["score"], alone["score"], atol=1e-6)


def test_likes_are_ratings_higher_than_nine_tenths(fitted):
    high = float(np.quantile(fitted.interactions_.ratings, 0.9))
    assert fitted.recommend_for(likes=[2, 7]).equals(fitted.recommend_for({2: high, 7: high}))
    assert fitted.recommend_for({2: 1.0}, likes=[2, 7]).equals(fitted.recommend_for({2: 1.0, 7: high}))
    assert fitted.recommend_for(likes=2).equals(fitted.recommend_for({2: high}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"ratings": {"Alien": 5, "Heat": 1}},
            "none of the items is known, 'Alien' is the first: are ids written alike",
        ),
        ({"ratings": {2: "good"}}, "ratings must be finite numbers, one for each item: {item: rating}"),
        ({"ratings": {2: float("nan")}}, "ratings must be finite numbers"),
        (
            {"ratings": {2: 5, 3: 50}},
            "the rating 50 of item 3 is outside the scale of the fit, 0.5 to 5: give one with",
        ),
        (
            {"ratings": pa.table({"user": ["ann"], "item": [2], "rating": [-1]})},
            "the rating -1 of item 2 by user ann is outside the scale of the fit",
        ),
        ({"ratings": {"user": [1], "item": [2], "rating": [3]}}, "none of the items is known|ratings must be finite"),
        (
            {"ratings": pa.table({"user": [1], "item": [99], "rating": [3]})},
            "none of the items is known, 99 is the first",
        ),
        ({"ratings": pa.table({"user": [1], "item": [2], "rating": [3]}), "likes": [1]}, "likes are one person's"),
        ({"features": {"size": 3}}, "there is no column 'size', the table has 'city', 'age'"),
        ({"features": {"age": "old"}}, "features are not as in the table"),
        ({"context": {"device": "tv"}}, "the fit had no context: name the columns of one in the fit, by context="),
    ],
)
def test_people_of_whom_nothing_can_be_made_are_told(fitted, given, message):
    with pytest.raises(InputError, match=message):
        fitted.recommend_for(**given)
