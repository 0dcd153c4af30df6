"""Whatever holds columns as an Arrow table: pandas, polars, pyarrow, arrays, lists of rows, mappings of columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fmkit.errors import InputError


def as_arrow(X: Any) -> pa.Table:
    """The columns of a table.

    Parameters
    ----------
    X : DataFrame, pyarrow.Table or RecordBatch, array-like of shape (n_rows, n_columns), or mapping of columns
        DataFrames are those of pandas, polars and whatever else narwhals reads. Columns of arrays are named x0, x1, ...
        as scikit-learn does.

    Raises
    ------
    InputError
        If it is no table, or two columns have the same name.
    """
    if isinstance(X, pa.Table):
        # An index of pandas tells where rows stood, not what they hold.
        table = X.select([j for j, name in enumerate(X.column_names) if not name.startswith("__index_level_")])
    elif isinstance(X, pa.RecordBatch):
        table = pa.Table.from_batches([X])
    elif isinstance(X, Mapping):
        of_names = {str(name): _column(values) for name, values in X.items()}
        lengths = {name: len(column) for name, column in of_names.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise InputError(f"columns must be of one length, got {told}")
        table = pa.table(of_names)
    elif isinstance(X, np.ndarray | Sequence):
        table = _of_rows(np.asarray(X))
    else:
        table = _of_frame(X)
    _check_names(table.column_names)
    columns = [_as_text(c) if isinstance(c.type, pa.BaseExtensionType) else c for c in table.columns]  # uuids
    return pa.Table.from_arrays(columns, table.column_names)


def _check_names(names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"the table has {count} columns named '{name}': rename all but one")


def _of_rows(rows: NDArray[Any]) -> pa.Table:
    if rows.ndim != 2:
        raise InputError(f"a table has rows and columns, got an array of {rows.ndim} dimensions. Reshape your data")
    if rows.dtype.kind == "c":
        raise InputError("Complex data not supported: a table holds numbers, text, dates or lists")
    return pa.table({f"x{j}": _column(rows[:, j]) for j in range(rows.shape[1])})


def _of_frame(X: Any) -> pa.Table:
    import narwhals as nw

    names = X.collect_schema().names() if hasattr(X, "collect_schema") else getattr(X, "columns", ())
    _check_names([str(name) for name in names])  # before narwhals does, in other words
    try:
        frame = nw.from_native(X)
    except TypeError:
        if hasattr(X, "__array__"):
            return _of_rows(np.asarray(X))
        raise InputError(
            f"a table is needed: a DataFrame, a pyarrow.Table, an array or a mapping of columns, got {type(X).__name__}"
        ) from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    columns = []
    for series in frame.iter_columns():
        try:
            columns.append(series.to_arrow())
        except (pa.ArrowException, TypeError, OverflowError):  # objects of several types
            columns.append(_column(series.to_numpy()))
    return pa.Table.from_arrays(columns, [str(name) for name in frame.columns])


def _column(values: Any) -> pa.Array | pa.ChunkedArray:
    """A column of an array or list; objects that have no type in common become text."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind in "US":
        values = values.tolist()
    if not hasattr(values, "__len__") or isinstance(values, str):
        raise InputError(f"a column must hold a value for each row, got {type(values).__name__}")
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, OverflowError):
        return _as_text(values)


def _as_text(values: Any) -> pa.Array:
    objects = values.to_pylist() if isinstance(values, pa.ChunkedArray) else values
    return pa.array([None if value is None or value != value else str(value) for value in objects], pa.string())
