"""Files of columns: Parquet, Arrow IPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
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
from fmkit.batch.inputs import Input
from fmkit.errors import InputError

BUFFER = 1 << 20  # bytes of a column that are read at once, in place of the whole column of a row group
FAULTS = (pa.ArrowException, OSError, UnicodeDecodeError)


class ParquetFile:
    """A Parquet file; its row groups are those of the output, if they fit the memory.

    Parameters
    ----------
    file : Input
    limits : Limits
    """

    def __init__(self, file: Input, limits: Limits) -> None:
        from pyarrow import parquet  # a tenth of a second, for files of this kind alone

        self.file, self.limits = file, limits
        try:
            self.opened = parquet.ParquetFile(
                file.place.open(), buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True
            )
            self.own = list(self.opened.schema_arrow.names)
            self.schema = with_partitions(self.opened.schema_arrow, file)
        except FAULTS as error:
            raise damaged(file, error) from None
        self.groups = _groups(self.opened.metadata, limits.part_rows)
        self.numbered = len(self.groups) > 1

    def parts(self, needed: Sequence[str], begin: Mapping[str, int], number: int) -> Iterator[Part]:
        """Runs of row groups."""
        row = begin.get("rows", 0)
        for n, groups in enumerate(self.groups[number:], number):
            after = row + sum(self.opened.metadata.row_group(g).num_rows for g in groups)
            yield Part(n, self._pieces(needed, groups, row), {"rows": after}, n + 1 == len(self.groups))
            row = after

    def _pieces(self, needed: Sequence[str], groups: Sequence[int], row: int) -> Iterator[Piece]:
        metadata = self.opened.metadata
        own = [name for name in needed if name in self.opened.schema_arrow.names]
        for g in groups:
            group = metadata.row_group(g)
            left, n_rows = group.num_rows, _batch_rows(group, self.limits)
            try:
                for batch in self.opened.iter_batches(n_rows, row_groups=[g], columns=own, use_threads=False):
                    left -= len(batch)
                    yield self._piece(batch, needed, row, left == 0)
                    row += len(batch)
            except FAULTS as error:
                raise damaged(self.file, error) from None
            if left:
                raise InputError(
                    f"row group {g} lacks {left:,} of its rows: the file is damaged", path=self.file.place.name
                )

    def _piece(self, batch: pa.RecordBatch, needed: Sequence[str], row: int, ends_group: bool) -> Piece:
        total = max(self.opened.metadata.num_rows, 1)
        return Piece(_loading(batch, needed, row, self.file), len(batch), (row + len(batch)) / total, ends_group)


class ArrowFile:
    """A file or a stream of Arrow IPC.

    Parameters
    ----------
    file : Input
    limits : Limits
    """

    numbered = False

    def __init__(self, file: Input, limits: Limits) -> None:
        self.file = file
        opened = file.place.open()
        try:
            try:
                if not file.place.is_file:
                    raise pa.ArrowInvalid("a stream")
                reader = pa.ipc.open_file(opened)
                self.batches: Iterator[pa.RecordBatch] = (reader.get_batch(n) for n in range(reader.num_record_batches))
            except pa.ArrowInvalid:
                opened.seek(0)
                reader = pa.ipc.open_stream(opened)
                self.batches = iter(reader)
            self.own = list(reader.schema.names)
            self.schema = with_partitions(reader.schema, file)
        except FAULTS as error:
            raise damaged(file, error) from None
        self.limits = limits

    def parts(self, needed: Sequence[str], begin: Mapping[str, int], number: int) -> Iterator[Part]:
        """One."""
        yield Part(0, self._pieces(needed))

    def _pieces(self, needed: Sequence[str]) -> Iterator[Piece]:
        row = 0
        try:
            for whole in self.batches:
                for first in range(0, len(whole), self.limits.batch_rows):
                    batch = whole.slice(first, self.limits.batch_rows)
                    yield Piece(_loading(batch, needed, row, self.file), len(batch), 0.0)
                    row += len(batch)
        except FAULTS as error:
            raise damaged(self.file, error) from None


def _loading(batch: pa.RecordBatch, needed: Sequence[str], row: int, file: Input) -> Any:
    def load() -> Loaded:
        rows = np.arange(row + 1, row + 1 + len(batch))
        try:
            batch.validate(full=True)  # offsets that lead outside would lead the kernels there
            return Loaded(add_partitions(batch, needed, file), rows, None, no_rejects())
        except pa.ArrowInvalid as error:
            readable, rejected = _with_text(batch, rows)
            if not len(rejected):
                raise damaged(file, error) from None
        rows = np.setdiff1d(rows, np.asarray(rejected["row"]))
        return Loaded(add_partitions(readable, needed, file), rows, None, rejected)

    return load


def _with_text(batch: pa.RecordBatch, rows: NDArray[np.int64]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Rows whose texts are texts, and the others as rejects."""
    columns, wrong = [], np.zeros(len(batch), bool)
    rejects = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if is_text:
            content = column.view(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
            texts, faulty = decoded(content)
            faulty = faulty[~wrong[faulty]]
            wrong[faulty] = True
            values = [str(value)[:SHOWN] for value in content.take(pa.array(faulty)).to_pylist()]
            rejects += [
                {"row": int(rows[r]), "column": name, "reason": NOT_TEXT, "value": value}
                for r, value in zip(faulty.tolist(), values, strict=True)
            ]
            column = texts.cast(column.type)
        columns.append(column)
    readable = pa.RecordBatch.from_arrays(columns, schema=batch.schema).take(pa.array(np.flatnonzero(~wrong)))
    return readable, pa.RecordBatch.from_pylist(sorted(rejects, key=lambda one: one["row"]), schema=PLACED)


def _groups(metadata: Any, part_rows: int) -> list[list[int]]:
    """Row groups in runs of at least so many rows; one run of none for a file without rows."""
    runs: list[list[int]] = [[]]
    held = 0
    for g in range(metadata.num_row_groups):
        if held >= part_rows:
            runs.append([])
            held = 0
        runs[-1].append(g)
        held += metadata.row_group(g).num_rows
    return runs


def _batch_rows(group: Any, limits: Limits) -> int:
    """Rows of a batch, by what a row takes without compression; texts are a third larger in memory than in the file."""
    a_row = 1.5 * group.total_byte_size / max(group.num_rows, 1)
    return int(np.clip(limits.batch_bytes / max(a_row, 1), 1, limits.batch_rows))
