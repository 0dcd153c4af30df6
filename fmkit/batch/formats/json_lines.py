"""NDJSON: an object a line; the first lines tell the types of the columns."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json

from fmkit.batch.formats.reading import NOT_TEXT, Limits, with_partitions
from fmkit.batch.formats.texts import HEAD, MARK, Block, Records, Text, Unreadable, halved
from fmkit.batch.inputs import Input
from fmkit.errors import InputError

EXACT = 2**53  # whole numbers up to which float64 tells one from the next
LONG = re.compile(rb"(?<![\d.])\d{16,}(?![\d.eE])")  # a whole number that may be larger
ARTICLES = {
    "number": "a number", "string": "text", "boolean": "true or false", "object": "an object", "array": "a list",
    "null": "nothing",
}  # fmt: skip


class Lines(Text):
    """NDJSON.

    Texts stay texts, those that look like dates too. A whole number that a column of decimals would round is at fault.
    """

    def __init__(self, file: Input, limits: Limits) -> None:
        super().__init__(file, limits)
        lines = self.head.removeprefix(MARK).splitlines()[: None if len(self.head) < HEAD else -1]
        known = [line for line in lines if line.strip() and _object(line) is not None]
        if not known:
            raise InputError("the file has no line that is a JSON object", path=file.place.name)
        found = pa.json.read_json(pa.BufferReader(b"\n".join(_alike(known)))).schema
        self.types = pa.schema([field.with_type(_without_dates(field.type)) for field in found])
        self.own = list(self.types.names)
        self.schema = with_partitions(self.types, file)

    def start(self) -> Mapping[str, int]:
        """At the first line."""
        return {"byte": len(MARK) if self.head.startswith(MARK) else 0, "line": 1, "row": 1}

    def parse(self, block: Block, records: Records, needed: Sequence[str]) -> tuple[pa.RecordBatch, Records, list[Any]]:
        """Objects; lines that are none, or whose values are of another type, are rejects."""
        own = pa.schema([field for field in self.types if field.name in needed] or [self.types.field(0)])
        rounded = [field.name for field in own if pa.types.is_floating(field.type)]

        def read(content: bytes, n: int) -> pa.Table:
            try:
                content.decode()
            except UnicodeDecodeError:
                raise Unreadable(None, NOT_TEXT) from None
            if rounded and LONG.search(content):
                _check_exact(content, rounded)
            options = pa.json.ParseOptions(explicit_schema=own, unexpected_field_behavior="ignore")
            reading = pa.json.ReadOptions(use_threads=False, block_size=len(content) + 1)
            try:
                table = pa.json.read_json(pa.BufferReader(content), reading, options).select(own.names)
            except pa.ArrowInvalid as error:
                raise _as_unreadable(str(error)) from None
            if len(table) != n:
                raise Unreadable(None, "one JSON object a line is needed")
            return table

        tables, read_records, rejects = halved(block, records, read)
        whole = pa.concat_tables([own.empty_table(), *tables]).combine_chunks()
        batch = pa.RecordBatch.from_arrays([column.combine_chunks() for column in whole.columns], schema=own)
        return batch, read_records, rejects


def _without_dates(kind: pa.DataType) -> pa.DataType:
    """A type with text where Arrow has recognised dates in it, which would come out otherwise than they came."""
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_without_dates(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_dates(field.type)) for field in kind])
    return kind


def _check_exact(content: bytes, columns: Sequence[str]) -> None:
    for line in content.splitlines():
        if LONG.search(line):
            values = _object(line) or {}
            for name in columns:
                if isinstance(values.get(name), int) and abs(values[name]) > EXACT:
                    reason = "a whole number beyond 2^53 is rounded in a column of decimals: write it as text"
                    raise Unreadable(name, reason)


def _as_unreadable(told: str) -> Unreadable:
    """The column at fault, and the reason, by what Arrow says."""
    found = re.search(r"Column\(/?(.*?)\) changed from (\w+) to (\w+)", told)
    if found and found[1]:
        return Unreadable(found[1], f"it holds {ARTICLES[found[3]]} where {ARTICLES[found[2]]} is needed")
    found = re.search(r"Failed to convert JSON to (\w+)", told)
    if found:
        return Unreadable(None, f"a value cannot be read as {found[1]}, which those before it are")
    return Unreadable(None, "this is no JSON object")


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


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
