"""Files of top-N lists."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from fmkit.batch.formats.writing import Form
from fmkit.errors import InputError
from fmkit.files import check_writable, written_beside


def write_lists(path: str | Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches of one schema, at least one, to a file, one after the other.

    Parameters
    ----------
    path : path
        Its suffix tells the format: .parquet, .csv, .tsv, .ndjson, .arrow; text also with .gz or .zst behind it.
    batches : iterable of pyarrow.RecordBatch

    Raises
    ------
    InputError
        If the suffix tells none.
    OSError
        If the file cannot be written; what was there before stays.
    """
    form = _form(path)
    encode, batches = form.encoder(), iter(batches)
    first = next(batches)
    with written_beside(path) as part, part.open("wb") as file:
        writer = form.writer(file, first.schema)
        writer.write(encode(first, True), False)
        for batch in batches:
            writer.write(encode(batch, False), False)
        writer.close()


def check_lists_path(path: str | Path) -> None:
    """Raise, before hours of work, what `write_lists` would raise after them."""
    _form(path)
    check_writable(path)


def _form(path: str | Path) -> Form:
    form = Form.of(str(path))
    if form is None:
        raise InputError(f"lists are written to .parquet, .csv, .ndjson or .arrow files, '{path}' is none")
    return form
