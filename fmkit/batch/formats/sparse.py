"""Sparse text of libFM, LIBSVM, svmlight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fmkit.batch.formats.reading import Limits, with_partitions
from fmkit.batch.formats.texts import Block, Records, Text, Unreadable, halved
from fmkit.batch.inputs import Input

TYPES = pa.schema(
    [("label", pa.float32()), ("indices", pa.large_list(pa.int64())), ("values", pa.large_list(pa.float32()))]
)


class SparseText(Text):
    """Columns `label`, `indices`, `values`; what stands behind # is no part of a line."""

    comment = ord("#")

    def __init__(self, file: Input, limits: Limits) -> None:
        super().__init__(file, limits)
        self.own, self.schema = list(TYPES.names), with_partitions(TYPES, file)

    def start(self) -> Mapping[str, int]:
        """At the first line."""
        return {"byte": 0, "line": 1, "row": 1}

    def parse(self, block: Block, records: Records, needed: Sequence[str]) -> tuple[pa.RecordBatch, Records, list[Any]]:
        """Entries; lines that are not `label index:value ...` are rejects."""
        from fmkit.datasets.rows import WIDEST, Bounds, LineFault, parse_rows

        bounds = Bounds(0, WIDEST - 1)

        def read(content: bytes, n: int) -> pa.Table:
            try:
                rows = parse_rows(content, bounds)
            except LineFault as fault:
                raise Unreadable(None, fault.sentence) from None
            if len(rows.labels) != n:
                raise Unreadable(None, "the line cannot be read")
            offsets = pa.array(rows.indptr)
            lists = [
                pa.LargeListArray.from_arrays(offsets, pa.array(entries))
                for entries in (rows.indices.astype(np.int64), rows.values)
            ]
            return pa.Table.from_arrays([pa.array(rows.labels), *lists], schema=TYPES)

        tables, read_records, rejects = halved(block, records, read)
        batch = pa.concat_tables([TYPES.empty_table(), *tables]).combine_chunks().to_batches()
        return (batch or [pa.RecordBatch.from_pylist([], schema=TYPES)])[0], read_records, rejects
