"""Text in the forms that Arrow keeps it, and what in it stands for no value."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

GAPS = pa.array(["", "na", "n/a", "nan", "null", "none", "?", "-", "unknown"])  # among numbers and dates: no value

NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"


def is_text(column: pa.Array) -> bool:
    """Whether a column holds text, in whatever form."""
    of, kind = pa.types, column.type
    kind = kind.value_type if of.is_dictionary(kind) else kind
    return bool(of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind))


def plain(column: pa.Array) -> pa.Array:
    """A column without a dictionary; text in the one form that all kernels take."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()) if is_text(column) else column


def without_gaps(texts: pa.StringArray) -> pa.StringArray:
    """Texts without blanks around them, null where they stand for no value: empty, NA, n/a, nan, null, none, ?, -."""
    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(pc.utf8_lower(texts), GAPS), None, texts)
