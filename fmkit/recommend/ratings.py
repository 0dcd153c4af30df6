"""RatingsTable: who rated what, and how; the form in which every part of the recommender meets ratings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from fmkit.errors import InputError
from fmkit.recommend.columns import find_columns
from fmkit.recommend.tables import TableFile
from fmkit.recommend.vocabulary import Vocabulary, as_texts


@dataclass(frozen=True)
class RatingsTable:
    """Ratings by user, as a compressed sparse matrix users x items: 8 bytes a rating.

    Build it with `read_ratings` (files) or `RatingsTable.from_arrays`.

    Parameters
    ----------
    users, items : Vocabulary
        Ids of the rows and of the columns.
    indptr : ndarray of shape (n_users + 1,), int64
        The ratings of user u are indptr[u]:indptr[u + 1] of the next arrays.
    item_codes : ndarray of shape (n_ratings,), int32
        Ascending within a user, without duplicates.
    ratings : ndarray of shape (n_ratings,), float32
    n_replaced : int
        Ratings left out because the same user rated the same item again later.
    """

    users: Vocabulary
    items: Vocabulary
    indptr: NDArray[np.int64]
    item_codes: NDArray[np.int32]
    ratings: NDArray[np.float32]
    n_replaced: int = 0

    def __len__(self) -> int:
        return len(self.ratings)

    @property
    def user_codes(self) -> NDArray[np.int32]:
        """Code of each rating's user, shape (n_ratings,)."""
        return np.repeat(np.arange(len(self.users), dtype=np.int32), np.diff(self.indptr))

    def of_user(self, user: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Item codes and ratings of a user's code."""
        own = slice(self.indptr[user], self.indptr[user + 1])
        return self.item_codes[own], self.ratings[own]

    @classmethod
    def from_arrays(cls, users: ArrayLike, items: ArrayLike, ratings: ArrayLike) -> RatingsTable:
        """A table from three columns of the same length.

        Parameters
        ----------
        users, items : array-like of shape (n,)
            Ids, integers or text.
        ratings : array-like of shape (n,)
            Finite numbers. If a user rated an item twice, the later rating counts.

        Raises
        ------
        InputError
            If the lengths differ, nothing is given, an id is missing or a rating is not finite.
        """
        values = np.asarray(ratings, dtype=np.float32)
        columns = [as_texts(users), as_texts(items)]
        if values.ndim != 1 or not len(columns[0]) == len(columns[1]) == len(values):
            raise InputError(
                f"users, items and ratings must be columns of the same length, "
                f"got {len(columns[0])}, {len(columns[1])} and shape {values.shape}"
            )
        if not len(values):
            raise InputError("at least one rating is needed, got none")
        if not np.isfinite(values).all():
            raise InputError(f"ratings must be finite, row {int(np.argmin(np.isfinite(values)))} has none that is")
        if columns[0].null_count or columns[1].null_count:
            raise InputError("every rating needs the id of a user and of an item, at least one is missing")
        user_codes, item_codes = ([column.dictionary_encode()] for column in columns)
        return cls._from_chunks(user_codes, item_codes, [values])

    @classmethod
    def _from_chunks(
        cls,
        users: list[pa.DictionaryArray],
        items: list[pa.DictionaryArray],
        ratings: list[NDArray[np.float32]],
    ) -> RatingsTable:
        """A table from its parts in order; the lists are emptied, so that their memory is free before the sort."""
        user_ids, user_codes = Vocabulary.of_chunks(users)
        users.clear()
        item_ids, item_codes = Vocabulary.of_chunks(items)
        items.clear()
        values = np.concatenate(ratings)
        ratings.clear()
        return cls._from_codes(user_ids, item_ids, user_codes, item_codes, values)

    @classmethod
    def _from_codes(
        cls,
        users: Vocabulary,
        items: Vocabulary,
        user_codes: NDArray[np.int32],
        item_codes: NDArray[np.int32],
        ratings: NDArray[np.float32],
    ) -> RatingsTable:
        pair = user_codes.astype(np.int64) * len(items) + item_codes
        order = np.argsort(pair, kind="stable")  # stable: of the same pair, the last one stays last
        pair = pair[order]
        last = np.append(pair[1:] != pair[:-1], True)
        pair, order = pair[last], order[last]
        indptr = np.searchsorted(pair, np.arange(len(users) + 1) * len(items))
        return cls(users, items, indptr, (pair % len(items)).astype(np.int32), ratings[order], len(ratings) - len(pair))

    def with_items(self, items: Vocabulary) -> RatingsTable:
        """The same ratings with the codes of another vocabulary; ratings of items that it does not hold are left out.

        Raises
        ------
        InputError
            If no item of the table is left.
        """
        codes = items.encode(self.items.ids)[self.item_codes]
        kept = codes >= 0
        if not kept.any():
            raise InputError("none of the table's items is known to the model")
        return self._from_codes(self.users, items, self.user_codes[kept], codes[kept], self.ratings[kept])


def read_ratings(
    paths: str | Path | Sequence[str | Path],
    columns: Mapping[str, str] | None = None,
    on_rows: Callable[[int], Any] | None = None,
) -> RatingsTable:
    """Read ratings from table files, in a stream: the memory is that of codes and ratings, not that of the files.

    Parameters
    ----------
    paths : path or sequence of paths
        CSV, TSV or Parquet files, compressed or not. Later files count as later ratings.
    columns : mapping of {"user", "item", "rating"} to column names, optional
        The default finds columns by their usual names (userId, movie_id, ISBN, score, ...: `fmkit.recommend.columns`).
    on_rows : callable, optional
        Called with the number of rows of each part read.

    Raises
    ------
    OSError
        If a file is missing or not readable.
    InputError
        If a table is not as it should be; the message names file, line and column.
    """
    users: list[pa.DictionaryArray] = []
    items: list[pa.DictionaryArray] = []
    ratings: list[NDArray[np.float32]] = []
    files = [TableFile.open(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    for file in files:
        user, item, rating = find_columns(file.names, ("user", "item", "rating"), columns, path=file.path)
        n_before = len(ratings)
        for batch in file.batches([user, item], numbers=[rating]):
            users.append(batch.column(user))
            items.append(batch.column(item))
            ratings.append(batch.column(rating).to_numpy())
            if on_rows:
                on_rows(len(batch))
        if len(ratings) == n_before:
            raise InputError("the table holds no ratings, only a header", path=file.path)
    return RatingsTable._from_chunks(users, items, ratings)
