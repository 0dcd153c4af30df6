"""Files of text: CSV and its kin, NDJSON. Blocks are cut into records here, and parsed by Arrow in whichever thread."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
from numpy.typing import NDArray

from fmkit.batch.formats.reading import (
    NOT_TEXT,
    PLACED,
    SHOWN,
    Limits,
    Loaded,
    Part,
    Piece,
    add_partitions,
    damaged,
    decoded,
    no_rejects,
    with_partitions,
)
from fmkit.batch.formats.records import UNCLOSED, count_lines, find_records, gather_records
from fmkit.batch.inputs import Input
from fmkit.errors import InputError

HEAD = 1 << 20  # bytes that must hold the header, or what tells the types of NDJSON
LONGEST = 1 << 24  # bytes of a record: a longer one has a quote that nobody closed
NAMES = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4", ".br": "brotli"}
ARTICLES = {
    "number": "a number", "string": "text", "boolean": "true or false", "object": "an object", "array": "a list",
    "null": "nothing",
}  # fmt: skip


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
        if len(records) == len(self.begins):
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


class Text:
    """A file of records, in blocks.

    Parameters
    ----------
    file : Input
    limits : Limits
    """

    delimiter, n_fields = -1, 1

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

    def start(self) -> Mapping[str, int]:
        """Where the records begin: byte, line, row."""
        raise NotImplementedError

    def parse(self, block: Block, needed: Sequence[str]) -> Loaded:
        """The rows of a block."""
        raise NotImplementedError

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
            if len(data) > LONGEST + 2 * self.block_bytes:
                raise InputError(f"the line is longer than {LONGEST >> 20} MB", path=self.file.place.name, line=at.line)
            found = [np.empty(count_lines(data), np.int64) for _ in range(4)]
            n, used, line = find_records(data, self.delimiter, self.n_fields, at.is_last, LONGEST, at.line, *found)
            begins, ends, fields, lines = (array[:n] for array in found)
            block = Block(data, begins, ends, fields, lines, at.row)
            at.rest, at.byte, at.line, at.row = data[used:].tobytes(), at.byte + int(used), int(line), at.row + int(n)
            if n:
                yield Piece(self._loading(block, needed), int(n), min(1.0, at.byte / max(self.file.size, 1)))
        part.end, part.is_last = {"byte": at.byte, "line": at.line, "row": at.row}, at.is_last

    def _loading(self, block: Block, needed: Sequence[str]) -> Any:
        def load() -> Loaded:
            loaded = self.parse(block, needed)
            return Loaded(add_partitions(loaded.batch, needed, self.file), loaded.rows, loaded.lines, loaded.rejected)

        return load

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


class Delimited(Text):
    """CSV, TSV and the like, with a header line; every column is text, as it is written, and empty is missing.

    The delimiter is the one of comma, tab, semicolon and bar that occurs most in the header.
    """

    def __init__(self, file: Input, limits: Limits) -> None:
        super().__init__(file, limits)
        head = self.head
        if not head.strip():
            raise InputError("the file is empty, a table with a header line is needed", path=file.place.name)
        self.before = len(head) - len(head.lstrip(b"\r\n"))
        line = head[self.before :].splitlines(keepends=True)[0]
        try:
            if b"\0" in line:
                raise UnicodeError("text holds no zeros")
            header = line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeError:
            raise InputError("this is no table: CSV or TSV in UTF-8 is needed", path=file.place.name) from None
        self.header_bytes = self.before + len(line)
        sign = max(",\t;|", key=header.count)
        self.own = next(csv.reader([header], delimiter=sign))
        twice = [name for name in self.own if self.own.count(name) > 1]
        if twice:
            raise InputError(f"the header names '{twice[0]}' twice: rename all but one", path=file.place.name)
        self.delimiter, self.n_fields = ord(sign), len(self.own)
        self.schema = with_partitions(pa.schema([(name, pa.string()) for name in self.own]), file)

    def start(self) -> Mapping[str, int]:
        """After the header."""
        lines = len(self.head[: self.header_bytes].splitlines())
        return {"byte": self.header_bytes, "line": lines + 1, "row": 1}

    def parse(self, block: Block, needed: Sequence[str]) -> Loaded:
        """Text; rows with too few or too many fields, or that are no UTF-8, are rejects."""
        wrong = np.flatnonzero(block.fields != self.n_fields)
        good = np.flatnonzero(block.fields == self.n_fields)
        own = [name for name in needed if name in self.own]
        content, reads = block.content(good), own or self.own[:1]
        if not len(good):
            table = pa.table({name: pa.array([], pa.binary()) for name in reads})
        else:
            try:
                table = pa.csv.read_csv(
                    pa.BufferReader(content),
                    pa.csv.ReadOptions(column_names=self.own, block_size=len(content) + 1, use_threads=False),
                    pa.csv.ParseOptions(delimiter=chr(self.delimiter), newlines_in_values=True),
                    # Only an empty field is missing: "NA" and "null" may be somebody's name.
                    pa.csv.ConvertOptions(
                        column_types=dict.fromkeys(reads, pa.binary()),
                        include_columns=reads,
                        null_values=[""],
                        strings_can_be_null=True,
                    ),
                )
            except pa.ArrowInvalid as error:
                raise damaged(self.file, error) from None
        if len(table) != len(good):
            raise InputError(f"near line {block.lines[0]}: records cannot be told apart", path=self.file.place.name)
        rejects = [self._of_fields(block, wrong)] if len(wrong) else []
        columns, no_text = {}, np.zeros(len(good), bool)
        for name in reads:
            columns[name], faulty = decoded(table.column(name).combine_chunks())
            faulty = faulty[~no_text[faulty]]
            no_text[faulty] = True
            if len(faulty):
                told = [NOT_TEXT] * len(faulty)
                shown = [str(value)[:SHOWN] for value in table.column(name).take(pa.array(faulty)).to_pylist()]
                rejects.append(block.rejected(good[faulty], [name] * len(faulty), told, shown))
        batch = pa.RecordBatch.from_pydict(columns)
        if no_text.any():
            batch, good = batch.take(pa.array(np.flatnonzero(~no_text))), good[~no_text]
        rejected = pa.Table.from_batches(rejects, PLACED).combine_chunks().to_batches()
        return Loaded(batch, block.row + good, block.lines[good], (rejected or [no_rejects()])[0])

    def _of_fields(self, block: Block, records: NDArray[np.int64]) -> pa.RecordBatch:
        reasons = [
            "a quote is not closed"
            if count == UNCLOSED
            else f"the row has {count} field{'s' * (count != 1)}, the header has {self.n_fields}"
            for count in block.fields[records].tolist()
        ]
        values = [block.text(record) for record in records.tolist()]
        return block.rejected(records, [None] * len(records), reasons, values)


class Lines(Text):
    """NDJSON: an object a line; the first lines tell the types of the columns."""

    def __init__(self, file: Input, limits: Limits) -> None:
        super().__init__(file, limits)
        lines = self.head.splitlines()[: None if len(self.head) < HEAD else -1]
        known = [line for line in lines if line.strip() and _is_object(line)]
        if not known:
            raise InputError("the file has no line that is a JSON object", path=file.place.name)
        self.types = pa.json.read_json(pa.BufferReader(b"\n".join(_alike(known)))).schema
        self.own = list(self.types.names)
        self.schema = with_partitions(self.types, file)

    def start(self) -> Mapping[str, int]:
        """At the first line."""
        return {"byte": 0, "line": 1, "row": 1}

    def parse(self, block: Block, needed: Sequence[str]) -> Loaded:
        """Objects; lines that are none, or whose values are of another type, are rejects."""
        own = pa.schema([field for field in self.types if field.name in needed] or [self.types.field(0)])
        tables: list[pa.Table] = []
        wrong: list[tuple[int, str | None, str]] = []
        self._read_lines(block, np.arange(len(block.begins)), own, tables, wrong)
        bad = np.array([record for record, _, _ in wrong], np.int64)
        good = np.setdiff1d(np.arange(len(block.begins)), bad)
        whole = pa.concat_tables([own.empty_table(), *tables]).combine_chunks()
        batch = pa.RecordBatch.from_arrays([column.combine_chunks() for column in whole.columns], schema=own)
        columns, reasons = [column for _, column, _ in wrong], [reason for _, _, reason in wrong]
        values = [block.text(record) for record in bad.tolist()]
        rejected = block.rejected(bad, columns, reasons, values) if len(bad) else no_rejects()
        return Loaded(batch, block.row + good, block.lines[good], rejected)

    def _read_lines(self, block: Block, records: Any, own: pa.Schema, tables: Any, wrong: Any) -> None:
        """Halve what does not go through, until the lines at fault are alone."""
        if not len(records):
            return
        options = pa.json.ParseOptions(explicit_schema=own, unexpected_field_behavior="ignore")
        content = block.content(records)
        reading = pa.json.ReadOptions(use_threads=False, block_size=len(content) + 1)
        try:
            table = pa.json.read_json(pa.BufferReader(content), reading, options).select(own.names)
            if len(table) == len(records):
                tables.append(table)
                return
            fault: tuple[str | None, str] = None, "one JSON object a line is needed"
        except pa.ArrowInvalid as error:
            fault = _json_fault(str(error))
        if len(records) == 1:
            wrong.append((int(records[0]), *fault))
            return
        half = len(records) // 2
        self._read_lines(block, records[:half], own, tables, wrong)
        self._read_lines(block, records[half:], own, tables, wrong)


def _json_fault(told: str) -> tuple[str | None, str]:
    """The column at fault, and the reason, by what Arrow says."""
    found = re.search(r"Column\(/?(.*?)\) changed from (\w+) to (\w+)", told)
    if found and found[1]:
        return found[1], f"it holds {ARTICLES[found[3]]} where {ARTICLES[found[2]]} is needed"
    return None, "this is no JSON object"


def _alike(lines: list[bytes]) -> list[bytes]:
    """Lines whose values agree in their types with those of the lines before them."""
    try:
        pa.json.read_json(pa.BufferReader(b"\n".join(lines)))
        return lines
    except pa.ArrowInvalid:
        if len(lines) == 1:
            return []
    first, second = _alike(lines[: len(lines) // 2]), _alike(lines[len(lines) // 2 :])
    if not first:
        return second
    for line in second:
        with contextlib.suppress(pa.ArrowInvalid):
            pa.json.read_json(pa.BufferReader(b"\n".join([first[0], line])))
            first.append(line)
    return first


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
