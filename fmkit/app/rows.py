"""What was typed or dropped, as the one row that a net is asked about."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.app.pictures import check_pixels
from fmkit.app.uploads import MOST_TOLD
from fmkit.errors import InputError

BETWEEN = re.compile(r"[\s,;]+")


def typed_row(model: Any, facts: dict[str, Any], text: Any, new_folder: Callable[[], Path]) -> Any:
    """A sentence, the steps of a series, or the cells of a table under their names, as X of length 1.

    Parameters
    ----------
    model : fitted estimator of fmkit.deep
    facts : dict
        As `fmkit.app.nets.facts_of` gives them.
    text : str
        As JSON gives it: it is checked.
    new_folder : callable
        Gives a folder for a table.

    Raises
    ------
    InputError
        If the net takes no such rows.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("nothing is typed yet")
    if facts["kind"] == "text":
        return [text]
    if facts["kind"] == "table" and facts["columns"]:
        path = new_folder() / "typed.csv"
        path.write_text(text, "utf-8")
        return row_of(model, facts, path)[0]
    if facts["kind"] == "table":
        return numbers(text, facts["n_columns"])[:1]
    if facts["kind"] == "series":
        return [numbers(text, facts["n_columns"])]
    raise InputError(f"the net takes {facts['kind']}: drop a file")


def row_of(model: Any, facts: dict[str, Any], path: Path) -> tuple[Any, int]:
    """The first row of a file as X of length 1, and how many there are.

    Raises
    ------
    InputError, OSError
        As `fmkit.deep.labelled.read_for`.
    """
    from fmkit.deep.labelled import read_for

    if facts["kind"] == "pictures":
        from fmkit.deep.picture_files import read_files

        check_pixels(path, "fmkit classify")
        return read_files([path], model.picture_shape_)[0], 1
    if facts["kind"] == "series" or (facts["kind"] == "table" and not facts["columns"]):
        if path.stat().st_size > MOST_TOLD:
            raise InputError(
                f"files of at most {MOST_TOLD >> 20} MB of numbers are taken, this one is larger", path=path
            )
        try:
            steps = numbers(path.read_text("utf-8"), facts["n_columns"])
        except (InputError, UnicodeDecodeError) as error:
            raise InputError(str(error) if isinstance(error, InputError) else "it is no text", path=path) from None
        return ([steps], 1) if facts["kind"] == "series" else (steps[:1], len(steps))
    rows = read_for(model, path)
    if not len(rows):
        raise InputError("it has no row", path=path)
    return rows.rows(np.arange(1)), len(rows)


def numbers(text: str, n_columns: int) -> NDArray[np.float64]:
    """Numbers of a text, a line a row or step; one line may hold all steps of one column. Names on top are left out.

    Raises
    ------
    InputError
        If something is no number, or a line has too many or too few.

    Examples
    --------
    >>> from fmkit.app.rows import numbers
    >>> numbers("a,b\\n1,2\\n3;4", 2).tolist(), numbers("1 2 3", 1).tolist()
    ([[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0], [3.0]])
    """
    lines = [(n, BETWEEN.split(line.strip(" \t,;"))) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and not any(_is_number(cell) for cell in lines[0][1]):
        del lines[0]
    if not lines:
        raise InputError("there are no numbers in it")
    if n_columns == 1 and len(lines) == 1:
        lines = [(lines[0][0], [cell]) for cell in lines[0][1]]
    for n, cells in lines:
        wrong = [cell for cell in cells if not _is_number(cell)]
        if wrong:
            raise InputError(f"line {n}: {wrong[0][:40]!r} is no number")
        if len(cells) != n_columns:
            raise InputError(f"line {n}: {len(cells)} numbers, but the net takes {n_columns} a line")
    return np.array([[float(cell) for cell in cells] for _, cells in lines])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
