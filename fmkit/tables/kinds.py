"""What a column of a table is: numbers, categories, sets, text or dates; and why it is taken for that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fmkit.errors import InputError
from fmkit.tables.texts import is_text, plain, without_gaps

Kind = Literal["number", "category", "set", "text", "date", "ignore"]
KINDS: tuple[Kind, ...] = ("number", "category", "set", "text", "date", "ignore")

SEPARATORS = {"|": 6, ";": 6, ",": 3}  # with the words that parts have at most in the mean: sentences have commas too
COME_BACK = 1.15  # times that a part occurs, in the mean, in distinct texts: authors 1.26, pieces of titles 1.12
ISO = "ISO 8601"
DATES = ("%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")  # beside ISO 8601, in the order in which they are tried
LOOKED_AT = 20_000  # distinct texts of a column, at most
SENTENCE, FEW = 5, 100  # words of texts, in the mean, and distinct ones, from which on they are no names of categories
EXACT = 2**53  # whole numbers up to which float64 tells one from the next


@dataclass(frozen=True)
class Recognised:
    """A column's kind.

    Parameters
    ----------
    kind : str
    why : str
        For people: what of the column says so.
    separator : str
        Between the members of a set that is text; "" if lists hold them.
    """

    kind: Kind
    why: str
    separator: str = ""


def recognise(column: pa.Array, name: str = "") -> Recognised:
    """What a column of this name is.

    Numbers and dates are what their types say. Text is a number or a date if all of it reads as one, a set if its parts
    between separators come back in other texts, a category if texts come back, and else text, of words that come
    back. Whole numbers are categories if the column is named as ids are (id, userId, movie_id). A column of one value,
    or of single words or ids of which each row has its own, says nothing.

    Raises
    ------
    InputError
        If its type is of none of these.
    """
    of, kind = pa.types, column.type
    is_id = re.search(r"(^|_|\b)id$|[a-z]I[dD]$", name) is not None
    n = len(column) - column.null_count
    if not n:
        return Recognised("ignore", "it is empty")
    if of.is_dictionary(kind):
        if not is_text(column):
            return Recognised("category", f"its type is {kind}")
        told = recognise_text(plain(column.dictionary), n)
        # Whoever made it categories means categories; only that a text is a list of several is worth more.
        return told if told.kind == "set" else Recognised("category", "its type is a dictionary of texts")
    if of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind):
        if of.is_floating(kind.value_type):
            return Recognised("ignore", "lists of decimals are no sets: give each position a column")
        return Recognised("set", f"its type is {kind}")
    if of.is_boolean(kind):
        return Recognised("category", "it is true or false")
    if of.is_temporal(kind) and not of.is_duration(kind) and not of.is_time(kind):
        return Recognised("date", f"its type is {kind}")
    if of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind):
        n_distinct = pc.count_distinct(column).as_py()
        if n_distinct == 1:
            return Recognised("ignore", "all rows have the same number")
        if of.is_integer(kind) and (is_id or pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py() > EXACT):
            return _of_repeats(n_distinct, n, "ids" if is_id else "numbers too large to be measured")
        return Recognised("number", f"its type is {kind}")
    if is_text(column):
        return recognise_text(pc.unique(plain(column).drop_null()), n)
    raise InputError(f"it holds {kind}: numbers, text, dates or lists are needed, or the kind 'ignore'")


def recognise_text(distinct: pa.Array, n: int) -> Recognised:
    """What a column is of which these are the distinct texts, of n rows."""
    n_distinct = len(distinct)
    if n_distinct == 1:
        return Recognised("ignore", "all rows have the same text")
    some = distinct if n_distinct <= LOOKED_AT else distinct.take(_evenly(n_distinct))
    values = without_gaps(some).drop_null()
    if len(values) and _numbers(values):
        return Recognised("number", "all of its texts are numbers")
    if len(values) and (form := date_form(values)) is not None:
        return Recognised("date", f"all of its texts are dates, as {form}")
    for separator in SEPARATORS:
        if _is_set(some, separator):
            return Recognised("set", f"parts between '{separator}' come back", separator)
    words = _n_words(some)
    if words >= (2 if 2 * n_distinct > n else SENTENCE) and (2 * n_distinct > n or n_distinct > FEW):
        return Recognised("text", f"{words:.1f} words a text")
    return _of_repeats(n_distinct, n, "texts")


def _of_repeats(n_distinct: int, n: int, what: str) -> Recognised:
    """A category, unless nearly every row has a value of its own."""
    if n_distinct < 0.9 * n:
        return Recognised("category", f"{n_distinct:,} {what} in {n:,} rows")
    return Recognised("ignore", f"nearly every row has one of its own, of {n_distinct:,} {what}: an id?")


def date_form(texts: pa.Array) -> str | None:
    """The first of the usual forms that all texts have; None if there is none. Years have four digits."""
    for form in (ISO, *DATES):
        if dates_of(texts, form) is not None:
            return form
    return None


def dates_of(texts: pa.Array, form: str) -> pa.TimestampArray | None:
    """Texts as dates and times, if all are of the form; those of ISO 8601 with a zone in UTC."""
    if form == ISO:
        for zone in (None, "UTC"):
            try:
                return texts.cast(pa.timestamp("us", zone))
            except pa.ArrowInvalid:
                continue
        return None
    read = pc.strptime(texts, format=form, unit="us", error_is_null=True)
    whole = pc.all(pc.fill_null(pc.match_substring_regex(texts, r"\d{4}"), True)).as_py()
    return read if whole and read.null_count == texts.null_count else None


def _numbers(texts: pa.Array) -> bool:
    """Whether all are numbers, and none is a code like 007."""
    if pc.any(pc.match_substring_regex(texts, r"^\s*[-+]?0\d")).as_py():
        return False
    try:
        pc.utf8_trim_whitespace(texts).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _is_set(texts: pa.Array, separator: str) -> bool:
    """Whether the separator stands in 5 % of distinct texts or more, between short parts that come back."""
    if pc.mean(pc.match_substring(texts, separator).cast(pa.float64())).as_py() < 0.05:
        return False
    parts = pc.utf8_trim_whitespace(pc.list_flatten(pc.split_pattern(texts, separator)))
    distinct = pc.unique(parts)
    if separator == "," and pc.all(pc.utf8_is_digit(distinct)).as_py():  # decimals, or thousands
        return False
    return len(parts) >= COME_BACK * len(distinct) and _n_words(distinct) <= SEPARATORS[separator]


def _n_words(texts: pa.Array) -> float:
    """Mean number of words."""
    return float(pc.mean(pc.list_value_length(pc.utf8_split_whitespace(texts))).as_py())


def _evenly(n: int) -> pa.Array:
    return pa.array(np.linspace(0, n - 1, LOOKED_AT).astype(np.int64))
