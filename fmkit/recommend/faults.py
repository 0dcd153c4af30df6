"""The line at fault in a text table: the slow reading, done only when the fast one has failed."""

import csv
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Reader

LARGEST = 3.4028234e38  # of float32
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
FILL = "fill it in, or leave the row out"


def first_fault(
    rows: "Reader", ids: Sequence[str], numbers: Sequence[str], with_gaps: Sequence[str] = (), decimal: str = "."
) -> tuple[int, str] | None:
    """The first row that is not as it should be: its line, counted from 1, and a sentence; None if there is none.

    Parameters
    ----------
    rows : csv.reader
        At the start of the file, which begins with a header line.
    ids, numbers : sequence of str
        Columns that must hold an id or a finite number in every row.
    with_gaps : sequence of str
        Those of the numbers that a row may lack.
    decimal : {".", ","}
        What numbers have before their fraction.
    """
    header: list[str] = []
    line = 1
    try:
        for row in rows:
            # An empty line is no row. A row may run over several lines: the first is told.
            sentence = _fault_of_row(row, header, ids, numbers, with_gaps, decimal) if row and header else None
            if sentence is not None:
                return line, sentence
            header = header or row
            line = rows.line_num + 1
    except csv.Error:
        return line, f"a field has more than {csv.field_size_limit():,} letters: is a closing quote missing?"
    return None


def _fault_of_row(
    row: list[str],
    header: list[str],
    ids: Sequence[str],
    numbers: Sequence[str],
    with_gaps: Sequence[str],
    decimal: str,
) -> str | None:
    if any("\udc80" <= letter <= "\udcff" for field in row for letter in field):
        return "the line is not UTF-8 text: save the table as CSV in UTF-8"
    if len(row) != len(header):
        return f"the line has {len(row)} fields, the header has {len(header)}"
    for name in ids:
        if not row[header.index(name)].strip():
            return f"there is no id in column '{name}': {FILL}"
    for name in numbers:
        field = row[header.index(name)]
        if not field and name in with_gaps:
            continue
        try:
            if decimal == "," and "." in field:
                return f"'{field}' has a point in column '{name}', other numbers have commas: write all alike"
            if not abs(float(field.replace(decimal, "."))) <= LARGEST:  # NaN too
                return f"'{field}' is not finite in column '{name}'"
        except ValueError:
            if not field:
                return f"there is no number in column '{name}': {FILL}"
            mend = ": write it with a point" if DECIMAL_COMMA.fullmatch(field) else ""
            return f"'{field}' is no number in column '{name}'{mend}"
    return None
