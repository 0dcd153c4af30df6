"""Where the records of delimited text begin and end, and which of them have too few or too many fields: one pass.

Quotes are as in RFC 4180: a field that begins with one ends with one, two of them inside stand for one, and line ends
inside belong to the field. A quote that nobody closed would take all that follows with it: a record over several lines
with a wrong number of fields, or with letters behind a closing quote, is at fault with its first line alone, and the
next line is a record's start again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fmkit.kernels import kernel

QUOTE, LINE_FEED, RETURN = ord('"'), ord("\n"), ord("\r")
SPACE, TAB = ord(" "), ord("\t")
LAST_SIGN = ord(",")  # all signs but some delimiters stand before it
UNCLOSED = -1  # in place of a number of fields
NO_SIGN = -1  # in place of a delimiter, or of what begins a comment


@kernel
def find_records(data: Any, delimiter: int, n_fields: int, comment: int, is_last: bool, most: int, line: int,
                 begins: Any, ends: Any, fields: Any, lines: Any) -> Any:  # fmt: skip
    """Records of data that are whole; returns their number, where the rest begins, and its line.

    Parameters
    ----------
    data : uint8 array
    delimiter : int
        Its byte; NO_SIGN where lines are records (NDJSON).
    n_fields : int
        Of a record.
    comment : int
        The byte that begins a line which is no record, or NO_SIGN.
    is_last : bool
        Whether nothing follows, so that the end of the data ends a record.
    most : int
        Bytes that a record may have; one that is longer has a quote that nobody closed. A line that is longer by
        itself is left as the rest.
    line : int
        Number of the first line.
    begins, ends : int64 arrays, at least one entry for each line
        Bytes of the records, line ends included. Blank lines are no records; where lines are, nor are those of spaces.
    fields : int64 array
        Fields found; UNCLOSED if a quote was not closed.
    lines : int64 array
        Line in which each begins.
    """
    n, n_bytes, begin = 0, len(data), 0
    while begin < n_bytes:
        at, count, quoted, at_start, inner, first_end = begin, 1, False, True, 0, -1
        whole, closed, strayed = False, False, False
        while at < n_bytes:
            letter = data[at]
            if quoted:
                if letter == QUOTE:
                    if at + 1 < n_bytes and data[at + 1] == QUOTE:
                        at += 1
                    else:
                        quoted, closed = False, True
                elif letter == LINE_FEED or (letter == RETURN and not (at + 1 < n_bytes and data[at + 1] == LINE_FEED)):
                    if first_end < 0:
                        first_end = at + 1
                    inner += 1
            elif letter == delimiter:
                count += 1
                at_start, closed = True, False
            elif letter in (LINE_FEED, RETURN):
                if letter == RETURN:
                    if at + 1 == n_bytes and not is_last:
                        break
                    if at + 1 < n_bytes and data[at + 1] == LINE_FEED:
                        at += 1
                at += 1
                whole = True
                break
            else:
                strayed = strayed or closed  # behind a closing quote, where only a delimiter may stand
                quoted = at_start and letter == QUOTE and delimiter != NO_SIGN
                at_start = False
                if not quoted:  # most letters are no signs, and need no more than a glance
                    while at + 1 < n_bytes and data[at + 1] > LAST_SIGN and data[at + 1] != delimiter:
                        at += 1
            at += 1
        if not whole:
            if not is_last and not (quoted and first_end >= 0 and at - begin > most):
                break
            if quoted:
                count = UNCLOSED
        elif first_end >= 0 and (count != n_fields or strayed):
            count = UNCLOSED
        if count == UNCLOSED and first_end >= 0:
            at, inner = first_end, 0
        length = at - begin
        while length and (data[begin + length - 1] == LINE_FEED or data[begin + length - 1] == RETURN):
            length -= 1
        if delimiter == NO_SIGN:
            start = 0
            while start < length and (data[begin + start] == SPACE or data[begin + start] == TAB):
                start += 1
            if start == length or data[begin + start] == comment:
                length = 0
        if length:
            begins[n], ends[n], fields[n], lines[n] = begin, at, count, line
            n += 1
        line += 1 + inner
        begin = at
    return n, begin, line


@kernel
def gather_records(data: Any, begins: Any, ends: Any, out: Any) -> int:
    """Copy records one after the other, each ending in a line feed; returns the bytes."""
    n = 0
    for r in range(len(begins)):
        for at in range(begins[r], ends[r]):
            out[n] = data[at]
            n += 1
        if out[n - 1] != LINE_FEED and out[n - 1] != RETURN:
            out[n] = LINE_FEED
            n += 1
    return n


def count_lines(data: Any) -> int:
    """Line ends of data, at most: room for as many records."""
    return int(np.count_nonzero(data == LINE_FEED) + np.count_nonzero(data == RETURN)) + 1
