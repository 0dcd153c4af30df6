"""A test part as a fitted recommender sees it: its users and items by the recommender's codes, and what is relevant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.errors import InputError
from fmkit.ranking.pairs import Pairs
from fmkit.recommend.entities import Entities
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.splits import check_no_leak


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is tested.

    Parameters
    ----------
    test : Interactions
    user_of, item_of : ndarrays of shape (len(test.users),), (len(test.items),), int32
        Codes in the recommender; -1 for what it knows nothing of, neither an interaction nor a row of a table.
    seen : Pairs of shape (n_users, n_items)
        What the recommender was trained on, by its codes.
    relevant : Pairs of shape (len(test.users), n_items)
        Rows of the users of the test; empty for those who are unknown to the recommender.
    n_repeats : int
        Pairs of the test that were trained on; above 0 only where repeats are allowed.
    notes : tuple of str
        Sentences on what is relevant and what is unknown.
    """

    test: Interactions
    user_of: NDArray[np.int32]
    item_of: NDArray[np.int32]
    seen: Pairs
    relevant: Pairs
    n_repeats: int
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        recommender: Any,
        test: Any,
        relevant: float | None = None,
        *,
        repeats: bool = False,
        check_times: bool = False,
    ) -> HeldOut:
        """Read a test part, refuse what leaks, and say what is relevant.

        Parameters
        ----------
        recommender : Recommender
            Fitted.
        test : table, path, sequence of paths, or Interactions
        relevant : float, optional
            Least rating of what is relevant; see `evaluate`.
        repeats : bool
            Whether clicks on what was clicked in training are allowed.
        check_times : bool
            Whether training must end before the test begins.
        """
        if not isinstance(test, Interactions):
            test, _ = Interactions.in_time(test, getattr(recommender, "columns_", Columns()))
        explicit = recommender.feedback_ == "explicit"
        if explicit and test.ratings is None:
            raise InputError("the recommender was fitted to ratings, but the test has no column of them: add one")
        train = recommender.interactions_
        user_of = _codes(test.users.ids, recommender.users_, train.user_codes)
        item_of = _codes(test.items.ids, recommender.items_, train.item_codes)
        shape = len(recommender.users_), len(recommender.items_)
        seen = _pairs(train.user_codes, train.item_codes, shape)

        user, item = user_of[test.user_codes], item_of[test.item_codes]
        known = (user >= 0) & (item >= 0)
        n_repeats = _repeats(recommender, test, _pairs(user[known], item[known], shape), seen, repeats and not explicit)
        if check_times:
            _refuse_late(train, test)

        least, told = _least(relevant, explicit, train, test)
        wanted = known if least is None else known & (test.ratings >= np.float32(least))
        liked = _pairs(test.user_codes[wanted], item[wanted], (len(test.users), shape[1]))
        notes = [told, _unknown(user, item)] if not known.all() else [told]
        return cls(test, user_of, item_of, seen, liked, n_repeats, tuple(notes))


def _codes(ids: Any, entities: Entities, trained: NDArray[np.int32]) -> NDArray[np.int32]:
    """The recommender's codes of ids; -1 for an id without an interaction and without a row in a table."""
    codes = entities.ids.encode(ids)
    told = np.bincount(trained, minlength=len(entities)) > 0
    if entities.encoder is not None:
        told |= np.diff(entities.features.indptr) > 0
    return np.where((codes >= 0) & told[codes], codes, np.int32(-1))


def _pairs(rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]) -> Pairs:
    """Distinct pairs of codes."""
    matrix = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    none = np.empty(0, np.float32)
    return Pairs(*shape, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), none)


def _repeats(recommender: Any, test: Interactions, tested: Pairs, seen: Pairs, allowed: bool) -> int:
    """How many pairs of the test were trained on; a ValueError if there are some that may not be."""
    both = tested.csr.multiply(seen.csr).tocoo()
    if both.nnz and not allowed:
        user, item = (np.asarray(codes, np.int32) for codes in both.coords)
        trained = _ids(recommender.users_.ids, user), _ids(recommender.items_.ids, item)
        try:
            check_no_leak(*trained, _ids(test.users, test.user_codes), _ids(test.items, test.item_codes))
        except ValueError as error:
            mend = "" if recommender.feedback_ == "explicit" else "; clicks may repeat with exclude_train=False"
            raise InputError(
                f"{error}: take such rows out of the test, or out of training as fmkit.recommend.split does{mend}"
            ) from None
    return int(both.nnz)


def _ids(vocabulary: Any, codes: NDArray[np.int32]) -> NDArray[Any]:
    """As text: ids of the two parts may be of two types."""
    ids = np.array([str(one) for one in vocabulary.ids.to_pylist()], object)
    return ids[codes].astype(str)


def _refuse_late(train: Interactions, test: Interactions) -> None:
    if train.times is None or test.times is None:
        raise InputError("check_times compares times: the recommender and the test both need a column of them")
    late = train.times > np.min(test.times)
    if np.isnan(test.times).any() or np.isnan(train.times).any():
        raise InputError("check_times compares times: leave out the rows that have none")
    if late.any():
        raise InputError(
            f"{late.sum():,} of {len(train):,} training rows are later than the first that is tested: train on what "
            "came before, as fmkit.recommend.split(how='time') divides"
        )


def _least(relevant: float | None, explicit: bool, train: Interactions, test: Interactions) -> tuple[float | None, str]:
    """The least rating of what is relevant, None if everything is, and a sentence."""
    if relevant is not None:
        if test.ratings is None:
            raise InputError(f"the test has no ratings to be relevant={relevant:g}: leave it out, or name rating=")
        return relevant, f"relevant are test ratings of {relevant:g} and more"
    if not explicit or train.ratings is None:
        return None, "relevant are all pairs of the test"
    median = float(np.median(train.ratings))
    return median, f"relevant are test ratings of {median:g} and more, {median:g} being the median of training"


def _unknown(user: NDArray[np.int32], item: NDArray[np.int32]) -> str:
    n_users, n_items, n_rows = (int(rows.sum()) for rows in (user < 0, item < 0, (user < 0) | (item < 0)))
    return (
        f"{n_rows:,} of {len(user):,} test rows are of a user or an item unknown to training ({n_users:,} of such "
        f"users, {n_items:,} of such items): lists are judged without them"
    )
