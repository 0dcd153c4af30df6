"""Columns of which a row has one or some: categories, the members of sets, the words of texts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from fmkit.tables.entries import Entries
from fmkit.tables.places import NOTHING, Places
from fmkit.tables.texts import is_text, plain

BOOLEANS = (["true"], ["false"], ["true", "false"], ["false", "true"])
WORD = r"[^\p{L}\p{N}]+"  # what stands between words


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of a column, each a column of the design.

    Parameters
    ----------
    kind : {"category", "set", "text"}
        A row has one level; or several, that together are a vector of length 1, so that a long list counts no more
        than a short one.
    separator : str
        Between a set's members where these are text.
    values : pyarrow.StringArray
        The levels, in the order of first appearance.
    missing : bool
        Whether rows without a value have a column of their own: there were some in the fit.
    """

    kind: Literal["category", "set", "text"]
    separator: str
    values: pa.StringArray
    missing: bool

    @classmethod
    def learn(cls, column: pa.Array, kind: Any, separator: str, min_count: int = 1, most: int | None = None) -> Levels:
        """Levels that at least `min_count` rows have; if there are more than `most`, those that most rows have."""
        tokens = Tokens.of(column, kind, separator)
        values = pc.unique(tokens.texts)
        count = np.asarray(tokens.matrix(values, len(values))[tokens.rows].sum(axis=0)).ravel()
        kept = np.flatnonzero(count >= min_count)
        if most is not None and len(kept) > most:
            kept = np.sort(kept[np.argsort(-count[kept], kind="stable")[:most]])
        missing = bool((tokens.rows == tokens.n_owners).any())
        return cls(kind, separator, values.take(pa.array(kept)), missing)

    def __len__(self) -> int:
        return len(self.values) + self.missing

    def encode(self, column: pa.Array) -> sparse.csr_array:
        """Rows of the design, float32; levels that the fit did not see are left out."""
        if self.kind == "category":
            return self.entries(column).csr()
        tokens = Tokens.of(column, self.kind, self.separator)
        matrix = tokens.matrix(self.values, len(self), self.missing)
        return unit_rows(matrix)[tokens.rows]

    def entries(self, column: pa.Array) -> Entries:
        """The same of a category, as the one entry that a row has."""
        places = self._places.of(_as_booleans(column) if self.of_booleans else _as_values(column))
        if self.missing:
            places[places == NOTHING] = len(self.values)
        return Entries(np.maximum(places, np.int32(-1))[:, None], None, len(self))

    @cached_property
    def _places(self) -> Places:
        return Places(self.values)

    def select(self, columns: NDArray[Any]) -> Levels:
        """With some of the columns, ascending, alone."""
        kept = columns[columns < len(self.values)]
        return replace(self, values=self.values.take(pa.array(kept)), missing=len(kept) < len(columns))

    def unmet(self, column: pa.Array) -> list[str]:
        """Levels that the fit did not see."""
        if self.of_booleans:
            column = _as_booleans(column)
        texts = pc.unique(Tokens.of(column, self.kind, self.separator).texts)
        unmet: list[str] = texts.filter(pc.invert(pc.is_in(texts, value_set=self.values))).drop_null().to_pylist()
        return unmet

    @property
    def of_booleans(self) -> bool:
        """Whether the levels are true and false."""
        return self.kind == "category" and self.values[:3].to_pylist() in BOOLEANS

    def names(self, column: str) -> list[str]:
        """A name for each column."""
        mark = ":" if self.kind == "text" else "="
        return [f"{column}{mark}{value}" for value in self.values.to_pylist()] + [f"{column} missing"] * self.missing


def unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Rows of ones as vectors of length 1: a long list counts no more than a short one."""
    n = np.diff(matrix.indptr)
    values = (1 / np.sqrt(np.repeat(n, n))).astype(np.float32)
    return sparse.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def as_levels(column: pa.Array) -> pa.Array:
    """Values as text; whole numbers without decimals, so that 7, 7.0 and "7" are one level. Blank ones are null."""
    column = plain(column)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), None, column)
        with suppress(pa.ArrowInvalid):  # with decimals
            column = column.cast(pa.int64())
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _as_values(column: pa.Array) -> pa.Array:
    """Values as of `as_levels`, whole numbers and texts as they are."""
    of, kind = pa.types, column.type
    kind = kind.value_type if of.is_dictionary(kind) else kind
    return column if of.is_integer(kind) or is_text(column) else as_levels(column)


def _as_booleans(column: pa.Array) -> pa.Array:
    """true and false of texts in any case, and of 1 and 0: what files make of them."""
    texts = pc.utf8_lower(as_levels(column))
    return pc.if_else(pc.equal(texts, "1"), "true", pc.if_else(pc.equal(texts, "0"), "false", texts))


@dataclass(frozen=True, eq=False)
class Tokens:
    """What a column's rows have: texts, worked on once for each distinct value.

    Parameters
    ----------
    texts : pyarrow.StringArray
    owners : ndarray of shape (n_texts,), ascending
        The distinct value that each text is of.
    n_owners : int
    rows : ndarray of shape (n_rows,)
        The distinct value of each row, n_owners where it has none.
    """

    texts: pa.StringArray
    owners: NDArray[Any]
    n_owners: int
    rows: NDArray[Any]

    @classmethod
    def of(cls, column: pa.Array, kind: str, separator: str) -> Tokens:
        """Of a column of lists (sets), or of any other values."""
        of = pa.types
        if of.is_list(column.type) or of.is_large_list(column.type) or of.is_fixed_size_list(column.type):
            rows = np.where(np.asarray(column.is_null()), len(column), np.arange(len(column)))
            return cls(*_present(as_levels(pc.list_flatten(column)), pc.list_parent_indices(column)), len(column), rows)
        encoded = as_levels(column).dictionary_encode()
        distinct = encoded.dictionary
        rows = np.asarray(pc.fill_null(encoded.indices, len(distinct)))
        if kind == "category" or (kind == "set" and not separator):
            return cls(distinct, np.arange(len(distinct)), len(distinct), rows)
        if kind == "text":
            lists = pc.split_pattern_regex(pc.utf8_lower(distinct), WORD)
        else:
            lists = pc.split_pattern(distinct, separator)
        texts = pc.utf8_trim_whitespace(pc.list_flatten(lists))
        return cls(*_present(texts, pc.list_parent_indices(lists)), len(distinct), rows)

    def matrix(self, values: pa.StringArray, width: int, missing: bool = False) -> sparse.csr_array:
        """Ones where a distinct value has a level, once only.

        The last row is that of no value, with a one in the last column if `missing`.
        """
        codes = pc.index_in(self.texts, value_set=values)
        known = ~np.asarray(codes.is_null())
        rows, columns = self.owners[known], np.asarray(codes.filter(pa.array(known)))
        if missing:
            rows, columns = np.append(rows, self.n_owners), np.append(columns, width - 1)
        ones = np.ones(len(rows), np.float32)
        matrix = sparse.csr_array((ones, (rows, columns)), shape=(self.n_owners + 1, width))
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix


def _present(texts: pa.StringArray, owners: pa.Array) -> tuple[pa.StringArray, NDArray[Any]]:
    """Texts that are not blank."""
    kept = pc.fill_null(pc.not_equal(texts, ""), False)
    return texts.filter(kept), np.asarray(owners.filter(kept))
