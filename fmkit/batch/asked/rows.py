"""Estimators of rows: machines, nets of tables, and pipelines of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from fmkit.batch.asked.answers import Wishes
from fmkit.batch.asked.columns import Anything, Column, Fault, Ids, Numbers, Refused, faulty
from fmkit.batch.asked.dates import DateColumn
from fmkit.batch.asked.predictions import Predictions
from fmkit.errors import InputError
from fmkit.pipelines import steps_of
from fmkit.tables import TableEncoder
from fmkit.tables.dates import Dates

INDICES, VALUES = "indices", "values"


class Rows:
    """An estimator asked of the columns that its first step was fitted to.

    Parameters
    ----------
    model : estimator, or Pipeline
        Fitted.
    schema : pyarrow.Schema
    wishes : Wishes
    """

    def __init__(self, model: Any, schema: pa.Schema, wishes: Wishes) -> None:
        self.predictions = Predictions(model, wishes)
        self.fields = self.predictions.fields
        first = steps_of(model)[0]
        self.n_sparse = 0
        self.columns: dict[str, Column]
        if isinstance(first, TableEncoder):
            self.columns = columns_of(first)
        elif hasattr(first, "stream_") and first.stream_.roles is not None:
            roles = first.stream_.roles
            self.columns = {name: Ids(needed=False, trimmed=False) for name in roles.ids}
            self.columns |= {name: Numbers(needed=False) for name in roles.numbers}
        elif getattr(first, "categories_", None) is not None:  # a net of a table
            names = list(first.feature_names_in_)
            self.columns = {name: Anything() if j in first.categories_ else Numbers() for j, name in enumerate(names)}
        elif hasattr(first, "stream_") or ({INDICES, VALUES} <= set(schema.names) and _is_list(schema, INDICES)):
            if getattr(getattr(first, "stream_", None), "with_fields", False):
                raise InputError("a model of libffm's entries with fields is asked by predict, of files")
            self.n_sparse = 2**31 - 1 if hasattr(first, "stream_") else int(first.n_features_in_)
            self.columns = {INDICES: Entries(self.n_sparse), VALUES: Entries(None)}
        else:
            self.columns = dict.fromkeys(_names(first, schema), Numbers())
        self.nameless = not hasattr(first, "feature_names_in_") and not hasattr(first, "stream_")

    def answer(self, values: Mapping[str, Any], n: int) -> list[pa.Array]:
        """Predictions."""
        if self.n_sparse:
            return self.predictions.of(_as_csr(values[INDICES], values[VALUES], self.n_sparse))
        if self.nameless and all(isinstance(kind, Numbers) for kind in self.columns.values()):
            return self.predictions.of(np.column_stack([values[name] for name in self.columns]))
        return self.predictions.of(pa.table(dict(values)))


class Entries:
    """Lists of a sparse row's columns, or of its values.

    Parameters
    ----------
    n_columns : int or None
        Of the model; None for values.
    """

    def __init__(self, n_columns: int | None) -> None:
        self.n_columns = n_columns

    def check(self, kind: pa.DataType) -> None:
        """Lists of whole numbers, or of numbers."""
        of = pa.types
        if not (of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind)):
            raise InputError(f"lists of numbers are needed, it holds {kind}")
        inner = kind.value_type
        if not (of.is_integer(inner) or (self.n_columns is None and of.is_floating(inner))):
            raise InputError(f"lists of {'numbers' if self.n_columns is None else 'whole numbers'} are needed: {kind}")

    def read(self, column: pa.Array) -> tuple[pa.Array, list[Fault]]:
        """The lists; those that hold a gap, a column that is none of the model's or no finite number are faults."""
        column = column.cast(pa.large_list(pa.int64() if self.n_columns else pa.float64()))
        flat, rows = column.flatten(), np.repeat(np.arange(len(column)), _lengths(column))
        numbers = np.asarray(flat.to_numpy(zero_copy_only=False), np.float64)
        if self.n_columns is None:
            wrong, reason = ~(np.abs(numbers) <= np.finfo(np.float32).max), "one of the values is no finite number"
        else:
            wrong = ~((numbers >= 0) & (numbers < self.n_columns))
            reason = f"one of the columns is none of the model's, 0 to {self.n_columns - 1}"
        mask = np.asarray(column.is_null())
        mask[rows[wrong]] = True
        return column, faulty(mask, reason)


def _names(model: Any, schema: pa.Schema) -> list[str]:
    """The columns of a model of numbers: by name, or x0, x1, ... as a table of nameless columns has, or in order."""
    if hasattr(model, "feature_names_in_"):
        return [str(name) for name in model.feature_names_in_]
    n = getattr(model, "n_features_in_", None)
    if n is None:
        raise InputError(f"a {type(model).__name__} does not tell what columns it needs: fit it to a table with names")
    names = [f"x{j}" for j in range(n)]
    if set(names) <= set(schema.names) or len(schema.names) != n:
        return names
    return list(schema.names)


def columns_of(encoder: TableEncoder) -> dict[str, Column]:
    """What an encoder reads of each column."""
    columns: dict[str, Column] = {}
    for feature in encoder.features_:
        kind: Column = Anything()
        if feature.kind == "number":
            kind = Numbers(needed=False)
        elif feature.kind == "date":
            dates = encoder._encoders[feature.column]
            assert isinstance(dates, Dates)
            kind = DateColumn(dates.form, dates.zone, dates.unit)
        columns[feature.column] = kind
    return columns


def _is_list(schema: pa.Schema, name: str) -> bool:
    return bool(pa.types.is_nested(schema.field(name).type))


def _lengths(lists: pa.Array) -> Any:
    return np.asarray(lists.value_lengths().fill_null(0))


def _as_csr(indices: pa.Array, values: pa.Array, n_columns: int) -> sparse.csr_array:
    lengths = _lengths(indices)
    unlike = faulty(lengths != _lengths(values), f"{INDICES} and {VALUES} are of different lengths")
    if unlike:
        raise Refused(VALUES, unlike)
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    columns, entries = (np.asarray(lists.flatten()) for lists in (indices, values))
    return sparse.csr_array((entries.astype(np.float32), columns, indptr), shape=(len(indices), n_columns))
