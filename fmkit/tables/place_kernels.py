"""Look-ups of numbers and of texts in slots, compiled: loaded where there is enough to look up."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.streams.hashing import GOLDEN, mix
from fmkit.tables.places import BLANKS, NOTHING, UNKNOWN

TOGETHER = 256  # texts that are looked up at once

HIGH = np.uint64(0xFFFFFFFF00000000)
LOW = np.uint64(0x00000000FFFFFFFF)
ONE, EIGHT = np.uint64(1), np.uint64(8)


@kernel
def find_numbers(numbers: Any, known: Any, slots: Any, out: Any) -> None:
    """out[r] = the place of numbers[r] in `known`, or -1."""
    last = np.uint64(len(slots) - 1)
    for r in range(len(out)):
        z = mix(np.uint64(numbers[r]))
        at, out[r] = z & last, UNKNOWN
        while slots[at] != 0:
            code = np.int64(slots[at] & LOW) - 1
            if (slots[at] ^ z) & HIGH == 0 and known[code] == numbers[r]:
                out[r] = code
                break
            at = (at + ONE) & last


@kernel
def place_numbers(known: Any, slots: Any) -> None:
    """Put each place, and half of its number's print, in the first free slot from where the print says."""
    for code in range(len(known)):
        _place(mix(np.uint64(known[code])), code, slots)


@kernel
def _place(z: Any, code: Any, slots: Any) -> None:
    last = np.uint64(len(slots) - 1)
    at = z & last
    while slots[at] != 0:
        at = (at + ONE) & last
    slots[at] = (z & HIGH) | np.uint64(code + 1)


@kernel
def find_texts(offsets: Any, letters: Any, known_offsets: Any, known_letters: Any, slots: Any, out: Any) -> None:
    """out[r] = the place of a text, -1, -2 if it is empty, or -3 if it is not found and blanks may stand around it.

    Parameters
    ----------
    offsets, letters : int32 and uint8 arrays
        Text r is letters[offsets[r] : offsets[r + 1]], in UTF-8.
    known_offsets, known_letters : as these
        Of the list.
    slots : uint64 array
    out : int32 array
    """
    last_slot, prints = np.uint64(len(slots) - 1), np.empty(TOGETHER, np.uint64)
    for start in range(0, len(out), TOGETHER):
        rows = range(start, min(start + TOGETHER, len(out)))
        for r in rows:
            z = _print(letters, np.uint64(offsets[r]), np.uint64(offsets[r + 1]))
            prints[r - start], out[r] = z, np.int64(slots[z & last_slot] & LOW)
        for r in rows:  # what will be compared is read ahead, so that memory is waited for once for all of these
            out[r] = known_letters[known_offsets[max(out[r] - 1, 0)]]
        for r in rows:
            first, last, z = np.uint64(offsets[r]), np.uint64(offsets[r + 1]), prints[r - start]
            at, out[r] = z & last_slot, NOTHING if first == last else UNKNOWN
            while slots[at] != 0:
                if (slots[at] ^ z) & HIGH == 0:
                    code = np.int64(slots[at] & LOW) - 1
                    i, n = np.uint64(known_offsets[code]), np.uint64(known_offsets[code + 1] - known_offsets[code])
                    if n == last - first and _same(letters, first, known_letters, i, n):
                        out[r] = code
                        break
                at = (at + ONE) & last_slot
            if out[r] == UNKNOWN and _may_be_blank(letters, first, last):
                out[r] = BLANKS


@kernel
def place_texts(offsets: Any, letters: Any, slots: Any) -> None:
    """As `place_numbers`."""
    for code in range(len(offsets) - 1):
        _place(_print(letters, np.uint64(offsets[code]), np.uint64(offsets[code + 1])), code, slots)


@kernel
def read_numbers(offsets: Any, letters: Any, numbers: Any, out: Any) -> None:
    """numbers[r] = that of a text, where it is one as it is usually written: out[r] = 0; else as in `find_texts`."""
    for r in range(len(out)):
        first, last = offsets[r], offsets[r + 1]
        numbers[r], out[r] = 0, NOTHING
        if first == last:
            continue
        minus = letters[first] == ord("-")
        at = first + 1 if minus else first
        number, is_number = np.uint64(0), 1 <= last - at <= 19 and (letters[at] != ord("0") or last - first == 1)
        for i in range(at, last):
            digit = np.uint64(letters[i]) - np.uint64(ord("0"))
            if not is_number or digit > np.uint64(9):
                is_number = False
                break
            number = np.uint64(10) * number + digit
        if is_number and number <= np.uint64(0x7FFFFFFFFFFFFFFF) + np.uint64(minus):
            numbers[r], out[r] = np.int64(np.uint64(0) - number if minus else number), 0
        else:
            out[r] = BLANKS if _may_be_blank(letters, np.uint64(first), np.uint64(last)) else UNKNOWN


@kernel
def _may_be_blank(letters: Any, first: Any, last: Any) -> Any:
    """Whether a text's first or last letter may be a blank, of ASCII or another: some others look alike in a byte."""
    a, z = letters[first], letters[last - ONE]
    return a <= 32 or a == 0xC2 or 0xE1 <= a <= 0xE3 or z <= 32 or 0x80 <= z <= 0xAF


@kernel
def _word(letters: Any, at: Any) -> Any:
    """Eight bytes, which the compiler reads at once."""
    word = np.uint64(0)
    for i in range(8):
        word |= np.uint64(letters[at + np.uint64(i)]) << np.uint64(8 * i)
    return word


@kernel
def _rest(letters: Any, at: Any, last: Any) -> Any:
    """At most eight bytes: those up to the last, less what stands before; a loop over bytes takes twice as long."""
    if last >= EIGHT and last > at:
        return _word(letters, last - EIGHT) >> (np.uint64(64) - EIGHT * (last - at))
    word, shift = np.uint64(0), np.uint64(0)
    while at < last:
        word |= np.uint64(letters[at]) << shift
        at, shift = at + ONE, shift + EIGHT
    return word


@kernel
def _print(letters: Any, first: Any, last: Any) -> Any:
    z, at = GOLDEN + (last - first), first
    while last - at > EIGHT:
        z = mix(z ^ _word(letters, at)) + GOLDEN
        at += EIGHT
    return mix(z ^ _rest(letters, at, last))


@kernel
def _same(a: Any, i: Any, b: Any, j: Any, n: Any) -> Any:
    """Whether n bytes are the same."""
    end = i + n
    while end - i > EIGHT:
        if _word(a, i) != _word(b, j):
            return False
        i, j = i + EIGHT, j + EIGHT
    return _rest(a, i, end) == _rest(b, j, j + (end - i))
