"""Files of text, in blocks: cut into records by one thread, parsed by whichever is free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fmkit.batch.formats.reading import (
    PLACED,
    SHOWN,
    Limits,
    Loaded,
    Part,
    Piece,
    add_partitions,
    damaged,
    no_rejects,
)
from fmkit.batch.formats.records import LINE_FEED, NO_SIGN, UNCLOSED, count_lines, find_records, gather_records
from fmkit.batch.inputs import Input

HEAD = 1 << 20  # bytes that must hold the header, or what tells the types of NDJSON
LONGEST = 1 << 24  # bytes of a record: a longer one has a quote that nobody closed, or is no record
TOO_LONG = -2  # in place of a number of fields, as UNCLOSED
MARK = b"\xef\xbb\xbf"  # of UTF-8, as some editors write it at the start
NAMES = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4", ".br": "brotli"}

Records = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Records of a file, found but not parsed.

    Parameters
    ----------
    data : ndarray of uint8
    begins, ends, fields, lines : ndarrays of int64
        Of each record; see `find_records`.
    row : int
        Number of the first record in the file, from 1.
    """

    data: NDArray[np.uint8]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    fields: NDArray[np.int64]
    lines: NDArray[np.int64]
    row: int

    def text(self, record: int) -> str:
        """What stands there, for a person."""
        content = self.data[self.begins[record] : self.ends[record]][: 4 * SHOWN].tobytes()
        return content.decode("utf-8", "backslashreplace").rstrip("\r\n")[:SHOWN]

    def content(self, records: NDArray[np.int64]) -> bytes:
        """Some of the records as they are written."""
        if len(records) == len(self.begins) and (not len(records) or self.data[self.ends[-1] - 1] == LINE_FEED):
            return self.data[self.begins[0] : self.ends[-1]].tobytes() if len(records) else b""
        begins, ends = self.begins[records], self.ends[records]
        out = np.empty(int((ends - begins + 1).sum()), np.uint8)
        return out[: gather_records(self.data, begins, ends, out)].tobytes()

    def rejected(self, records: NDArray[np.int64], columns: Any, reasons: Any, values: Sequence[str]) -> pa.RecordBatch:
        """Records as rejects."""
        arrays = [self.lines[records], self.row + records, columns, reasons, values]
        return pa.RecordBatch.from_arrays(
            [pa.array(a, f.type) for a, f in zip(arrays, PLACED, strict=True)], schema=PLACED
        )


@dataclass
class Cursor:
    """How far a text is read.

    Parameters
    ----------
    byte, line, row : int
        Where the next record begins, the bytes of the text without compression; lines and rows count from 1.
    rest : bytes
        What is read of that record.
    is_last : bool
        Whether the text is at its end.
    """

    byte: int
    line: int
    row: int
    rest: bytes = b""
    is_last: bool = False


class Unreadable(Exception):
    """Records do not go through.

    Parameters
    ----------
    column : str or None
        The one at fault, if that is known.
    reason : str
        What would be right, of a single record.
    """

    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason


class Text(ABC):
    """A file of records, in blocks.

    Parameters
    ----------
    file : Input
    limits : Limits
    """

    delimiter, n_fields, comment = NO_SIGN, 1, NO_SIGN

    def __init__(self, file: Input, limits: Limits) -> None:
        self.file = file
        self.block_bytes = max(1 << 16, limits.batch_bytes // 4)
        self.part_bytes = limits.part_bytes
        self.numbered = file.size * (8 if file.compression else 1) > self.part_bytes
        with self._stream(0) as stream:
            self.head = self._read(stream, HEAD)

    def parts(self, needed: Sequence[str], begin: Mapping[str, int], number: int) -> Iterator[Part]:
        """Runs of blocks."""
        place = begin or self.start()
        at = Cursor(place["byte"], place["line"], place["row"])
        with self._stream(at.byte) as stream:
            while not at.is_last:
                part = Part(number)
                part.pieces = self._pieces(stream, at, needed, part)
                yield part
                number += 1

    @abstractmethod
    def start(self) -> Mapping[str, int]:
        """Where the records begin: byte, line, row."""

    @abstractmethod
    def parse(self, block: Block, records: Records, needed: Sequence[str]) -> tuple[pa.RecordBatch, Records, list[Any]]:
        """Some records of a block: what could be read, which records these are, and the others as rejects."""

    def _pieces(self, stream: Any, at: Cursor, needed: Sequence[str], part: Part) -> Iterator[Piece]:
        """Those of a part; the cursor goes along.

        A block begins where the last record before it ends, and its size is the same wherever the reading began: so a
        run that goes on later cuts as one that was never cut off.
        """
        part_end = at.byte + (self.part_bytes if self.numbered else 1 << 62)
        while not at.is_last and (at.byte < part_end or len(at.rest) >= self.block_bytes):
            missing = self.block_bytes - len(at.rest)
            asked = missing if missing > 0 else self.block_bytes
            more = self._read(stream, asked)
            at.is_last = len(more) < asked
            data = np.frombuffer(at.rest + more, np.uint8)
            found = [np.empty(count_lines(data), np.int64) for _ in range(4)]
            n, used, line = find_records(
                data, self.delimiter, self.n_fields, self.comment, at.is_last, LONGEST, at.line, *found
            )
            begins, ends, fields, lines = (array[:n] for array in found)
            block = Block(data, begins, ends, fields, lines, at.row)
            if not used and not at.is_last and len(data) > LONGEST:
                block, n = self._too_long(stream, at, data), 1
            else:
                at.rest, at.byte, at.line = data[used:].tobytes(), at.byte + int(used), int(line)
            at.row += int(n)
            if n:
                yield Piece(self._loading(block, needed), int(n), min(1.0, at.byte / max(self.file.size, 1)))
        part.end, part.is_last = {"byte": at.byte, "line": at.line, "row": at.row}, at.is_last

    def _too_long(self, stream: Any, at: Cursor, data: NDArray[np.uint8]) -> Block:
        """A line that is longer than all bounds, as a block of its first letters; the cursor goes on behind it."""
        head = data[: 4 * SHOWN].copy()
        begins, ends, fields, lines = (np.array([value]) for value in (0, len(head), TOO_LONG, at.line))
        block = Block(head, begins, ends, fields, lines, at.row)
        at.byte += len(data)
        while True:
            more = self._read(stream, self.block_bytes)
            is_last = len(more) < self.block_bytes
            end = min((place for place in (more.find(b"\n"), more.find(b"\r")) if place >= 0), default=-1)
            if end >= 0 or is_last:
                break
            at.byte += len(more)
        end = len(more) if end < 0 else end + 1 + more.startswith(b"\r\n", end)
        at.byte, at.line, at.rest = at.byte + end, at.line + 1, more[end:]
        at.is_last = is_last and not at.rest
        return block

    def _loading(self, block: Block, needed: Sequence[str]) -> Callable[[], Loaded]:
        def load() -> Loaded:
            right = block.fields == self.n_fields
            batch, read, rejects = self.parse(block, np.flatnonzero(right), needed)
            if not right.all():
                rejects.append(self._of_fields(block, np.flatnonzero(~right)))
            rejected = pa.Table.from_batches(rejects, PLACED).combine_chunks().to_batches()
            batch = add_partitions(batch, needed, self.file)
            return Loaded(batch, block.row + read, block.lines[read], (rejected or [no_rejects()])[0])

        return load

    def _of_fields(self, block: Block, records: Records) -> pa.RecordBatch:
        told = {UNCLOSED: "a quote is not closed", TOO_LONG: f"the line is longer than {LONGEST >> 20} MB"}
        reasons = [
            told.get(count) or f"the row has {count} field{'s' * (count != 1)}, the header has {self.n_fields}"
            for count in block.fields[records].tolist()
        ]
        values = [block.text(record) for record in records.tolist()]
        return block.rejected(records, [None] * len(records), reasons, values)

    def _stream(self, byte: int) -> Any:
        """The text from a byte on."""
        opened = self.file.place.open()
        if self.file.compression is None:
            opened.seek(byte)
            return opened
        stream = pa.CompressedInputStream(opened, NAMES[self.file.compression])
        while byte:
            passed = len(self._read(stream, min(byte, 1 << 22)))
            if not passed:
                break
            byte -= passed
        return stream

    def _read(self, stream: Any, n: int) -> bytes:
        """So many bytes; fewer only at the end."""
        try:
            content = bytes(stream.read(n))
            while len(content) < n and (more := stream.read(n - len(content))):
                content += more
            return content
        except (pa.ArrowException, OSError) as error:
            raise damaged(self.file, error) from None


def halved(
    block: Block, records: Records, read: Callable[[bytes, int], pa.Table]
) -> tuple[list[pa.Table], Records, list[pa.RecordBatch]]:
    """Read records all at once; halve those that do not go through, until the ones at fault are alone.

    Parameters
    ----------
    block : Block
    records : ndarray of int64
    read : callable
        Tables of the content of so many records; Unreadable if there are any at fault.

    Returns
    -------
    tables : list of pyarrow.Table
    records : ndarray of int64
        Those that they hold.
    rejects : list of pyarrow.RecordBatch
    """
    tables: list[pa.Table] = []
    wrong: list[tuple[int, str | None, str]] = []

    def go(some: Records) -> None:
        if not len(some):
            return
        try:
            tables.append(read(block.content(some), len(some)))
        except Unreadable as error:
            if len(some) == 1:
                wrong.append((int(some[0]), error.column, error.reason))
                return
            go(some[: len(some) // 2])
            go(some[len(some) // 2 :])

    go(records)
    bad = np.array([record for record, _, _ in wrong], np.int64)
    if not wrong:
        return tables, records, []
    values = [block.text(record) for record in bad.tolist()]
    rejected = block.rejected(bad, [column for _, column, _ in wrong], [reason for _, _, reason in wrong], values)
    return tables, np.setdiff1d(records, bad), [rejected]
