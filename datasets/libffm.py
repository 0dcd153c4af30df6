"""libffm's text files, which xLearn reads too: `label field:index:value ...`, a line a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fmkit.errors import InputError

from .lines import Source, name_of
from .rows import WIDEST, Bounds, Rows, check_count, chunks_of_rows, joined, read_rows
from .written import write_lines

# A file must not ask for gigabytes by one index: of each column its field is told, even of those that do not occur.
UNASKED = 2**28


def read_libffm(
    source: Source, *, n_features: int | None = None, columns_per_field: int | None = None
) -> tuple[sparse.csr_array, NDArray[np.float32], NDArray[np.int32]]:
    """Read a file of libffm or xLearn.

    Parameters
    ----------
    source : str, Path or binary file
        As in `read_libfm`, comments and blank lines, too.
    n_features : int, optional
        Columns that X shall have: those of the fit, for rows to predict. By default those up to the last that occurs.
    columns_per_field : int, optional
        By default indices are columns as they stand, and a column that occurs in two fields is refused. In hashed
        files many do. With c columns per field, index j of field f is column `f * c + j % c`: fields have columns of
        their own, the same in every file, and few of a field share one if c is several times the levels it has.

    Returns
    -------
    X : csr_array of shape (n_rows, n_features), float32
        Sorted; entries of one column in a row are added up, zeros that are written stay.
    y : ndarray of shape (n_rows,), float32
    field_of : ndarray of shape (n_features,), int32
        The field of each column, for the estimators' `fields`; -1 where the column does not occur.

    Raises
    ------
    OSError
        If the file is missing, a folder, or not readable for this user.
    InputError
        If something is not as it should be; the message names the line and the entry.

    Examples
    --------
    >>> from io import BytesIO
    >>> from fmkit.datasets import read_libffm
    >>> text = b"1 0:0:1 1:3:0.5\\n0 0:1:1 1:3:2\\n"
    >>> X, y, field_of = read_libffm(BytesIO(text))
    >>> X.toarray()
    array([[1. , 0. , 0. , 0.5],
           [0. , 1. , 0. , 2. ]], dtype=float32)
    >>> field_of
    array([ 0,  0, -1,  1], dtype=int32)
    >>> read_libffm(BytesIO(text), columns_per_field=2)[0].toarray()
    array([[1. , 0. , 0. , 0.5],
           [0. , 1. , 0. , 2. ]], dtype=float32)
    """
    fields = _FieldOfColumns(source, n_features, columns_per_field)
    rows = joined(fields.told(part, line_of) for part, line_of in read_rows(source, fields.bounds))
    return rows.as_matrix(fields.width, source), rows.labels, fields.of_columns()


def iter_libffm(
    source: Source, *, chunk_rows: int = 65_536, n_features: int | None = None, columns_per_field: int | None = None
) -> Iterator[tuple[sparse.csr_array, NDArray[np.float32], NDArray[np.int32]]]:
    """Read a file of libffm or xLearn some rows at a time, in bounded memory.

    Parameters
    ----------
    source : str, Path or binary file
        As in `read_libfm`.
    chunk_rows : int, default=65_536
        Rows at a time; the last ones may be fewer.
    n_features : int, optional
        Columns that every chunk shall have; by default those up to the last that was read so far.
    columns_per_field : int, optional
        As in `read_libffm`.

    Yields
    ------
    X : csr_array of shape (n_rows, n_features), float32
    y : ndarray of shape (n_rows,), float32
    field_of : ndarray of shape (n_features,), int32
        The field of each column that was read so far, -1 of others.

    Raises
    ------
    OSError, InputError
        As `read_libffm`, once the rows before are read.

    Examples
    --------
    >>> from io import BytesIO
    >>> from fmkit.datasets import iter_libffm
    >>> for X, y, field_of in iter_libffm(BytesIO(b"1 0:0:1 1:2:1\\n0 0:1:1 1:2:1\\n"), chunk_rows=1):
    ...     print(X.shape, y, field_of)
    (1, 3) [1.] [0 0 1]
    (1, 3) [0.] [0 0 1]
    """
    check_count("chunk_rows", chunk_rows)
    fields = _FieldOfColumns(source, n_features, columns_per_field)
    return _chunks(source, chunk_rows, fields)


def _chunks(
    source: Source, chunk_rows: int, fields: _FieldOfColumns
) -> Iterator[tuple[sparse.csr_array, NDArray[np.float32], NDArray[np.int32]]]:
    parts = (fields.told(part, line_of) for part, line_of in read_rows(source, fields.bounds))
    for rows in chunks_of_rows(parts, chunk_rows):
        yield rows.as_matrix(fields.width, source), rows.labels, fields.of_columns()


class _FieldOfColumns:
    """What is known of columns' fields while blocks of rows come.

    Parameters
    ----------
    source : str, Path or binary file
    n_features, columns_per_field : int, optional
        As in `read_libffm`.

    Attributes
    ----------
    bounds : Bounds
        Of fields and indices.
    width : int
        Columns up to now.
    """

    def __init__(self, source: Source, n_features: int | None, columns_per_field: int | None) -> None:
        if n_features is not None:
            check_count("n_features", n_features)
        widest = n_features or UNASKED
        if columns_per_field is None:
            self.bounds = Bounds(0, widest - 1, WIDEST - 1)
        else:
            check_count("columns_per_field", columns_per_field)
            if columns_per_field > widest:
                raise ValueError(
                    f"columns_per_field must be at most {widest}, the columns of all fields, got {columns_per_field}"
                )
            self.bounds = Bounds(0, WIDEST - 1, widest // columns_per_field - 1)
        self.source, self.n_features, self.columns_per_field = source, n_features, columns_per_field
        self.width = n_features or 0
        self.known = np.full(self.width, -1, np.int32)

    def told(self, rows: Rows, line_of: Callable[[int], int]) -> Rows:
        """The rows with columns for indices, once what they say of columns' fields is known and fits."""
        columns = rows.indices
        if self.columns_per_field is not None:
            c = np.int32(self.columns_per_field)
            columns = rows.fields * c + columns % c
        self.width = max(self.width, int(columns.max(initial=-1)) + 1)
        if self.width > len(self.known):
            fresh = np.full(max(self.width, min(2 * len(self.known), UNASKED)) - len(self.known), -1, np.int32)
            self.known = np.concatenate([self.known, fresh])
        unknown = self.known[columns] < 0
        self.known[columns[unknown]] = rows.fields[unknown]
        other = self.known[columns] != rows.fields
        if other.any():
            entry = int(np.argmax(other))
            row = int(np.searchsorted(rows.indptr, entry, side="right")) - 1
            raise InputError(
                f"index {columns[entry]} has field {rows.fields[entry]}, and field {self.known[columns[entry]]} "
                "elsewhere: a column has one field; columns_per_field=... gives each field columns of its own",
                path=name_of(self.source),
                line=line_of(row),
            )
        return replace(rows, indices=columns, fields=rows.fields[:0])

    def of_columns(self) -> NDArray[np.int32]:
        """The field of each column up to now."""
        return self.known[: self.width].copy()


def write_libffm(path: str | Path, X: Any, y: ArrayLike, field_of: ArrayLike) -> None:
    """Write a file that libffm and xLearn read.

    Values and labels are rounded to float32, and written with the fewest digits that give these back.

    Parameters
    ----------
    path : str or Path
        It appears whole or not at all; compressed if it ends in .gz.
    X : sparse matrix or array-like of shape (n_rows, n_features)
        Zeros that are stored are written.
    y : array-like of shape (n_rows,)
        Numbers.
    field_of : array-like of shape (n_features,), integers
        The field of each column, from 0; columns without an entry may have any.

    Raises
    ------
    ValueError, TypeError
        If there are other than finite numbers, or not a label a row and a field a column.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from fmkit.datasets import write_libffm
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "train.ffm"
    ...     write_libffm(path, [[1, 0, 0.1], [0, 1, 0]], [1, 0], [0, 0, 1])
    ...     print(path.read_text(), end="")
    1 0:0:1 1:2:0.1
    0 0:1:1
    """
    write_lines(path, X, y, 0, field_of)
