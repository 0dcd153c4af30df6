"""Table files (CSV, TSV, Parquet; compressed or not) as a stream of record batches of the columns asked for."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fmkit.errors import InputError
from fmkit.recommend.faults import DECIMAL_COMMA, first_fault
from fmkit.recommend.vocabulary import as_texts
from fmkit.tables.frames import as_arrow

BLOCK = 4 << 20  # bytes of CSV at once: measured, larger ones parse no faster
HEAD = 1 << 16  # bytes that must hold the header
TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class TableFile:
    """A table whose header is read and whose rows are not.

    Parameters
    ----------
    path : Path
    names : list of str
        Columns, as the header writes them.
    delimiter : str or None
        Of a text file; None if the file is Parquet.
    """

    path: Path
    names: list[str]
    delimiter: str | None

    @classmethod
    def open(cls, path: str | Path) -> TableFile:
        """Read the header.

        Text files may be compressed (.gz, .bz2, .zst); their delimiter (comma, tab, semicolon or bar) is the one that
        occurs most in the header.

        Raises
        ------
        OSError
            If the file is missing, a folder, or not readable for this user.
        InputError
            If it is empty, damaged, or no table at all.
        """
        path = Path(path)
        with path.open("rb") as file:
            magic = file.read(4)
        if not path.is_file():
            raise InputError("a table is read more than once, a pipe cannot be: save it to a file", path=path)
        if magic == b"PAR1":
            from pyarrow import parquet  # a tenth of a second, for files of this kind alone

            try:
                return cls(path, parquet.read_schema(path).names, None)
            except (pa.ArrowException, OSError) as error:
                raise damaged(path, error) from error
        try:
            with pa.input_stream(path, compression="detect") as stream:
                head = stream.read(HEAD)
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error) from error
        if not head.strip():
            raise InputError("the file is empty, a table with a header line is needed", path=path)
        try:
            if b"\0" in head:
                raise UnicodeError("text holds no zeros")
            header = head.lstrip(b"\r\n").splitlines()[0].decode("utf-8-sig")
        except UnicodeError:
            raise InputError(
                "this is no table: CSV or TSV in UTF-8, or Parquet, is needed; a spreadsheet is saved as CSV UTF-8",
                path=path,
            ) from None
        delimiter = max(",\t;|", key=header.count)
        return cls(path, next(csv.reader([header], delimiter=delimiter)), delimiter)

    def decimal(self, numbers: Sequence[str]) -> str:
        """What the numbers of some columns have before their fraction.

        Between semicolons, as spreadsheets of half the world write them, a comma, if those at the file's beginning do.
        """
        if self.delimiter != ";":
            return "."
        with pa.input_stream(self.path, compression="detect") as stream:
            head = stream.read(HEAD).decode("utf-8-sig", "replace")
        rows = csv.reader(head.splitlines(), delimiter=";")
        at = [self.names.index(name) for name in numbers if name in self.names]
        fields = [row[i] for row in itertools.islice(rows, 1, None) for i in at if i < len(row)]
        commas = any(DECIMAL_COMMA.fullmatch(field) for field in fields)
        return "," if commas and not any("." in field for field in fields) else "."

    def batches(
        self, ids: Sequence[str], texts: Sequence[str] = (), numbers: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The rows, some at a time: ids and texts as dictionary-encoded strings, numbers as float32.

        Raises
        ------
        InputError
            At the first row that lacks an id or a number, whose number is text, NaN or infinite, or that has too many
            or too few fields; the message names its line.
        """
        n_rows = 0
        read = self._parquet_batches if self.delimiter is None else self._csv_batches
        try:
            for batch in read([*ids, *texts], list(numbers)):
                gap = _first_gap(batch, ids, numbers)
                if gap is not None:
                    raise self.fault(ids, numbers, f"row {n_rows + gap[0] + 1} has {gap[1]}")
                n_rows += len(batch)
                yield batch
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise self.fault(ids, numbers, f"the table cannot be read: {_first_line(error)}") from error
        except OSError as error:
            raise damaged(self.path, error) from error

    def _csv_batches(self, texts: list[str], numbers: list[str]) -> Iterator[pa.RecordBatch]:
        types = {**dict.fromkeys(texts, TEXT), **dict.fromkeys(numbers, pa.float32())}
        yield from pa.csv.open_csv(
            self.path,
            pa.csv.ReadOptions(block_size=BLOCK),
            pa.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            # Only an empty field is missing: "NA" and "null" may be somebody's name.
            pa.csv.ConvertOptions(
                column_types=types,
                include_columns=[*texts, *numbers],
                null_values=[""],
                strings_can_be_null=True,
                decimal_point=self.decimal(numbers),
            ),
        )

    def _parquet_batches(self, texts: list[str], numbers: list[str]) -> Iterator[pa.RecordBatch]:
        from pyarrow import parquet

        with parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(columns=[*texts, *numbers]):
                columns = [self._encoded(batch.column(name), name) for name in texts]
                columns += [self._floats(batch.column(name), name) for name in numbers]
                yield pa.RecordBatch.from_arrays(columns, [*texts, *numbers])

    def _encoded(self, column: pa.Array, name: str) -> pa.DictionaryArray:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        encoded = column.dictionary_encode()
        try:
            texts = as_texts(encoded.dictionary)
        except InputError as error:
            raise InputError(f"column '{name}': {error}", path=self.path) from None
        return pa.DictionaryArray.from_arrays(encoded.indices, texts)

    def _floats(self, column: pa.Array, name: str) -> pa.FloatArray:
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            raise InputError(f"column '{name}' must hold numbers, it holds {kind}", path=self.path)
        return column.cast(pa.float32(), safe=False)

    def fault(
        self,
        ids: Sequence[str],
        numbers: Sequence[str],
        sentence: str,
        with_gaps: Sequence[str] = (),
        decimal: str | None = None,
    ) -> InputError:
        """What stopped the fast reader: in a text file, found by a second, slow reading that knows its lines.

        `with_gaps` are numbers that a row may lack; `decimal` is what the fast reader took them to have before their
        fraction, by default that of `self.decimal`.
        """
        if self.delimiter is not None:
            with pa.input_stream(self.path, compression="detect") as stream:
                lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
                rows = csv.reader(lines, delimiter=self.delimiter)
                fault = first_fault(rows, ids, numbers, with_gaps, decimal or self.decimal(numbers))
            if fault is not None:
                return InputError(fault[1], path=self.path, line=fault[0])
        return InputError(sentence, path=self.path)


def whole(table: Any) -> pa.Table:
    """A table in memory, or one that a path names."""
    return read_whole(table) if isinstance(table, str | Path) else as_arrow(table)


def read_whole(path: str | Path, texts: Sequence[str] = ()) -> pa.Table:
    """A table of users or items with all of its columns, each of the type that its values show.

    Parameters
    ----------
    path : path
    texts : sequence of str
        Columns whose values stay as they are written, ids: "007" is not 7.

    Raises
    ------
    OSError
        If the file cannot be read.
    InputError
        If it is no table.
    """
    file = TableFile.open(path)
    try:
        if file.delimiter is None:
            from pyarrow import parquet

            return parquet.read_table(path)
        return pa.csv.read_csv(
            path,
            parse_options=pa.csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(texts, pa.string()), null_values=[""], strings_can_be_null=True
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"the table cannot be read: {_first_line(error)}", path=path) from error


def _first_gap(batch: pa.RecordBatch, ids: Sequence[str], numbers: Sequence[str]) -> tuple[int, str] | None:
    """The first incomplete row of the first incomplete column, and what it has: nothing, or a number that is none."""
    for name in ids:
        column = batch.column(name)
        blank = pc.equal(pc.utf8_trim_whitespace(column.dictionary), "")
        if column.null_count or pc.any(blank).as_py():
            missing = pc.fill_null(blank.take(column.indices), True)
            return int(np.argmax(missing)), f"no id in column '{name}'"
    for name in numbers:
        finite = pc.fill_null(pc.is_finite(batch.column(name)), False)
        if not pc.all(finite).as_py():
            return int(np.argmin(finite)), f"no finite number in column '{name}'"
    return None


def damaged(path: Path, error: Exception) -> Exception:
    """An error of the disk stays what it is; one of the file's format becomes a sentence."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return InputError(f"the file is damaged ({_first_line(error)})", path=path)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
