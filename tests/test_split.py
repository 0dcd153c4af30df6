"""Splits: what each rule promises, and leaks that are caught."""

import importlib
import inspect
import pkgutil
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import fmkit.recommend
from fmkit.datasets import load_movielens_small
from fmkit.recommend import check_no_leak, split
from fmkit.recommend.metrics import evaluate
from fmkit.recommend.splits import How

RULES = get_args(How)
BY_TIME = ("time", "time-per-user", "leave-last-out")


def rows(seed, n=60, n_users=8, n_items=12, n_times=15):
    """Rows with repeated pairs and ties in time."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_users, n), rng.integers(0, n_items, n), rng.integers(0, n_times, n)


def keys(users, items):
    return set(zip(users.tolist(), items.tolist(), strict=True))


@given(st.integers(0, 9999), st.sampled_from(RULES), st.floats(0.05, 0.9))
def test_no_rule_leaks(seed, how, test):
    users, items, times = rows(seed)
    result = split(users, items, how=how, times=times, test=test)
    train, tested = result.train, result.test
    assert train.any()
    assert tested.any()
    assert not (train & tested).any()
    part = (users[train], items[train], users[tested], items[tested])
    assert keys(*part[:2]).isdisjoint(keys(*part[2:]))
    check_no_leak(*part)
    if how in BY_TIME:
        check_no_leak(*part, train_times=times[train], test_times=times[tested], per_user=how != "time")


@given(st.integers(0, 9999), st.sampled_from(RULES))
def test_the_order_of_rows_does_not_matter(seed, how):
    users, items, times = rows(seed)
    order = np.random.default_rng(seed).permutation(len(users))
    whole = split(users, items, how=how, times=times, random_state=seed)
    shuffled = split(users[order], items[order], how=how, times=times[order], random_state=seed)
    np.testing.assert_array_equal(shuffled.train, whole.train[order])
    np.testing.assert_array_equal(shuffled.test, whole.test[order])
    assert str(shuffled) == str(whole)


@given(st.integers(0, 9999), st.sampled_from(RULES))
def test_rows_in_neither_repeat_a_training_pair(seed, how):
    users, items, times = rows(seed)
    result = split(users, items, how=how, times=times)
    neither = ~result.train & ~result.test
    assert keys(users[neither], items[neither]) <= keys(users[result.train], items[result.train])
    if how not in BY_TIME:
        assert not neither.any()


@given(st.integers(0, 9999), st.sampled_from(RULES))
def test_unknown_rows_are_counted(seed, how):
    users, items, times = rows(seed, n_users=20, n_items=30)
    result = split(users, items, how=how, times=times)
    trained = set(users[result.train]), set(items[result.train])
    unknown = sum(
        u not in trained[0] or i not in trained[1] for u, i in zip(users[result.test], items[result.test], strict=True)
    )
    assert result.n_unknown == unknown
    assert f"{unknown} of these of a user or an item unknown" in str(result)


@given(st.integers(0, 9999), st.floats(0.05, 0.95))
def test_a_cut_through_time_comes_as_close_to_the_share_as_ties_allow(seed, test):
    _, _, times = rows(seed)
    users = items = np.arange(len(times))  # no pair twice
    result = split(users, items, how="time", times=times, test=test)
    assert times[result.train].max() < times[result.test].min()
    possible = [(times >= cut).mean() for cut in np.unique(times)[1:]]
    assert abs(result.test.mean() - test) == pytest.approx(min(abs(share - test) for share in possible))


@pytest.mark.parametrize(("how", "unit"), [("random", 2), ("cold-users", 0), ("cold-items", 1)])
def test_a_share_is_drawn_at_random(how, unit):
    users, items = (grid.ravel() for grid in np.meshgrid(np.arange(40), np.arange(50), indexing="ij"))
    units = (users, items, np.arange(2000))[unit]
    first, again, other = (split(users, items, how=how, test=0.3, random_state=seed) for seed in (0, 0, 1))
    tested = np.unique(units[first.test])
    assert len(tested) == round(0.3 * len(np.unique(units)))
    assert not np.isin(units[first.train], tested).any()
    np.testing.assert_array_equal(first.test, again.test)
    assert (first.test != other.test).any()


def test_the_last_of_each_user_by_hand():
    users = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    items = np.array([0, 1, 2, 3, 4, 0, 1, 0])
    times = np.array([5, 1, 4, 2, 3, 9, 8, 7])
    last = split(users, items, how="leave-last-out", times=times)
    assert last.test.tolist() == [True, False, False, False, False, True, False, False]
    share = split(users, items, how="time-per-user", times=times.astype("datetime64[D]"), test=0.4)
    assert share.test.tolist() == [True, False, True, False, False, True, False, False]
    assert last.train.tolist() == (~last.test).tolist()


def test_a_repeat_after_the_cut_is_in_neither():
    users, items = np.array([0, 0, 0, 1, 1]), np.array([1, 2, 1, 1, 2])
    result = split(users, items, how="leave-last-out", times=[1, 2, 3, 1, 2])
    assert result.train.tolist() == [True, False, False, True, False]
    assert result.test.tolist() == [False, True, False, False, True]
    assert str(result).endswith("; left out as later repeats of training pairs: 1")


def test_ties_of_a_user_are_drawn():
    """Not by the item's code: on MovieLens, whose ratings come in batches, that would favour new films."""
    users, items = np.repeat(np.arange(400), 4), np.tile(np.arange(4), 400)
    result = split(users, items, how="leave-last-out", times=np.zeros(1600))
    assert (result.test.reshape(400, 4).sum(axis=1) == 1).all()
    assert result.test.reshape(400, 4).mean(axis=0) == pytest.approx([0.25] * 4, abs=0.08)


def test_ratings_of_movielens_by_time():
    data = load_movielens_small()
    result = split(*data.data.T, how="time", times=data.timestamp, test=0.1)
    assert result.test.mean() == pytest.approx(0.1, abs=1e-3)
    assert result.n_unknown > 0.5 * result.test.sum()  # most who rate late are new


def test_evaluation_catches_a_planted_leak():
    users, items, times = rows(0)
    result = split(users, items, how="time-per-user", times=times)
    train, test = result.train.copy(), result.test
    planted = int(np.argmax(test))
    train[planted] = True
    with pytest.raises(ValueError, match=rf"trained on, the first user {users[planted]} with item {items[planted]}"):
        check_no_leak(users[train], items[train], users[test], items[test])
    seen, relevant = (
        sparse.csr_array((np.ones(part.sum()), (users[part], items[part])), shape=(8, 12)) for part in (train, test)
    )
    with pytest.raises(ValueError, match="both relevant and excluded"):
        evaluate(np.ones((8, 2)), np.ones((12, 2)), relevant, exclude=seen)


def test_a_training_row_from_the_future_is_caught():
    with pytest.raises(ValueError, match="1 of 2 training rows are later than one that is tested, the first is row 1"):
        check_no_leak([0, 1], [0, 1], [0], [2], train_times=[1, 9], test_times=[5])
    check_no_leak([0, 1], [0, 1], [0], [2], train_times=[1, 9], test_times=[5], per_user=True)
    with pytest.raises(ValueError, match="later than one of the same user"):
        check_no_leak([0, 1], [0, 1], [1], [2], train_times=[1, 9], test_times=[5], per_user=True)
    with pytest.raises(ValueError, match="give both train_times and test_times"):
        check_no_leak([0], [0], [1], [2], train_times=[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "chance"}, "how must be one of 'random', 'time', .*, got 'chance'"),
        ({"how": "random", "test": 1}, "test must be a share between 0 and 1, got 1"),
        ({"how": "leave-last-out"}, "'leave-last-out' needs times: without them no row is the last"),
        ({"how": "time", "times": [1, 1, 1]}, "'time' needs at least two different times"),
        ({"how": "time", "times": [1, 2]}, r"one for each of 3 rows, got shape \(2,\)"),
        ({"how": "time", "times": [1, np.nan, 2]}, "that of row 1 is not"),
        ({"how": "time", "times": ["a", "b", "c"]}, "times must be numbers or datetime64"),
        ({"how": "leave-last-out", "times": [1, 2, 3]}, "leaves no user a pair to test"),
        ({"how": "cold-items"}, "'cold-items' needs at least two items to divide, got 1"),
        ({"how": "random", "items": [1]}, "users and items must be of one length, got 3 and 1"),
        ({"how": "random", "items": [[1]]}, r"items must be of shape \(n,\)"),
    ],
)
def test_what_cannot_be_split_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        split([0, 1, 2], options.pop("items", [4, 4, 4]), **options)


def test_public_names_are_not_hidden_by_modules():
    for module in pkgutil.iter_modules(fmkit.recommend.__path__, "fmkit.recommend."):
        importlib.import_module(module.name)
    assert not [name for name in fmkit.recommend.__all__ if inspect.ismodule(getattr(fmkit.recommend, name))]
