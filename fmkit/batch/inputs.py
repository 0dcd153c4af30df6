"""What is to be scored: files, folders and globs of them, with the values that folders' names tell (day=2026-11-28)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from fmkit.batch.places import WILD, Place
from fmkit.errors import InputError

FORMATS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".arrows": "arrow",
    ".libfm": "libfm", ".libsvm": "libfm", ".svmlight": "libfm", ".svm": "libfm",
}  # fmt: skip
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Input:
    """A file to be scored.

    Parameters
    ----------
    place : Place
    below : str
        Path below the folder that was named; the file's name alone for a file that was.
    form : {"parquet", "csv", "ndjson", "arrow", "libfm"}
    size : int
        Bytes.
    modified : str
        When it was changed last.
    partitions : dict of str to str or None
        Columns that the folders' names tell.
    """

    place: Place
    below: str
    form: str
    size: int
    modified: str
    partitions: dict[str, str | None]

    @property
    def compression(self) -> str | None:
        """Suffix of a compressed text."""
        return next((suffix for suffix in COMPRESSED if self.place.base.lower().endswith(suffix)), None)

    @property
    def stem(self) -> str:
        """`below` without the suffixes of compression and format."""
        name = self.below[: len(self.below) - len(self.compression or "")]
        return name[: name.rindex(".")]

    def facts(self) -> dict[str, Any]:
        """What tells whether it is still the same."""
        return {"path": self.place.name, "size": self.size, "modified": self.modified}


def form_of(name: str) -> tuple[str | None, str | None]:
    """Format and compression by a name's suffixes; None where they say nothing."""
    base = name.lower()
    compression = next((suffix for suffix in COMPRESSED if base.endswith(suffix)), None)
    base = base.removesuffix(compression or "")
    return next((form for suffix, form in FORMATS.items() if base.endswith(suffix)), None), compression


def find_inputs(texts: Sequence[str]) -> list[Input]:
    """The files that paths, folders and globs name, those of a folder in order of their names.

    Of folders, files that begin with a dot or an underscore are left alone, as all of Hive's heirs do.

    Raises
    ------
    InputError
        If one names nothing, a file of an unknown kind, or two have the same name below their folders.
    """
    found: list[Input] = []
    for text in texts:
        found += _expand(text)
    seen: dict[str, Input] = {}
    for one in found:
        other = seen.setdefault(one.below, one)
        if other is not one:
            twice = "is given twice" if other.place == one.place else f"would have the name of {other.place.name}"
            raise InputError(f"the output of this file {twice}: score them apart", path=one.place.name)
    return found


def _expand(text: str) -> list[Input]:
    place = Place.of(text)
    if WILD & set(text) and not place.is_file:
        return _matching(text)
    if place.is_file:
        if form_of(place.base)[0] is None:
            raise InputError(f"the suffix tells no format: one of {', '.join(FORMATS)} is needed", path=text)
        return [_input(place, place.base, place.info())]
    if not place.is_folder:
        raise FileNotFoundError(2, "no such file or folder", text)
    files = [_input(place / below, below, info) for below, info in place.files_below() if _is_data(below)]
    if not files:
        raise InputError(f"the folder holds no file of a known kind ({', '.join(FORMATS)})", path=text)
    return files


def _matching(text: str) -> list[Input]:
    """Files that a glob matches: `*` within a name, `**` across folders; matched folders count with what they hold."""
    steps = text.split("/")
    first = next(n for n, step in enumerate(steps) if WILD & set(step))
    root = "/".join(steps[:first]) or ("/" if text.startswith("/") else ".")
    folder = Place.of(root)
    if not folder.is_folder:
        raise FileNotFoundError(2, "no such folder", root)
    files = [_input(folder / below, below, info) for below, info in _walk(folder, "", steps[first:]) if _is_data(below)]
    if not files:
        raise InputError("nothing matches, or nothing of a known kind", path=text)
    return files


def _walk(folder: Place, above: str, steps: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Files that the steps of a glob lead to, in order of their names; no folder is opened that does not match."""
    if not steps or steps[0] == "**":
        pattern = re.compile(_as_regex("/".join(steps)) if steps else ".*")
        for below, info in folder.files_below():
            if any(pattern.fullmatch(below[:end]) for end in _ends(below)):
                yield f"{above}{below}", info
        return
    pattern = re.compile(_as_regex(steps[0]))
    for info in folder.children():
        name = info.base_name
        if not pattern.fullmatch(name):
            continue
        if info.is_file and len(steps) == 1:
            yield f"{above}{name}", info
        elif not info.is_file:
            yield from _walk(folder / name, f"{above}{name}/", steps[1:])


def _as_regex(pattern: str) -> str:
    """Of a glob, `*` and `?` staying within a name."""
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^]/]+\])", pattern)
    return "".join(
        signs.get(part) or (part.replace("[!", "[^", 1) if n % 2 else re.escape(part)) for n, part in enumerate(parts)
    )


def _ends(below: str) -> list[int]:
    return [n for n, letter in enumerate(below) if letter == "/"] + [len(below)]


def _is_data(below: str) -> bool:
    hidden = any(step.startswith((".", "_")) and "=" not in step for step in below.split("/"))
    return not hidden and form_of(below)[0] is not None


def _input(place: Place, below: str, info: Any) -> Input:
    form, _ = form_of(place.base)
    assert form is not None
    partitions = {}
    for step in place.name.split("/")[:-1]:
        key, equals, value = step.partition("=")
        if equals and key:
            partitions[unquote(key)] = None if value == NO_VALUE else unquote(value)
    return Input(place, below, form, info.size, str(info.mtime_ns), partitions)
