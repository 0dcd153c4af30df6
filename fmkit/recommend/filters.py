"""Which items may be listed: ids, a mask, conditions by column, a function, or a sentence such as "year >= 1990"."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.errors import InputError

COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
NULL = {ast.Is: pc.is_null, ast.Eq: pc.is_null, ast.IsNot: pc.is_valid, ast.NotEq: pc.is_valid}  # beside None


def matching(table: pa.Table, given: Any) -> NDArray[np.bool_]:
    """Which items fulfil a filter.

    Parameters
    ----------
    table : pyarrow.Table of n rows
        The ids of the items, and what is known of them; a condition on a null is not fulfilled.
    given : str, mapping, callable or array-like of shape (n,), bool
        - Text: comparisons of columns joined by `and`, `or`, `not`; ``"Comedy" in genres`` looks into texts and lists;
          ``language in ("en", "fr")``; ``year is None`` where nothing is known.
        - A mapping of column to value, or to a list of the values allowed.
        - A function of the table that gives a mask.
        - A mask.

    Raises
    ------
    InputError
        If a column does not exist or the text is no condition.

    Examples
    --------
    >>> import pyarrow as pa
    >>> books = pa.table({"year": [1990, 2001, None], "genres": ["Crime|Comedy", "Comedy", "Crime"]})
    >>> matching(books, "year > 1995 and 'Comedy' in genres")
    array([False,  True, False])
    """
    if isinstance(given, str):
        mask = _of_text(table, given)
    elif isinstance(given, Mapping):
        mask = np.ones(len(table), bool)
        for name, wanted in given.items():
            allowed = list(wanted) if isinstance(wanted, list | tuple | set | np.ndarray) else [wanted]
            column = _column(table, str(name))
            try:
                mask &= _mask(_is_in(column, allowed, str(name)))
            except (pa.ArrowException, TypeError, OverflowError) as error:
                reason = str(error).splitlines()[0]
                raise InputError(f"the filter on '{name}' compares what cannot be compared: {reason}") from None
    else:
        mask = _mask(given(table) if callable(given) else given)
    if mask.shape != (len(table),):
        raise InputError(f"a filter must say yes or no to each of {len(table)} items, got shape {mask.shape}")
    return mask


def check_filter(text: str, names: Sequence[str]) -> None:
    """Raise, before hours of work, what `matching` would raise of a text that is no condition, or names no column."""
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.Name) and node.id not in names:
            raise no_column("the filter", node.id, names)


def no_column(who: str, name: str, names: Sequence[str]) -> InputError:
    """The error of a wish that names a column which the table of items, whose ids have one, does not have."""
    have = f"the table of items has {', '.join(map(repr, names))}"
    if len(names) == 1:
        have = f"of items only '{names[0]}' is known: give a table of them to the fit, by items="
    return InputError(f"{who} names the column '{name}', {have}")


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):  # the latter two of thousands of brackets
        raise _no_condition(text) from None


def _of_text(table: pa.Table, text: str) -> NDArray[np.bool_]:
    try:
        result = _value(_parsed(text), table, text)
    except RecursionError:
        raise _no_condition(text) from None
    except (pa.ArrowException, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the filter {text!r} compares what cannot be compared: {reason}") from None
    if not isinstance(result, pa.Array | pa.ChunkedArray) or not pa.types.is_boolean(result.type):
        raise _no_condition(text)
    return _mask(result)


def _no_condition(text: str) -> InputError:
    shown = text if len(text) <= 80 else text[:79] + "…"
    return InputError(
        f"the filter {shown!r} is no condition: write comparisons of columns as in year >= 1990 and 'Comedy' in genres"
    )


def _value(node: ast.expr, table: pa.Table, text: str) -> Any:
    """A column, a constant, or what a condition comes to for every row."""
    if isinstance(node, ast.BoolOp):
        parts = [_value(part, table, text) for part in node.values]
        joined = parts[0]
        for part in parts[1:]:
            joined = (pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene)(joined, part)
        return joined
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return pc.invert(_value(node.operand, table, text))
    if isinstance(node, ast.Compare):
        return _comparison(node, table, text)
    if isinstance(node, ast.Name):
        return _column(table, node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, SyntaxError):
        raise _no_condition(text) from None


def _comparison(node: ast.Compare, table: pa.Table, text: str) -> Any:
    sides = [_value(part, table, text) for part in (node.left, *node.comparators)]
    result = None
    for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
        if right is None and type(operator) in NULL and isinstance(left, pa.ChunkedArray):
            one = NULL[type(operator)](left)
        elif isinstance(operator, ast.In | ast.NotIn):
            found = _is_in(left, right, text) if isinstance(right, tuple | list | set) else _contains(right, left, text)
            one = pc.invert(found) if isinstance(operator, ast.NotIn) else found
        elif type(operator) in COMPARE:
            one = COMPARE[type(operator)](*_alike(left, right))
        else:
            raise _no_condition(text)
        result = one if result is None else pc.and_kleene(result, one)
    return result


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Dates are compared with text that tells one."""
    for a, b in ((left, right), (right, left)):
        if isinstance(a, pa.ChunkedArray) and pa.types.is_temporal(a.type) and isinstance(b, str):
            moment = pa.scalar(b).cast(a.type)
            return (a, moment) if a is left else (moment, a)
    return left, right


def _is_in(column: Any, allowed: Any, text: str) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        raise _no_condition(text)
    return pc.is_in(column, value_set=pa.array(list(allowed)).cast(column.type))


def _contains(column: Any, member: Any, text: str) -> Any:
    """Whether a list holds a value, or a text another."""
    if not isinstance(column, pa.ChunkedArray) or isinstance(member, pa.ChunkedArray):
        raise _no_condition(text)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lists = column.combine_chunks()
        found = pc.equal(pc.list_flatten(lists), pa.scalar(member).cast(lists.type.value_type))
        holders = pc.list_parent_indices(lists).filter(pc.fill_null(found, False))
        mask = np.zeros(len(lists), bool)
        mask[holders.to_numpy()] = True
        return pa.chunked_array([pa.array(mask, mask=np.asarray(pc.is_null(lists)))])
    return pc.match_substring(column, str(member))


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise no_column("the filter", name, table.column_names)
    column = table.column(name)
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _mask(given: Any) -> NDArray[np.bool_]:
    if isinstance(given, pa.Array | pa.ChunkedArray) and pa.types.is_boolean(given.type):
        return np.asarray(pc.fill_null(given, False))
    mask = np.asarray(given)
    if mask.dtype != np.bool_:
        raise InputError(f"a filter must give booleans, got {mask.dtype}")
    return mask
