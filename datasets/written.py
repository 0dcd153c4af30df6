"""Sparse matrices and labels as lines of text."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fmkit.files import written_beside

AT_ONCE = 1 << 18  # entries
WHOLE = 2**24  # below it float32 holds every whole number
# Letters of a field or an index of up to ten digits with its colon, and of any float32 ("-1.1754944e-38") with a blank.
INDEX, NUMBER = 11, 16


def write_lines(path: str | Path, X: Any, y: ArrayLike, first_index: int, field_of: ArrayLike | None = None) -> None:
    """Write `label [field:]index:value ...`, a line a row; column 0 has the index `first_index`."""
    matrix, labels = _checked(X, y)
    fields = None if field_of is None else _checked_fields(matrix, field_of)
    with written_beside(path) as part, part.open("wb") as file:
        if Path(path).suffix == ".gz":
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                for text in _texts(matrix, labels, first_index, fields):
                    packed.write(text)
        else:
            for text in _texts(matrix, labels, first_index, fields):
                file.write(text)


def _texts(
    matrix: sparse.csr_array, labels: NDArray[np.float32], first_index: int, fields: NDArray[np.int32] | None
) -> Iterator[memoryview]:
    from .entry_text import write  # compiles a kernel, or loads it: for these files alone

    first, n_rows = 0, len(labels)
    of_column = np.empty(0, np.int32) if fields is None else fields
    while first < n_rows:
        last = int(np.searchsorted(matrix.indptr, matrix.indptr[first] + AT_ONCE, side="right")) - 1
        last = min(max(last, first + 1), first + AT_ONCE, n_rows)
        start, stop = matrix.indptr[first], matrix.indptr[last]
        room = (last - first) * (NUMBER + 1) + (stop - start) * (INDEX * (1 + (fields is not None)) + NUMBER)
        text = np.empty(room, np.uint8)
        values = matrix.data[start:stop]
        end = write(
            text,
            matrix.indptr[first : last + 1],
            matrix.indices[start:stop],
            first_index,
            fields is not None,
            of_column,
            labels[first:last],
            *_spelt(labels[first:last]),
            values,
            *_spelt(values),
        )
        yield text[:end].data
        first = last


def _spelt(numbers: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.uint8]]:
    """Which numbers need spelling, being no small whole ones, and the texts of those, with the end of each.

    Arrow's texts are the shortest that give back the same float32, and made seven times as fast as numpy's.
    """
    import pyarrow as pa

    spelt = (np.abs(numbers) >= WHOLE) | (numbers != np.trunc(numbers)) | (np.signbit(numbers) & (numbers == 0))
    texts = pa.array(numbers[spelt]).cast(pa.large_string())
    _, ends, letters = texts.buffers()
    if not len(texts):
        return spelt, np.zeros(1, np.int64), np.empty(0, np.uint8)
    return spelt, np.frombuffer(ends, np.int64), np.frombuffer(letters, np.uint8)


def _checked(X: Any, y: ArrayLike) -> tuple[sparse.csr_array, NDArray[np.float32]]:
    X = X if sparse.issparse(X) else np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise ValueError(f"X must be a matrix of numbers, got {X.dtype} of shape {X.shape}")
    labels = np.asarray(y)
    if labels.dtype.kind not in "biuf":
        raise TypeError(f"y must hold numbers, got {labels.dtype}: give classes numbers")
    if labels.shape != (X.shape[0],):
        raise ValueError(f"y must hold a label for each of {X.shape[0]} rows, got shape {labels.shape}")
    with np.errstate(over="ignore"):  # an infinite value is told below, with its place
        matrix, labels = sparse.csr_array(X).astype(np.float32, copy=False), labels.astype(np.float32)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()  # which may share memory with the caller's
        matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        entry = int(np.argmin(np.isfinite(matrix.data)))
        row = int(np.searchsorted(matrix.indptr, entry, side="right")) - 1
        raise ValueError(
            f"X must be finite in float32, row {row}, column {matrix.indices[entry]} has {matrix.data[entry]}"
        )
    if not np.isfinite(labels).all():
        row = int(np.argmin(np.isfinite(labels)))
        raise ValueError(f"y must be finite in float32, row {row} has {labels[row]}")
    return matrix, labels


def _checked_fields(matrix: sparse.csr_array, field_of: ArrayLike) -> NDArray[np.int32]:
    fields = np.asarray(field_of)
    if fields.shape != (matrix.shape[1],):
        raise ValueError(f"field_of must hold a field for each of {matrix.shape[1]} columns, got shape {fields.shape}")
    if fields.dtype.kind not in "iu":
        raise TypeError(f"field_of must hold integers, got {fields.dtype}")
    used = fields[matrix.indices]
    wrong = (used < 0) | (used >= 2**31 - 1)
    if wrong.any():
        column = int(matrix.indices[np.argmax(wrong)])
        raise ValueError(f"fields must be from 0 to {2**31 - 2}, column {column} has {fields[column]}")
    return fields.astype(np.int32)
