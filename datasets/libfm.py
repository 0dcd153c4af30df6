"""libFM's and svmlight's text files: `label index:value index:value ...`, a line a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fmkit.errors import InputError

from .lines import Source, name_of
from .rows import WIDEST, Bounds, Rows, check_count, chunks_of_rows, joined, read_rows
from .written import write_lines


def read_libfm(
    source: Source, *, n_features: int | None = None, zero_based: bool | Literal["auto"] = True
) -> tuple[sparse.csr_array, NDArray[np.float32]]:
    """Read a file of libFM, LIBSVM or svmlight.

    Blank lines, comments from a # on and svmlight's `qid:3` are passed over. Entries may stand in any order; those of
    one column in a row are added up.

    Parameters
    ----------
    source : str, Path or binary file
        gzip's files are unpacked, whatever their name; an open file is read from where it stands and stays open.
    n_features : int, optional
        Columns that X shall have: those of the fit, for rows to predict. By default those up to the last that occurs.
    zero_based : bool or "auto", default=True
        True: indices are columns as they stand, so that files read apart agree; where they begin at 1, as svmlight's,
        column 0 is empty, which costs nothing. False: index 1 is column 0. "auto": False if no index is 0, True
        otherwise, as scikit-learn guesses; a part of a file may then be shifted where the rest is not.

    Returns
    -------
    X : csr_array of shape (n_rows, n_features), float32
        Sorted; zeros that are written stay.
    y : ndarray of shape (n_rows,), float32

    Raises
    ------
    OSError
        If the file is missing, a folder, or not readable for this user.
    InputError
        If something is not as it should be; the message names the line and the entry.

    Examples
    --------
    >>> from io import BytesIO
    >>> from fmkit.datasets import read_libfm
    >>> X, y = read_libfm(BytesIO(b"5 0:1 3:1\\n1.5 1:1 3:0.25 # half a star more\\n"))
    >>> X.toarray()
    array([[1.  , 0.  , 0.  , 1.  ],
           [0.  , 1.  , 0.  , 0.25]], dtype=float32)
    >>> y
    array([5. , 1.5], dtype=float32)
    """
    if zero_based != "auto":
        bounds = _bounds(n_features, zero_based)
    else:  # an index may be the number of columns, if none is 0
        bounds = replace(_bounds(n_features, True), highest=n_features or WIDEST)
    rows = joined(part for part, _ in read_rows(source, bounds))
    if zero_based == "auto":
        rows.indices[:] -= np.int32(rows.indices.min(initial=1) > 0)
        if rows.indices.max(initial=-1) == (n_features or WIDEST):
            sentence = f"index {rows.indices.max()} is one more than {n_features or WIDEST} columns from 0 have"
            raise InputError(sentence, path=name_of(source))
    width = int(rows.indices.max(initial=-1)) + 1 if n_features is None else n_features
    return rows.as_matrix(width, source), rows.labels


def iter_libfm(
    source: Source, *, chunk_rows: int = 65_536, n_features: int | None = None, zero_based: bool = True
) -> Iterator[tuple[sparse.csr_array, NDArray[np.float32]]]:
    """Read a file of libFM, LIBSVM or svmlight some rows at a time, in bounded memory.

    Parameters
    ----------
    source : str, Path or binary file
        As in `read_libfm`.
    chunk_rows : int, default=65_536
        Rows at a time; the last ones may be fewer.
    n_features : int, optional
        Columns that every chunk shall have; by default those up to the last that occurred so far.
    zero_based : bool, default=True
        As in `read_libfm`.

    Yields
    ------
    X : csr_array of shape (n_rows, n_features), float32
    y : ndarray of shape (n_rows,), float32

    Raises
    ------
    OSError, InputError
        As `read_libfm`, once the rows before are read.

    Examples
    --------
    >>> from io import BytesIO
    >>> from fmkit.datasets import iter_libfm
    >>> for X, y in iter_libfm(BytesIO(b"1 0:1\\n0 2:1\\n1 1:1\\n"), chunk_rows=2, n_features=3):
    ...     print(X.shape, y)
    (2, 3) [1. 0.]
    (1, 3) [1.]
    """
    check_count("chunk_rows", chunk_rows)
    parts = (part for part, _ in read_rows(source, _bounds(n_features, zero_based)))
    return _chunks(chunks_of_rows(parts, chunk_rows), n_features, source)


def _chunks(
    chunks: Iterator[Rows], n_features: int | None, source: Source
) -> Iterator[tuple[sparse.csr_array, NDArray[np.float32]]]:
    width = 0
    for rows in chunks:
        width = n_features or max(width, int(rows.indices.max(initial=-1)) + 1)
        yield rows.as_matrix(width, source), rows.labels


def write_libfm(path: str | Path, X: Any, y: ArrayLike, *, zero_based: bool = True) -> None:
    """Write a file that libFM reads, or, with `zero_based=False`, LIBSVM and svmlight.

    Values and labels are rounded to float32, and written with the fewest digits that give these back.

    Parameters
    ----------
    path : str or Path
        It appears whole or not at all; compressed if it ends in .gz.
    X : sparse matrix or array-like of shape (n_rows, n_features)
        Zeros that are stored are written.
    y : array-like of shape (n_rows,)
        Numbers.
    zero_based : bool, default=True
        Whether column 0 has the index 0, not 1.

    Raises
    ------
    ValueError, TypeError
        If there are other than finite numbers, or not a label a row.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from fmkit.datasets import write_libfm
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "train.libfm"
    ...     write_libfm(path, [[1, 0, 0.1], [0, 1, 0]], [5, 3.5])
    ...     print(path.read_text(), end="")
    5 0:1 2:0.1
    3.5 1:1
    """
    write_lines(path, X, y, first_index(zero_based))


def _bounds(n_features: int | None, zero_based: bool) -> Bounds:
    first = first_index(zero_based)
    if n_features is not None:
        check_count("n_features", n_features)
    return Bounds(first, (n_features or WIDEST) - 1 + first)


def first_index(zero_based: bool) -> int:
    """The index of column 0."""
    if not isinstance(zero_based, bool | np.bool_):
        raise ValueError(f"zero_based must be True or False, got {zero_based!r}")
    return 0 if zero_based else 1
