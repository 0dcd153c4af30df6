"""The error that a person can mend: it names the file and, where they exist, the line and the column."""

from pathlib import Path


class InputError(ValueError):
    """Input from outside (a table, a picture, a model file) is wrong.

    The message is one sentence that says what is wrong and what would be right; the command line prints it as it is.

    Parameters
    ----------
    message : str
        The sentence, without the place.
    path : str or Path, optional
        The file at fault.
    line : int, optional
        Its line, counted from 1, the header included.
    """

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None) -> None:
        place = "" if path is None else f"{path}: " if line is None else f"{path}, line {line}: "
        super().__init__(place + message)
