"""Interactions divided into a part to train on and a part to test, each with the users and items that it has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.recommend.interactions import Interactions
from fmkit.recommend.splits import How, Split, split
from fmkit.recommend.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Parts:
    """Two parts.

    Parameters
    ----------
    train, test : Interactions
        A user or item that one part lacks has no code in it: it is as unknown to a fit as it would be in use.
    split : Split
    notes : tuple of str
        How they were divided, and why so.
    """

    train: Interactions
    test: Interactions
    split: Split
    notes: tuple[str, ...]

    @classmethod
    def of(cls, whole: Interactions, how: How | None, test: float, random_state: int) -> Parts:
        """Divide by a rule; by default "time" where all rows have a time, "random" else."""
        why = ""
        if how is None:
            timed = whole.times is not None and not np.isnan(whole.times).any()
            how = "time" if timed else "random"
            why = "; by default as all rows have a time" if timed else "; by default as not all rows have a time"
        user, item = _by_id(whole.users, whole.user_codes), _by_id(whole.items, whole.item_codes)
        found = split(user, item, how=how, times=whole.times, test=test, random_state=random_state)
        return cls(compacted(whole.select(found.train)), compacted(whole.select(found.test)), found, (f"{found}{why}",))


def compacted(interactions: Interactions) -> Interactions:
    """The same rows, with codes for those users and items alone that have one."""
    users, user_codes = _compact(interactions.users, interactions.user_codes)
    items, item_codes = _compact(interactions.items, interactions.item_codes)
    return replace(interactions, users=users, items=items, user_codes=user_codes, item_codes=item_codes)


def _by_id(vocabulary: Vocabulary, codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Codes in the order of the ids, as `split` makes them: those by first appearance hang on the order of rows."""
    rank = np.empty(len(vocabulary), np.int32)
    rank[pc.array_sort_indices(vocabulary.ids).to_numpy()] = np.arange(len(vocabulary), dtype=np.int32)
    return rank[codes]


def _compact(vocabulary: Vocabulary, codes: NDArray[np.int32]) -> tuple[Vocabulary, NDArray[np.int32]]:
    there = np.bincount(codes, minlength=len(vocabulary)) > 0
    if there.all():
        return vocabulary, codes
    new: NDArray[Any] = np.cumsum(there) - 1
    return Vocabulary(vocabulary.decode(np.flatnonzero(there).astype(np.int32))), new[codes].astype(np.int32)
