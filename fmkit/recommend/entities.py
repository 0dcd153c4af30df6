"""The users or the items: their ids, and what a table says of them as rows of a design matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from fmkit.errors import InputError
from fmkit.recommend.columns import find_columns, usual_column
from fmkit.recommend.tables import TableFile, read_whole
from fmkit.recommend.vocabulary import Vocabulary, as_texts, plain_ids
from fmkit.tables import TableEncoder
from fmkit.tables.frames import as_arrow
from fmkit.tables.texts import plain


@dataclass(frozen=True, eq=False)
class Entities:
    """Ids and features.

    Parameters
    ----------
    ids : Vocabulary
        Those of the interactions, then those that only the table has: new users and items that wait for their first.
    features : csr_array of shape (n_ids, n_features), float32
        Empty rows for ids that the table does not have.
    encoder : TableEncoder, or None
        What made the features; None if there is no table.
    id_column : str or None
    table : pyarrow.Table of n_ids rows, or None
        The other columns as they were given; nulls for ids that the table does not have.
    n_replaced : int
        Rows of the table left out because a row further down tells of the same id.
    """

    ids: Vocabulary
    features: sparse.csr_array
    encoder: TableEncoder | None = None
    id_column: str | None = None
    table: pa.Table | None = None
    n_replaced: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(
        cls,
        ids: Vocabulary,
        table: Any,
        role: str,
        id_column: str | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Entities:
        """The ids of interactions and, if there is one, a table of what is known of them.

        Parameters
        ----------
        ids : Vocabulary
        table : DataFrame, pyarrow.Table, mapping of columns, path, or None
        role : {"user", "item"}
        id_column : str, optional
            The column of the ids; by default the one of a usual name.
        schema : mapping of column to kind, optional
            As for TableEncoder; columns of other tables are passed over.

        Raises
        ------
        InputError
            If the table has no column of ids, lacks an id, shares none with the interactions, or is made of such.
        """
        if table is None:
            return cls(ids, sparse.csr_array((len(ids), 0), dtype=np.float32))
        path = Path(table) if isinstance(table, str | Path) else None
        if path is None:
            table = as_arrow(table)
        names = table.column_names if path is None else TableFile.open(path).names
        given = {role: id_column} if id_column is not None and id_column in names else {}
        (column,) = find_columns(names, (role,), given, path=path or f"the table of {role}s")
        if path is not None:
            table = read_whole(path, [column])
        try:
            texts = pc.utf8_trim_whitespace(as_texts(table.column(column)))
        except InputError as error:
            raise InputError(f"the table of {role}s, column '{column}': {error}") from None
        gone = pc.fill_null(pc.equal(texts, ""), True)
        if pc.any(gone).as_py():
            raise InputError(f"the table of {role}s has no id in row {int(np.argmax(gone)) + 1} of column '{column}'")
        last = _last_of_each(texts)
        n_replaced = len(texts) - len(last)
        other = usual_column([name for name in names if name != column], "item" if role == "user" else "user")
        if n_replaced and other is not None and _n_pairs(texts, table.column(other)) > len(last):
            raise InputError(
                f"the table of {role}s has rows of the same {role} with another '{other}' each, as interactions have: "
                f"give one with a row for each {role}",
                path=path,
            )
        table, texts = table.take(pa.array(last)), texts.take(pa.array(last))
        codes = ids.encode(texts).copy()
        if not (codes >= 0).any():
            raise InputError(
                f"the table of {role}s shares no id with the interactions: "
                f"are ids written alike, as {texts[0]} here and {ids.ids[0]} there?"
            )
        known = pa.concat_arrays([ids.ids.cast(pa.string()), texts.filter(pa.array(codes < 0))])
        codes[codes < 0] = np.arange(len(ids), len(known))
        described = table.drop_columns([column])
        if not described.num_columns:
            nothing = sparse.csr_array((len(known), 0), dtype=np.float32)
            return cls(Vocabulary(plain_ids(known)), nothing, id_column=column, n_replaced=n_replaced)
        own = {name: kind for name, kind in (schema or {}).items() if name in described.column_names}
        encoder = TableEncoder(own or None).fit(described)
        rows = encoder.transform(described)
        entries = np.ones(len(codes), np.float32), (codes, np.arange(len(codes)))
        place = sparse.csr_array(entries, shape=(len(known), len(codes)))
        row_of = np.full(len(known), -1)
        row_of[codes] = np.arange(len(codes))
        aligned = described.take(pa.array(row_of, mask=row_of < 0))
        features = sparse.csr_array(place @ rows)
        return cls(Vocabulary(plain_ids(known)), features, encoder, column, aligned, n_replaced)

    @cached_property
    def titles(self) -> pa.Array | None:
        """What each is called, where the table has a column of names; lists of them are none."""
        column = None if self.table is None else usual_column(self.table.column_names, "title")
        if column is None:
            return None
        assert self.table is not None
        try:
            return self.table.column(column).combine_chunks().cast(pa.string())
        except pa.ArrowException:
            return None

    def with_ids(self, name: str) -> pa.Table:
        """The table, after a column of the ids, which has its own name, or this one where no table was given."""
        name = self.id_column or name
        return pa.table({name: self.ids.ids}) if self.table is None else self.table.add_column(0, name, self.ids.ids)

    @property
    def feature_names(self) -> list[str]:
        """Of the columns of `features`."""
        return [] if self.encoder is None else [str(name) for name in self.encoder.get_feature_names_out()]

    def encoded(self, described: list[Mapping[str, Any]]) -> sparse.csr_array:
        """Features of others, from values by column; what is not told is missing."""
        assert self.encoder is not None
        assert self.table is not None
        names = self.table.column_names
        wrong = [name for one in described for name in one if name not in names]
        if wrong:
            raise InputError(f"there is no column '{wrong[0]}', the table has {', '.join(map(repr, names))}")
        try:
            columns = {f.name: pa.array([one.get(f.name) for one in described], f.type) for f in self.table.schema}
        except (pa.ArrowException, TypeError) as error:
            raise InputError(f"features are not as in the table: {error}") from None
        return self.encoder.transform(pa.table(columns))

    def taking_in(self, ids: pa.Array) -> Entities:
        """With those of some ids that are new at the end; nothing else is known of them."""
        new = ids.filter(pa.array(self.ids.encode(ids) < 0))
        n = len(new)
        if not n:
            return self
        known = pa.concat_arrays([self.ids.ids.cast(pa.string()), as_texts(new)])
        features = sparse.vstack([self.features, sparse.csr_array((n, self.features.shape[1]), dtype=np.float32)])
        table = self.table
        if table is not None:
            nothing = pa.table({field.name: pa.nulls(n, field.type) for field in table.schema})
            table = pa.concat_tables([table, nothing])
        return replace(self, ids=Vocabulary(plain_ids(known)), features=sparse.csr_array(features), table=table)

    def remaining(self, codes: Any) -> tuple[Entities, NDArray[np.bool_]]:
        """Some of them, less what features tell of the others alone; and which columns of features are left."""
        some = self.select(codes)
        if self.encoder is None:
            return some, np.ones(some.features.shape[1], bool)
        encoder, stay = self.encoder.without(emptied(self.features, some.features))
        return replace(some, encoder=encoder, features=some.features[:, stay]), stay

    def select(self, codes: Any) -> Entities:
        """Some of them, in this order."""
        table = None if self.table is None else self.table.take(pa.array(codes))
        return replace(self, ids=Vocabulary(self.ids.decode(codes)), features=self.features[codes], table=table)


def emptied(before: sparse.csr_array, after: sparse.csr_array) -> NDArray[np.bool_]:
    """Which columns had entries and have none any more."""
    had, has = (np.bincount(rows.indices, minlength=rows.shape[1]) > 0 for rows in (before, after))
    return np.asarray(had & ~has)


def _n_pairs(texts: pa.StringArray, others: pa.ChunkedArray) -> int:
    if pa.types.is_nested(others.type):  # of which Arrow makes no groups
        return 0
    pairs = pa.table({"one": texts, "other": plain(others.combine_chunks())})
    return len(pairs.group_by(["one", "other"]).aggregate([]))


def _last_of_each(texts: pa.StringArray) -> Any:
    """Positions of the last row of each text, ascending."""
    codes = texts.dictionary_encode().indices.to_numpy()
    last = np.zeros(int(codes.max()) + 1, np.int64)
    np.maximum.at(last, codes, np.arange(len(codes)))
    return np.sort(last)


def feature_of_columns(encoder: TableEncoder | None) -> NDArray[np.intp]:
    """Number of the feature that each column of a design tells."""
    sizes = [] if encoder is None else [feature.n_columns for feature in encoder.features_]
    return np.repeat(np.arange(len(sizes)), sizes)
