"""Interactions: who met what, how it was liked, when and in what context; from tables in memory and from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.recommend.columns import find_columns, usual_column
from fmkit.recommend.tables import TableFile
from fmkit.recommend.vocabulary import Vocabulary, as_texts
from fmkit.tables.dates import as_seconds, as_times
from fmkit.tables.frames import as_arrow
from fmkit.tables.knots import as_numbers
from fmkit.tables.texts import is_text, plain

Source = Any  # a table, or one or several paths


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table of interactions; None for a role that no column has.

    Users, items and ratings are found by their usual names where none is given (`fmkit.recommend.columns`).
    """

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    weight: str | None = None
    time: str | None = None
    context: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Interactions:
    """Rows of a user and an item, in the order of the table, without those that a later row replaces.

    Parameters
    ----------
    users, items : Vocabulary
    user_codes, item_codes : ndarray of shape (n,), int32
    ratings, weights : ndarray of shape (n,), float32, or None
        None where the table has none.
    times : ndarray of shape (n,), float64, or None
        Seconds since 1970, NaN where a row has none.
    context : pyarrow.Table of n rows, or None
        Further columns as they were.
    n_replaced : int
        Rows left out because the same user rated the same item, in the same context, later: by `times` or, without,
        further down.
    """

    users: Vocabulary
    items: Vocabulary
    user_codes: NDArray[np.int32]
    item_codes: NDArray[np.int32]
    ratings: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None
    times: NDArray[np.float64] | None = None
    context: pa.Table | None = None
    n_replaced: int = 0

    def __len__(self) -> int:
        return len(self.user_codes)

    @classmethod
    def of(
        cls, source: Source, columns: Columns = Columns(), on_rows: Callable[[int], Any] | None = None
    ) -> Interactions:
        """Read interactions.

        Parameters
        ----------
        source : DataFrame, pyarrow.Table, mapping of columns, path, or sequence of paths
            Files are CSV, TSV or Parquet, compressed or not; later ones count as later.
        columns : Columns
        on_rows : callable, optional
            Called with the number of rows of each part read.

        Raises
        ------
        OSError
            If a file cannot be read.
        InputError
            If there are no rows, ids or numbers are missing or are none; the message names the column and, of files,
            the line.
        """
        paths = _paths(source)
        if paths is None:
            parts = iter([_Part.of_table(as_arrow(source), columns)])
        else:
            parts = (part for path in paths for part in _Part.of_file(path, columns))
        found: list[_Part] = []
        for part in parts:
            found.append(part)
            if on_rows:
                on_rows(len(part.users))
        if not sum(len(part.users) for part in found):
            raise InputError("the table holds no interactions, only a header", path=paths[0] if paths else None)
        users, user_codes = Vocabulary.of_chunks([part.users for part in found])
        items, item_codes = Vocabulary.of_chunks([part.items for part in found])
        context = None
        if columns.context:
            context = pa.concat_tables([part.context for part in found], promote_options="permissive")
            if paths is not None:
                context = _typed(context)
        whole = cls(
            users,
            items,
            user_codes,
            item_codes,
            ratings=_joined([part.ratings for part in found]),
            weights=_joined([part.weights for part in found]),
            times=_joined([part.times for part in found]),
            context=context,
        )
        return whole if whole.ratings is None else whole.without_replaced()

    @classmethod
    def in_time(cls, source: Source, columns: Columns) -> tuple[Interactions, str | None]:
        """Read interactions, in order of time by a column of a usual name where none is given; also the name of it."""
        if columns.time is not None:
            return cls.of(source, columns), columns.time
        paths = _paths(source)
        source = as_arrow(source) if paths is None else source
        present = source.column_names if paths is None else TableFile.open(paths[0]).names
        guess = usual_column(present, "time")
        if guess is not None and guess not in columns.context:
            try:
                return cls.of(source, replace(columns, time=guess)), guess
            except InputError:
                pass  # whatever the column holds, nobody said that it is a time
        return cls.of(source, columns), None

    def select(self, rows: NDArray[Any]) -> Interactions:
        """Some of the rows, by a mask or by positions; users and items keep their codes."""
        rows = np.asarray(rows)
        at = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return replace(
            self,
            user_codes=self.user_codes[at],
            item_codes=self.item_codes[at],
            ratings=None if self.ratings is None else self.ratings[at],
            weights=None if self.weights is None else self.weights[at],
            times=None if self.times is None else self.times[at],
            context=None if self.context is None else self.context.take(pa.array(at)),
        )

    def recoded(self, users: Vocabulary, items: Vocabulary) -> Interactions:
        """The same rows by the codes of vocabularies that hold all of their ids."""
        of_users, of_items = users.encode(self.users.ids), items.encode(self.items.ids)
        codes = of_users[self.user_codes], of_items[self.item_codes]
        return replace(self, users=users, items=items, user_codes=codes[0], item_codes=codes[1])

    def beside(self, known: Interactions) -> Interactions:
        """The rows that others, whose codes mean the same, do not have: with another rating, or not at all.

        Rows with a context are all taken for new.
        """
        if self.context is not None or self.ratings is None or known.ratings is None:
            return self
        old = known.user_codes.astype(np.int64) * len(self.items) + known.item_codes
        new = self.user_codes.astype(np.int64) * len(self.items) + self.item_codes
        order = np.argsort(old)
        at = order[np.minimum(np.searchsorted(old[order], new), len(old) - 1)]
        same = (old[at] == new) & (known.ratings[at] == self.ratings)
        if self.weights is not None and known.weights is not None:
            same &= known.weights[at] == self.weights
        return self.select(~same)

    def joined(self, later: Interactions) -> Interactions:
        """Later rows at the end, whose codes mean the same but for users and items that come after these.

        Raises
        ------
        InputError
            If one of both has a column of ratings (weights, context) and the other has none.
        """
        for name in ("ratings", "weights", "context"):
            if (getattr(self, name) is None) != (getattr(later, name) is None):
                raise InputError(f"the rows of the fit and the later ones must both have {name}, or neither")
        times = None
        if self.times is not None or later.times is not None:
            times = np.concatenate(
                [np.full(len(part), np.nan) if part.times is None else part.times for part in (self, later)]
            )
        whole = Interactions(
            later.users,
            later.items,
            np.concatenate([self.user_codes, later.user_codes]),
            np.concatenate([self.item_codes, later.item_codes]),
            ratings=_joined([part.ratings for part in (self, later)]),
            weights=_joined([part.weights for part in (self, later)]),
            times=times,
            context=None if self.context is None else _in_one_form(self.context, later.context),
            n_replaced=self.n_replaced,
        )
        return whole if whole.ratings is None else whole.without_replaced()

    def without_replaced(self) -> Interactions:
        """Of rows with the same user, item and context only the last: the latest or, at the same time, the lowest."""
        pair = self.user_codes.astype(np.int64) * len(self.items) + self.item_codes
        if self.context is not None:
            for column in self.context.columns:
                texts = plain(column.combine_chunks())
                if pa.types.is_nested(texts.type):  # sets, of which Arrow makes no codes
                    texts = pa.array([None if one is None else repr(one) for one in texts.to_pylist()])
                codes = texts.dictionary_encode(null_encoding="encode").indices.to_numpy()
                pair = np.unique(pair, return_inverse=True)[1] * (int(codes.max(initial=0)) + 1) + codes
        if self.times is None:
            order = np.argsort(pair, kind="stable")
        else:  # a row without a time is older than any other
            order = np.lexsort((np.nan_to_num(self.times, nan=-np.inf), pair))
        last = np.append(pair[order][1:] != pair[order][:-1], True)
        if last.all():
            return self
        kept = self.select(np.sort(order[last]))
        return replace(kept, n_replaced=self.n_replaced + len(self) - len(kept))


@dataclass(frozen=True, eq=False)
class _Part:
    """Columns of some rows."""

    users: pa.DictionaryArray
    items: pa.DictionaryArray
    ratings: NDArray[np.float32] | None
    weights: NDArray[np.float32] | None
    times: NDArray[np.float64] | None
    context: pa.Table | None

    @classmethod
    def of_table(cls, table: pa.Table, columns: Columns) -> _Part:
        """A table in memory."""
        user, item, rating = _found(table.column_names, columns, "the table")

        def column(name: str) -> pa.Array:
            return table.column(name).combine_chunks()

        return cls(
            _ids(column(user), user),
            _ids(column(item), item),
            None if rating is None else _numbers(column(rating), rating),
            None if columns.weight is None else _weights(column(columns.weight), columns.weight),
            None if columns.time is None else _times(column(columns.time), columns.time),
            _context(table.select(columns.context)) if columns.context else None,
        )

    @classmethod
    def of_file(cls, path: Path, columns: Columns) -> Iterator[_Part]:
        """A file's rows, some at a time."""
        file = TableFile.open(path)
        user, item, rating = _found(file.names, columns, path)
        numbers = [name for name in (rating, columns.weight) if name is not None]
        texts = list(dict.fromkeys(name for name in (columns.time, *columns.context) if name is not None))
        for batch in file.batches([user, item], texts, numbers):
            try:
                yield cls(
                    batch.column(user),
                    batch.column(item),
                    None if rating is None else batch.column(rating).to_numpy(),
                    None if columns.weight is None else _weights(batch.column(columns.weight), columns.weight),
                    None if columns.time is None else _times(batch.column(columns.time), columns.time),
                    _decoded(batch, columns.context) if columns.context else None,
                )
            except InputError as error:
                raise InputError(str(error), path=path) from None


def _found(present: Sequence[str], columns: Columns, path: Any) -> tuple[str, str, str | None]:
    """The columns of users, items and, where there is one, ratings; the others must be there too."""
    told = {"user": columns.user, "item": columns.item, "rating": columns.rating}
    given = {role: name for role, name in told.items() if name is not None}
    roles = ["user", "item"]
    if columns.rating is not None or usual_column(present, "rating") is not None:
        roles.append("rating")
    user, item, *rating = find_columns(present, roles, given, path=path)
    for name in (columns.weight, columns.time, *columns.context):
        if name is not None and name not in present:
            raise InputError(f"there is no column '{name}', the table has {', '.join(map(repr, present))}", path=path)
    return user, item, rating[0] if rating else None


def _ids(column: pa.Array, name: str) -> pa.DictionaryArray:
    try:
        encoded = as_texts(column).dictionary_encode()
    except InputError as error:
        raise InputError(f"column '{name}': {error}") from None
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(encoded.dictionary), "").take(encoded.indices), True)
    if pc.any(blank).as_py():
        raise InputError(f"row {int(np.argmax(blank)) + 1} has no id in column '{name}'")
    return encoded


def _numbers(column: pa.Array, name: str) -> NDArray[np.float32]:
    try:
        numbers = as_numbers(column).astype(np.float32)
    except InputError as error:
        raise InputError(f"column '{name}': {error}") from None
    finite = np.isfinite(numbers)
    if not finite.all():
        raise InputError(f"row {int(np.argmin(finite)) + 1} has no finite number in column '{name}'")
    return numbers


def _weights(column: pa.Array, name: str) -> NDArray[np.float32]:
    weights = _numbers(column, name)
    if (weights < 0).any():
        raise InputError(f"weights must not be negative, row {int(np.argmax(weights < 0)) + 1} of '{name}' is")
    return weights


def _times(column: pa.Array, name: str) -> NDArray[np.float64]:
    """Seconds; numbers written as text count from 1970 too."""
    column = plain(column)
    try:
        if is_text(column) and pc.all(pc.match_substring_regex(column, r"^\d+$")).as_py():
            column = column.cast(pa.int64())
        return as_seconds(as_times(column, zone="UTC"))
    except InputError as error:
        raise InputError(f"column '{name}': {error}") from None


def _context(table: pa.Table) -> pa.Table:
    """Categories in the one form that Arrow joins."""
    columns = [
        plain(column.combine_chunks()).dictionary_encode() if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.Table.from_arrays(columns, table.column_names)


def _in_one_form(known: pa.Table, later: pa.Table) -> pa.Table:
    """The context of earlier and of later rows, of the types that the earlier have; numbers may become decimals."""
    columns = []
    for name in known.column_names:
        before, after = known.column(name), plain(later.column(name).combine_chunks())
        kind = before.type
        try:
            if pa.types.is_dictionary(kind):
                after = after.cast(kind.value_type).dictionary_encode()
            elif pa.types.is_null(kind) or (pa.types.is_integer(kind) and pa.types.is_floating(after.type)):
                before = before.cast(after.type)
            else:
                after = after.cast(kind)
        except pa.ArrowException:
            raise InputError(f"column '{name}' holds {after.type}, in the fit it held {kind}") from None
        columns.append(pa.chunked_array([*before.chunks, after]))
    return pa.Table.from_arrays(columns, known.column_names)


def _decoded(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Table:
    return pa.table({name: plain(batch.column(name)) for name in names})


def _typed(table: pa.Table) -> pa.Table:
    """Columns of a file, which were read as text, as numbers where all of their values are."""
    columns = []
    for column in table.columns:
        for kind in (pa.int64(), pa.float64()):
            try:
                column = column.cast(kind)
                break
            except pa.ArrowInvalid:
                continue
        columns.append(column)
    return pa.Table.from_arrays(columns, table.column_names)


def _joined(parts: list[Any]) -> Any:
    return None if parts[0] is None else np.concatenate(parts)


def _paths(source: Source) -> list[Path] | None:
    if isinstance(source, str | Path):
        return [Path(source)]
    if isinstance(source, list | tuple) and source and all(isinstance(path, str | Path) for path in source):
        return [Path(path) for path in source]
    return None
