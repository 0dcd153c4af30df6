"""A score as a sum of parts: an FM is additive, so nothing is left over."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.ranking.factors import as_features
from fmkit.recommend.entities import Entities
from fmkit.recommend.ranking_model import AskedRanking, RankingModel
from fmkit.recommend.rating_model import Asked, RatingModel
from fmkit.recommend.rating_side import RatingSide

Parts = list[tuple[str, NDArray[np.float64]]]  # what each adds to the score of every item


def rating_parts(
    model: RatingModel, user: RatingSide, asked: Asked, items: NDArray[Any], users_known: Entities, known: Entities
) -> Parts:
    """Mean + user + item + context + every pair of what is known of the user, of the item and of the context.

    Parameters
    ----------
    model : RatingModel
    user, asked : RatingSide and Asked, of one
    items : ndarray of codes
    users_known, known : Entities
        What names the features of users and of items.
    """
    side, n = model.items.select(items), len(items)
    with_context = len(model.context) > 0
    context = asked.vectors[0, :-1].astype(np.float64) - user.vectors[0]
    of_context = float(asked.level[0]) - model.bias - float(user.weights[0]) - float(context @ user.vectors[0])
    of_user = _vectors(user, len(model.items), "rated before", users_known.feature_names)
    parts: Parts = [("mean", np.full(n, model.bias)), ("user", np.full(n, float(user.weights[0])))]
    parts.append(("item", side.weights.astype(np.float64)))
    if with_context:
        parts.append(("context", np.full(n, of_context)))
        parts += [(f"{name} × context", np.full(n, float(q[0] @ context))) for name, q in of_user]
    of_item = _vectors(side, len(model.users), "rated by", known.feature_names)
    for name, q in of_item:
        if with_context:
            parts.append((f"context × {name}", q @ context))
        parts += [(f"{mine} × {name}", q @ p[0]) for mine, p in of_user]
    return parts


def _vectors(
    side: RatingSide, n_partners: int, partners: str, features: list[str]
) -> list[tuple[str, NDArray[np.float64]]]:
    """The vectors of rows, taken apart: ids, partners, and each feature that one of them has."""
    V, rows = side.members[:, :-1].astype(np.float64), side.rows
    found = []
    of_partners = rows[:, :n_partners] @ V[:n_partners]
    rest = side.vectors.astype(np.float64) - of_partners
    if of_partners.any():
        found.append((partners, of_partners))
    by_column = rows[:, n_partners:].tocsc()
    for j in np.flatnonzero(np.diff(by_column.indptr)):
        one = by_column[:, [j]] @ V[[n_partners + j]]
        rest -= one
        found.append((features[j], one))
    return [("id", rest), *found]


def ranking_parts(model: RankingModel, asked: AskedRanking, code: int, items: NDArray[Any], names: list[str]) -> Parts:
    """What the item weighs by itself, what each item that the user has adds, each of the user's features, the user.

    Parameters
    ----------
    model : RankingModel
    asked : AskedRanking
        Of one.
    code : int
        Of a user of the fit; -1 for a new one, whose features are part of "user".
    items : ndarray of codes
    names : list of str
        Of the items, by code, then of the users' features.
    """
    ranking, histories = model.ranker.ranking_, asked.histories
    n_items = ranking.pairs.n_items
    found: dict[str, NDArray[np.float64]] = {"item": np.zeros(len(items))}
    row = ranking.queries[[code]] if code >= 0 else None
    start = 0
    for factors, Z in zip(ranking.factors, ranking.item_parts, strict=True):
        own = asked.of_users[:, start : start + Z.shape[1]]
        start += Z.shape[1]
        scale = float(own[0, -1])  # of a vector [V'x, 1], times what the machine counts in the blend
        z, V = Z[items, :-1].astype(np.float64), factors.machine.query_factors
        found["item"] += scale * Z[items, -1]
        if factors.power is not None:
            history = as_features(histories, factors.power)
            for j, x in zip(history.indices, history.data, strict=True):
                _add(found, f"has {names[j]}", scale * x * (z @ V[len(V) - n_items + j]))
        elif factors.loss == "implicit" and len(histories):
            for j, share in zip(histories.items, factors.shares(histories, Z, ranking.present), strict=True):
                _add(found, f"has {names[j]}", scale * (z @ share))
            continue  # which is the vector about what features tell: their part is in "user"
        if row is None:
            continue
        mine = row if factors.columns is None else row[:, factors.columns]
        at = np.arange(row.shape[1]) if factors.columns is None else factors.columns
        for j, x in zip(mine.indices, mine.data, strict=True):
            if at[j] < len(names) - n_items:
                _add(found, names[n_items + at[j]], scale * x * (z @ V[j]))
    if ranking.item_item is not None and ranking.weights[-1] > 0 and len(histories):
        B = ranking.item_item.weights
        deviation = max(float(B[histories.items].sum(axis=0).std()), 1e-10)
        for j in histories.items:
            _add(found, f"has {names[j]}", ranking.weights[-1] / deviation * B[j, items].astype(np.float64))
    if model.lifts is not None and asked.of_contexts.any():
        _add(found, "context", model.lifts.items[items].astype(np.float64) @ asked.of_contexts[0])
    rest = -sum(found.values()) + model.scores(asked.select(np.zeros(len(items), np.intp)), items).astype(np.float64)
    return [*found.items(), ("user", rest)]


def _add(found: dict[str, NDArray[np.float64]], name: str, values: NDArray[np.float64]) -> None:
    found[name] = found.get(name, 0) + values
