"""A recommender asked for lists: of users known and new, of what is alike, and of vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError
from fmkit.linalg import unit_length
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.topn import top_n
from fmkit.recommend.entities import Entities
from fmkit.recommend.explaining import Explaining, known_codes
from fmkit.recommend.fitted import ROWS_AT_ONCE
from fmkit.recommend.interactions import Interactions
from fmkit.recommend.model import Floats
from fmkit.recommend.rating_model import RatingModel, Ratings
from fmkit.recommend.vocabulary import plain_ids
from fmkit.recommend.wishes import Wishes
from fmkit.threads import count_threads

LIKED = 0.9  # quantile of all ratings that stands for what somebody likes


class Listing(Explaining):
    """Lists."""

    def recommend(
        self,
        users: Any = None,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Any = None,
        filter: Any = None,
        context: Any = None,
        diversity: float = 0.0,
        at_most: Mapping[str, int] | None = None,
        pinned: Any = None,
        risk: float | Literal["explore"] | None = None,
        explain: bool = False,
        random_state: int | None = None,
    ) -> pa.Table:
        """The best n items of each user, exactly.

        Ratings are ranked by the rating expected less `risk` standard deviations of what is not known of user and item,
        so that an item which few liked much does not go before one that many did.

        Parameters
        ----------
        users : id, or array-like of ids, optional
            Integers or text; None for all users. Somebody unknown gets what people like best on average.
        n : int, default=10
        exclude_seen : bool, default=True
            Leave out what the user has already.
        candidates : id, or array-like of ids, optional
            List only these items.
        filter : str, mapping, callable or mask, optional
            List only items that fulfil it, by the columns of the table of items, ids too: "year >= 1990 and 'Comedy' in
            genres", {"language": ["en", "fr"]}, a function of the table, or a mask in the order of `items_`. Without
            such a table, ids are called "item". If it lets nothing through, a warning tells the value nearest to it.
        context : mapping of column to value, or table of a row a user, optional
            The context of these lists; by default the usual one, an average over that of all interactions.
        diversity : float, default=0.0
            0 to 1: how much an item counts less the more it is like those before it in the list (maximal marginal
            relevance, among the 10 n best).
        at_most : mapping of column to int, optional
            {"author": 2}: no more than two items of an author in a list; of columns of sets, for each member.
        pinned : id, or array-like of ids, optional
            Items that stand first in every list, in this order.
        risk : float or "explore", optional
            Standard deviations to take off; 0 ranks by the rating expected, a negative one seeks what is not known.
            "explore" ranks by a draw of what the ratings allow (Thompson sampling). The default is 2 for ratings; a
            ranker of clicks tells no deviation.
        explain : bool, default=False
            Add a column `reason`, in words. It takes about a millisecond a user.
        random_state : int, optional
            Of "explore"; by default another draw for each call.

        Returns
        -------
        pyarrow.Table
            Columns user, rank (from 1), item, title (if the table of items has one), score (float32, by which the list
            is ranked); of ratings, predicted: the rating expected, within the range of those that were fitted. Users in
            the order given, at most n rows a user.
        """
        batches = self.recommend_batches(
            users,
            n,
            exclude_seen=exclude_seen,
            candidates=candidates,
            filter=filter,
            context=context,
            diversity=diversity,
            at_most=at_most,
            pinned=pinned,
            risk=risk,
            explain=explain,
            random_state=random_state,
        )
        return pa.Table.from_batches(batches)

    def recommend_batches(
        self, users: Any = None, n: int = 10, *, context: Any = None, random_state: int | None = None, **wishes: Any
    ) -> Iterator[pa.RecordBatch]:
        """As `recommend`, some thousand users at a time: for all users of a large table in bounded memory.

        Parameters
        ----------
        users, n, context, random_state, **wishes
            As of `recommend`.
        """
        check_is_fitted(self, "model_")
        wanted = Wishes.of(self.items_, n, self._usual_risk, **wishes)
        ids = self.users_.ids.ids if users is None else plain_ids(users)
        codes = self.users_.ids.encode(ids)
        told, rng = self._context(context, len(codes)), np.random.default_rng(random_state)
        step = max(1, ROWS_AT_ONCE // wanted.n)
        for first in range(0, max(len(codes), 1), step):
            some = slice(first, first + step)
            people, seen = self.model_.find(codes[some]), self.history_.seen_by(codes[some])
            batch, row, item = self._lists(people, seen, None if told is None else told[some], wanted, rng)
            if wanted.explain:
                own = [self.history_.of(int(code)) for code in codes[some]]
                words = self._reasons_in_words(people, codes[some], own, row, item)
                batch = batch.append_column("reason", words)
            yield batch.add_column(0, "user", ids[some].take(pa.array(row)))

    def recommend_for(
        self,
        ratings: Any = None,
        n: int = 10,
        *,
        likes: Any = None,
        features: Mapping[str, Any] | None = None,
        context: Any = None,
        random_state: int | None = None,
        **wishes: Any,
    ) -> pa.Table:
        """A list for somebody whom the fit never saw: folded in, nothing is trained.

        The user's weight and factors are the exact solution of the one system that a user with these ratings has,
        everything else as it is.

        Parameters
        ----------
        ratings : mapping of item to rating, or table of interactions, optional
            One person's; or, with the columns of the fit, those of many.
        n : int, default=10
        likes : id, or array-like of ids, optional
            Items that the person has, or likes: as if rated higher than nine tenths of all ratings.
        features : mapping of column to value, optional
            Of the person, by the columns of the table of users.
        context, random_state, **wishes
            As of `recommend`.

        Returns
        -------
        pyarrow.Table
            As of `recommend`; without the column user for one person.

        Raises
        ------
        InputError
            If items were given and none of them is known, or a rating lies outside the range of those of the fit.
            Single unknown items are left out.
        """
        check_is_fitted(self, "model_")
        wanted = Wishes.of(self.items_, n, self._usual_risk, **wishes)
        if ratings is None or isinstance(ratings, Mapping):
            ids, told = None, self._of_one(dict(ratings or {}), likes, context)
        else:
            if likes is not None:
                raise InputError("likes are one person's: give them, or a table of interactions")
            came, _ = Interactions.in_time(ratings, self.columns_)
            self._check_scale(came)
            ids, told = came.users.ids, self._as_ratings(came)
        n_people = 1 if ids is None else len(ids)
        people = self.model_.folded(told, self._features_of(features, n_people), count_threads(self.n_jobs))
        had = Pairs.of(np.stack([told.users, told.items], axis=1), n_people, len(self.items_))
        rng = np.random.default_rng(random_state)
        batch, row, item = self._lists(people, had, self._context(context, n_people), wanted, rng)
        if wanted.explain:
            own = [told.select(np.flatnonzero(told.users == person)) for person in range(n_people)]
            words = self._reasons_in_words(people, np.full(n_people, -1), own, row, item)
            batch = batch.append_column("reason", words)
        table = pa.Table.from_batches([batch])
        return table if ids is None else table.add_column(0, "user", ids.take(pa.array(row)))

    def newcomer(self, ratings: Mapping[Any, float], features: Mapping[str, Any] | None = None) -> tuple[Any, Ratings]:
        """Somebody whom the fit never saw, folded in: as `model_` takes people, and what of the ratings is known.

        For what stands on models, such as `fmkit.recommend.reasons.reasons`; a list is made by `recommend_for`.

        Parameters
        ----------
        ratings : mapping of item to rating
        features : mapping of column to value, optional

        Examples
        --------
        >>> from fmkit.recommend import Recommender
        >>> table = {"user": ["ann", "ann", "bob", "bob"], "item": [1, 2, 2, 3], "rating": [5, 1, 1, 4]}
        >>> person, known = Recommender(random_state=0).fit(table).newcomer({1: 5, 99: 3})
        >>> known.values.tolist()
        [5.0]
        """
        check_is_fitted(self, "model_")
        told = self._of_one(dict(ratings), None, None)
        return self.model_.folded(told, self._features_of(features, 1), count_threads(self.n_jobs)), told

    def similar_items(self, items: Any, n: int = 10) -> pa.Table:
        """Items whose factors point the same way.

        Parameters
        ----------
        items : id, or array-like of ids
            Of the fit.
        n : int, default=10

        Returns
        -------
        pyarrow.Table
            Columns item, rank, similar, title (of the similar one, if known), similarity: the cosine, float32.
        """
        check_is_fitted(self, "model_")
        return self._similar("item", self.items_, self.model_.item_factors, items, n)

    def similar_users(self, users: Any, n: int = 10) -> pa.Table:
        """Users whose factors point the same way, as `similar_items`."""
        check_is_fitted(self, "model_")
        return self._similar("user", self.users_, self.model_.user_factors, users, n)

    def vectors(self, side: Literal["items", "users"] = "items") -> pa.Table:
        """Vectors for a vector database: a score is the inner product of a user's and an item's, and the user's level.

        A user's list is then a search for the largest inner products; the level is the same for all items. Ratings are
        those expected, in the usual context. Of a ranker with item-item weights, what these add is not in the vectors.

        Parameters
        ----------
        side : {"items", "users"}

        Returns
        -------
        pyarrow.Table
            Columns id, vector (a list of float32 of fixed length) and, of users, level.
        """
        check_is_fitted(self, "model_")
        if side not in ("items", "users"):
            raise InputError(f"side must be 'items' or 'users', got {side!r}")
        if side == "items":
            return pa.table({"id": self.items_.ids.ids, "vector": _listed(self.model_.item_vectors)})
        asked = self.model_.asked(self.model_.find(np.arange(len(self.users_))), None)
        return pa.table({"id": self.users_.ids.ids, "vector": _listed(asked.vectors), "level": pa.array(asked.level)})

    def _lists(self, people: Any, seen: Pairs, told: Any, wanted: Wishes, rng: np.random.Generator) -> Any:
        """Lists of some people, as columns without one of users; the number of the person and the item of each row."""
        model, n_threads = self.model_, count_threads(self.n_jobs)
        asked = model.asked(people, told)
        exclude = seen if wanted.exclude_seen else seen.select(np.zeros(len(seen), bool))
        if wanted.explore and isinstance(model, RatingModel):
            drawn = model.drawn(rng)
            codes, scores = wanted.lists(drawn, drawn.asked(people.drawn(rng), told), exclude, n_threads)
        else:
            codes, scores = wanted.lists(model, asked, exclude, n_threads)
        row, rank = np.nonzero(codes >= 0)
        item = codes[row, rank]
        columns = {"rank": pa.array(rank.astype(np.int32) + 1), "item": self.items_.ids.decode(item)}
        if self.items_.titles is not None:
            columns["title"] = self.items_.titles.take(pa.array(item))
        columns["score"] = pa.array(scores[row, rank])
        if isinstance(model, RatingModel):
            columns["predicted"] = pa.array(model.expected(asked.select(row), item))
        return pa.RecordBatch.from_pydict(columns), row, item

    def _of_one(self, rated: Mapping[Any, float], likes: Any, context: Any) -> Ratings:
        """One person's ratings and likes; what is unknown is left out."""
        liked = [] if likes is None else [one for one in plain_ids(likes).to_pylist() if one not in rated]
        high = 1.0
        if liked and self.interactions_.ratings is not None:
            high = float(np.quantile(self.interactions_.ratings, LIKED))
        try:
            values = np.array([*rated.values(), *[high] * len(liked)], np.float32)
        except (TypeError, ValueError):  # text, or a table as a mapping of columns
            values = np.array([np.nan], np.float32)
        if not np.isfinite(values).all():
            raise InputError("ratings must be finite numbers, one for each item: {item: rating}")
        self._check_range(values, lambda row: f"item {[*rated, *liked][row]}")
        items = self.items_.ids.encode(plain_ids([*rated, *liked])) if len(values) else np.empty(0, np.int32)
        known = np.flatnonzero(items >= 0)
        if len(values) and not len(known):
            raise InputError(
                f"none of the items is known, {[*rated, *liked][0]!r} is the first: are ids written alike?"
            )
        told = self._context(context, 1)
        told = None if told is None else told[np.zeros(len(known), np.intp)]
        weights = None
        if self.feedback_ == "implicit":  # what a click counts; one of 0 is none
            known = known[values[known] > 0]
            weights = values[known]
        return Ratings(np.zeros(len(known), np.int32), items[known], values[known], weights, told)

    def _features_of(self, given: Mapping[str, Any] | None, n: int) -> sparse.csr_array:
        if given is None:
            return sparse.csr_array((n, self.users_.features.shape[1]), dtype=np.float32)
        if self.users_.encoder is None:
            raise InputError("features of a person need a table of users: give users= to fit")
        return self.users_.encoded([given] * n)

    def _similar(self, role: str, entities: Entities, factors: Floats, ids: Any, n: int) -> pa.Table:
        if n < 1:
            raise InputError(f"n must be at least 1, got {n}")
        codes = known_codes(entities, ids, role)
        factors = unit_length(factors)
        own = np.arange(len(codes) + 1)
        n_threads = count_threads(self.n_jobs)
        found, cosine = top_n(factors[codes], factors, min(n, len(entities)), own, codes, n_threads)
        row, rank = np.nonzero(found >= 0)
        columns = {role: entities.ids.decode(codes[row]), "rank": pa.array(rank.astype(np.int32) + 1)}
        columns["similar"] = entities.ids.decode(found[row, rank])
        if entities.titles is not None:
            columns["title"] = entities.titles.take(pa.array(found[row, rank]))
        return pa.table({**columns, "similarity": pa.array(cosine[row, rank])})


def _listed(vectors: Floats) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
