"""Recommender: a machine of two one-hot fields, users and items, that gives top-N lists and says why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.errors import InputError
from fmkit.machine import FactorizationMachine
from fmkit.recommend.ratings import RatingsTable
from fmkit.recommend.reasons import Reason, take_apart
from fmkit.recommend.saved import arrays_of, machine_and_ratings
from fmkit.recommend.topn import top_n
from fmkit.recommend.vocabulary import Vocabulary, plain_ids
from fmkit.solvers.als import NONE, solve_columns
from fmkit.threads import count_threads, even_cuts, for_each

NO_ITEMS = np.empty(0, np.int32)
USERS_AT_ONCE = 8192  # a batch of lists: at n = 10 some 3 MB


class Recommender:
    """Top-N lists from ratings, by a factorization machine of users and items.

    A user's weight and factors are, in the end, the exact ridge regression of the user's ratings on the items' factors.
    So users can be added without a fit (`fold_in`), and a score splits exactly into what each past rating adds to it
    (`explain`).

    Parameters
    ----------
    n_factors : int, default 16
    solver : {"als", "sgd"}, default "als"
    n_jobs : int, optional
        Threads; None or -1 for every core.
    random_state : int, default 0
    verbose : int, default 0
        1 shows a progress bar on stderr.

    Attributes
    ----------
    ratings_ : RatingsTable
        What was fitted: `ratings_.users` and `ratings_.items` are the vocabularies.
    machine_ : FactorizationMachine
        Columns: users, then items.

    Examples
    --------
    >>> from fmkit.recommend import RatingsTable, Recommender
    >>> table = RatingsTable.from_arrays(["ann", "ann", "bob", "bob"], [1, 2, 2, 3], [5, 1, 1, 4])
    >>> Recommender(n_factors=1).fit(table).recommend(["ann"])["item"].to_pylist()
    [3]
    """

    ratings_: RatingsTable
    machine_: FactorizationMachine

    def __init__(
        self,
        *,
        n_factors: int = 16,
        solver: Literal["als", "sgd"] = "als",
        n_jobs: int | None = None,
        random_state: int = 0,
        verbose: int = 0,
    ) -> None:
        self.n_factors = n_factors
        self.solver = solver
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @property
    def items(self) -> Vocabulary:
        """Ids of the items."""
        return self.ratings_.items

    @property
    def users(self) -> Vocabulary:
        """Ids of the users."""
        return self.ratings_.users

    def fit(self, ratings: RatingsTable) -> Self:
        """Fit machine and users.

        Parameters
        ----------
        ratings : RatingsTable
        """
        from fmkit.estimators import FMRegressor  # a saved model is read without scikit-learn

        n_levels = [len(ratings.users), len(ratings.items)]
        estimator = FMRegressor(
            n_factors=self.n_factors,
            solver=self.solver,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            verbose=self.verbose,
        ).fit(Design.from_codes([ratings.user_codes, ratings.item_codes], n_levels), ratings.ratings)
        penalties = estimator.penalties_  # the same for all columns of a one-hot field
        self._user_penalties = float(penalties.linear[0]), float(penalties.factors[0])
        self._range = float(ratings.ratings.min()), float(ratings.ratings.max())
        self._set(ratings, estimator.machine_)
        return self

    def fold_in(self, ratings: RatingsTable) -> Recommender:
        """A recommender for the users of another table, with the items of this one; nothing is fitted again.

        Parameters
        ----------
        ratings : RatingsTable
            Ratings of items that are unknown here are left out.

        Raises
        ------
        InputError
            If no item of the table is known here.
        """
        other = Recommender(
            n_factors=self.n_factors,
            solver=self.solver,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            verbose=self.verbose,
        )
        other._user_penalties, other._range = self._user_penalties, self._range
        w, V = self._of_items()
        n_users = len(ratings.users)
        machine = FactorizationMachine(
            self.machine_.bias,
            np.concatenate([np.zeros(n_users, np.float32), w]),
            np.concatenate([np.zeros((n_users, V.shape[1]), np.float32), V]),
        )
        other._set(ratings.with_items(self.items), machine)
        return other

    def recommend(self, users: Any = None, n: int = 10, exclude_seen: bool = True) -> pa.Table:
        """The best n items of each user.

        Parameters
        ----------
        users : array-like of ids, optional
            Integers or text; None for all users. A user without ratings gets the items liked best by everyone.
        n : int, default 10
        exclude_seen : bool, default True
            Leave out what the user rated already.

        Returns
        -------
        pyarrow.Table
            Columns user, rank (from 1), item, predicted (the rating expected, float32, within the range of the
            ratings that were fitted); users in the order given, at most n rows a user.
        """
        batches = list(self.recommend_batches(users, n, exclude_seen))
        return pa.Table.from_batches(batches)

    def recommend_batches(self, users: Any = None, n: int = 10, exclude_seen: bool = True) -> Iterator[pa.RecordBatch]:
        """As `recommend`, some thousand users at a time: for all users of a large table in bounded memory."""
        ids = self.users.ids if users is None else plain_ids(users)
        codes = self.users.encode(ids)
        for first in range(0, max(len(codes), 1), USERS_AT_ONCE):
            block = slice(first, first + USERS_AT_ONCE)
            yield self._lists(ids[block], codes[block], n, exclude_seen)

    def explain(self, user: Any, items: Sequence[Any] | pa.Array) -> list[Reason]:
        """Why a user may like items.

        Parameters
        ----------
        user : int or str
        items : sequence of ids, or pyarrow.Array
            Known ones.

        Returns
        -------
        list of Reason
            One an item.
        """
        codes = self.items.encode(items)
        if (codes < 0).any():
            raise InputError(f"item {items[int(np.argmin(codes))]} is unknown to the model")
        code = int(self.users.encode([user])[0])
        rated, ratings = self.ratings_.of_user(code) if code >= 0 else (NO_ITEMS, np.empty(0, np.float32))
        return take_apart(self.machine_.bias, *self._of_items(), codes, rated, ratings, *self._user_penalties)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        facts = {
            "n_factors": self.n_factors,
            "solver": self.solver,
            "random_state": self.random_state,
            "bias": self.machine_.bias,
            "user_penalties": self._user_penalties,
            "range": self._range,
        }
        return facts, arrays_of(self.machine_, self.ratings_)

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Recommender:
        recommender = cls(
            n_factors=int(facts["n_factors"]),
            solver="sgd" if facts["solver"] == "sgd" else "als",
            random_state=int(facts["random_state"]),
        )
        bias, *pairs = (float(x) for x in (facts["bias"], *facts["user_penalties"], *facts["range"]))
        if len(pairs) != 4 or not np.isfinite([bias, *pairs]).all() or min(pairs[:2]) < 0 or pairs[2] > pairs[3]:
            raise InputError("its bias, penalties or range of ratings make no sense")
        recommender._user_penalties, recommender._range = (pairs[0], pairs[1]), (pairs[2], pairs[3])
        recommender.machine_, recommender.ratings_ = machine_and_ratings(bias, arrays)
        return recommender

    def _of_items(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        n_users = len(self.users)
        return self.machine_.linear[n_users:], self.machine_.factors[n_users:]

    def _set(self, ratings: RatingsTable, machine: FactorizationMachine) -> None:
        """Take over ratings and machine, and solve every user's ridge system for the items as they are."""
        n_users = len(ratings.users)
        linear, factors = (np.full(machine.n_features, penalty, np.float32) for penalty in self._user_penalties)
        w, V = machine.linear, machine.factors
        arguments = (
            np.arange(n_users, dtype=np.int32), ratings.indptr, ratings.item_codes + np.int32(n_users), NONE,
            ratings.ratings, NONE, np.float32(machine.bias), w, V, w, V, linear, factors, False, False,
            np.zeros((machine.n_features, 3)),
        )  # fmt: skip
        n_threads = count_threads(self.n_jobs)
        for _ in range(2):  # the second step mends the rounding errors of the first
            for_each(solve_columns, [(a, b, *arguments) for a, b in even_cuts(ratings.indptr, n_threads)], n_threads)
        self.ratings_, self.machine_ = ratings, machine

    def _lists(self, ids: pa.Array, users: NDArray[np.int32], n: int, exclude_seen: bool) -> pa.RecordBatch:
        known = np.where(users >= 0, users, 0)
        w, V = self._of_items()
        queries = np.column_stack([self.machine_.factors[known], np.ones(len(users), np.float32)])
        level = self.machine_.linear[known].copy()
        queries[users < 0, :-1], level[users < 0] = 0, 0

        seen = [self.ratings_.of_user(user)[0] if user >= 0 and exclude_seen else NO_ITEMS for user in users]
        seen_before = np.cumsum([0, *(len(items) for items in seen)])
        codes, scores = top_n(
            queries,
            np.column_stack([V, w]),
            min(n, len(self.items)),
            seen_before,
            np.concatenate([NO_ITEMS, *seen]),
            count_threads(self.n_jobs),
        )
        listed = codes >= 0
        row, rank = np.nonzero(listed)
        predicted = np.clip(scores[listed] + level[row] + np.float32(self.machine_.bias), *self._range)
        return pa.RecordBatch.from_pydict(
            {
                "user": ids.take(pa.array(row)),
                "rank": pa.array(rank.astype(np.int32) + 1),
                "item": self.items.decode(codes[listed]),
                "predicted": pa.array(predicted.astype(np.float32)),
            }
        )
