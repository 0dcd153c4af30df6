"""What evaluate and compare promise: leaks caught, exact lists, unknown people counted, baselines that win told."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator

from fmkit.datasets import load_movielens_small
from fmkit.ranking.pairs import Pairs
from fmkit.recommend import (
    EASE,
    Popularity,
    Recommender,
    UserItemMeans,
    bootstrap_interval,
    compare,
    evaluate,
    list_metrics,
    paired_test,
    rank_metrics,
    rating_metrics,
    split,
)
from fmkit.recommend.comparison import FROM_LIKES
from fmkit.recommend.entities import Entities
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.parts import Parts
from fmkit.recommend.rivals import BaselineRecommender
from fmkit.recommend.sampled_lists import sampled_ranks


class Oracle(BaseEstimator):
    """Knows a table of ratings or scores by id: {(user, item): score}; as spread, a standard deviation."""

    def __init__(self, known=None, feedback="implicit", spread=None):
        self.known = known
        self.feedback = feedback
        self.spread = spread

    def fit(self, interactions, *, users=None, items=None):
        self.interactions_ = interactions
        self.feedback_ = self.feedback
        self.users_ = Entities.of(interactions.users, users, "user")
        self.items_ = Entities.of(interactions.items, items, "item")
        table = [
            [self.known.get((u, i), 0.0) for i in self.items_.ids.ids.to_pylist()]
            for u in self.users_.ids.ids.to_pylist()
        ]
        self.table_ = np.array(table, np.float32)
        return self

    def scores(self, users, items):
        return self.table_[users, items]

    @property
    def tells_std(self):
        return self.spread is not None

    def predict(self, users, items, *, context=None, return_std=False):
        pairs = zip(pa.array(users).to_pylist(), pa.array(items).to_pylist(), strict=True)
        mean = np.array([self.known.get(pair, 3.0) for pair in pairs], np.float32)
        if not return_std:
            return mean
        return mean, np.full(len(mean), self.spread, np.float32)

    def top(self, users, n, *, exclude):
        scores = self.table_[users].copy()
        scores[exclude.csr.nonzero()] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
        best = np.full((len(users), n), -1, np.int32)
        found = np.take_along_axis(scores, order, axis=1)
        best[:, : order.shape[1]] = np.where(np.isinf(found), -1, order)
        return best, found


TRAIN = {"user": [1, 1, 2, 2, 3, 3], "item": ["a", "b", "b", "c", "a", "d"]}
TEST = {"user": [1, 2, 3], "item": ["c", "a", "b"]}


def films(minimum=0.0):
    data = load_movielens_small()
    rows = data.target >= minimum
    return {
        "user": data.data[rows, 0],
        "item": data.data[rows, 1],
        "rating": data.target[rows],
        "time": data.timestamp[rows],
    }


@pytest.fixture(scope="module")
def halves():
    return Parts.of(Interactions.of(films(), Columns(time="time")), "random", 0.2, 0)


def test_a_perfect_recommender_has_1_everywhere():
    perfect = Oracle(dict.fromkeys(zip(TEST["user"], TEST["item"], strict=True), 1.0)).fit(Interactions.of(TRAIN))
    means = evaluate(perfect, TEST, k=3, metrics=("ndcg", "recall", "map", "mrr", "hit_rate", "precision@1")).mean()
    for name in ("ndcg@3", "recall@3", "map@3", "mrr@3", "hit_rate@3", "precision@1"):
        assert means[name] == 1
    sampled = evaluate(perfect, {"user": [1], "item": ["c"]}, k=3, sampled=5).mean()
    assert sampled["sampled_ndcg@3"] == 1


def test_perfect_ratings_have_no_error_and_honest_intervals_are_told():
    train, test = {**TRAIN, "rating": [5, 1, 4, 2, 3, 5]}, {**TEST, "rating": [4.0, 2.0, 5.0]}
    truth = {(u, i): r for u, i, r in zip(*test.values(), strict=True)}
    means = evaluate(Oracle(truth, "explicit", spread=0.5).fit(Interactions.of(train)), test, k=2).mean()
    assert (means["rmse"], means["mae"], means["inside_90"]) == (0, 0, 1)
    without = evaluate(Oracle(truth, "explicit").fit(Interactions.of(train)), test, k=2).mean()
    assert without["rmse"] == 0
    assert "inside_90" not in without


def test_a_planted_leak_is_caught():
    leaky = {"user": [*TEST["user"], 2], "item": [*TEST["item"], "c"]}
    recommender = BaselineRecommender(Popularity()).fit(Interactions.of(TRAIN))
    with pytest.raises(
        ValueError, match="1 of 4 tested rows is a pair that was trained on, the first user 2 with item c"
    ):
        evaluate(recommender, leaky)
    again = evaluate(recommender, leaky, k=2, exclude_train=False)
    assert any("1 pairs of the test were trained on" in note for note in again.notes)
    rated = {**TRAIN, "rating": [5, 1, 4, 2, 3, 5]}
    means = BaselineRecommender(UserItemMeans()).fit(Interactions.of(rated))
    with pytest.raises(ValueError, match="trained on"):
        evaluate(means, {**leaky, "rating": [1, 2, 3, 4]}, exclude_train=False)


def test_training_that_ends_after_the_test_begins_is_caught():
    columns = Columns(time="time")
    recommender = BaselineRecommender(Popularity()).fit(Interactions.of({**TRAIN, "time": range(6)}, columns))
    late = Interactions.of({**TEST, "time": [4, 8, 9]}, columns)
    assert evaluate(recommender, late, k=2).mean()
    with pytest.raises(ValueError, match="1 of 6 training rows are later than the first that is tested"):
        evaluate(recommender, late, check_times=True)
    evaluate(recommender, Interactions.of({**TEST, "time": [5, 8, 9]}, columns), k=2, check_times=True)
    with pytest.raises(ValueError, match="both need a column"):
        evaluate(recommender, TEST, check_times=True)


def test_metrics_are_those_of_the_same_lists(halves):
    """Of ranking, of lists beyond accuracy and of ratings: by hand from `top` and `predict`."""
    recommender = BaselineRecommender(UserItemMeans()).fit(halves.train)
    result = evaluate(recommender, halves.test, k=10, relevant=4, metrics=("ndcg", "recall@20"))
    test, train = halves.test, halves.train
    code, item = train.users.encode(test.users.ids), train.items.encode(test.items.ids)
    kept = (test.ratings >= 4) & (item[test.item_codes] >= 0)
    shape = len(test.users), len(train.items)
    relevant = sparse.csr_array(
        (np.ones(kept.sum()), (test.user_codes[kept], item[test.item_codes][kept])), shape=shape
    )
    seen = Pairs.of(np.stack([train.user_codes, train.item_codes], axis=1), len(train.users), len(train.items))
    lists, _ = recommender.top(code, 20, exclude=seen.rows(code))
    expected = rank_metrics(lists, relevant, ["ndcg@10", "recall@20"])
    for name, values in expected.per_query.items():
        np.testing.assert_array_equal(result.per_user[name], values)
    judged = expected.counted
    shown = list_metrics(lists[judged, :10], seen)
    np.testing.assert_array_equal(result.per_user["novelty"][judged], shown.per_list["novelty"])
    assert result.overall == shown.overall
    ids = test.users.decode(test.user_codes), test.items.decode(test.item_codes)
    errors = rating_metrics(test.ratings, recommender.predict(*ids), users=test.user_codes)
    assert result.ratings.values == errors.values
    assert result.intervals["rmse"] == errors.intervals["rmse"]
    assert result.intervals["ndcg@10"] == pytest.approx(bootstrap_interval(result.per_user["ndcg@10"]))
    assert result.mean()["ndcg@10"] == pytest.approx(np.nanmean(result.per_user["ndcg@10"]))


def test_relevant_are_ratings_from_the_median_of_training(halves):
    recommender = BaselineRecommender(UserItemMeans()).fit(halves.train)
    usual = evaluate(recommender, halves.test, confidence=None, metrics="recall")
    assert np.median(halves.train.ratings) == 3.5
    assert any("relevant are test ratings of 3.5 and more, 3.5 being the median" in note for note in usual.notes)
    chosen = evaluate(recommender, halves.test, relevant=3.5, confidence=None, metrics="recall")
    np.testing.assert_array_equal(usual.per_user["recall@10"], chosen.per_user["recall@10"])
    lone = evaluate(recommender, halves.test, metrics=(), confidence=None)
    assert "rmse" in lone.mean()
    assert not lone.per_user
    assert not lone.intervals


def test_unknown_users_and_items_are_counted_and_no_error():
    train = Interactions.of({**TRAIN, "rating": [5, 1, 4, 2, 3, 5]})
    test = {"user": [1, 2, 9, 9], "item": ["c", "z", "a", "z"], "rating": [5, 5, 5, 5]}
    recommender = BaselineRecommender(UserItemMeans()).fit(train)
    result = evaluate(recommender, test, k=2)
    told = "3 of 4 test rows are of a user or an item unknown to training (2 of such users, 2 of such items)"
    assert any(told in note for note in result.notes)
    assert result.users.ids.to_pylist() == [1, 2, 9]
    np.testing.assert_array_equal(np.isnan(result.per_user["ndcg@2"]), [False, True, True])
    assert len(result.errors) == 4  # all ratings count
    assert result.errors[3] == pytest.approx(recommender.baseline_.mean_ - 5)
    with pytest.raises(ValueError, match="no list can be judged: are ids written alike"):
        evaluate(BaselineRecommender(Popularity()).fit(train), {"user": [8, 9], "item": ["a", "b"]})


def test_users_without_a_row_in_training_are_unknown_whatever_their_codes():
    whole = Interactions.of({"user": [1, 1, 2, 3], "item": ["a", "b", "a", "b"]})
    recommender = BaselineRecommender(Popularity()).fit(whole.select(np.array([0, 1, 2])))
    result = evaluate(recommender, {"user": [2, 3], "item": ["b", "a"]}, k=1)
    assert any("1 of 2 test rows" in note for note in result.notes)


def test_who_is_told_of_by_a_table_is_known():
    users = {"user": [1, 2, 3, 9], "country": ["at", "de", "de", "at"]}
    items = {"item": list("abcdz"), "genre": ["x", "y", "x", "y", "x"]}
    recommender = BaselineRecommender(Popularity()).fit(TRAIN, users=users, items=items)  # a table
    result = evaluate(recommender, {"user": [9, 1], "item": ["a", "z"]}, k=5)
    assert len(result.notes) == 2  # nothing unknown
    assert result.mean()["recall@5"] == 1
    assert "diversity" in result.per_user  # by the items' features


def test_sampled_says_that_it_is_biased(halves):
    recommender = BaselineRecommender(EASE(), relevant=3.5).fit(halves.train)
    result = evaluate(recommender, halves.test, relevant=3.5, sampled=100)
    assert "sampled metrics are biased" in str(result)
    assert "Krichene and Rendle" in str(result)
    assert all(name.startswith("sampled_") for name in result.per_user)
    full = evaluate(recommender, halves.test, relevant=3.5)
    assert "biased" not in str(full)
    assert result.mean()["sampled_hit_rate@10"] > 2 * full.mean()["recall@10"]
    again = evaluate(recommender, halves.test, relevant=3.5, sampled=100)
    np.testing.assert_array_equal(result.per_user["sampled_ndcg@10"], again.per_user["sampled_ndcg@10"])


def test_drawn_items_are_those_that_a_user_has_not():
    """Items 0 to 4 score above the relevant item 5; a user who has them is never ranked behind them."""
    relevant = Pairs.of(np.array([[0, 5], [1, 5]]), 2, 10)
    having = Pairs.of(np.array([[0, i] for i in range(6)] + [[1, 5]]), 2, 10)
    table = np.tile(np.r_[np.full(5, 2.0), 1.0, np.zeros(4)], (2, 1)).astype(np.float32)
    ranks = [sampled_ranks(lambda u, i: table[u, i], np.arange(2), relevant, having, 9, seed) for seed in range(200)]
    assert {first for first, _ in ranks} == {1}
    assert np.mean([second for _, second in ranks]) == pytest.approx(1 + 9 * 5 / 9, abs=0.4)
    alike = [sampled_ranks(lambda u, i: table[u, i] * 0, np.arange(2), relevant, having, 3, s)[0] for s in range(400)]
    assert np.mean(alike) == pytest.approx(2.5, abs=0.2)  # ties are drawn, none wins by them


def test_tables_and_text(halves):
    result = evaluate(BaselineRecommender(UserItemMeans()).fit(halves.train), halves.test, confidence=0.8)
    table = result.to_table()
    assert table.column("metric").to_pylist() == list(result.mean())
    assert table.column("low").to_pylist()[0] == result.intervals["rmse"][0]
    assert table.filter(pa.compute.equal(table["metric"], "coverage"))["low"].to_pylist() == [None]
    assert "80% interval" in str(result)
    assert f"{result.mean()['rmse']:.4f}" in str(result)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"metrics": "auc"}, "unknown metric 'auc@10'"),
        ({"metrics": ()}, "metrics must name at least one"),
        ({"metrics": ["rmse"]}, "'rmse' is of ratings foretold, this recommender makes lists: name one of them"),
        ({"metrics": ["rmse@10"]}, "'rmse' is of ratings, not of the first 10 items: leave '@10' out"),
        ({"confidence": 95}, "confidence must be a share"),
        ({"relevant": 4}, "the test has no ratings to be relevant=4: leave it out, or name rating="),
        ({"sampled": 0}, "sampled must be at least 1"),
    ],
)
def test_bad_arguments_are_told(options, message):
    recommender = BaselineRecommender(Popularity()).fit(Interactions.of(TRAIN))
    with pytest.raises(ValueError, match=message):
        evaluate(recommender, TEST, **options)


def test_errors_of_ratings_alone_leave_lists_out(halves):
    recommender = BaselineRecommender(UserItemMeans()).fit(halves.train)
    alone = evaluate(recommender, halves.test, metrics=["rmse"], confidence=None)
    assert list(alone.mean()) == ["rmse", "mae", "bias"]
    both = evaluate(recommender, halves.test, metrics=["rmse", "ndcg"], confidence=None)
    assert {"rmse", "ndcg@10"} < set(both.mean())
    compared = compare(recommender, films(), how="random", metrics="rmse", confidence=None)
    assert compared.headline == "rmse"
    assert compared.baselines == ("UserItemMeans",)
    of_both = compare({}, films(), how="random", metrics=["rmse", "ndcg"], confidence=None, baselines=["Popularity"])
    assert of_both.headline == "ndcg@10"


def test_a_recommender_of_ratings_needs_them_in_the_test():
    recommender = BaselineRecommender(UserItemMeans()).fit(Interactions.of({**TRAIN, "rating": [5, 1, 4, 2, 3, 5]}))
    with pytest.raises(ValueError, match="fitted to ratings, but the test has no column of them"):
        evaluate(recommender, TEST)


@pytest.fixture(scope="module")
def compared():
    models = {
        "damped": BaselineRecommender(UserItemMeans(50, 50)),
        "EASE of little ridge": BaselineRecommender(EASE(1), relevant=3.5),
    }
    return compare(models, films(), how="random")


def test_models_stand_in_the_order_of_the_headline(compared):
    assert compared.headline == "ndcg@10"
    means = [evaluation.mean()["ndcg@10"] for evaluation in compared.evaluations.values()]
    assert means == sorted(means, reverse=True)
    assert set(compared.baselines) == {"Popularity", "UserItemMeans", "ItemKNN", "EASE"}
    lines = str(compared).splitlines()[2:8]
    assert [next(name for name in compared.evaluations if line.startswith(name + "  ")) for line in lines] == list(
        compared.evaluations
    )
    table = compared.to_table()
    assert table.column("model").to_pylist() == list(compared.evaluations)
    assert table.column("p").to_pylist()[0] is None
    by_rmse = compare({}, films(), how="random", headline="rmse", baselines=["Popularity", "UserItemMeans"])
    assert by_rmse.best == "UserItemMeans"
    assert by_rmse.headline == "rmse"


def test_a_baseline_that_wins_is_told(compared):
    assert compared.best == "EASE"
    told = [note for note in compared.notes if note.startswith("a baseline wins: ")]
    assert any("EASE beats every recommender in ndcg@10" in note for note in told)
    assert any("UserItemMeans beats every recommender in rmse" in note for note in told)
    assert all(note in str(compared) for note in told)
    beaten = compare(
        {"mine": BaselineRecommender(EASE(100), relevant=3.5)}, films(), how="random", baselines=["Popularity"]
    )
    assert beaten.best == "mine"
    assert not any("wins" in note for note in beaten.notes)


def test_likes_are_advised_to_models_of_ratings_alone():
    for feedback, advised in (("explicit", True), ("implicit", False)):
        model = Recommender(quality="fast", feedback=feedback, n_factors=2, max_iter=2)
        compared = compare({"mine": model}, films(), how="random", baselines=["UserItemMeans", "EASE"])
        assert any("EASE beats" in note for note in compared.notes)
        assert (FROM_LIKES in compared.notes) == advised


def test_p_values_are_those_of_paired_tests_by_holm(compared):
    best = compared.evaluations["EASE"].per_user["ndcg@10"]
    for name, evaluation in list(compared.evaluations.items())[1:]:
        alone = paired_test(evaluation.per_user["ndcg@10"], best)
        found = compared.tests["ndcg@10"]
        assert found.tests[name, "ndcg@10"].p_value == alone.p_value
        assert found.adjusted[name, "ndcg@10"] >= alone.p_value
    errors = {name: compared.evaluations[name].errors ** 2 for name in ("damped", "UserItemMeans")}
    alone = paired_test(*errors.values(), users=compared.evaluations["damped"].error_users)
    assert compared.tests["rmse"].to == "UserItemMeans"
    assert compared.tests["rmse"].tests["damped", "squared error"] == alone


def test_all_models_meet_the_same_part(compared):
    table = films()
    masks = split(table["user"], table["item"], how="random", test=0.2)
    np.testing.assert_array_equal(compared.split.test, masks.test)
    judged = {evaluation.per_user["ndcg@10"].size for evaluation in compared.evaluations.values()}
    nan = [np.isnan(evaluation.per_user["ndcg@10"]) for evaluation in compared.evaluations.values()]
    assert len(judged) == 1
    assert all(np.array_equal(nan[0], other) for other in nan)


def test_the_rule_is_time_where_there_are_times():
    timed = compare({}, films(), time="time", baselines=["Popularity"], confidence=None)
    assert timed.split.how == "time"
    assert "by default as all rows have a time" in str(timed)
    found = compare({}, films(), baselines=["Popularity"], confidence=None)  # as a Recommender finds them
    np.testing.assert_array_equal(found.split.test, timed.split.test)
    named_so = {**films(), "time": np.full(len(films()["user"]), "soon")}
    assert compare({}, named_so, baselines=["Popularity"], confidence=None).split.how == "random"
    clicks = compare({}, {name: films(4)[name] for name in ("user", "item")}, baselines=["Popularity"])
    assert clicks.split.how == "random"
    assert "rmse" not in clicks.evaluations["Popularity"].mean()


def test_recommenders_stay_as_they_are_and_are_named():
    mine = BaselineRecommender(UserItemMeans())
    result = compare([mine, mine], films(), how="random", baselines=False, confidence=None)
    assert not hasattr(mine, "interactions_")
    first, second = result.evaluations
    assert first.startswith("BaselineRecommender(")
    assert second == first + " 2"
    with pytest.raises(ValueError, match="'EASE' is the name of a baseline"):
        compare({"EASE": mine}, films())
    with pytest.raises(ValueError, match="baselines must be among"):
        compare({}, films(), baselines=["SVD"])
    with pytest.raises(ValueError, match="nothing to compare"):
        compare({}, films(), baselines=False)
    with pytest.raises(ValueError, match="headline must be one of"):
        compare(mine, films(), how="random", baselines=False, headline="auc", confidence=None)


def test_tables_and_context_reach_the_recommenders():
    rng = np.random.default_rng(0)
    rows = {"reader": rng.integers(0, 30, 500), "book": rng.integers(0, 20, 500), "rating": rng.integers(1, 6, 500)}
    rows["device"] = np.where(rng.random(500) < 0.5, "phone", "desk")
    books = {"book": np.arange(25), "genre": np.where(np.arange(25) % 2, "crime", "verse")}
    met = []

    class Attentive(Oracle):
        def fit(self, interactions, *, users=None, items=None, user=None, item=None):
            assert (user, item) == ("reader", "book")
            return super().fit(interactions, items={"item": items["book"], "genre": items["genre"]})

        def predict(self, users, items, *, context=None, return_std=False):
            met.append(context.column_names)
            return super().predict(users, items, return_std=return_std)

    result = compare(
        {"attentive": Attentive({}, "explicit", spread=1.0)},
        rows,
        items=books,
        user="reader",
        item="book",
        context=["device"],
        baselines=["Popularity", "UserItemMeans"],
    )
    assert met == [["device"]]
    assert all(len(model.items_) == 25 for model in result.recommenders.values())
    assert all("diversity" in evaluation.per_user for evaluation in result.evaluations.values())
    assert {"inside_90", "nll"} <= result.evaluations["attentive"].mean().keys()


def test_baselines_that_a_table_is_too_large_for_are_told(monkeypatch):
    monkeypatch.setattr("fmkit.recommend.rivals.MOST", 100)
    monkeypatch.setattr("fmkit.recommend.rivals.MOST_ITEMS", 100)
    result = compare({}, films(), how="random", confidence=None)
    assert set(result.baselines) == {"Popularity", "UserItemMeans"}
    assert "the baseline EASE is left out" in str(result)
    assert "the baseline ItemKNN is left out" in str(result)


def test_sampled_is_told_of_a_comparison_too():
    result = compare({}, films(), how="random", baselines=["Popularity", "EASE"], sampled=50)
    assert result.headline == "sampled_ndcg@10"
    assert "biased" in str(result)


def test_a_plot_has_a_bar_a_model(compared):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots()
    assert compared.plot(ax) is ax
    assert len(ax.patches) == 6
    assert [label.get_text() for label in ax.get_yticklabels()] == list(compared.evaluations)
    assert compared.plot(metric="rmse").get_xlabel().startswith("rmse")
    with pytest.raises(ValueError, match="no model has 'auc'"):
        compared.plot(ax, metric="auc")
    pyplot.close("all")
    del figure
