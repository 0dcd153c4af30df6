"""Why a filter lets nothing through: a value that no item has, and the one meant, of another case or spelling."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

MANY = 5_000  # values among which one of another spelling is looked for: that takes 10 microseconds each
BETWEEN = re.compile(r"\s*[|;,]\s*")  # members of a set that is written as text


def why_nothing(table: pa.Table, given: Any) -> str:
    """The end of a sentence on a filter, as for `fmkit.recommend.filters.matching`, that no row of a table fulfils.

    Examples
    --------
    >>> why_nothing(pa.table({"genres": ["Crime|Comedy", "Crime"]}), "'comedy' in genres")
    ": no item has 'comedy' in 'genres', did you mean 'Comedy'?"
    """
    for name, wanted, inside in _asked(given):
        if name not in table.column_names:
            continue
        values = _values(table.column(name))
        if not values:
            return f": '{name}' is empty in every row of the table of items"
        if isinstance(wanted, str) and isinstance(values[0], str):
            if any(wanted in value if inside else wanted == value for value in values):
                continue
            meant = _nearest(wanted, values, inside)
            mend = f", did you mean {meant!r}?" if meant else ""
            return f": no item has {wanted!r} in '{name}'{mend}"
    return ""


def _asked(given: Any) -> Iterator[tuple[str, Any, bool]]:
    """Columns, what each must be, and whether it is enough that it holds that."""
    if isinstance(given, Mapping):
        for name, wanted in given.items():
            for one in wanted if isinstance(wanted, list | tuple | set) else [wanted]:
                yield str(name), one, False
    if not isinstance(given, str):
        return
    for node in ast.walk(ast.parse(given.strip(), mode="eval")):
        if not isinstance(node, ast.Compare):
            continue
        for operator, left, right in zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False):
            if isinstance(operator, ast.In) and isinstance(right, ast.Name) and isinstance(left, ast.Constant):
                yield right.id, left.value, True
            elif isinstance(left, ast.Name) and isinstance(operator, ast.Eq | ast.In):
                for constant in ast.walk(right):
                    if isinstance(constant, ast.Constant):
                        yield left.id, constant.value, False
            elif isinstance(left, ast.Name):
                yield left.id, None, False


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.list_flatten(column)
    return list(column.unique().drop_null().to_pylist())


def _nearest(wanted: str, values: list[str], inside: bool) -> str | None:
    """The value, or the part of one, that differs by case alone; else one of a spelling that is close."""
    if inside:
        for value in values:
            at = value.lower().find(wanted.lower())
            if at >= 0:
                return value[at : at + len(wanted)]
        values = [part for value in values for part in BETWEEN.split(value)]
    written = {value.lower(): value for value in values}
    if wanted.lower() in written:
        return written[wanted.lower()]
    close = difflib.get_close_matches(wanted.lower(), written, 1) if len(written) <= MANY else []
    return written[close[0]] if close else None
