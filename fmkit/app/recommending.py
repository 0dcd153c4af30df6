"""A recommender as the page asks it: by numbers of items and users, and each score as a few parts that add up to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from fmkit.errors import InputError
from fmkit.recommend import Recommender
from fmkit.recommend.accounts import accounts, names_of_items
from fmkit.recommend.rating_model import RatingModel

STEPS = 5  # values to choose from when an item is rated
POPULAR = 120  # items that a newcomer is asked about
MOST_LISTED = 100


class Asked:
    """A fitted recommender.

    Parameters
    ----------
    recommender : Recommender
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender
        self.foretells = isinstance(recommender.model_, RatingModel)

    def facts(self) -> dict[str, Any]:
        """What the page needs to know of it."""
        fitted, recommender = self.recommender.fitted_, self.recommender
        return {
            "rows": fitted["rows"],
            "users": fitted["users"],
            "items": fitted["items"],
            "feedback": recommender.feedback_,
            "seconds": fitted["seconds"],
            "values": self.values,
        }

    @cached_property
    def values(self) -> list[float]:
        """What an item can be rated on the page; nothing of clicks, where an item is had or not."""
        ratings = self.recommender.interactions_.ratings
        if not self.foretells or ratings is None:
            return []
        distinct = np.unique(ratings)
        whole = distinct[distinct == np.rint(distinct)]
        if len(distinct) > STEPS:
            distinct = whole if 2 <= len(whole) <= STEPS else np.linspace(distinct[0], distinct[-1], STEPS)
        return [round(float(value), 3) for value in distinct]

    @property
    def usual(self) -> float:
        """A rating that is no surprise."""
        return self.values[len(self.values) // 2] if self.values else 1.0

    @cached_property
    def _names(self) -> list[str]:
        return names_of_items(self.recommender)

    @cached_property
    def _users(self) -> list[str]:
        return [str(one) for one in self.recommender.users_.ids.ids.to_pylist()]

    def people(self, text: str, n: int = 20) -> list[dict[str, Any]]:
        """Users whose ids are, begin with or hold the text, in this order."""
        text = text.casefold().strip()
        found = [(name.casefold(), code) for code, name in enumerate(self._users) if text in name.casefold()]
        found.sort(key=lambda one: (one[0] != text, not one[0].startswith(text), len(one[0]), one[0]))
        return [{"code": code, "name": self._users[code]} for _, code in found[:n]]

    def to_rate(self, page: int, n: int = 10) -> list[dict[str, Any]]:
        """Items that many know; other ones on each page."""
        order = self._popular
        first = (page * n) % max(len(order) - n + 1, 1)
        return [{"code": int(code), "name": self._names[code]} for code in order[first : first + n]]

    @cached_property
    def _popular(self) -> Any:
        return np.argsort(-self.recommender.history_.item_counts, kind="stable")[:POPULAR]

    def listed(
        self, user: Any, rated: Any, n: Any = 10, diversity: Any = 0.0, risk: Any = None
    ) -> list[dict[str, Any]]:
        """A list, with each score in parts.

        Parameters
        ----------
        user : int, or None for a newcomer
            Number of a user.
        rated : mapping of an item's number, as text, to a rating
            A newcomer's; of clicks, any number.
        n, diversity, risk
            As of `Recommender.recommend`.
        """
        recommender = self.recommender
        if not isinstance(n, int) or not 1 <= n <= MOST_LISTED:
            raise InputError(f"n must be at least 1 and at most {MOST_LISTED}, got {n!r}")
        wishes = {"diversity": diversity, "risk": risk if self.foretells else None}
        if user is None:
            ratings = self._by_ids(rated)
            table = recommender.recommend_for(ratings, n, **wishes)
            people, own = recommender.newcomer(ratings)
            code = -1
        else:
            code = self._checked(user, len(self._users))
            ids = recommender.users_.ids.decode(np.array([code]))
            table = recommender.recommend(ids, n, **wishes)
            people, own = recommender.model_.find(np.array([code])), recommender.history_.of(code)
        items = recommender.items_.ids.encode(table["item"])
        scores = table["score"].to_numpy().astype(float)
        taken = accounts(recommender, people, code, own, items, scores, self._names)
        expected = table["predicted"].to_pylist() if "predicted" in table.column_names else [None] * len(items)
        return [
            {"code": int(item), "name": self._names[item], "score": score, "expected": value, "parts": parts}
            for item, score, value, parts in zip(items, scores.tolist(), expected, taken, strict=True)
        ]

    def similar(self, item: int, n: int = 8) -> list[dict[str, Any]]:
        """What is like an item."""
        code = self._checked(item, len(self._names))
        found = self.recommender.similar_items(self.recommender.items_.ids.decode(np.array([code])), n)
        codes = self.recommender.items_.ids.encode(found["similar"])
        pairs = zip(codes, found["similarity"].to_pylist(), strict=True)
        return [{"code": int(code), "name": self._names[code], "similarity": value} for code, value in pairs]

    def _by_ids(self, rated: Any) -> dict[Any, float]:
        if not isinstance(rated, Mapping) or not all(str(code).isdigit() for code in rated):
            raise InputError("ratings must be finite numbers, one for each item: {item: rating}")
        codes = [self._checked(int(code), len(self._names)) for code in rated]
        ids = self.recommender.items_.ids.decode(np.array(codes, np.int64)).to_pylist()
        return dict(zip(ids, rated.values(), strict=True))

    def _checked(self, code: Any, n: int) -> int:
        if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code < n:
            raise InputError(f"there is no number {code!r} in this model: reload the page")
        return code
