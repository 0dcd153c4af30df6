"""Today's rows, and people to be forgotten: what they touch against systems solved by hand, the rest untouched."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import fmkit
from fmkit import FMRegressor
from fmkit.errors import InputError
from fmkit.recommend import Recommender
from fmkit.recommend.rating_side import OWN
from fmkit.solvers.fold import fold_columns
from tests.films import FILMS, N_FILMS, N_USERS, PEOPLE, contexts_of, solution, some_ratings

TODAY = {
    "user": [3, 3, 90, 7, 91, 90],
    "item": [21, 1, 0, 99, 99, 98],
    "rating": [5.0, 0.5, 3.0, 4.0, 1.0, 2.5],
    "device": ["tv", "pc", "tv", "phone", "tv", "pc"],
    "hour": [1, 2, 3, 4, 5, 6],
}
HOW = {
    "vb": ({"quality": "fast", "max_iter": 12}, {"users": PEOPLE, "items": FILMS}),
    "mcmc": ({"n_factors": 8, "max_iter": 12}, {"users": PEOPLE, "items": FILMS}),
    "mcmc in a context": ({"n_factors": 8, "max_iter": 12}, {"items": FILMS, "context": ["device", "hour"]}),
    "als": ({"model": FMRegressor(3, max_iter=10, random_state=0)}, {"items": FILMS}),
    "weighted": ({"model": FMRegressor(3, max_iter=10, random_state=0)}, {"weight": "hour"}),
}


def fit(which, rows=None):
    how, tables = HOW[which]
    return Recommender(n_jobs=2, **how).fit(rows or some_ratings(), **tables)


def solved(model, ratings, side, of, codes, level):
    """The solutions of some users (or items), by the vectors that the others have."""
    own, others = (model.users, model.items) if side == "users" else (model.items, model.users)
    mine, theirs = (ratings.users, ratings.items) if side == "users" else (ratings.items, ratings.users)
    found = []
    for code in codes:
        rows = np.flatnonzero(mine == code)
        told = {"level": level[code]}
        if ratings.weights is not None:
            told["weights"] = ratings.weights[rows]
        if ratings.context is not None:
            told["context"] = contexts_of(model, ratings.context[rows])
        row = of.rows[[int(code)]]
        found.append(solution(model, own, others, row, theirs[rows], ratings.values[rows], **told))
    return np.array(found)


def unchanged(before, after, codes):
    """Whether these have the same bits."""
    for name in OWN:
        np.testing.assert_array_equal(getattr(before, name)[codes], getattr(after, name)[codes])


@pytest.mark.parametrize("which", HOW)
def test_users_and_items_touched_have_the_solution_of_all_their_ratings(which):
    recommender = fit(which)
    before, n = recommender.model_, (len(recommender.users_), len(recommender.items_))
    recommender.partial_fit(pd.DataFrame(TODAY))
    after, ratings = recommender.model_, recommender.history_.ratings
    users = np.unique(recommender.users_.ids.encode(TODAY["user"]))
    items = np.unique(recommender.items_.ids.encode(TODAY["item"]))
    assert recommender.told_[-1].startswith("6 rows more, with 2 new users and ")
    # Users come last: they answer to the items as these are now.
    expected = solved(after, ratings, "users", after.users, users, after.users.noise)
    np.testing.assert_allclose(after.users.vectors[users], expected[:, :-1], atol=1e-4)
    np.testing.assert_allclose(after.users.weights[users], expected[:, -1], atol=1e-4)
    unchanged(before.users, after.users, np.setdiff1d(np.arange(n[0]), users))
    unchanged(before.items, after.items, np.setdiff1d(np.arange(n[1]), items))
    assert len(recommender.items_) == n[1] + len(items[items >= n[1]])
    # What new columns of partners tell is not known, what the old ones tell stays.
    assert (after.context == before.context).all()
    assert after.bias == before.bias


def test_an_item_touched_has_the_solution_by_users_whom_its_rows_leave_alone():
    """By ridge: the users' first solutions, then the item by these."""
    recommender = fit("als")
    model = recommender.model_
    today = {"user": [3, 90], "item": [21, 21], "rating": [5.0, 1.0]}
    recommender.partial_fit(today)
    ratings, after = recommender.history_.ratings, recommender.model_
    users = recommender.users_.ids.encode([3, 90])
    item = int(recommender.items_.ids.encode([21])[0])
    # The users by the items as they were, then the item by these users.
    level = np.ones(99)
    first = after.users.put(users, after.users.select(users))
    between = replace(model, users=first)
    for user, theta in zip(users, solved(between, ratings, "users", first, users, level), strict=True):
        first.vectors[user], first.weights[user] = theta[:-1], theta[-1]
    expected = solved(between, ratings, "items", after.items, [item], level)[0]
    np.testing.assert_allclose(after.items.vectors[item], expected[:-1], atol=1e-4)
    np.testing.assert_allclose(after.items.weights[item], expected[-1], atol=1e-4)


@pytest.mark.parametrize("which", ["mcmc", "als"])
def test_what_is_new_is_listed_and_what_somebody_has_now_is_not(which):
    recommender = fit(which).partial_fit(TODAY)
    assert {21, 1} & set(recommender.recommend([3], n=99)["item"].to_pylist()) == set()
    assert {98, 99} < set(recommender.recommend([3], n=99)["item"].to_pylist())
    table = recommender.recommend([90, 91], n=5, explain=True)
    assert table["user"].to_pylist() == [90] * 5 + [91] * 5
    assert table["title"].null_count == recommender.recommend([90, 91], n=5)["title"].null_count
    rated = recommender.reasons(91, [3])[0].rated
    assert recommender.items_.ids.decode(rated).to_pylist() == [99]


def test_an_item_of_a_single_rating_stays_as_doubtful_as_it_would_be_in_a_fit():
    recommender = fit("als")
    few, many = recommender.model_.items.var_weights.max(), recommender.model_.items.var_weights.min()
    recommender.partial_fit({"user": [3, 4], "item": [98, 1], "rating": [5, 5]})
    doubt = recommender.model_.items.var_weights
    assert many < doubt[-1] < few  # unlike one that nobody rated
    assert 0 < doubt[1] < few


def test_no_more_threads_fold_people_in_than_n_jobs_allows(monkeypatch):
    asked = []

    def counted(*state, **how):
        asked.append(state[-1])
        return fold_columns(*state, **how)

    monkeypatch.setattr("fmkit.recommend.rating_model.fold_columns", counted)
    recommender = fit("als")
    recommender.n_jobs = 3
    recommender.recommend_for({1: 5})
    recommender.partial_fit({"user": [3], "item": [21], "rating": [5.0]}).forget([4])
    assert asked == [3] * 5


def test_rows_that_are_known_already_touch_nobody():
    recommender = fit("mcmc")
    before = recommender.model_
    recommender.partial_fit(some_ratings())
    assert recommender.told_[-1] == "0 rows more, with 0 new users and 0 new items"
    unchanged(before.users, recommender.model_.users, np.arange(N_USERS))
    unchanged(before.items, recommender.model_.items, np.arange(N_FILMS))


def test_a_rating_given_anew_replaces_the_old_one():
    recommender = fit("als")
    n, old = len(recommender.interactions_), recommender.predict([3], [3])[0]
    recommender.partial_fit({"user": ["3"], "item": ["3"], "rating": [0.5]})
    assert len(recommender.interactions_) == n
    assert recommender.history_.of(3).values[recommender.history_.of(3).items == 3].tolist() == [0.5]
    assert recommender.predict([3], [3])[0] < old


def test_partial_fit_without_a_fit_is_one():
    rows = some_ratings(60)
    how = {"quality": "fast", "max_iter": 5}
    assert Recommender(**how).partial_fit(rows).recommend(n=2).equals(Recommender(**how).fit(rows).recommend(n=2))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"user": [], "item": [], "rating": [], "device": [], "hour": []}, "the table holds no interactions"),
        (
            {"user": [1], "item": [2], "device": ["tv"], "hour": [1]},
            "the rows of the fit and the later ones must both have ratings, or neither",
        ),
        ({"user": [1], "item": [2], "rating": ["good"], "device": ["tv"], "hour": [1]}, "'good' is no number"),
        ({"user": [1], "item": [2], "rating": [3]}, "there is no column 'device'"),
        (
            {"user": [1, "ann"], "item": [2, "x"], "rating": [3, 50], "device": ["tv"] * 2, "hour": [1, 2]},
            "the rating 50 of item x by user ann is outside the scale of the fit, 0.5 to 5: .* fit anew to all rows",
        ),
        ({"user": [1], "item": [2], "rating": [3], "device": ["tv"], "hour": ["noon"]}, "'hour' holds string, in the"),
    ],
)
def test_rows_that_do_not_fit_are_told_and_change_nothing(rows, message):
    recommender = fit("mcmc in a context")
    before = recommender.recommend(n=3)
    with pytest.raises(InputError, match=message):
        recommender.partial_fit(rows)
    assert recommender.recommend(n=3).equals(before)


def test_a_context_joins_whatever_the_table_came_as(tmp_path):
    frame = pd.DataFrame(some_ratings(100)).astype({"device": "category"})
    recommender = Recommender(quality="fast", max_iter=5).fit(frame, context=["device", "hour"])
    path = tmp_path / "today.csv"
    pd.DataFrame(TODAY).to_csv(path, index=False)
    n = len(recommender.interactions_)
    recommender.partial_fit(path).partial_fit(pa.table({**TODAY, "device": [None] * 6, "hour": [2.5] * 6}))
    assert len(recommender.interactions_) == n + 12
    assert recommender.interactions_.context["device"].to_pylist()[-12:] == TODAY["device"] + [None] * 6


def named(user):
    """Ids that can be found in a file."""
    return f"reader-{user}-{user * 7919}"


@pytest.fixture(params=["mcmc", "mcmc in a context", "als"])
def with_names(request):
    rows = some_ratings()
    how, tables = HOW[request.param]
    tables = {**tables, "users": {**PEOPLE, "user": [named(u) for u in PEOPLE["user"]]}}
    return Recommender(n_jobs=2, **how).fit({**rows, "user": [named(u) for u in rows["user"]]}, **tables)


def file_of(recommender, tmp_path):
    fmkit.save(recommender, tmp_path / "m.fmkit")
    return (tmp_path / "m.fmkit").read_bytes()


def test_whoever_is_forgotten_is_gone_with_rows_vectors_and_what_they_taught(with_names, tmp_path):
    gone, before = [4, 11], with_names.model_
    content = file_of(with_names, tmp_path)
    ratings = with_names.history_.ratings
    touched = np.unique(ratings.items[np.isin(ratings.users, gone)])
    n_rows = int(np.isin(ratings.users, gone).sum())
    # Members are the factors of those who rated an item.
    traces = [named(u).encode() for u in gone]
    traces += [before.users.vectors[u].tobytes() for u in gone]
    if len(before.items.members) > with_names.items_.features.shape[1]:
        traces += [before.items.members[u].tobytes() for u in gone]
    assert all(trace in content for trace in traces)
    with_names.forget([named(4), named(11), "nobody", named(4)])
    after = with_names.model_
    content = file_of(with_names, tmp_path)
    assert not any(trace in content for trace in traces)
    kept = np.setdiff1d(np.arange(N_USERS), gone)
    assert with_names.users_.ids.ids.to_pylist() == [named(u) for u in kept]
    assert len(with_names.interactions_) == len(ratings) - n_rows
    assert with_names.told_[-1] == f"forgotten: 2 users with {n_rows} rows"
    for name in OWN:
        np.testing.assert_array_equal(getattr(before.users, name)[kept], getattr(after.users, name))
    unchanged(before.items, after.items, np.setdiff1d(np.arange(N_FILMS), touched))
    left = with_names.history_.ratings
    rated = touched[np.isin(touched, left.items)]
    expected = solved(after, left, "items", after.items, rated, after.items.noise)
    np.testing.assert_allclose(after.items.vectors[rated], expected[:, :-1], atol=1e-4)
    np.testing.assert_allclose(after.items.weights[rated], expected[:, -1], atol=1e-4)
    # They are unknown people from now on, and forgetting them again does no harm.
    lists = with_names.recommend(n=3)
    assert with_names.forget([named(4)]).forget("nobody").forget([]).recommend(n=3).equals(lists)
    stranger = with_names.recommend(["nobody", named(4)], n=3)
    assert stranger["item"].to_pylist()[:3] == stranger["item"].to_pylist()[3:]
    assert fmkit.load(tmp_path / "m.fmkit").recommend(n=3).equals(lists)


def test_files_do_not_tell_categories_of_those_who_were_forgotten(tmp_path):
    rows = pd.DataFrame({**some_ratings(), "device": "tv"})
    rows.loc[rows["user"] == 4, "device"] = "contraption"
    recommender = Recommender(quality="fast", max_iter=5).fit(rows.astype({"device": "category"}), context="device")
    recommender.forget(4)
    fmkit.save(recommender, tmp_path / "m.fmkit")
    loaded = fmkit.load(tmp_path / "m.fmkit")
    assert loaded.interactions_.context["device"].combine_chunks().dictionary.to_pylist() == ["tv"]


@pytest.mark.parametrize("kind", ["mcmc", "als", "clicks"])
def test_nothing_is_left_of_what_only_the_forgotten_were(kind, tmp_path):
    people = {name: list(column) for name, column in PEOPLE.items()}
    people["city"][4] = "Xanadu"
    people["pets"] = [131.5 if u == 4 else 2 for u in range(N_USERS)]
    people["met"] = [f"2024-0{1 + u % 3}-1{u % 8}" for u in range(N_USERS)]
    people["likes"] = [["tea", "rye"] if u != 4 else ["absinthe", "tea"] for u in range(N_USERS)]
    rows, context = pd.DataFrame(some_ratings()), {}
    how = HOW["als"][0] if kind == "als" else {"quality": "fast", "max_iter": 3, "n_factors": 4}
    if kind == "clicks":
        how = {**how, "feedback": "implicit"}
    else:
        rows.loc[rows["user"] == 4, "device"] = "contraption"
        context = {"context": "device"}
    recommender = Recommender(schema={"pets": "number"}, **how).fit(rows, users=people, **context)
    names = recommender.users_.feature_names
    assert {"city=Xanadu", "pets~131.5", "likes=absinthe"} < set(names)
    traces = [b"Xanadu", b"absinthe", np.float64(131.5).tobytes(), *[b"contraption"] * bool(context)]
    before = file_of(recommender, tmp_path)
    assert all(trace in before for trace in traces)
    kept = [u for u in range(N_USERS) if u != 4]
    expected = recommender.users_.features.toarray()[kept]
    recommender.forget(4)
    after = file_of(recommender, tmp_path)
    assert [trace for trace in traces if trace in after] == []
    left = recommender.users_.feature_names
    assert set(names) - set(left) == {"city=Xanadu", "pets~131.5", "likes=absinthe"}
    np.testing.assert_array_equal(
        recommender.users_.features.toarray(), expected[:, [names.index(one) for one in left]]
    )
    # What is left goes on: of those who stayed, of somebody new, by today's rows, and from the file.
    loaded = fmkit.load(tmp_path / "m.fmkit")
    new = {"age": 25, "city": "Oslo"}
    for one in (recommender, loaded):
        assert len(one.recommend_for({1: 5}, features=new, n=3)) == 3
        assert len(one.explain(3, 1))
        one.partial_fit(pd.DataFrame({"user": [91], "item": [2], "rating": [4.0], "device": ["tv"]}))
    assert loaded.recommend(n=3).equals(recommender.recommend(n=3))


def test_not_everybody_can_be_forgotten():
    recommender = fit("als")
    with pytest.raises(InputError, match="nobody would be left: these users have all interactions"):
        recommender.forget(range(N_USERS))
    assert len(recommender.recommend(n=1)) == N_USERS


def test_somebody_new_comes_and_is_forgotten_and_all_is_as_before():
    recommender = fit("als")
    before = recommender.recommend(n=5, risk=0)
    recommender.partial_fit({"user": ["x"], "item": [20], "rating": [5.0]}).forget("x")
    after = recommender.recommend(n=5, risk=0)
    assert after["user"].to_pylist() == [str(one) for one in before["user"].to_pylist()]
    assert after["item"].equals(before["item"])
    np.testing.assert_allclose(after["score"], before["score"], atol=1e-5)
