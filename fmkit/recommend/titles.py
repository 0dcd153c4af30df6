"""Titles of the items, from a table beside the ratings."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from fmkit.recommend.columns import find_columns
from fmkit.recommend.tables import TableFile
from fmkit.recommend.vocabulary import Vocabulary


def read_titles(path: str | Path, items: Vocabulary, columns: Mapping[str, str] | None = None) -> pa.Array:
    """The title of each item, null where the table names none.

    Parameters
    ----------
    path : path
        CSV, TSV or Parquet with a column of item ids and one of titles, found by their usual names.
    items : Vocabulary
    columns : mapping of {"item", "title"} to column names, optional
        Names that go before the usual ones. The item column is often called otherwise than in the table of ratings:
        its name counts where the table has it.

    Returns
    -------
    pyarrow.Array of shape (n_items,), string

    Raises
    ------
    OSError, InputError
        If the file cannot be read, or is not as it should be.
    """
    file = TableFile.open(path)
    given = {role: name for role, name in (columns or {}).items() if role == "title" or name in file.names}
    item, title = find_columns(file.names, ("item", "title"), given, path=file.path)
    position = np.full(len(items), -1, np.int64)
    titles: list[pa.Array] = []
    n_rows = 0
    for batch in file.batches([item], texts=[title]):
        codes = items.encode(batch.column(item))
        known = np.flatnonzero(codes >= 0)
        position[codes[known]] = n_rows + known
        titles.append(batch.column(title).dictionary_decode())
        n_rows += len(batch)
    everything = pa.chunked_array(titles, type=pa.string())
    return everything.take(pa.array(position, mask=position < 0)).combine_chunks()
