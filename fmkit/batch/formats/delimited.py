"""CSV and its kin."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from fmkit.batch.formats.reading import NOT_TEXT, SHOWN, Limits, damaged, decoded, with_partitions
from fmkit.batch.formats.texts import MARK, Block, Records, Text
from fmkit.batch.inputs import Input
from fmkit.errors import InputError


class Delimited(Text):
    """CSV, TSV and the like, with a header line; every column is text, as it is written, and empty is missing.

    The delimiter is the one of comma, tab, semicolon and bar that occurs most in the header.
    """

    def __init__(self, file: Input, limits: Limits) -> None:
        super().__init__(file, limits)
        if not self.head.strip():
            raise InputError("the file is empty, a table with a header line is needed", path=file.place.name)
        self.own, sign, self.begin = self._header()
        twice = next((name for name, count in Counter(self.own).items() if count > 1), None)
        if twice is not None:
            raise InputError(f"the header names '{twice}' twice: rename all but one", path=file.place.name)
        self.delimiter, self.n_fields = ord(sign), len(self.own)
        self.schema = with_partitions(pa.schema([(name, pa.string()) for name in self.own]), file)

    def start(self) -> Mapping[str, int]:
        """After the header."""
        return self.begin

    def parse(self, block: Block, records: Records, needed: Sequence[str]) -> tuple[pa.RecordBatch, Records, list[Any]]:
        """Text; rows that are no UTF-8 are rejects."""
        own = [name for name in needed if name in self.own]
        table = self._table(block, records, own or self.own[:1])
        columns, no_text, rejects = {}, np.zeros(len(records), bool), []
        for name, chunks in zip(table.column_names, table.columns, strict=True):
            columns[name], faulty = decoded(chunks.combine_chunks())
            faulty = faulty[~no_text[faulty]]
            no_text[faulty] = True
            if len(faulty):
                shown = [str(value)[:SHOWN] for value in chunks.take(pa.array(faulty)).to_pylist()]
                told = [name] * len(faulty), [NOT_TEXT] * len(faulty)
                rejects.append(block.rejected(records[faulty], *told, shown))
        batch = pa.RecordBatch.from_pydict(columns)
        if no_text.any():
            batch, records = batch.take(pa.array(np.flatnonzero(~no_text))), records[~no_text]
        return batch, records, rejects

    def _table(self, block: Block, records: Records, names: Sequence[str]) -> pa.Table:
        """Columns of bytes."""
        if not len(records):
            return pa.table({name: pa.array([], pa.binary()) for name in names})
        content = block.content(records)
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(content),
                pa.csv.ReadOptions(column_names=self.own, block_size=len(content) + 1, use_threads=False),
                pa.csv.ParseOptions(delimiter=chr(self.delimiter), newlines_in_values=True),
                # Only an empty field is missing: "NA" and "null" may be somebody's name.
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.binary()),
                    include_columns=names,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid as error:
            raise damaged(self.file, error) from None
        if len(table) != len(records):
            raise InputError(f"near line {block.lines[0]}: records cannot be told apart", path=self.file.place.name)
        return table

    def _header(self) -> tuple[list[str], str, dict[str, int]]:
        """Names, the delimiter, and where the rows begin."""
        before = len(self.head) - len(self.head.removeprefix(MARK).lstrip(b"\r\n"))
        begin, path = self.head[before:], self.file.place.name
        line = begin.splitlines()[0]
        try:
            if b"\0" in line:
                raise UnicodeError("text holds no zeros")
            line.decode()
        except UnicodeError:
            raise InputError("this is no table: CSV or TSV in UTF-8 is needed", path=path) from None
        sign = max(",\t;|", key=line.decode().count)
        # Bytes are letters here, so that what is read of them is counted in bytes.
        read = csv.reader(lines := io.StringIO(begin.decode("latin-1"), newline=""), delimiter=sign, strict=True)
        try:
            names = [name.encode("latin-1").decode() for name in next(read)]
        except (csv.Error, UnicodeError):
            raise InputError("the header cannot be read: is a quote in it not closed?", path=path) from None
        lines_before = len(self.head[:before].removeprefix(MARK).splitlines())
        return names, sign, {"byte": before + lines.tell(), "line": lines_before + read.line_num + 1, "row": 1}
