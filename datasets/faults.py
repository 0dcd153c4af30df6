"""What is wrong with a line of sparse text: the slow reading, done only when the fast one has failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NOT_FINITE = re.compile(rb"[+-]?(nan|inf|infinity)", re.IGNORECASE)


def fault_of_line(line: bytes, names: Sequence[str], bounds: Sequence[tuple[int, int]]) -> str | None:
    """A sentence, None if all is right.

    Parameters
    ----------
    line : bytes
    names : sequence of str
        Of the whole numbers before an entry's value: "index", perhaps "field" before it.
    bounds : sequence of tuple of int
        The lowest and the highest of each.
    """
    if b"\0" in line:
        return "there are NUL bytes in the line: text in UTF-8 is needed"
    label, *entries = line.partition(b"#")[0].split() or [b""]
    if b":" in label:
        return f"the label is missing, the line begins with {_shown(label)}"
    if (fault := _fault_of_number(label)) is not None:
        return f"the label {fault}" + ("; one a row is read" if b"," in label else "")
    if entries and entries[0].startswith(b"q"):
        query = entries.pop(0)
        if not re.fullmatch(rb"qid:\d{1,18}", query):
            return f"{_shown(query)} is no query, which is qid:number"
    for position, entry in enumerate(entries, 1):
        fault = _fault_of_entry(entry, names, bounds)
        if fault is not None:
            return f"entry {position}, {_shown(entry)}: {fault}"
    return None


def _fault_of_entry(entry: bytes, names: Sequence[str], bounds: Sequence[tuple[int, int]]) -> str | None:
    *numbers, value = entry.split(b":")
    if len(numbers) != len(names):
        return f"{':'.join(names)}:value is needed"
    for number, name, (lowest, highest) in zip(numbers, names, bounds, strict=True):
        within = number.isdigit() and len(number) <= 18 and lowest <= int(number) <= highest
        if not within:
            return f"the {name} must be a whole number from {lowest} to {highest}"
    fault = _fault_of_number(value)
    return None if fault is None else f"the value {fault}"


def _fault_of_number(text: bytes) -> str | None:
    if NOT_FINITE.fullmatch(text) or (NUMBER.fullmatch(text) and np.isinf(as_float32(text))):
        return f"{_shown(text)} is not finite in float32"
    if not NUMBER.fullmatch(text):
        return f"{_shown(text)} is no number" if text else "is missing"
    return None


def as_float32(text: bytes) -> np.float32:
    """The float32 nearest to the double nearest to a number."""
    with np.errstate(over="ignore"):
        return np.float32(float(text))


def _shown(text: bytes) -> str:
    letters = text[:40].decode("utf-8", "backslashreplace")
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in letters)
    return f"'{shown}{'...' if len(text) > 40 else ''}'"
