"""The reader of each format."""

from __future__ import annotations

from collections.abc import Callable

from fmkit.batch.formats.delimited import Delimited
from fmkit.batch.formats.json_lines import Lines
from fmkit.batch.formats.reading import Limits, Reader
from fmkit.batch.formats.sparse import SparseText
from fmkit.batch.formats.tables import ArrowFile, ParquetFile
from fmkit.batch.inputs import Input

READERS: dict[str, Callable[[Input, Limits], Reader]] = {
    "arrow": ArrowFile,
    "csv": Delimited,
    "libfm": SparseText,
    "ndjson": Lines,
    "parquet": ParquetFile,
}


def open_reader(file: Input, limits: Limits) -> Reader:
    """The reader of a file.

    Raises
    ------
    InputError
        If it is damaged, or not what its suffix says.
    OSError
        If it cannot be read.
    """
    return READERS[file.form](file, limits)
