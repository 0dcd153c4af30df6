"""Files of what comes out: Parquet, CSV, NDJSON, Arrow IPC. Batches are encoded by any thread, written by one."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fmkit.batch.formats.decimals import spelt
from fmkit.batch.inputs import COMPRESSED
from fmkit.errors import InputError

SUFFIXES = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "tsv", ".ndjson": "ndjson", ".jsonl": "ndjson",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".arrows": "arrow",
}  # fmt: skip
FORMATS = ("parquet", "csv", "tsv", "ndjson", "arrow")
GROUP_ROWS = 1 << 20  # of a row group, where the input has none
GROUP_BYTES = 1 << 27


@dataclass(frozen=True)
class Form:
    """How a file is written.

    Parameters
    ----------
    name : {"parquet", "csv", "tsv", "ndjson", "arrow"}
    compression : str or None
        Of text, by its suffix.
    """

    name: str
    compression: str | None = None

    @classmethod
    def of(cls, name: str) -> Form | None:
        """By the suffixes of a file's name; None where they say nothing."""
        base = name.lower()
        compression = next((suffix for suffix in COMPRESSED if base.endswith(suffix)), None)
        suffix = next((s for s in SUFFIXES if base.removesuffix(compression or "").endswith(s)), None)
        if suffix is None:
            return None
        form = SUFFIXES[suffix]
        if compression and form in ("parquet", "arrow"):
            raise InputError(f"'{name}': {form} files are compressed inside, without {compression}")
        if compression in (".bz2", ".br", ".lz4"):
            raise InputError(f"'{name}': text is written as .gz or .zst, or as it is")
        return cls(form, compression)

    @property
    def suffix(self) -> str:
        """Of a file of this form."""
        return f".{self.name}{self.compression or ''}"

    def check(self, schema: pa.Schema) -> None:
        """Raise an InputError if such a file cannot hold a column."""
        for field in schema:
            kind = field.type
            if pa.types.is_nested(kind) and self.name in ("csv", "tsv"):
                raise InputError(f"column '{field.name}' holds lists, CSV cannot: write Parquet, NDJSON or Arrow")
            if _is_bytes(kind) and self.name not in ("parquet", "arrow"):
                raise InputError(f"column '{field.name}' holds bytes, {self.name} cannot: write Parquet or Arrow")
            try:
                self._try(field)
            except (pa.ArrowException, TypeError, ValueError):
                told = f"column '{field.name}' holds {kind}, which {self.name} cannot"
                raise InputError(f"{told}: choose another format, or keep the other columns only") from None

    def _try(self, field: pa.Field) -> None:
        """Write a column of one row."""
        kind = field.type
        value = pa.array([0], pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.nulls(1, kind)
        batch = pa.RecordBatch.from_arrays([value], [field.name])
        writer = self.writer(io.BytesIO(), batch.schema)
        writer.write(self.encoder()(batch, False), True)
        writer.close()

    def encoder(self) -> Callable[[pa.RecordBatch, bool], Any]:
        """What any thread may do of the work: a batch, and whether it begins a file, to what the writer takes."""
        if self.name in ("csv", "tsv"):
            delimiter = "," if self.name == "csv" else "\t"
            return lambda batch, first: csv_bytes(batch, delimiter, header=first)
        if self.name == "ndjson":
            return lambda batch, _: json_bytes(batch)
        return lambda batch, _: batch

    def writer(
        self, sink: Any, schema: pa.Schema, group_rows: int = GROUP_ROWS, group_bytes: int = GROUP_BYTES
    ) -> Writer:
        """A writer to an open stream; a row group of Parquet has so many rows, or bytes in memory, at most."""
        if self.name == "parquet":
            return ParquetWriter(sink, schema, group_rows, group_bytes)
        if self.name == "arrow":
            return ArrowWriter(sink, schema)
        return BytesWriter(sink, self.compression)


class Writer(Protocol):
    """A file that is being written."""

    def write(self, encoded: Any, ends_group: bool) -> None:
        """What an encoder made of the next batch."""

    def close(self) -> None:
        """Write what is held back."""


class ParquetWriter:
    """Row groups as those of the input, or of so many rows.

    Parameters
    ----------
    sink : file-like
    schema : pyarrow.Schema
    group_rows, group_bytes : int
        At most.
    """

    def __init__(self, sink: Any, schema: pa.Schema, group_rows: int, group_bytes: int) -> None:
        from pyarrow import parquet

        self._writer = parquet.ParquetWriter(sink, schema, compression="zstd", compression_level=1)
        self._schema, self._most, self._most_bytes = schema, group_rows, group_bytes
        self._held: list[pa.RecordBatch] = []
        self._n = self._bytes = 0

    def write(self, encoded: pa.RecordBatch, ends_group: bool) -> None:
        """The next batch."""
        while self._n + len(encoded) > self._most:  # the same groups, however the rows come in batches
            missing = self._most - self._n
            self._held.append(encoded.slice(0, missing))
            encoded = encoded.slice(missing)
            self._flush()
        self._held.append(encoded)
        self._n, self._bytes = self._n + len(encoded), self._bytes + encoded.nbytes
        if ends_group or self._bytes >= self._most_bytes:
            self._flush()

    def close(self) -> None:
        """Write what is held back, and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        held = [batch for batch in self._held if len(batch)]
        if held:
            table = pa.Table.from_batches(held, self._schema)
            self._writer.write_table(table, row_group_size=len(table))
        self._held, self._n, self._bytes = [], 0, 0


class ArrowWriter:
    """Arrow IPC: a file, or a stream where the sink cannot be asked how far it is.

    Parameters
    ----------
    sink : file-like
    schema : pyarrow.Schema
    """

    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        # A file has one dictionary for all of a column, and each row group of Parquet has its own.
        self._schema = pa.schema([f.with_type(f.type.value_type) if _is_dictionary(f.type) else f for f in schema])
        self._writer = (pa.ipc.new_file if sink.seekable() else pa.ipc.new_stream)(sink, self._schema)

    def write(self, encoded: pa.RecordBatch, ends_group: bool) -> None:
        """The next batch."""
        columns = [column.dictionary_decode() if _is_dictionary(column.type) else column for column in encoded.columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class BytesWriter:
    """Text that is encoded already.

    Parameters
    ----------
    sink : file-like
    compression : {".gz", ".zst"} or None
    """

    def __init__(self, sink: Any, compression: str | None) -> None:
        self._stream = sink
        if compression:
            self._stream = pa.CompressedOutputStream(
                pa.PythonFile(sink, "w"), {".gz": "gzip", ".zst": "zstd"}[compression]
            )
        self._own = compression is not None

    def write(self, encoded: bytes, ends_group: bool) -> None:
        """The next bytes."""
        self._stream.write(encoded)

    def close(self) -> None:
        """End the compression."""
        if self._own:
            self._stream.close()


class Digested(io.RawIOBase):
    """A stream to write to that knows the digest of what passed, and its size.

    Parameters
    ----------
    stream : file-like
    seekable : bool
        Whether a writer may ask how far it is: Arrow's writes footers of files then.
    """

    def __init__(self, stream: Any, seekable: bool = True) -> None:
        self._stream, self._seekable = stream, seekable
        self._digest, self.size = hashlib.sha256(), 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """As was told."""
        return self._seekable

    def tell(self) -> int:
        """Bytes written."""
        return self.size

    def abandon(self) -> None:
        """Take no more: a writer that was left open ends its file when nobody wants it any longer."""
        self._stream = io.BytesIO()

    def write(self, content: Any) -> int:
        """Pass bytes on."""
        view = memoryview(content)
        self._stream.write(view)
        self._digest.update(view)
        self.size += view.nbytes
        return view.nbytes

    @property
    def digest(self) -> str:
        """SHA-256 of all bytes."""
        return f"sha256:{self._digest.hexdigest()}"


def csv_bytes(batch: pa.RecordBatch, delimiter: str = ",", *, header: bool) -> bytes:
    """CSV of a batch; quotes stand only in batches where a value needs some, as Arrow else quotes every text."""
    for quoting in ("none", "needed"):
        sink = io.BytesIO()
        options = pa.csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style=quoting)
        if header:
            names = pa.RecordBatch.from_pydict({str(n): [name] for n, name in enumerate(batch.schema.names)})
            plain = all(not set(name) & {'"', "\n", "\r", delimiter} for name in batch.schema.names)
            style = pa.csv.WriteOptions(
                include_header=False, delimiter=delimiter, quoting_style="none" if plain else "needed"
            )
            pa.csv.write_csv(names, sink, style)
        try:
            pa.csv.write_csv(_as_csv_types(batch, spells=quoting == "none"), sink, options)
        except pa.ArrowInvalid:
            if quoting == "needed":
                raise
            continue
        return sink.getvalue()
    raise AssertionError


def json_bytes(batch: pa.RecordBatch) -> bytes:
    """NDJSON of a batch: an object a line, built column by column."""
    if not len(batch):
        return b""
    pieces: list[Any] = []
    for n, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        pieces += [("{" if n == 0 else ",") + json.dumps(name, ensure_ascii=False) + ":", _as_json(column)]
    lines = pc.binary_join_element_wise(*pieces, "}\n", "")
    return (
        b"".join(buffer.to_pybytes() for buffer in lines.buffers()[2:])
        if lines.offset == 0
        else "".join(lines.to_pylist()).encode()
    )


def _as_csv_types(batch: pa.RecordBatch, spells: bool) -> pa.RecordBatch:
    """Dictionaries as what they hold, decimals as text: Arrow writes neither to CSV. Float32 as text, if no text gets
    quotes.
    """
    columns = []
    for column in batch.columns:
        if _is_dictionary(column.type):
            column = column.dictionary_decode()
        if isinstance(column.type, pa.BaseExtensionType):  # uuids
            column = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        if pa.types.is_decimal(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        if spells and pa.types.is_float32(column.type):
            column = spelt(column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _as_json(column: pa.Array) -> pa.Array:
    """Each value as JSON writes it; NaN and infinity, which it cannot, as null."""
    of, kind = pa.types, column.type
    if of.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if of.is_integer(kind) or of.is_boolean(kind):
        texts = column.cast(pa.string())
    elif of.is_floating(kind):
        texts = pc.if_else(pc.is_finite(column), column, None).cast(pa.string())
    elif of.is_string(kind) or of.is_large_string(kind) or of.is_date(kind) or of.is_timestamp(kind):
        texts = column.cast(pa.string())
        if pc.any(pc.match_substring_regex(texts, r'[\x00-\x1f"\\]')).as_py():
            texts = pa.array([None if t is None else json.dumps(t, ensure_ascii=False) for t in texts.to_pylist()])
        else:
            texts = pc.binary_join_element_wise('"', texts, '"', "")
    else:
        values = column.to_pylist()
        texts = pa.array([None if v is None else json.dumps(_finite(v), default=str) for v in values], pa.string())
    return pc.fill_null(texts.cast(pa.string()), "null")


def _finite(value: Any) -> Any:
    """A value, with None for each NaN and infinity in it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _is_dictionary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    of, kind = pa.types, kind.value_type if _is_dictionary(kind) else kind
    tests = (of.is_binary, of.is_large_binary, of.is_fixed_size_binary, of.is_binary_view)
    return any(test(kind) for test in tests)
