"""What is wished of lists, checked once and by code: which items, how many of a kind, how unlike, how bold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from fmkit.errors import InputError
from fmkit.linalg import unit_length
from fmkit.ranking.pairs import Pairs
from fmkit.recommend.entities import Entities
from fmkit.recommend.filter_hints import why_nothing
from fmkit.recommend.filters import matching, no_column
from fmkit.recommend.model import Model
from fmkit.recommend.rating_model import RatingModel
from fmkit.recommend.reranking import Groups, rerank
from fmkit.recommend.vocabulary import as_texts
from fmkit.tables import TableEncoder

POOL = 10  # times n items are looked at where lists are to be diverse


@dataclass(frozen=True, eq=False)
class Wishes:
    """Parameters of a call of `recommend`, as `fmkit.recommend.Recommender.recommend` tells them.

    Parameters
    ----------
    n : int
        Length of the lists, no more than there are items.
    exclude_seen : bool
    among : ndarray of codes, ascending, or None
        The only items that may be listed.
    pinned : ndarray of codes
    diversity : float
    groups : Groups, or None
    risk : float
    explore : bool
    explain : bool
    """

    n: int
    exclude_seen: bool
    among: NDArray[np.int64] | None
    pinned: NDArray[np.int32]
    diversity: float
    groups: Groups | None
    risk: float
    explore: bool
    explain: bool

    @classmethod
    def of(
        cls,
        items: Entities,
        n: int,
        usual_risk: float | None,
        *,
        exclude_seen: bool = True,
        candidates: Any = None,
        filter: Any = None,
        diversity: float = 0.0,
        at_most: Mapping[str, int] | None = None,
        pinned: Any = None,
        risk: float | Literal["explore"] | None = None,
        explain: bool = False,
    ) -> Wishes:
        """From what was given.

        Raises
        ------
        InputError
            If a column, an item or a value does not exist or fit; the message says which.
        """
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
            raise InputError(f"n must be at least 1, an integer, got {n!r}")
        if not (_is_number(diversity) and 0 <= diversity <= 1):
            raise InputError(f"diversity must lie between 0 (none) and 1, got {diversity!r}")
        explore = isinstance(risk, str) and risk == "explore"
        if not (explore or risk is None or _is_number(risk)):
            raise InputError(f"risk must be a number of standard deviations or 'explore', got {risk!r}")
        if risk is not None and usual_risk is None:
            raise InputError("a ranker of clicks tells no deviation: leave risk=None, it is for ratings")
        among = None
        if candidates is not None:
            among = np.unique(_codes(items, candidates, "candidates")).astype(np.int64)
        if filter is not None:
            table = items.with_ids("item")
            allowed = np.flatnonzero(matching(table, filter))
            if not len(allowed):  # nothing in stock is no mistake, a slip in a value is
                warnings.warn(f"the filter lets no item through{why_nothing(table, filter)}", stacklevel=4)
            among = allowed if among is None else np.intersect1d(among, allowed)
        return cls(
            n=min(int(n), len(items)),
            exclude_seen=exclude_seen,
            among=among,
            pinned=_codes(items, pinned, "pinned") if pinned is not None else np.empty(0, np.int32),
            diversity=float(diversity),
            groups=_groups(items, at_most) if at_most else None,
            risk=0.0 if explore else (usual_risk or 0.0) if risk is None else float(risk),
            explore=explore,
            explain=explain,
        )

    def lists(
        self, model: Model, asked: Any, seen: Pairs, n_threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Codes and scores of each list, of shape (n_lists, n); -1 and -inf where it ends.

        Parameters
        ----------
        model, asked
            Of each other.
        seen : Pairs
            What each list leaves out.
        n_threads : int
        """
        n_items = model.item_vectors.shape[0]
        n = self.n - len(self.pinned[: self.n])
        among = self.among
        if len(self.pinned):
            among = np.setdiff1d(np.arange(n_items) if among is None else among, self.pinned)
        if n and (among is None or len(among)):
            codes, scores = self._best(model, asked, seen, n, among, n_threads)
        else:
            codes, scores = np.full((len(asked), n), -1, np.int32), np.full((len(asked), n), -np.inf, np.float32)
        if not len(self.pinned):
            return codes, scores
        first = np.broadcast_to(self.pinned[: self.n], (len(codes), self.n - n))
        row = np.repeat(np.arange(len(codes)), first.shape[1])
        alone = asked.select(row)
        of_first = model.scores(alone, first.ravel())
        if self.risk and isinstance(model, RatingModel):
            of_first = of_first - np.float32(self.risk) * model.deviations(alone, first.ravel())
        of_first = of_first.reshape(first.shape)
        return np.hstack([first, codes]), np.hstack([of_first, scores])

    def _best(
        self, model: Model, asked: Any, seen: Pairs, n: int, among: NDArray[np.int64] | None, n_threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """What follows the pinned items."""
        most = model.item_vectors.shape[0] if among is None else len(among)
        how: dict[str, Any] = {"risk": self.risk, "among": among, "n_threads": n_threads}
        if not self.diversity and self.groups is None:
            codes, scores = model.lists(asked, min(n, most), seen, **how)
            end = ((0, 0), (0, n - codes.shape[1]))
            return np.pad(codes, end, constant_values=-1), np.pad(scores, end, constant_values=-np.inf)
        long, vectors = POOL * n, unit_length(model.item_factors)
        while True:
            long = min(long, most)
            codes, scores = model.lists(asked, long, seen, **how)
            places = rerank(codes, scores, n, vectors, self.diversity, self.groups, self.pinned, n_threads)
            more = (codes[:, -1] >= 0) & (places[:, -1] < 0)  # a group is full, and there are others further down
            if not more.any() or long == most:
                at = np.maximum(places, 0)
                codes = np.where(places < 0, -1, np.take_along_axis(codes, at, axis=1)).astype(np.int32)
                scores = np.where(places < 0, -np.inf, np.take_along_axis(scores, at, axis=1)).astype(np.float32)
                return codes, scores
            long *= 4


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))


def _codes(items: Entities, ids: Any, name: str) -> NDArray[np.int32]:
    codes = items.ids.encode(ids)
    if (codes < 0).any():
        unknown = as_texts(ids)[int(np.argmin(codes))].as_py()
        raise InputError(f"{name} holds {unknown!r}, which is none of the {len(items):,} items")
    if name == "pinned" and len(np.unique(codes)) < len(codes):
        raise InputError("pinned holds an item twice")
    return codes


def _groups(items: Entities, at_most: Mapping[str, int]) -> Groups:
    members, most = [], []
    for name, limit in at_most.items():
        if items.table is None or name not in items.table.column_names:
            raise no_column("at_most", name, ["item"] if items.table is None else items.table.column_names)
        if not isinstance(limit, int | np.integer) or limit < 1:
            raise InputError(f"at_most of '{name}' must be an integer of at least 1, got {limit!r}")
        groups = _members(items, name)
        members.append(groups)
        most.append(np.full(groups.shape[1], limit, np.int64))
    return Groups(sparse.hstack(members, format="csr"), np.concatenate(most))


def _members(items: Entities, name: str) -> sparse.csr_array:
    """Items x the values of a column, or the members of its sets; an item without one is in no group."""
    assert items.table is not None
    encoder, features = items.encoder, items.features
    if encoder is None or name not in {feature.column for feature in encoder.features_}:  # the table came after the fit
        alone = items.table.select([name])
        encoder = TableEncoder().fit(alone)
        features = encoder.transform(alone)
    start = 0
    for feature in encoder.features_:
        if feature.column == name and feature.kind == "set":
            return features[:, start : start + feature.n_columns]
        start += feature.n_columns
    codes = items.table.column(name).combine_chunks().dictionary_encode()
    known = np.flatnonzero(pc.is_valid(codes))
    levels = pc.fill_null(codes.indices, 0).to_numpy()[known]
    shape = len(items), int(levels.max(initial=-1)) + 1
    return sparse.csr_array((np.ones(len(known), np.float32), (known, levels)), shape=shape)
