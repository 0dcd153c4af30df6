"""Splits of interactions into a part to train on and a part to test, by the question that the test is to answer.

The rules look at distinct pairs of user and item, each at its earliest time: all rows of a pair go one way, so that no
pair that is tested was trained on. A row that repeats a pair of the training part after the cut is in neither part: to
train on it would be to look ahead, and to find it again is no recommendation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.errors import InputError

How = Literal["random", "time", "time-per-user", "leave-last-out", "cold-users", "cold-items"]

TOLD = {
    "random": "pairs at random",
    "time": "what came after one moment",
    "time-per-user": "the last of each user's pairs",
    "leave-last-out": "the last pair of each user with at least two",
    "cold-users": "all pairs of some users",
    "cold-items": "all pairs of some items",
}
UNITS = {"random": "pairs", "cold-users": "users", "cold-items": "items"}


@dataclass(frozen=True, eq=False)
class Split:
    """Which rows are trained on, and which are tested.

    Parameters
    ----------
    train, test : ndarray of shape (n,), bool
        Disjoint. Rows in neither repeat a pair of the training part after the cut in time.
    how : str
        The rule.
    n_unknown : int
        Rows of the test part whose user or item has no row in the training part.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    how: How
    n_unknown: int

    def __str__(self) -> str:
        neither = int((~self.train & ~self.test).sum())
        return (
            f"tested is {TOLD[self.how]} ({self.how!r}): {self.train.sum():,} rows to train on and "
            f"{self.test.sum():,} to test, {self.n_unknown:,} of these of a user or an item unknown to training"
            + (f"; left out as later repeats of training pairs: {neither:,}" if neither else "")
        )


def split(
    users: ArrayLike,
    items: ArrayLike,
    *,
    how: How,
    times: ArrayLike | None = None,
    test: float = 0.2,
    random_state: int = 0,
) -> Split:
    """Split interactions by one of six rules.

    - ``"random"``: a share of the pairs. How well are holes filled?
    - ``"time"``: one cut through time, the same for all, where the later side comes closest to the share. What would
      this model have done in the weeks after? Rows of the same time stay on one side.
    - ``"time-per-user"``: the last share of each user's pairs, rounded, never all of them. Every user is tested, at
      the price of knowing others' future.
    - ``"leave-last-out"``: the last pair of each user with at least two; `test` does not count.
    - ``"cold-users"``, ``"cold-items"``: all rows of a share of the users, or of the items.

    The order of rows does not matter. Of a user's pairs of one time, the last is drawn by `random_state`.

    Parameters
    ----------
    users, items : array-like of shape (n,)
        Codes or ids.
    how : {"random", "time", "time-per-user", "leave-last-out", "cold-users", "cold-items"}
    times : array-like of shape (n,), optional
        Numbers or datetime64; the rules by time need them, the others do not look at them.
    test : float, default=0.2
        Share of what the rule divides, between 0 and 1.
    random_state : int, default=0

    Raises
    ------
    ValueError
        If the rule is unknown or needs times, lengths differ, or nothing would be left to train on or to test.

    Examples
    --------
    >>> result = split([0, 0, 0, 1, 1], [5, 6, 7, 5, 8], how="leave-last-out", times=[1, 2, 3, 9, 4])
    >>> result.test
    array([False, False,  True,  True, False])
    >>> print(result)  # doctest: +NORMALIZE_WHITESPACE
    tested is the last pair of each user with at least two ('leave-last-out'): 3 rows to train on and 2 to test,
    1 of these of a user or an item unknown to training
    """
    if how not in get_args(How):
        raise InputError(f"how must be one of {', '.join(map(repr, get_args(How)))}, got {how!r}")
    if not 0 < test < 1:
        raise InputError(f"test must be a share between 0 and 1, got {test!r}")
    user, item = _codes(users, "users"), _codes(items, "items")
    if len(user) != len(item):
        raise InputError(f"users and items must be of one length, got {len(user):,} and {len(item):,}")
    rng = np.random.default_rng(random_state)
    pairs, pair = np.unique(user * (item.max(initial=0) + 1) + item, return_inverse=True)
    if how in UNITS:
        unit = {"random": pair, "cold-users": user, "cold-items": item}[how]
        n_units = int(unit.max(initial=-1)) + 1
        if n_units < 2:
            raise InputError(f"{how!r} needs at least two {UNITS[how]} to divide, got {n_units}")
        n_tested = min(max(round(test * n_units), 1), n_units - 1)
        tested = (rng.permutation(n_units) < n_tested)[unit]
        trained = ~tested
    else:
        time = _ranks(times, how, len(user))
        first = np.full(len(pairs), len(user))
        np.minimum.at(first, pair, time)
        if how == "time":
            cut = _cut(first, test)
            tested, trained = (first >= cut)[pair], time < cut
        else:
            user_of = pairs // (item.max(initial=0) + 1)
            last = _last_of_each(user_of, first, None if how == "leave-last-out" else test, rng)
            if not last.any():
                raise InputError(f"{how!r} with test={test:g} leaves no user a pair to test: users have too few")
            cuts = np.full(len(user), len(user))  # a time for each user, after all others where nothing is tested
            np.minimum.at(cuts, user_of[last], first[last])
            tested = last[pair]
            trained = ~tested & (time <= cuts[user])
    known = np.isin(user[tested], user[trained]) & np.isin(item[tested], item[trained])
    return Split(trained, tested, how, int((~known).sum()))


def check_no_leak(
    train_users: ArrayLike,
    train_items: ArrayLike,
    test_users: ArrayLike,
    test_items: ArrayLike,
    *,
    train_times: ArrayLike | None = None,
    test_times: ArrayLike | None = None,
    per_user: bool = False,
) -> None:
    """Raise if training has seen what is tested.

    Parameters
    ----------
    train_users, train_items : array-like of shape (n_train,)
        Codes or ids.
    test_users, test_items : array-like of shape (n_test,)
    train_times, test_times : array-like of shape (n_train,) and (n_test,), optional
        For splits by time: nothing in training may be later than the first of the test part.
    per_user : bool, default=False
        Compare times within each user, as "time-per-user" and "leave-last-out" divide them.

    Raises
    ------
    ValueError
        If a pair is in both parts, or a row of training is later than one that is tested.

    Examples
    --------
    >>> check_no_leak([0, 1], [3, 4], [0, 1], [4, 4])
    Traceback (most recent call last):
    ...
    fmkit.errors.InputError: 1 of 2 tested rows is a pair that was trained on, the first user 1 with item 4
    """
    sizes = [np.asarray(given).size for given in (train_users, train_items, test_users, test_items)]
    n_train, n_test = sizes[0], sizes[2]
    if sizes != [n_train, n_train, n_test, n_test]:
        raise InputError(f"users and items of a part must be of one length, got {', '.join(map(str, sizes))}")
    user = _codes(np.concatenate([train_users, test_users]), "users")
    item = _codes(np.concatenate([train_items, test_items]), "items")
    pair = user * (item.max(initial=0) + 1) + item
    leaked = np.isin(pair[n_train:], pair[:n_train])
    if leaked.any():
        row, n_leaked = int(np.argmax(leaked)), int(leaked.sum())
        raise InputError(
            f"{n_leaked:,} of {n_test:,} tested rows {'is a pair that was' if n_leaked == 1 else 'are pairs that were'}"
            f" trained on, the first user {np.asarray(test_users)[row]} with item {np.asarray(test_items)[row]}"
        )
    if train_times is None and test_times is None:
        return
    if train_times is None or test_times is None:
        raise InputError("times are compared between the parts: give both train_times and test_times")
    time = _ranks(np.concatenate([train_times, test_times]), "check_no_leak", n_train + n_test)
    group = user if per_user else np.zeros_like(user)
    earliest = np.full(int(group.max(initial=0)) + 1, n_train + n_test)
    np.minimum.at(earliest, group[n_train:], time[n_train:])
    late = time[:n_train] > earliest[group[:n_train]]
    if late.any():
        row = int(np.argmax(late))
        raise InputError(
            f"{late.sum():,} of {n_train:,} training rows are later than "
            f"{'one of the same user' if per_user else 'one'} that is tested, the first is row {row}, of time "
            f"{np.asarray(train_times)[row]}"
        )


def _codes(given: ArrayLike, name: str) -> NDArray[np.int64]:
    """Codes 0, 1, ... in the order of the ids."""
    ids = np.asarray(given)
    if ids.ndim != 1:
        raise InputError(f"{name} must be of shape (n,), got {ids.shape}")
    codes: NDArray[np.int64] = np.unique(ids, return_inverse=True)[1].astype(np.int64)
    return codes


def _ranks(times: ArrayLike | None, how: str, n: int) -> NDArray[np.int64]:
    """Times as integers of the same order."""
    if times is None:
        raise InputError(f"{how!r} needs times: without them no row is the last; give times=, or how='random'")
    given: NDArray[Any] = np.asarray(times)
    if given.shape != (n,):
        raise InputError(f"times must hold one for each of {n:,} rows, got shape {given.shape}")
    if given.dtype.kind not in "iufM":
        raise InputError(f"times must be numbers or datetime64, got {given.dtype}")
    missing = np.isnat(given) if given.dtype.kind == "M" else np.isnan(given)
    if missing.any():
        raise InputError(f"times must all be known, that of row {int(np.argmax(missing))} is not")
    return _codes(given, "times")


def _cut(first: NDArray[np.int64], test: float) -> int:
    """The time from which on pairs are tested: of all times but the first, that with the share closest to `test`."""
    present, counts = np.unique(first, return_counts=True)
    if len(present) < 2:
        raise InputError("'time' needs at least two different times to cut between")
    n_after = counts[::-1].cumsum()[::-1]
    return int(present[1 + np.argmin(np.abs(n_after[1:] - test * len(first)))])


def _last_of_each(
    user_of: NDArray[np.int64], first: NDArray[np.int64], test: float | None, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which pairs are the last share of their user's, or the last one if no share is given; never all of them."""
    n_pairs = np.bincount(user_of)
    n_tested = np.minimum(1 if test is None else np.floor(test * n_pairs + 0.5), n_pairs - 1)
    order = np.lexsort((rng.permutation(len(first)), first, user_of))
    left = np.repeat(n_pairs.cumsum(), n_pairs) - np.arange(len(order))  # 1 for the last one of a user
    last = np.empty(len(order), np.bool_)
    last[order] = left <= np.repeat(n_tested, n_pairs)
    return last
