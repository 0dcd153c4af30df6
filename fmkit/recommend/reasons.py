"""Why an item is recommended: what each past rating adds to its score, and in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.recommend.rating_model import RatingModel, Ratings
from fmkit.recommend.rating_side import RatingSide

WORTH_SAYING = 0.05  # of a rating: less would be told as 0.0


@dataclass(frozen=True)
class Reason:
    """A predicted rating taken apart; the parts add up to it.

    Parameters
    ----------
    bias : float
        Level of all ratings.
    level : float
        What the user gives more (or less) than others, whatever the item; in the context asked for.
    appeal : float
        What the item gets more (or less) than others, whoever the user.
    rated : ndarray of shape (n_rated,), int32
        Codes of the items that the user rated.
    ratings : ndarray of shape (n_rated,), float32
        How the user rated them.
    influences : ndarray of shape (n_rated,), float64
        What each of these ratings adds to the match of this user with this item: what the score would lose if the
        rating were the one expected of somebody of whom all but the ratings' values is known.
    rest : float
        What the match has beside: of what was rated, whatever the ratings, and of what is known of the user.
    """

    bias: float
    level: float
    appeal: float
    rated: NDArray[np.int32]
    ratings: NDArray[np.float32]
    influences: NDArray[np.float64]
    rest: float = 0.0

    @property
    def match(self) -> float:
        """What this user gives this item more (or less) than level and appeal say."""
        return float(self.influences.sum()) + self.rest

    @property
    def score(self) -> float:
        """The sum of all parts."""
        return self.bias + self.level + self.appeal + self.match

    def strongest(self, n: int = 3) -> NDArray[np.intp]:
        """Positions in `rated` of at most n ratings with the largest positive influence, the largest first."""
        order = np.argsort(-self.influences, kind="stable")[:n]
        return order[self.influences[order] > 0]


def reasons(model: RatingModel, user: RatingSide, ratings: Ratings, items: NDArray[Any]) -> list[Reason]:
    """The reasons of some items for one user.

    With the rows z = (v_i, 1) of the items i that the user rated, t_i the ratings less bias and appeal, omega_i their
    precisions, and m and Lambda mean and precision of the user's prior, factors and level are the ridge solution
    m + (Z' Omega Z + Lambda)^-1 sum_i omega_i z_i (t_i - <z_i, m>): a sum over the ratings. So is the factors' product
    with those of any item. Where a fit's average over draws is not quite this solution, the difference is in `rest`.

    Parameters
    ----------
    model : RatingModel
    user : RatingSide
        Of one.
    ratings : Ratings
        The user's.
    items : ndarray of codes
    """
    others, (m,) = model.items.select(ratings.items), user.expected(user.rows).astype(np.float64)
    q, c = others.vectors.astype(np.float64), others.weights.astype(np.float64)
    told = model.in_context(ratings.context, len(q)).astype(np.float64)
    c = c + told[:, -1] + np.einsum("ij,ij->i", q, told[:, :-1])
    q = q + told[:, :-1]
    Z = np.column_stack([q, np.ones(len(q))])
    omega = model.noise * user.noise * others.noise.astype(np.float64)
    q_u, c_u = user.vectors[0].astype(np.float64), float(user.weights[0])
    f = np.asarray(model.bias + c + c_u + Z[:, :-1] @ q_u, np.float32)
    surprise = model.scale.targets(ratings.values, f, np.asarray(1 / omega, np.float32)) - model.bias - c - Z @ m
    if ratings.weights is not None:
        omega = omega * ratings.weights
    system = (Z.T * omega) @ Z + np.diag(user.precision.astype(np.float64))
    theta = np.linalg.lstsq(system, (Z * (omega * surprise)[:, None]).T)[0]  # a column a rating
    asked = model.items.select(items)
    of_items, match = asked.vectors.astype(np.float64), asked.vectors.astype(np.float64) @ user.vectors[0]
    influences = of_items @ theta[:-1]
    rest = match - influences.sum(axis=1)
    told_all = model.asked(user)  # in the usual context
    level = float(told_all.level[0]) - model.bias
    rest += of_items @ (told_all.vectors[0, :-1] - user.vectors[0])
    rated = ratings.items.astype(np.int32)
    return [
        Reason(model.bias, level, float(appeal), rated, ratings.values, row, float(extra))
        for appeal, row, extra in zip(asked.weights, influences, rest, strict=True)
    ]


def in_words(reason: Reason, name_of: Callable[[int], str], n_raters: int) -> str:
    """The larger of the item's appeal and its match with the user first, each only where it adds something.

    Parameters
    ----------
    reason : Reason
    name_of : callable
        Gives the name of an item's code.
    n_raters : int
        Of the item that is recommended.
    """
    parts = []
    if reason.match >= WORTH_SAYING and len(reason.ratings):
        usual = min(reason.ratings.mean(), reason.bias)
        gave = [
            f"{'only ' * bool(rating < usual)}{rating:g} to {name_of(int(item))}"
            for item, rating in ((reason.rated[i], reason.ratings[i]) for i in reason.strongest(2))
        ]
        parts.append((reason.match, f"you gave {', '.join(gave)}" if gave else "it is of the kind that you rate"))
    if reason.appeal >= WORTH_SAYING:
        why = "liked by everyone" if n_raters else "by what is known of it, for nobody rated it"
        parts.append((reason.appeal, f"{why}, {reason.appeal:+.1f}"))
    if not parts:
        return "nothing speaks for it but the average rating"
    return "; ".join(words for _, words in sorted(parts, reverse=True))
