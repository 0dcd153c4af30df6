"""Recommender: tables of interactions, users and items in; lists with their reasons out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Self, get_args

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError
from fmkit.recommend.defaults import Feedback, Quality, check_model, clicks_ranker, feedback_of, in_brief, regressor
from fmkit.recommend.entities import Entities, emptied, feature_of_columns
from fmkit.recommend.fitted import History
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.listing import Listing
from fmkit.recommend.model import Model
from fmkit.recommend.ranking_model import RankingModel
from fmkit.recommend.rating_design import RatingDesign
from fmkit.recommend.rating_model import RatingModel, Ratings
from fmkit.recommend.saved import pack, unpack_into, unpack_parameters
from fmkit.recommend.updating import forgotten, renewed
from fmkit.tables import TableEncoder
from fmkit.threads import count_threads

SAMPLE = 10_000  # ratings by which a model judges itself
LISTS = "lists are of what would be rated best; feedback='implicit' makes those of what is chosen"


class Recommender(Listing):
    """Lists from ratings or clicks, and from what is known of users and items, by factorization machines.

    Ratings are foretold by a machine of the user, the item, what each has rated or is rated by, and the columns of
    their tables, in two hierarchical blocks, by MCMC (VB if "fast"): the fit tells how sure it is, and lists take
    account of that. Clicks are ranked by `FMRanker`. What was chosen, and why, is in `told_`.

    Parameters
    ----------
    model : "auto", FMRegressor, FMOrdinal, FMClassifier or FMRanker, default="auto"
        An estimator of one's own. The first three foretell ratings, as numbers, as ordered classes, or (by MCMC or VB)
        as one of two; scores are then on the latent scale, `predicted` is the rating expected. A ranker ranks
        interactions.
    feedback : {"auto", "explicit", "implicit"}, default="auto"
        "explicit": ratings say what is liked. "implicit": views, plays, purchases; all rows speak for their item.
        "auto" goes by whether there is a column of ratings that differ.
    quality : {"fast", "balanced", "best"}, default="balanced"
        Of "auto": "fast" for a first look; "best" takes two to three times as long as "balanced", and tries all losses
        on more than 500,000 clicks, too.
    n_factors : int, optional
        Of "auto": length of the vectors; by default 16 for ratings (8 if "fast"), 128 for clicks.
    max_iter : int, optional
        Of "auto": sweeps; by default as many as the quality and the number of rows ask for.
    schema : mapping of column to kind, optional
        What columns of users, items and the context hold, in place of what is recognised; as for `TableEncoder`.
    n_jobs : int, optional
        Threads; None or -1 for every core.
    random_state : int, default=0
    verbose : int, default=0
        1 shows a progress bar on stderr.

    Attributes
    ----------
    told_ : list of str
        What was found in the tables and chosen.
    feedback_ : {"explicit", "implicit"}
    features_ : dict of {"users", "items", "context"} to list of fmkit.tables.Feature
        How each column entered, and why.
    users_, items_ : fmkit.recommend.entities.Entities
        `ids.ids` are the ids, those of the tables that nobody met yet at the end.
    interactions_ : fmkit.recommend.interactions.Interactions
        What was fitted.
    model_ : RatingModel or RankingModel
    fitted_ : dict of str
        When the fit was, how long it took, of how many rows, users and items, and how good it is by itself: of ratings
        the RMSE by its own reckoning (on MovieLens latest-small 4 % too low), of clicks NDCG@10 on the part set aside.

    Examples
    --------
    >>> from fmkit.recommend import Recommender
    >>> ratings = {"user": ["ann", "ann", "bob", "bob", "cat"], "item": [1, 2, 2, 3, 1], "rating": [5, 1, 1, 4, 5]}
    >>> recommender = Recommender(random_state=0).fit(ratings)
    >>> recommender.recommend(["ann"])["item"].to_pylist()
    [3]
    >>> recommender.feedback_
    'explicit'
    """

    told_: list[str]
    fitted_: dict[str, Any]

    def __init__(
        self,
        model: Any = "auto",
        *,
        feedback: Feedback = "auto",
        quality: Quality = "balanced",
        n_factors: int | None = None,
        max_iter: int | None = None,
        schema: Mapping[str, Any] | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.feedback = feedback
        self.quality = quality
        self.n_factors = n_factors
        self.max_iter = max_iter
        self.schema = schema
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        interactions: Any,
        *,
        users: Any = None,
        items: Any = None,
        user: str = "user",
        item: str = "item",
        rating: str | None = None,
        weight: str | None = None,
        time: str | None = None,
        context: str | Sequence[str] | None = None,
    ) -> Self:
        """Fit to tables.

        Parameters
        ----------
        interactions : DataFrame, pyarrow.Table, mapping of columns, path, or sequence of paths
            A row a rating, or a click. DataFrames of pandas, polars, or whatever else narwhals reads; files are CSV,
            TSV or Parquet, compressed or not. Of several ratings of an item by a user, in the same context, the last
            counts.
        users, items : table or path, optional
            What is known of them, a row each; their columns become features (`features_`). Ids that nobody met yet can
            be asked for, too.
        user, item : str
            Columns of ids; where the table has no "user" or "item", usual names are looked for (userId, movie_id, ...).
        rating : str, optional
            Column of ratings, numbers; by default one of a usual name.
        weight : str, optional
            Column of what a row counts.
        time : str, optional
            Column that says which of several ratings is the last; by default one of a usual name. It is no feature:
            make it one by `context`.
        context : str or sequence of str, optional
            Columns that tell in what context a rating or click was given (weekday, device, ...). A fit of ratings with
            a context takes several times as long. Of clicks, what is chosen more often in a context than the histories
            of who is there lead to expect goes up in its lists (`fmkit.ranking.lifts`).

        Raises
        ------
        InputError
            If a table is not as it should be; the message says what to do.
        OSError
            If a file cannot be read.
        """
        self._check()
        started = monotonic()
        names = (context,) if isinstance(context, str) else tuple(context or ())
        given = Columns(
            user=None if user == "user" else user,
            item=None if item == "item" else item,
            rating=rating,
            weight=weight,
            time=time,
            context=names,
        )
        self.told_ = []
        self.columns_, came = given, self._read(interactions, given)
        if came.weights is not None and not came.weights.any():
            raise InputError(f"all rows weigh 0 in column '{weight}': some must count, with a weight above 0")
        self.feedback_, why = feedback_of(came.ratings, self.feedback, self.model)
        self.told_.append(f"{_counted(len(came), 'row')} of {self.feedback_} feedback: {why}")
        self.users_ = Entities.of(came.users, users, "user", user, self.schema)
        self.items_ = Entities.of(came.items, items, "item", item, self.schema)
        self._tell_entities()
        self.context_encoder_ = None
        if names:
            own = {name: kind for name, kind in (self.schema or {}).items() if name in names}
            self.context_encoder_ = TableEncoder(own or None).fit(came.context)
        self._check_schema(names)
        if self.feedback_ == "implicit":
            came = replace(came, ratings=None)  # which later rows need not have
        self.interactions_ = replace(came, users=self.users_.ids, items=self.items_.ids)
        ratings = self._remember()
        self.model_ = self._fit_model(ratings, names)
        self.fitted_ = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": len(ratings),
            "users": len(came.users),
            "items": len(came.items),
            "seconds": round(monotonic() - started, 2),
            "good": self._how_good(ratings),
        }
        return self

    def partial_fit(self, interactions: Any) -> Self:
        """Go on with today's rows: users and items that they touch are solved for again, everything else as it is.

        Of ratings, that is exact for the fields touched: each of these users, then each of these items, then the users
        once more has the solution that all of its ratings, old and new, ask for; rows that the fit had already touch
        nobody. New users and items are taken in. A ranker of clicks makes a sweep over all pairs.

        Ratings beyond those of the fit are refused, as more likely of another scale, or a slip of the keys, than meant.

        Parameters
        ----------
        interactions : as in `fit`
            With the columns of the fit.
        """
        if not hasattr(self, "model_"):
            return self.fit(interactions)
        came = self._read(interactions, self.columns_)
        self._check_scale(came, "if the scale has changed, fit anew to all rows")
        before = len(self.users_), len(self.items_)
        users, items = self.users_.taking_in(came.users.ids), self.items_.taking_in(came.items.ids)
        if self.feedback_ == "implicit":
            came = replace(came, ratings=None)
        came = came.recoded(users.ids, items.ids)
        if self.feedback_ == "explicit":
            came = came.beside(self.interactions_)
        joined = self.interactions_.joined(came)
        if isinstance(self.model_, RankingModel):
            codes = came.user_codes, came.item_codes
            groups = feature_of_columns(self.context_encoder_)
            ranked = self.model_.renewed(*codes, came.weights, (users, items))
            model: Model = ranked.with_contexts_of(self._ratings_of(joined), groups)
        else:
            assert isinstance(self.model_, RatingModel)
            ratings = self._ratings_of(joined)
            touched = came.user_codes, came.item_codes
            model = renewed(self.model_, users, items, ratings, touched, count_threads(self.n_jobs))
        self.users_, self.items_, self.interactions_, self.model_ = users, items, joined, model
        self._remember()
        new = len(users) - before[0], len(items) - before[1]
        users_new, items_new = _counted(new[0], "new user"), _counted(new[1], "new item")
        self.told_.append(f"{_counted(len(came), 'row')} more, with {users_new} and {items_new}")
        return self

    def forget(self, users: Any) -> Self:
        """Take users out: their rows, their vectors, and what they added to the vectors of the items that they met.

        These items are solved for again, everything else as it is. A category, or a number's place, that only they had
        is gone too. Ids that are unknown are passed over.

        Parameters
        ----------
        users : id, or array-like of ids
        """
        check_is_fitted(self, "model_")
        codes = np.unique(self.users_.ids.encode(users))
        codes = codes[codes >= 0]
        if not len(codes):
            self.told_.append("forgotten: 0 users, none of these was known")
            return self
        kept = np.setdiff1d(np.arange(len(self.users_)), codes)
        gone = np.isin(self.interactions_.user_codes, codes)
        if gone.all():
            raise InputError("nobody would be left: these users have all interactions")
        touched = np.unique(self.interactions_.item_codes[gone])
        place = np.full(len(self.users_), -1, np.int32)
        place[kept] = np.arange(len(kept), dtype=np.int32)
        left = self.interactions_.select(~gone)
        entities, stay = self.users_.remaining(kept)
        interactions = replace(left, users=entities.ids, user_codes=place[left.user_codes])
        ratings, model = self._ratings_of(interactions), self.model_
        if self.context_encoder_ is not None and ratings.context is not None:
            nowhere = emptied(self.history_.ratings.context, ratings.context)
            self.context_encoder_, known = self.context_encoder_.without(nowhere)
            ratings = replace(ratings, context=ratings.context[:, known])
            if isinstance(model, RatingModel):
                model = replace(model, context=model.context[known])
        if isinstance(model, RankingModel):
            groups = feature_of_columns(self.context_encoder_)
            self.model_ = model.without(codes, stay).with_contexts_of(ratings, groups)
        else:
            assert isinstance(model, RatingModel)
            n_threads = count_threads(self.n_jobs)
            self.model_ = forgotten(model, kept, stay, entities, self.items_, ratings, touched, n_threads)
        self.users_, self.interactions_ = entities, interactions
        self._remember()
        self.told_.append(f"forgotten: {_counted(len(codes), 'user')} with {_counted(int(gone.sum()), 'row')}")
        return self

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Any]]:
        check_is_fitted(self, "model_")
        return pack(self)

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, Any]) -> Self:
        recommender = cls(**unpack_parameters(facts))
        recommender._check()
        unpack_into(recommender, facts, arrays)
        recommender._remember()
        return recommender

    @property
    def features_(self) -> dict[str, list[Any]]:
        """How each column entered."""
        encoders = {"users": self.users_.encoder, "items": self.items_.encoder, "context": self.context_encoder_}
        return {side: [] if encoder is None else encoder.features_ for side, encoder in encoders.items()}

    def _check(self) -> None:
        for name, allowed in (("feedback", get_args(Feedback)), ("quality", get_args(Quality))):
            if getattr(self, name) not in allowed:
                options = ", ".join(map(repr, allowed))
                raise InputError(f"{name} must be one of {options}, got {getattr(self, name)!r}")
        for name in ("n_factors", "max_iter"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name} must be an integer of at least 1, or None, got {value!r}")
        if self.model != "auto":
            check_model(self.model)

    def _check_schema(self, context: Sequence[str]) -> None:
        known = [*context]
        for side in (self.users_, self.items_):
            known += [] if side.table is None else side.table.column_names
        for name in self.schema or {}:
            if name not in known:
                raise InputError(f"the schema names the column '{name}', which no table has: {', '.join(known)}")

    def _read(self, source: Any, columns: Columns) -> Interactions:
        """Interactions, in order of time if a column tells it."""
        if isinstance(source, Interactions):
            return source
        came, by = Interactions.in_time(source, columns)
        if came.n_replaced:
            left_out, order = _counted(came.n_replaced, "rating"), f"by '{by}'" if by else "further down"
            self.told_.append(f"left out: {left_out}, because the same user rated the same item again later, {order}")
        return came

    def _tell_entities(self) -> None:
        for name, side in (("users", self.users_), ("items", self.items_)):
            if side.n_replaced:
                self.told_.append(f"the table of {name} tells of {side.n_replaced:,} twice: the last row counts")
            if side.encoder is not None:
                kinds = ", ".join(f"{one.column} ({one.kind})" for one in side.encoder.features_)
                self.told_.append(f"features of {name}: {kinds}")

    def _fit_model(self, ratings: Ratings, names: Sequence[str]) -> Model:
        """The model that was given, or the one that the data ask for."""
        how: dict[str, Any] = {"n_jobs": self.n_jobs, "random_state": self.random_state, "verbose": self.verbose}
        settings = len(ratings), self.quality, self.n_factors, self.max_iter
        if self.feedback_ == "explicit":
            estimator = regressor(*settings, **how) if self.model == "auto" else clone(self.model)
            with_partners = estimator.solver in ("mcmc", "vb")  # the others know no prior for sets of hundreds
            self.told_ += ["ratings are foretold by " + in_brief(estimator, with_partners), LISTS]
            design = RatingDesign.of(self.users_, self.items_, ratings.users, ratings.items, with_partners)
            return RatingModel.fit(design, ratings, estimator)
        ranker = clicks_ranker(*settings, **how) if self.model == "auto" else clone(self.model)
        sides = self.users_.features, self.items_.features
        model = RankingModel.fit(*sides, ratings, ranker, feature_of_columns(self.context_encoder_))
        weights = ", ".join(f"{name} ({weight:.2f})" for name, weight in ranker.weights_.items())
        self.told_.append(f"clicks are ranked by {weights}")
        if model.lifts is not None:
            self.told_.append(f"what is chosen more often there counts more in a context: {', '.join(names)}")
        return model

    def _how_good(self, ratings: Ratings) -> dict[str, float]:
        if isinstance(self.model_, RankingModel):
            return {f"ndcg@10, {name}": value for name, value in self.model_.ranker.validation_.items()}
        assert isinstance(self.model_, RatingModel)
        if not self.model_.users.var_vectors.shape[1]:
            return {}
        some = np.random.default_rng(0).integers(0, len(ratings), SAMPLE)
        users, items = ratings.users[some], ratings.items[some]
        distinct, place = np.unique(users, return_inverse=True)  # without the kernels of `predict`, for a quick start
        asked = self.model_.asked(self.model_.find(distinct)).select(place)
        _, deviations = self.model_.ratings(asked, items)
        return {"rmse by its own reckoning": float(np.sqrt(np.mean(np.square(deviations))))}

    def _ratings_of(self, interactions: Interactions) -> Ratings:
        values = interactions.ratings
        if values is None:
            values = np.ones(len(interactions), np.float32)
        context = None if self.context_encoder_ is None else self.context_encoder_.transform(interactions.context)
        codes = interactions.user_codes, interactions.item_codes
        return Ratings(*codes, values, interactions.weights, context)

    def _remember(self) -> Ratings:
        """What lists leave out and reasons go by."""
        ratings = self._ratings_of(self.interactions_)
        self.history_ = History(ratings, len(self.users_), len(self.items_))
        return ratings


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"
