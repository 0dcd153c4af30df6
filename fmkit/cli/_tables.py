"""Small tables on stdout: aligned for a person, CSV or JSON for the next program."""

import csv
import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "csv", "json")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], form: str, digits: int = 2) -> None:
    """Print rows of text, integers, floats and None in the form "table" (with so many digits), "csv" or "json"."""
    if form == "json":
        records = [dict(zip(columns, map(_json_value, row), strict=True)) for row in rows]
        json.dump(records, sys.stdout, ensure_ascii=False, indent=2)
        print()
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        from tabulate import tabulate

        numeric = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
        print(
            tabulate(
                [[_cell(value, digits) for value in row] for row in rows],
                headers=columns,
                disable_numparse=True,  # a title may be a number: "1984" stays as it is
                colalign=["right" if number else "left" for number in numeric],
            )
        )


def print_arrow(table: "pa.Table", form: str, digits: int | None = None) -> None:
    """Print an Arrow table, numbers to so many digits: those of float32 after the fourth are noise."""
    rows = [
        [round(value, digits) if digits is not None and isinstance(value, float) else value for value in row.values()]
        for row in table.to_pylist()
    ]
    print_table(table.column_names, rows, form)


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value  # JSON knows no infinity


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    # Line breaks and control characters would break the table, or the terminal.
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else " " for letter in text)
