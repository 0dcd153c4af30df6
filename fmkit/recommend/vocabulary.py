"""Ids and their codes: 0, 1, 2, ... in the order of first appearance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.tables.places import UNKNOWN, Places
from fmkit.tables.texts import plain


class Vocabulary:
    """The ids of the users or of the items; an id's position is its code.

    Parameters
    ----------
    ids : pyarrow.Array of int64 or string
        Unique, without nulls.
    """

    def __init__(self, ids: pa.Array) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, ids: Any) -> NDArray[np.int32]:
        """Codes of ids (an array-like of integers or text, or one); -1 where an id is unknown.

        Ids are compared as they are written: 7 and "7" are the same, "007" is another; spaces around are no part of it.
        """
        return np.maximum(self._places.of(as_column(ids)), np.int32(UNKNOWN))

    @cached_property
    def _places(self) -> Places:
        return Places(self.ids)

    def decode(self, codes: NDArray[np.int32]) -> pa.Array:
        """Ids of codes."""
        return self.ids.take(pa.array(codes))

    @classmethod
    def of_chunks(cls, chunks: Sequence[pa.DictionaryArray]) -> tuple[Vocabulary, NDArray[np.int32]]:
        """The vocabulary of a column that comes in parts, each text encoded by itself, and the column's codes.

        Spaces around an id are not part of it. Ids become int64 if all of them are integers written the usual way, so
        that an id comes out as it went in ("007" stays text).
        """
        unified = pa.chunked_array(chunks).unify_dictionaries()
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in unified.chunks])
        ids = unified.chunk(0).dictionary
        trimmed = pc.utf8_trim_whitespace(ids)
        if not trimmed.equals(ids):
            encoded = trimmed.dictionary_encode()
            ids, codes = encoded.dictionary, encoded.indices.to_numpy()[codes]
        return cls(plain_ids(ids)), codes


def as_texts(ids: Any) -> pa.Array:
    """Ids as text, one alone as an array of one; those that are neither integers nor text are refused."""
    return plain(as_column(ids)).cast(pa.string())


def as_column(ids: Any) -> pa.Array:
    """Ids as integers, text, a dictionary of these or nulls; others are refused, as those of `as_texts`."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.chunk(0) if ids.num_chunks == 1 else ids.combine_chunks()
    column = ids if isinstance(ids, pa.Array) else _array(id_array(ids))
    of, kind = pa.types, column.type
    if of.is_dictionary(kind):
        kind = kind.value_type
    if of.is_floating(kind):
        # Integers with gaps come as floats from other tools; 1.5 is refused by the cast.
        try:
            return plain(column).cast(pa.int64())
        except pa.ArrowInvalid:
            raise InputError("ids must be integers or text, got numbers with decimals") from None
    kinds = (of.is_integer, of.is_string, of.is_large_string, of.is_string_view, of.is_null)
    if not any(is_kind(kind) for is_kind in kinds):
        raise InputError(f"ids must be integers or text, got {kind}")
    return column


def id_array(ids: Any) -> NDArray[Any]:
    """An id, or an array-like or a set of ids, as an array of one dimension."""
    return np.atleast_1d(np.asarray(list(ids) if isinstance(ids, set | frozenset) else ids))


def _array(ids: NDArray[Any]) -> pa.Array:
    """As in a table: text of a fixed width has no counterpart in Arrow, UUIDs and ids of several types are text."""
    if ids.dtype.kind in "iuf":
        return pa.array(ids)
    objects = ids.tolist()
    if ids.dtype.kind != "U":
        objects = [str(one) if isinstance(one, UUID) else one for one in objects]
    try:
        return pa.array(objects)
    except (pa.ArrowException, TypeError, OverflowError):
        return pa.array([None if one is None else str(one) for one in objects], pa.string())


def plain_ids(ids: Any) -> pa.Array:
    """Ids as int64 if all of them are integers written the usual way, as text else."""
    texts = pc.utf8_trim_whitespace(as_texts(ids))
    try:
        integers = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts
    return integers if integers.cast(pa.string()).equals(texts) else texts
