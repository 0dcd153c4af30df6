"""What a run would write, held against what it reads and what is there: told before anything is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from fmkit.batch.formats.writing import Form
from fmkit.batch.inputs import Input
from fmkit.batch.job import output_of
from fmkit.batch.places import WILD, Place
from fmkit.errors import InputError
from fmkit.files import check_writable


def check_apart(
    files: Sequence[Input], given: Sequence[str], out: Place | None, is_folder: bool, rejects: Place | None
) -> None:
    """Raise an InputError if something would be written over that is read, or over what else is written.

    Parameters
    ----------
    files : sequence of Input
    given : sequence of str
        The paths, folders and globs that name them.
    out : Place, optional
        None for stdout.
    is_folder : bool
        Whether it is a folder.
    rejects : Place, optional
    """
    read = {file.place.identity for file in files}
    for place in (out, rejects):
        if place is not None and place.identity in read:
            raise InputError("this file would be overwritten, and it is read: choose another name", path=place.name)
    if rejects is not None and out is not None and rejects.identity == out.identity:
        raise InputError("rejects would overwrite the scores: choose another name for one of them", path=rejects.name)
    if not is_folder or out is None:
        return
    if any(file.place.is_within(out) for file in files):
        raise InputError("the output would lie among the input: choose another folder", path=out.name)
    for text in given:
        root = Place.of(text.partition("**")[0].rstrip("/") or ".") if "**" in text else Place.of(text)
        if (not WILD & set(text) or "**" in text) and root.is_folder and out.is_within(root):
            raise InputError(f"the output would be read as input of {text} the next time: choose a place outside of it",
                             path=out.name)  # fmt: skip
    if rejects is not None and rejects.is_within(out):
        raise InputError(
            "rejects would lie among the scores: choose a place outside of their folder", path=rejects.name
        )


def check_rejects(rejects: Place, overwrite: bool) -> None:
    """Raise, before hours of work, what would be raised after them, or lost by them.

    Parameters
    ----------
    rejects : Place
    overwrite : bool
        Whether a file that is there may be replaced.
    """
    if Form.of(rejects.base) is None:
        raise InputError("rejects are written to a .parquet, .csv, .ndjson or .arrow file", path=rejects.name)
    if rejects.is_local:
        check_writable(rejects.path)
    if not overwrite and rejects.is_file:
        raise InputError("the file exists, and rejects would replace it: --overwrite does so", path=rejects.name)


def check_names(files: Sequence[Input], form_of: Callable[[Input], Form]) -> None:
    """Raise an InputError if two inputs would have outputs of one name, parts included.

    Parameters
    ----------
    files : sequence of Input
    form_of : callable
        Of the output of a file.
    """
    named: dict[str, Input] = {}
    for file in files:
        name = output_of(file, form_of(file))
        other = named.setdefault(name, file)
        if other is not file:
            told = f"the scores of this file and of {other.place.name} would both be {name}"
            raise InputError(f"{told}: score them apart", path=file.place.name)
    for name, file in named.items():
        part = re.fullmatch(r"(.*)-\d{5,}(\.[^/]*)", name)
        if part and part[1] + part[2] in named:
            whole = named[part[1] + part[2]]
            told = f"the scores of this file would have the name of a part of those of {whole.place.name}"
            raise InputError(f"{told}: score them apart", path=file.place.name)
