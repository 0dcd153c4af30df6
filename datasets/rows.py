"""Files of sparse text as rows: a block, a chunk or all of them at a time, and as a matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.errors import InputError

from .faults import NUMBER, as_float32, fault_of_line
from .lines import Source, blocks_of_lines, name_of

WIDEST = 2**31 - 1  # columns of a design


@dataclass(frozen=True)
class Rows:
    """Some rows of a file.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), float32
    indptr : ndarray of shape (n_rows + 1,), int64
        Entries before each row, from 0, and all.
    fields, indices : ndarray of shape (n_entries,), int32
        Of each entry; `fields` is empty where the format has none.
    values : ndarray of shape (n_entries,), float32
    """

    labels: NDArray[np.float32]
    indptr: NDArray[np.int64]
    fields: NDArray[np.int32]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    def cut(self, first: int, last: int) -> Rows:
        """Rows first:last, without a copy."""
        start = self.indptr[first]
        entries = slice(start, self.indptr[last])
        return Rows(
            self.labels[first:last],
            self.indptr[first : last + 1] - start,
            self.fields[entries],
            self.indices[entries],
            self.values[entries],
        )

    def as_matrix(self, n_features: int, source: Source) -> sparse.csr_array:
        """The entries, sorted; those of one column in a row are added up."""
        X = sparse.csr_array((self.values, self.indices, self.indptr), shape=(len(self.labels), n_features))
        if not X.has_canonical_format:
            X.sum_duplicates()
            if not np.isfinite(X.data).all():
                column = X.indices[np.argmin(np.isfinite(X.data))]
                sentence = f"entries of column {column} in one row add up to more than float32 holds"
                raise InputError(sentence, path=name_of(source))
        return X


class LineFault(InputError):
    """A line is not as it should be; whoever knows the file tells where that is.

    Parameters
    ----------
    sentence : str
    line : int
        Counted from 1, in the text that was read.
    """

    def __init__(self, sentence: str, line: int) -> None:
        super().__init__(sentence)
        self.sentence, self.line = sentence, line


@dataclass(frozen=True)
class Bounds:
    """What whole numbers may stand before an entry's value.

    Parameters
    ----------
    lowest, highest : int
        Of indices; the lowest is column 0.
    highest_field : int, optional
        Of fields, from 0; None if entries have none.
    """

    lowest: int
    highest: int
    highest_field: int | None = None


def check_count(name: str, count: Any) -> None:
    """Raise a ValueError unless it is a whole number from 1 to `WIDEST`."""
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or not 1 <= count <= WIDEST:
        raise ValueError(f"{name} must be a whole number from 1 to {WIDEST}, got {count!r}")


def read_rows(source: Source, bounds: Bounds) -> Iterator[tuple[Rows, Callable[[int], int]]]:
    """The rows of each block of text, and what tells the line, counted from 1, of a row.

    Raises
    ------
    InputError
        At the first line that is not as it should be.
    """
    n_lines = 0
    for text in blocks_of_lines(source):
        try:
            yield parse_rows(text, bounds), partial(_line_of_row, text, n_lines)
        except LineFault as fault:
            raise InputError(fault.sentence, path=name_of(source), line=n_lines + fault.line) from None
        n_lines += text.count(b"\n")


def chunks_of_rows(parts: Iterable[Rows], n_rows: int) -> Iterator[Rows]:
    """The same rows, `n_rows` at a time; the last ones may be fewer."""
    held: list[Rows] = []
    missing = n_rows
    for part in parts:
        first, n_part = 0, len(part.labels)
        while n_part - first >= missing:
            yield joined([*held, part.cut(first, first + missing)])
            first, held, missing = first + missing, [], n_rows
        if first < n_part:
            held.append(part.cut(first, n_part))
            missing -= n_part - first
    if held:
        yield joined(held)


def joined(parts: Iterable[Rows]) -> Rows:
    """Rows one after the other.

    Arrays grow in place: the system moves the pages of large ones without a copy. A file of 20 million entries (172 MB
    of arrays) takes 317 MB in all; with its parts kept and put together at the end it took 477.
    """
    whole: dict[str, NDArray[Any]] = {
        "labels": np.empty(0, np.float32),
        "indptr": np.zeros(1, np.int64),
        "fields": np.empty(0, np.int32),
        "indices": np.empty(0, np.int32),
        "values": np.empty(0, np.float32),
    }
    filled = {name: len(array) for name, array in whole.items()}
    for part in parts:
        n_entries = filled["values"]
        for name, array in whole.items():
            piece = part.indptr[1:] + n_entries if name == "indptr" else getattr(part, name)
            end = filled[name] + len(piece)
            if end > len(array):
                array.resize(max(end, len(array) * 5 // 4), refcheck=False)
            array[filled[name] : end] = piece
            filled[name] = end
    for name, array in whole.items():
        array.resize(filled[name], refcheck=False)
    return Rows(**whole)


def parse_rows(text: bytes, bounds: Bounds) -> Rows:
    """The rows of some lines, each with its line end.

    Raises
    ------
    LineFault
        At the first line that is not as it should be.
    """
    from .entries import parse  # compiles kernels, or loads them: for these files alone

    with_fields = bounds.highest_field is not None
    n_rows, n_entries = text.count(b"\n"), text.count(b":") // (2 if with_fields else 1)
    rows = Rows(
        np.empty(n_rows, np.float32),
        np.empty(n_rows + 1, np.int64),
        np.empty(n_entries if with_fields else 0, np.int32),
        np.empty(n_entries, np.int32),
        np.empty(n_entries, np.float32),
    )
    doubtful = np.empty((n_rows + n_entries, 2), np.int64)
    letters = np.frombuffer(text, np.uint8)
    read, n_read, n_doubtful, fault = parse(
        letters, with_fields, bounds.lowest, bounds.highest, bounds.highest_field or 0,
        rows.labels, rows.indptr, rows.fields, rows.indices, rows.values, doubtful,
    )  # fmt: skip
    for position, owner in doubtful[:n_doubtful].tolist():
        number = NUMBER.match(text, position)
        assert number is not None
        value = as_float32(number[0])
        if not np.isfinite(value):
            fault = text.rfind(b"\n", 0, position) + 1
            break
        if owner < 0:
            rows.labels[owner] = value
        else:
            rows.values[owner] = value
    if fault >= 0:
        raise _fault(text, fault, bounds)
    rows.indices[:n_read] -= np.int32(bounds.lowest)
    return rows.cut(0, read)


def _fault(text: bytes, start: int, bounds: Bounds) -> LineFault:
    indices = (bounds.lowest, bounds.highest)
    line = text[start : text.index(b"\n", start)]
    if bounds.highest_field is None:
        sentence = fault_of_line(line, ["index"], [indices])
    else:
        sentence = fault_of_line(line, ["field", "index"], [(0, bounds.highest_field), indices])
    return LineFault(sentence or "the line cannot be read", text.count(b"\n", 0, start) + 1)


def _line_of_row(text: bytes, n_lines: int, row: int) -> int:
    full = (line for line, letters in enumerate(text.split(b"\n"), n_lines + 1) if letters.partition(b"#")[0].strip())
    return next(line for position, line in enumerate(full) if position == row)
