"""Where rows come from: table files, sparse text files, or batches in memory; each as rows of prints."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
from scipy import sparse

from fmkit.errors import InputError
from fmkit.recommend.tables import BLOCK, TableFile, damaged
from fmkit.streams.hashing import print_numbers
from fmkit.streams.roles import Roles, RowFault, Targets, read_table
from fmkit.streams.rows import Rows
from fmkit.tables.frames import as_arrow

BATCH = 1 << 16  # rows of a table at once
MOST_FIELDS = 1 << 12  # of a text file: each has sums of its own, of which a file must not ask for gigabytes
ENTRIES = {".libsvm": False, ".svm": False, ".svmlight": False, ".libfm": False, ".libffm": True, ".ffm": True}


class Source(Protocol):
    """What can be read, once or again and again."""

    again: bool
    """Whether it can be read again."""

    def schema(self) -> pa.Schema | None:
        """Of its tables; None for sparse text, whose columns have no names."""

    def rows(self, roles: Roles | None, targets: Targets | None) -> Iterator[Rows]:
        """All rows from the start; an InputError with the place at the first that is not as it should be."""


def open_source(reader: Any) -> Source:
    """A reader as `fit_stream` takes it.

    Raises
    ------
    InputError
        If it is nothing that is read, or files of several kinds.
    """
    if isinstance(reader, str | Path):
        reader = [reader]
    if isinstance(reader, Sequence) and reader and all(isinstance(path, str | Path) for path in reader):
        paths = [Path(path) for path in reader]
        kinds = {_entries(path) for path in paths}
        if len(kinds) > 1:
            raise InputError(f"files of one kind are needed, got {', '.join(path.name for path in paths)}")
        return TableFiles(paths) if kinds == {None} else TextFiles(paths, kinds == {True})
    if sparse.issparse(reader):
        return Matrix(reader)
    return Frames(reader)


def _entries(path: Path) -> bool | None:
    """Whether entries of a sparse text file have fields; None for a table."""
    name = path.with_suffix("") if path.suffix == ".gz" else path
    return ENTRIES.get(name.suffix.lower())


class TableFiles:
    """CSV, TSV and Parquet files, one after the other."""

    again = True

    def __init__(self, paths: list[Path]) -> None:
        self.files = [TableFile.open(path) for path in paths]

    def schema(self) -> pa.Schema:
        """Of the first file."""
        first = self.files[0]
        try:
            if first.delimiter is None:
                from pyarrow import parquet  # a tenth of a second, for files of this kind alone

                return parquet.read_schema(first.path)
            with _open_csv(first, {}, None) as reader:
                return reader.schema
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise _told(error, first, []) from None

    def rows(self, roles: Roles | None, targets: Targets | None) -> Iterator[Rows]:
        """The files' rows; faults are told with the file and, of text, the line."""
        assert roles is not None
        for file in self.files:
            done = 0
            wanted = roles.columns if targets is not None else [*roles.ids, *roles.numbers]
            missing = [name for name in wanted if name not in file.names]
            if missing:
                raise InputError(f"there is no column '{missing[0]}'", path=file.path)
            numbers = [*roles.numbers]
            if targets is not None:
                numbers += [roles.target] if targets.labels is None else []
                numbers += [] if roles.weight is None else [roles.weight]
            read = _parquet(file, wanted) if file.delimiter is None else _csv(file, wanted, roles.ids, numbers)
            try:
                for batch in read:
                    yield read_table(batch, roles, targets)
                    done += len(batch)
            except RowFault as error:
                raise _placed(error, file, done + error.row) from None
            except InputError as error:
                raise InputError(str(error), path=file.path) from None
            except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
                raise _told(error, file, numbers, roles.numbers) from None


def _open_csv(file: TableFile, types: dict[str, pa.DataType], columns: list[str] | None) -> Any:
    return pa.csv.open_csv(
        file.path,
        pa.csv.ReadOptions(block_size=BLOCK, use_threads=False),
        pa.csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
        # Only an empty field is missing: "NA" and "null" may be somebody's name.
        pa.csv.ConvertOptions(column_types=types, include_columns=columns, null_values=[""], strings_can_be_null=True),
    )


def _csv(file: TableFile, columns: list[str], ids: Sequence[str], numbers: list[str]) -> Iterator[pa.RecordBatch]:
    types = {**dict.fromkeys(ids, pa.string()), **dict.fromkeys(numbers, pa.float64())}
    with _open_csv(file, types, columns) as reader:
        yield from reader


def _parquet(file: TableFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    from pyarrow import parquet

    with parquet.ParquetFile(file.path) as opened:
        yield from opened.iter_batches(BATCH, columns=columns, use_threads=False)


def _told(error: Exception, file: TableFile, numbers: Sequence[str], with_gaps: Sequence[str] = ()) -> Exception:
    """What Arrow says of a file as a sentence: of text that is not damaged, with the line."""
    if isinstance(error, OSError) or file.delimiter is None:
        return damaged(file.path, error)
    first_line = str(error).splitlines()[0].rstrip(".")
    return file.fault([], numbers, f"the table cannot be read: {first_line}", with_gaps, decimal=".")


def _placed(fault: RowFault, file: TableFile, row: int) -> InputError:
    """The fault with its place: of text, a line that a second, slow reading finds."""
    if file.delimiter is None:
        return InputError(f"row {row + 1}: {fault.sentence}", path=file.path)
    with pa.input_stream(file.path, compression="detect") as stream:
        lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(lines, delimiter=file.delimiter)
        full = (before + 1 for before, fields in _before(reader) if fields)
        line = next(itertools.islice(full, row + 1, None), None)  # after the header
    return InputError(fault.sentence, path=file.path, line=line)


def _before(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows, and the lines before each."""
    before = 0
    for fields in reader:
        yield before, fields
        before = reader.line_num


class Frames:
    """Batches in memory: frames of any kind, or an iterable of these, or what makes one when it is called."""

    def __init__(self, reader: Any) -> None:
        is_table = isinstance(reader, pa.RecordBatch | pa.Table | Mapping)
        if is_table or hasattr(reader, "columns") or hasattr(reader, "collect_schema"):  # as narwhals' frames have
            reader = [reader]
        if not callable(reader) and not isinstance(reader, Iterable):
            raise InputError(
                "a reader is a path, paths, or an iterable of record batches or data frames, "
                f"got {type(reader).__name__}"
            )
        self.make: Callable[[], Iterator[Any]] = reader if callable(reader) else reader.__iter__
        self.again = callable(reader) or iter(reader) is not reader
        self.held: list[pa.Table] = []  # the first one of what can be read once, looked at for its columns
        self.left: Iterator[Any] | None = None

    def schema(self) -> pa.Schema:
        """Of the first batch."""
        self.left = iter(self.make())
        for frame in self.left:
            self.held.append(as_arrow(frame))
            return self.held[0].schema
        raise InputError("the stream has no rows")

    def rows(self, roles: Roles | None, targets: Targets | None) -> Iterator[Rows]:
        """The batches' rows; faults are told with the row's number in the stream, from 1."""
        assert roles is not None
        frames: Iterator[Any] = iter(self.make()) if self.left is None else itertools.chain(self.held, self.left)
        self.held, self.left = [], None
        done = 0
        for frame in frames:
            for batch in as_arrow(frame).to_batches(BATCH):
                try:
                    yield read_table(batch, roles, targets)
                except RowFault as error:
                    raise InputError(f"row {done + error.row + 1} of the stream: {error.sentence}") from None
                done += len(batch)


class TextFiles:
    """Files of libFM, LIBSVM, svmlight, libffm: a column is a field and an index."""

    again = True

    def __init__(self, paths: list[Path], with_fields: bool) -> None:
        self.paths, self.with_fields = paths, with_fields

    def schema(self) -> None:
        """None: its columns have no names."""

    def rows(self, roles: Roles | None, targets: Targets | None) -> Iterator[Rows]:
        """The files' rows; what is wrong is told with the file and the line."""
        from fmkit.datasets.rows import WIDEST, Bounds, read_rows

        bounds = Bounds(0, WIDEST - 1, MOST_FIELDS - 1 if self.with_fields else None)
        for path in self.paths:
            for part, line_of in read_rows(path, bounds):
                fields = part.fields if self.with_fields else np.zeros(len(part.indices), np.int32)
                y = part.labels.astype(np.float64)
                if targets is not None and targets.labels is not None:
                    try:
                        y = targets.read(pa.array(part.labels), "label")
                    except RowFault as error:
                        raise InputError(error.sentence, path=path, line=line_of(error.row)) from None
                yield _of_entries(part.indptr, part.indices, fields, part.values, y)


class Matrix:
    """A sparse matrix to predict, by a model of libFM's or svmlight's files."""

    again, with_fields = True, False

    def __init__(self, matrix: Any) -> None:
        self.matrix = sparse.csr_array(matrix)

    def schema(self) -> None:
        """None: its columns have no names."""

    def rows(self, roles: Roles | None, targets: Targets | None) -> Iterator[Rows]:
        """All rows at once."""
        if targets is not None:
            raise InputError("a sparse matrix holds no targets: partial_fit(X, y) takes chunks of matrices")
        X = self.matrix
        fields = np.zeros(X.nnz, np.int32)
        yield _of_entries(X.indptr.astype(np.int64), X.indices, fields, X.data.astype(np.float32), np.zeros(X.shape[0]))


def _of_entries(indptr: Any, indices: Any, fields: Any, values: Any, y: Any) -> Rows:
    prints = np.empty(len(indices), np.uint64)
    # The field stands above the index, which has 31 bits: so a pair is a whole number of its own.
    print_numbers(indices.astype(np.int64) + (fields.astype(np.int64) << 32), 0, prints)
    return Rows(indptr, prints, fields, values, np.empty((len(y), 0)), y, np.empty(0))
