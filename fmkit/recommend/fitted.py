"""What a recommender has after its fit, and the scores of pairs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError
from fmkit.ranking.pairs import Pairs
from fmkit.recommend.columns import find_columns
from fmkit.recommend.entities import Entities
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.model import Codes, Floats, Model
from fmkit.recommend.rating_design import pairs_of
from fmkit.recommend.rating_model import RatingModel, Ratings
from fmkit.tables import TableEncoder
from fmkit.tables.frames import as_arrow
from fmkit.threads import count_threads

ROWS_AT_ONCE = 1 << 17  # of lists, or of pairs: some 10 MB
WITHIN = "give one within"
CAUTION = 2.0  # standard deviations that ratings are ranked less, unless told otherwise


class History:
    """The interactions of each user, found by code.

    Parameters
    ----------
    ratings : Ratings
    n_users, n_items : int
    """

    def __init__(self, ratings: Ratings, n_users: int, n_items: int) -> None:
        self.ratings = ratings
        self._shape = n_users, n_items

    @cached_property
    def pairs(self) -> Pairs:
        """Who has what."""
        return Pairs.of(pairs_of(self.ratings.users, self.ratings.items, *self._shape))

    @cached_property
    def item_counts(self) -> NDArray[np.intp]:
        """How many interactions each item has."""
        return np.bincount(self.ratings.items, minlength=self._shape[1])

    @cached_property
    def _order(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        order = np.argsort(self.ratings.users, kind="stable")
        return order, np.searchsorted(self.ratings.users[order], np.arange(self._shape[0] + 1))

    def of(self, user: int) -> Ratings:
        """Those of one user, none for -1."""
        order, before = self._order
        return self.ratings.select(order[before[user] : before[user + 1]] if user >= 0 else order[:0])

    def seen_by(self, users: Codes) -> Pairs:
        """What some users have, as those of users 0, 1, ...; nothing for -1."""
        seen = self.pairs.rows(np.maximum(users, 0))
        return seen.select((users >= 0)[seen.queries]) if (users < 0).any() else seen


class Fitted(BaseEstimator):
    """A model, users, items, and what was seen."""

    model_: Model
    users_: Entities
    items_: Entities
    interactions_: Interactions
    history_: History
    columns_: Columns
    context_encoder_: TableEncoder | None
    feedback_: Literal["explicit", "implicit"]
    n_jobs: int | None

    def top(self, users: Codes, n: int, *, exclude: Pairs | None = None) -> tuple[NDArray[np.int32], Floats]:
        """Lists by code, without a table: what evaluations ask.

        Parameters
        ----------
        users : ndarray of codes of `users_`
        n : int
        exclude : Pairs, optional
            Items to leave out for each of these users; by default what they have.

        Returns
        -------
        codes, scores : ndarrays of shape (len(users), n), int32 and float32
            -1 and -inf where fewer items are left.
        """
        exclude = self.history_.seen_by(users) if exclude is None else exclude
        asked = self.model_.asked(self.model_.find(users), None)
        return self.model_.lists(asked, n, exclude, risk=self._usual_risk or 0.0, n_threads=count_threads(self.n_jobs))

    def scores(self, users: Codes, items: Codes, context: sparse.csr_array | None = None) -> Floats:
        """Ratings expected, or scores, by code, pair by pair; -1 for one of whom nothing is known."""
        out, step = np.empty(len(users), np.float32), ROWS_AT_ONCE
        for first in range(0, len(users), step):
            some = slice(first, first + step)
            if context is None:
                out[some] = self.model_.pair_scores(users[some], items[some])
            else:
                asked = self.model_.asked(self.model_.find(users[some]), context[some])
                out[some] = self.model_.scores(asked, items[some])
        return out

    def predict(
        self, users: Any, items: Any, *, context: Any = None, return_std: bool = False
    ) -> Floats | tuple[Floats, Floats]:
        """Ratings expected of pairs; of clicks, scores.

        Parameters
        ----------
        users, items : id, or array-like of ids, of shape (n,)
            Somebody or something unknown is taken for an average one.
        context : mapping of column to value, or table of n rows, optional
            By default the usual one, an average over that of all interactions. A category that the fit never met counts
            for nothing, and a warning names it.
        return_std : bool, default=False
            Of ratings: the standard deviation of a rating, too, of what is not known and of the noise.

        Returns
        -------
        ndarray of shape (n,), float32, or two of them
            Ratings lie within the range of those that were fitted.
        """
        check_is_fitted(self, "model_")
        user, item = self.users_.ids.encode(users), self.items_.ids.encode(items)
        if len(user) != len(item):
            raise InputError(f"users and items must be of one length, got {len(user):,} and {len(item):,}")
        model, told = self.model_, self._context(context, len(user))
        if not isinstance(model, RatingModel):
            if return_std:
                raise InputError("a ranker of clicks tells no standard deviation: return_std is for ratings")
            return self.scores(user, item, told)
        if return_std and not self.tells_std:
            raise InputError("only MCMC and VB tell a standard deviation: leave model='auto', or give one of these")
        if told is None:
            return model.pair_ratings(user, item) if return_std else model.pairs_expected(user, item)
        mean, deviation = np.empty(len(user), np.float32), np.empty(len(user), np.float32)
        for first in range(0, len(user), ROWS_AT_ONCE):
            some = slice(first, first + ROWS_AT_ONCE)
            asked = model.asked(model.find(user[some]), told[some])
            if return_std:
                mean[some], deviation[some] = model.ratings(asked, item[some])
            else:
                mean[some] = model.expected(asked, item[some])
        return (mean, deviation) if return_std else mean

    @property
    def tells_std(self) -> bool:
        """Whether `predict` tells standard deviations: of ratings, by MCMC or VB."""
        return isinstance(self.model_, RatingModel) and self.model_.users.var_vectors.shape[1] > 0

    def score_pairs(self, pairs: Any, *, context: Any = None) -> pa.Table:
        """A table of users and items with a column `score` more, what `predict` gives.

        Parameters
        ----------
        pairs : table
            Its columns of users and items are called as in the fit, or by a usual name. Columns of the context tell it,
            if all of them are there.
        context : mapping of column to value, optional
        """
        check_is_fitted(self, "model_")
        table = as_arrow(pairs)
        names = {"user": self.columns_.user, "item": self.columns_.item}
        given = {role: name for role, name in names.items() if name is not None and name in table.column_names}
        user, item = find_columns(table.column_names, ("user", "item"), given, path="the table of pairs")
        if context is None and self.columns_.context and set(self.columns_.context) <= set(table.column_names):
            context = table
        scores = self.predict(table.column(user), table.column(item), context=context)
        return table.append_column("score", pa.array(scores))

    def _context(self, given: Any, n: int) -> sparse.csr_array | None:
        """The context of n rows."""
        if given is None:
            return None
        if self.context_encoder_ is None:
            raise InputError("the fit had no context: name the columns of one in the fit, by context=")
        names = list(self.columns_.context)
        if isinstance(given, Mapping):
            given = {name: [value] if np.ndim(value) == 0 else value for name, value in given.items()}
        table = as_arrow(given)
        missing = [name for name in names if name not in table.column_names]
        if missing:
            wanted, got = (", ".join(map(repr, columns)) for columns in (names, table.column_names))
            raise InputError(f"the context has the columns {wanted}; got {got}")
        rows = self.context_encoder_.transform(table.select(names))
        for name, levels in self.context_encoder_.unmet(table.select(names)).items():
            others = f" and {len(levels) - 1:,} more" * (len(levels) > 1)
            warnings.warn(
                f"the context '{name}' holds {levels[0]!r}{others}, which the fit never met: it counts for nothing",
                stacklevel=3,
            )
        if rows.shape[0] not in (1, n):
            raise InputError(f"the context must have one row, or one for each of {n:,}, got {rows.shape[0]:,}")
        return rows if rows.shape[0] == n else rows[np.zeros(n, np.intp)]

    def _as_ratings(self, came: Interactions) -> Ratings:
        """Interactions by the codes of the fit; those of unknown items are left out. Users keep their own codes."""
        items = self.items_.ids.encode(came.items.ids)[came.item_codes]
        context = None
        if self.context_encoder_ is not None:
            context = self.context_encoder_.transform(came.context)
        values = np.ones(len(came), np.float32) if came.ratings is None else came.ratings
        known = items >= 0
        if not known.any():
            raise InputError(f"none of the items is known, {came.items.ids[0]} is the first: are ids written alike?")
        return Ratings(came.user_codes, items, values, came.weights, context).select(np.flatnonzero(known))

    def _check_scale(self, came: Interactions, mend: str = WITHIN) -> None:
        """Refuse ratings outside the range of those of the fit: of tables."""

        def told(row: int) -> str:
            user, item = came.users.ids[came.user_codes[row]], came.items.ids[came.item_codes[row]]
            return f"item {item} by user {user}"

        if came.ratings is not None:
            self._check_range(came.ratings, told, mend)

    def _check_range(self, ratings: Floats, told: Callable[[int], str], mend: str = WITHIN) -> None:
        """As of `_check_scale`; of clicks ratings are weights, which may be what they are."""
        if not isinstance(self.model_, RatingModel):
            return
        low, high = self.model_.scale.lowest, self.model_.scale.highest
        outside = (ratings < low) | (ratings > high)
        if outside.any():
            row = int(np.argmax(outside))
            rating = f"the rating {ratings[row]:g} of {told(row)}"
            raise InputError(f"{rating} is outside the scale of the fit, {low:g} to {high:g}: {mend}")

    @property
    def _usual_risk(self) -> float | None:
        """None where there is no deviation."""
        return CAUTION if isinstance(self.model_, RatingModel) else None
