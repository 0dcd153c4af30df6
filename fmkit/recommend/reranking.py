"""Lists out of longer ones: at most so many of a group, and no two items too much alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.kernels import kernel
from fmkit.threads import even_cuts, for_each

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of items, and how many of each a list may hold.

    Parameters
    ----------
    members : csr_array of shape (n_items, n_groups)
        Not 0 where an item is of a group.
    most : ndarray of shape (n_groups,), int64
    """

    members: sparse.csr_array
    most: NDArray[np.int64]


def rerank(
    codes: NDArray[np.int32],
    scores: Floats,
    n: int,
    vectors: Floats,
    diversity: float,
    groups: Groups | None,
    before: NDArray[np.int32],
    n_threads: int,
) -> NDArray[np.int64]:
    """Places of the items to keep in each long list, best first.

    One item after the other is taken, the one of largest (1 - diversity) * score - diversity * similarity (Carbonell
    and Goldstein, SIGIR 1998: maximal marginal relevance): scores from 0, the lowest of the long list, to 1, the
    highest; similarity the largest cosine with what was taken before.

    Parameters
    ----------
    codes, scores : ndarrays of shape (n_lists, long), int32 and float32
        Best first; -1 where there is none.
    n : int
    vectors : ndarray of shape (n_items, d), float32
        Of length 1; not looked at if diversity is 0.
    diversity : float
        In [0, 1].
    groups : Groups, or None
        A list stays within them.
    before : ndarray of codes
        Items that stand in every list already: they count in their groups, and others are like them.
    n_threads : int

    Returns
    -------
    ndarray of shape (n_lists, n), int64
        -1 where no item is left.
    """
    n_items = len(vectors)
    members = sparse.csr_array((n_items, 0)) if groups is None else groups.members
    most = np.empty(0, np.int64) if groups is None else groups.most
    indptr, indices = members.indptr.astype(np.int64), members.indices.astype(np.int64)
    places = np.full((len(codes), n), -1, np.int64)
    state = (codes, scores, vectors, np.float32(diversity), indptr, indices, most, before, places)
    for_each(_take, [(a, b, *state) for a, b in even_cuts(np.arange(len(codes) + 1), n_threads)], n_threads)
    return places


@kernel
def _take(
    first: int,
    last: int,
    codes: Any,
    scores: Any,
    vectors: Any,
    diversity: Any,
    indptr: Any,
    indices: Any,
    most: Any,
    before: Any,
    places: Any,
) -> None:
    long, n = codes.shape[1], places.shape[1]
    value, alike, open_ = np.empty(long, np.float32), np.empty(long, np.float32), np.empty(long, np.bool_)
    taken = np.zeros(len(most), np.int64)
    for r in range(first, last):
        length = 0
        while length < long and codes[r, length] >= 0:
            length += 1
        if not length:
            continue
        low, high = scores[r, length - 1], scores[r, 0]
        span = high - low if high > low else np.float32(1)
        for p in range(length):
            value[p] = (scores[r, p] - low) / span
            alike[p] = 0
            open_[p] = True
        taken[:] = 0
        for b in range(len(before)):
            for e in range(indptr[before[b]], indptr[before[b] + 1]):
                taken[indices[e]] += 1
            if diversity > 0:
                _compare(alike, open_, length, codes[r], vectors, before[b])
        for place in range(n):
            best, best_value = -1, np.float32(-np.inf)
            for p in range(length):
                if not open_[p]:
                    continue
                worth = (1 - diversity) * value[p] - diversity * alike[p]
                if worth > best_value:
                    full = False
                    for e in range(indptr[codes[r, p]], indptr[codes[r, p] + 1]):
                        full = full or taken[indices[e]] >= most[indices[e]]
                    if full:
                        open_[p] = False
                    else:
                        best, best_value = p, worth
                        if diversity == 0:
                            break
            if best < 0:
                break
            places[r, place] = best
            open_[best] = False
            for e in range(indptr[codes[r, best]], indptr[codes[r, best] + 1]):
                taken[indices[e]] += 1
            if diversity > 0:
                _compare(alike, open_, length, codes[r], vectors, codes[r, best])


@kernel
def _compare(alike: Any, open_: Any, length: int, codes: Any, vectors: Any, with_: int) -> None:
    """Largest cosine of each open item, with one more that was taken."""
    for p in range(length):
        if open_[p]:
            cosine = np.float32(0)
            for f in range(vectors.shape[1]):
                cosine += vectors[codes[p], f] * vectors[with_, f]
            alike[p] = max(alike[p], cosine)
