"""What readers of files have in common: pieces of rows with their numbers in the file, in parts of some millions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.batch.inputs import Input
from fmkit.batch.scoring import REJECTED
from fmkit.errors import InputError

NOT_TEXT = "it is not UTF-8"
SHOWN = 80  # letters of a value that will not do
PLACED = pa.schema([("line", pa.int64()), *REJECTED])  # rejects with the line, where a file has lines


@dataclass(frozen=True)
class Limits:
    """How much is held at once, and how much a part of the output is.

    Parameters
    ----------
    batch_bytes : int
        Of a batch.
    batch_rows : int
        At most.
    part_rows : int
        Rows from which on a part of the output is full.
    part_bytes : int
        The same, of text.
    """

    batch_bytes: int
    batch_rows: int
    part_rows: int
    part_bytes: int


@dataclass(frozen=True)
class Loaded:
    """Rows of a file.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Those that could be read.
    rows : ndarray of int64
        Their numbers in the file, from 1.
    lines : ndarray of int64, or None
        Of text: the lines in which they begin, from 1.
    rejected : pyarrow.RecordBatch
        Those that could not, `PLACED`.
    """

    batch: pa.RecordBatch
    rows: NDArray[np.int64]
    lines: NDArray[np.int64] | None
    rejected: pa.RecordBatch


@dataclass(frozen=True)
class Piece:
    """Some rows, still to be read or parsed: by whichever thread is free.

    Parameters
    ----------
    load : callable
        Reads them.
    n_rows : int
    done : float
        Share of the file that is read with these.
    ends_group : bool
        Whether a row group of the file ends here.
    """

    load: Callable[[], Loaded]
    n_rows: int
    done: float
    ends_group: bool = False


@dataclass
class Part:
    """A run of rows whose output is one file.

    Parameters
    ----------
    number : int
        In its input, from 0.
    pieces : iterator of Piece
    end : dict of str to int
    is_last : bool
        Where the next part begins, and whether there is one: known when the pieces have come to their end.
    """

    number: int
    pieces: Iterator[Piece] = iter(())  # noqa: RUF009 (of none)
    end: dict[str, int] = field(default_factory=dict)
    is_last: bool = True


class Reader(Protocol):
    """A file that is read part by part."""

    schema: pa.Schema
    own: list[str]
    """Columns of the file itself; the others are what its folders' names tell."""
    numbered: bool
    """Whether it may have several parts."""

    def parts(self, needed: Sequence[str], begin: Mapping[str, int], number: int) -> Iterator[Part]:
        """The parts from a place on; `needed` are the columns that are read.

        Each part is to be read to its end before the next is asked for.
        """


def with_partitions(schema: pa.Schema, file: Input) -> pa.Schema:
    """A file's columns, and those that the names of its folders tell."""
    for name in file.partitions:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return schema


def add_partitions(batch: pa.RecordBatch, needed: Sequence[str], file: Input) -> pa.RecordBatch:
    """A batch of columns of a file with those that are needed of its folders' names."""
    columns = []
    for name in needed:
        if name in batch.schema.names:
            columns.append(batch.column(name))
        else:
            columns.append(pa.repeat(pa.scalar(file.partitions[name], pa.string()), len(batch)))
    if not needed:
        return batch
    return pa.RecordBatch.from_arrays(columns, list(needed))


def decoded(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Bytes as text, and the rows that are none."""
    try:
        return column.cast(pa.string()), np.empty(0, np.int64)
    except pa.ArrowInvalid:
        texts = [None if value is None else value.decode("utf-8", "replace") for value in column.to_pylist()]
        encoded = pa.array(texts, pa.string())
        wrong = pc.not_equal(encoded.cast(pa.binary()), column)
        return encoded, np.flatnonzero(np.asarray(pc.fill_null(wrong, False)))


def no_rejects() -> pa.RecordBatch:
    """None."""
    return pa.RecordBatch.from_pylist([], schema=PLACED)


def damaged(file: Input, error: Exception) -> InputError:
    """What Arrow says of a file that it cannot read, as a sentence."""
    told = str(error).strip().splitlines() or ["nothing is told"]
    return InputError(f"the file is damaged, or no {file.form} file ({told[0].rstrip('.')})", path=file.place.name)
