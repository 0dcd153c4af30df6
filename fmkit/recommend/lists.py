"""Files of top-N lists."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fmkit.errors import InputError
from fmkit.files import check_writable, written_beside

WRITERS = {".csv": pa.csv.CSVWriter, ".parquet": pa.parquet.ParquetWriter}


def write_lists(path: str | Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches of one schema, at least one, to a CSV or Parquet file, one after the other.

    Raises
    ------
    InputError
        If the suffix is neither .csv nor .parquet.
    OSError
        If the file cannot be written; what was there before stays.
    """
    writer_of = WRITERS[_suffix(path)]
    batches = iter(batches)
    first = next(batches)
    with written_beside(path) as part, part.open("wb") as file, writer_of(file, first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def check_lists_path(path: str | Path) -> None:
    """Raise, before hours of work, what `write_lists` would raise after them."""
    _suffix(path)
    check_writable(path)


def _suffix(path: str | Path) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise InputError(f"lists are written to {' or '.join(WRITERS)} files, '{path}' is none")
    return suffix
