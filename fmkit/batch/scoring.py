"""Scores of record batches: one function, for a file, a stream, or a partition of a cluster's table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.batch.asked.answers import Wishes, ask
from fmkit.batch.asked.columns import Fault, Refused, taken
from fmkit.errors import InputError
from fmkit.tables.frames import as_arrow

REJECTED = pa.schema([("row", pa.int64()), ("column", pa.string()), ("reason", pa.string()), ("value", pa.string())])
SHOWN = 80  # letters of a value that will not do


class Scored(NamedTuple):
    """A batch, scored."""

    batch: pa.RecordBatch
    """The rows that will do, in their order: the columns kept, and the answers."""
    rejected: pa.RecordBatch
    """A row for each that will not: `row` (from 0, in the batch), `column`, `reason`, `value`."""


class Scorer:
    """A model bound to the columns of the batches that it scores.

    Parameters
    ----------
    model : estimator of fmkit, or a Pipeline
        Fitted. FMRegressor, FMClassifier, FMOrdinal and the nets of tables are asked of the columns they were fitted to
        (of a matrix without names: x0, x1, ..., or all columns in their order, or lists `indices` and `values` of
        sparse rows); a Recommender of users and items; an FMRanker of `query` and `item`, row numbers of its fit; nets
        of sequences and of pictures, and ImageRestorer, of one column of texts, lists, or bytes of files.
    schema : pyarrow.Schema
        Of the batches.
    keep : sequence of str, optional
        Columns of the batches that are handed on; by default all.
    std : bool, default=False
        Add `prediction_std`, the standard deviation of what is foretold, the noise included.
    proba : bool, default=False
        Add the probability of each class, `proba_<label>`.
    top : int, optional
        Of a Recommender: instead of a prediction, lists `items` and `scores` of so many items for each row's user.
    columns : mapping of role to column, optional
        Columns with unusual names: user, item, query, text, series, audio, picture, mask.

    Attributes
    ----------
    schema : pyarrow.Schema
        Of what comes out.
    needed : list of str
        Columns that are read of a batch: those kept and those that the model is asked by.

    Raises
    ------
    InputError
        If a column is missing or of a wrong type, or the model does not tell what is wished.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from fmkit import FMRegressor
    >>> from fmkit.batch import Scorer
    >>> model = FMRegressor(random_state=0).fit(pa.table({"size": [1.0, 2, 3, 4], "age": [1.0, 0, 1, 0]}), [1, 2, 3, 4])
    >>> batch = pa.record_batch({"id": [7, 8], "size": [2.0, None], "age": [1.0, 1.0]})
    >>> scored = Scorer(model, batch.schema, keep=["id"]).sift(batch)
    >>> scored.batch.schema.names, scored.batch["id"].to_pylist()
    (['id', 'prediction'], [7])
    >>> scored.rejected.to_pylist()
    [{'row': 1, 'column': 'size', 'reason': 'there is no number', 'value': None}]
    """

    def __init__(
        self,
        model: Any,
        schema: pa.Schema,
        *,
        keep: Sequence[str] | None = None,
        std: bool = False,
        proba: bool = False,
        top: int | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self._asked = ask(model, schema, Wishes(std, proba, top, columns))
        self.kept = list(schema.names if keep is None else keep)
        for name, count in Counter(self.kept).items():
            if count > 1 or len(schema.get_all_field_indices(name)) > 1:
                mend = "rename all but one" if keep is None else "name it once, and rename the others"
                raise InputError(f"column '{name}' would come out more than once: {mend}")
            if schema.get_field_index(name) < 0:
                raise InputError(f"there is no column '{name}' to keep: the columns are {', '.join(schema.names)}")
        answered = [field.name for field in self._asked.fields]
        for name in answered:
            if name in self.kept:
                raise InputError(f"the batches have a column '{name}' already: rename it, or keep the others only")
        self.needed = [*self.kept, *(name for name in self._asked.columns if name not in self.kept)]
        self._types = {name: schema.field(name).type for name in self.needed}
        self.schema = pa.schema([*(schema.field(name) for name in self.kept), *self._asked.fields])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch, scored.

        Raises
        ------
        InputError
            At the first row that will not do; `sift` sets such rows aside instead.
        """
        scored = self.sift(batch)
        if len(scored.rejected):
            raise InputError(sentence_of(scored.rejected, "row {row} of the batch"))
        return scored.batch

    def mark(self, batch: pa.RecordBatch, name: str = "fault") -> pa.RecordBatch:
        """All rows, with a column more: why a row is not scored, null where it is; its answers are null then.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        name : str, default="fault"
            Of the column.
        """
        scored = self.sift(batch)
        reasons = pa.nulls(len(batch), pa.string())
        if not len(scored.rejected):
            return scored.batch.append_column(name, reasons)
        wrong = np.asarray(scored.rejected["row"])
        place, told = np.full(len(batch), -1), np.full(len(batch), -1)
        good = np.setdiff1d(np.arange(len(batch)), wrong)
        place[good], told[wrong] = np.arange(len(good)), np.arange(len(wrong))
        answers = scored.batch.select([field.name for field in self._asked.fields]).take(_or_null(place))
        columns = scored.rejected["column"], scored.rejected["reason"]
        sentences = pc.binary_join_element_wise(
            pc.binary_join_element_wise("column '", columns[0], "'", ""), columns[1], ": "
        )
        kept = [batch.column(kept) for kept in self.kept]
        arrays = [*kept, *answers.columns, sentences.take(_or_null(told))]
        return pa.RecordBatch.from_arrays(arrays, schema=self.marked_schema(name))

    def marked_schema(self, name: str = "fault") -> pa.Schema:
        """Of what `mark` gives.

        Parameters
        ----------
        name : str, default="fault"
        """
        if name in self.schema.names:
            raise InputError(f"there is a column '{name}' already: give that of faults another name")
        return self.schema.append(pa.field(name, pa.string()))

    def sift(self, batch: pa.RecordBatch) -> Scored:
        """The rows that will do, scored, and those that will not, named.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            With the columns of the schema.
        """
        self._check(batch)
        n = len(batch)
        wrong = np.zeros(n, bool)
        rejected: list[pa.RecordBatch] = []
        values = {}
        for name, kind in self._asked.columns.items():
            column = batch.column(name)
            try:
                values[name], faults = kind.read(column)
            except (InputError, pa.ArrowException) as error:
                raise InputError(f"column '{name}': {error}") from None
            rejected += [_told(name, fault, column, wrong) for fault in faults]
        good = np.flatnonzero(~wrong)
        if wrong.any():
            values = {name: taken(column, good) for name, column in values.items()}
        while True:
            try:
                answers = self._answers(values, len(good))
                break
            except Refused as refused:
                column = batch.column(refused.column)
                of_batch = [Fault(good[fault.rows], fault.reason) for fault in refused.faults]
                rejected += [_told(refused.column, fault, column, wrong) for fault in of_batch]
                stay = np.flatnonzero(~wrong[good])
                values, good = {name: taken(column, stay) for name, column in values.items()}, good[stay]
        kept = [batch.column(name) for name in self.kept]
        if len(good) < n:
            kept = [column.take(pa.array(good)) for column in kept]
        scored = pa.RecordBatch.from_arrays([*kept, *answers], schema=self.schema)
        return Scored(scored, _in_order(rejected))

    def _check(self, batch: pa.RecordBatch) -> None:
        """A stream has the columns of its first batch all the way."""
        for name, kind in self._types.items():
            if batch.schema.get_field_index(name) < 0:
                raise InputError(f"a batch has no column '{name}', which the first one had")
            if batch.schema.field(name).type != kind:
                found = batch.schema.field(name).type
                raise InputError(f"column '{name}' held {kind} in the first batch, and holds {found} in a later one")

    def _answers(self, values: Mapping[str, Any], n: int) -> list[pa.Array]:
        if not n:
            return [pa.array([], field.type) for field in self._asked.fields]
        return self._asked.answer(values, n)


def _or_null(places: NDArray[np.int64]) -> pa.Array:
    """Places to take from; null for -1."""
    return pa.array(places, mask=places < 0)


def score(
    model: Any,
    batches: Any,
    *,
    keep: Sequence[str] | None = None,
    std: bool = False,
    proba: bool = False,
    top: int | None = None,
    columns: Mapping[str, str] | None = None,
    rejects: list[pa.RecordBatch] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Score a stream of record batches, one after the other: each comes out with predictions beside its columns.

    Nothing is kept between batches, and how a table is cut into batches changes no score; so the same function serves
    files, databases, and the partitions of a cluster.

    Parameters
    ----------
    model : estimator of fmkit, or a Pipeline
        Fitted; see `Scorer` for the columns that it is asked by.
    batches : iterable of pyarrow.RecordBatch or DataFrame, pyarrow.Table, or whatever exports an Arrow stream
        A `RecordBatchReader`, a relation of DuckDB, a frame of polars.
    keep, std, proba, top, columns
        As of `Scorer`.
    rejects : list, optional
        Rows that will not do are left out, and appended here: batches of `row` (in the stream, from 0), `column`,
        `reason` and `value`. By default the first of them ends the stream by an InputError.

    Yields
    ------
    pyarrow.RecordBatch
        As many as came, of the same rows in the same order (but for rejects).

    Raises
    ------
    InputError
        At the first batch, if columns do not fit the model; later, if a batch has other columns.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from fmkit.batch import score
    >>> from fmkit.recommend import Recommender
    >>> ratings = {"user": ["ann", "ann", "bob", "bob", "cat"], "item": [1, 2, 2, 3, 1], "rating": [5, 1, 1, 4, 5]}
    >>> model = Recommender(random_state=0).fit(ratings)
    >>> pairs = pa.table({"user": ["ann", "cat"], "item": [3, 2]})
    >>> for batch in score(model, pairs, std=True):
    ...     print(batch.schema.names, len(batch))
    ['user', 'item', 'prediction', 'prediction_std'] 2
    """
    scorer, n_rows = None, 0
    for batch in as_batches(batches):
        if scorer is None:
            scorer = Scorer(model, batch.schema, keep=keep, std=std, proba=proba, top=top, columns=columns)
        scored = scorer.sift(batch)
        if len(scored.rejected):
            moved = in_stream(scored.rejected, n_rows)
            if rejects is None:
                raise InputError(sentence_of(moved, "row {row} of the stream"))
            rejects.append(moved)
        n_rows += len(batch)
        yield scored.batch


def as_batches(batches: Any) -> Iterator[pa.RecordBatch]:
    """Record batches of whatever holds or yields some."""
    if isinstance(batches, pa.RecordBatch):
        yield batches
    elif isinstance(batches, pa.RecordBatchReader | pa.Table):
        yield from batches if isinstance(batches, pa.RecordBatchReader) else _batches_of(batches)
    elif hasattr(batches, "__arrow_c_stream__"):
        yield from pa.RecordBatchReader.from_stream(batches)
    elif isinstance(batches, Iterable) and not isinstance(batches, str | bytes | Mapping):
        for one in batches:
            if isinstance(one, pa.RecordBatch):
                yield one
            else:
                yield from _batches_of(as_arrow(one))
    else:
        raise InputError(f"record batches, or an iterable of some, are needed, got {type(batches).__name__}")


def in_stream(rejected: pa.RecordBatch, before: int) -> pa.RecordBatch:
    """Rejects of a batch with the number of their rows in the stream."""
    rows = pa.array(np.asarray(rejected["row"]) + before)
    return pa.RecordBatch.from_arrays([rows, *rejected.columns[1:]], schema=REJECTED)


def sentence_of(rejected: pa.RecordBatch, place: str) -> str:
    """The first reject as a sentence."""
    first = rejected.slice(0, 1).to_pylist()[0]
    value = "" if first["value"] is None else f" ({first['value']!r})"
    return f"{place.format(row=first['row'] + 1)}, column '{first['column']}': {first['reason']}{value}"


def _batches_of(table: pa.Table) -> list[pa.RecordBatch]:
    """One of no rows for a table of none, so that its columns are checked."""
    return table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]


def _told(name: str, fault: Fault, column: pa.Array, wrong: NDArray[np.bool_]) -> pa.RecordBatch:
    """A fault as rejects, less the rows that have one already; these are marked."""
    rows = fault.rows[~wrong[fault.rows]]
    wrong[rows] = True
    n = len(rows)
    reasons = pa.repeat(pa.scalar(fault.reason), n), pa.repeat(pa.scalar(name), n)
    return pa.RecordBatch.from_arrays([pa.array(rows), reasons[1], reasons[0], _shown(column, rows)], schema=REJECTED)


def _shown(column: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
    """Values as text, for a person: long ones cut, bytes as they are written in Python."""
    values = column.take(pa.array(rows))
    texts = [None if value is None else str(value)[:SHOWN] for value in values.to_pylist()]
    return pa.array(texts, pa.string())


def _in_order(rejected: list[pa.RecordBatch]) -> pa.RecordBatch:
    if not rejected:
        return pa.RecordBatch.from_pylist([], schema=REJECTED)
    joined = pa.Table.from_batches(rejected).combine_chunks()
    return joined.sort_by("row").to_batches()[0] if len(joined) else pa.RecordBatch.from_pylist([], schema=REJECTED)
