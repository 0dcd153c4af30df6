"""A rating model after today's rows, or without somebody's: what rows touch is solved for again, the rest stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.recommend.entities import Entities
from fmkit.recommend.model import Codes
from fmkit.recommend.rating_design import known_of, pairs_of
from fmkit.recommend.rating_model import RatingModel, Ratings
from fmkit.recommend.rating_side import RatingSide


def renewed(
    model: RatingModel,
    users: Entities,
    items: Entities,
    ratings: Ratings,
    touched: tuple[Codes, Codes],
    n_threads: int,
) -> RatingModel:
    """With further users, items and ratings.

    Parameters
    ----------
    model : RatingModel
    users, items : Entities
        Those of the model first.
    ratings : Ratings
        All of them, old and new.
    touched : pair of ndarrays of codes
        Users and items that new ratings are of.
    n_threads : int
    """
    pairs = pairs_of(ratings.users, ratings.items, len(users), len(items))
    of_users = _grown(model.users, users, pairs, len(model.items))
    of_items = _grown(model.items, items, pairs.T.tocsr(), len(model.users))
    model = replace(model, users=of_users, items=of_items)
    model = _with_users(model, np.unique(touched[0]), ratings, n_threads)
    model = _with_items(model, np.unique(touched[1]), ratings, n_threads)
    return _with_users(model, np.unique(touched[0]), ratings, n_threads)


def forgotten(
    model: RatingModel,
    kept: Codes,
    stay: NDArray[np.bool_],
    users: Entities,
    items: Entities,
    ratings: Ratings,
    touched: Codes,
    n_threads: int,
) -> RatingModel:
    """Without some users, and the features that only they had.

    Parameters
    ----------
    model : RatingModel
    kept : ndarray of codes, ascending
        The users who stay.
    stay : bool ndarray of shape (n_features,)
        Features that some of them have.
    users, items : Entities
        Those who stay, and all items.
    ratings : Ratings
        Those that stay, by the codes of `users`.
    touched : ndarray of codes
        Items that the others rated.
    n_threads : int
    """
    pairs = pairs_of(ratings.users, ratings.items, len(users), len(items))
    side, n_before = model.items, len(model.users)
    if _with_partners(side, items, n_before):
        members = np.concatenate([side.members[:n_before][kept], side.members[n_before:]])
        side = replace(side, members=members, rows=known_of(items, pairs.T.tocsr()))
    of_users = model.users.select(kept)
    columns = np.append(np.ones(len(of_users.members) - len(stay), bool), stay)
    of_users = replace(of_users, rows=of_users.rows[:, columns], members=of_users.members[columns])
    model = replace(model, users=of_users, items=side)
    return _with_items(model, touched, ratings, n_threads)


def _with_partners(side: RatingSide, entities: Entities, n_partners: int) -> bool:
    return bool(len(side.members) == n_partners + entities.features.shape[1])


def _grown(side: RatingSide, entities: Entities, partners: sparse.csr_array, n_partners: int) -> RatingSide:
    """A side with further entities and partners; what the latter tell is not known yet."""
    rows, members = entities.features, side.members
    if _with_partners(side, entities, n_partners):
        rows = known_of(entities, partners)
        nothing = np.zeros((partners.shape[1] - n_partners, members.shape[1]), np.float32)
        members = np.concatenate([members[:n_partners], nothing, members[n_partners:]])
    grown = replace(side, rows=rows, members=members)
    n = len(side)
    return replace(grown.joined(grown.unrated(rows[n:])), rows=rows) if len(entities) > n else grown


def _with_users(model: RatingModel, codes: Codes, ratings: Ratings, n_threads: int) -> RatingModel:
    """With some users solved for by all of their ratings."""
    own, some = _of(codes, ratings.users, len(model.users), ratings)
    side = model.fold(model.users, model.items, model.users.rows[codes], own, some.items, some, n_threads)
    return replace(model, users=model.users.put(codes, side))


def _with_items(model: RatingModel, codes: Codes, ratings: Ratings, n_threads: int) -> RatingModel:
    """With some items solved for by all of their ratings."""
    own, some = _of(codes, ratings.items, len(model.items), ratings)
    side = model.fold(model.items, model.users, model.items.rows[codes], own, some.users, some, n_threads)
    return replace(model, items=model.items.put(codes, side))


def _of(codes: Codes, column: Codes, n: int, ratings: Ratings) -> tuple[Codes, Ratings]:
    """The ratings of some users or items, and the place in `codes` of whose each is."""
    place = np.full(n, -1, np.int32)
    place[codes] = np.arange(len(codes), dtype=np.int32)
    rows = np.flatnonzero(place[column] >= 0)
    return place[column[rows]], ratings.select(rows)
