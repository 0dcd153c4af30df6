"""Where values stand in a list of distinct ones: ids and categories, compared as they are written.

Whole numbers that lie close together are found in a table by number, by numpy alone. Others, and texts, are found in
slots by open addressing: a slot holds half of a print (`fmkit.streams.hashing.mix`) and a place, and what stands at
the place is compared, so that nothing is mistaken. Compiling that and filling slots is worth its time for large jobs,
or for many small ones; until then Arrow does them, which makes a table of all values each time.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.streams.hashing import GOLDEN, mix

UNKNOWN, NOTHING = -1, -2  # a value that is not in the list; none at all: null or blank
BLANKS = -3  # of a text: not found, but blanks may stand around it

WIDE = 8  # numbers of the range, for each that is in the list, up to which a table by number takes no more than slots
FEWEST = 1 << 12  # entries of a table that are nothing to speak of
WORTH = 1 << 19  # values that Arrow is asked about or makes a table of, some 50 ms, before kernels are loaded

TOGETHER = 256  # texts that are looked up at once

HIGH = np.uint64(0xFFFFFFFF00000000)
LOW = np.uint64(0x00000000FFFFFFFF)
ONE, EIGHT = np.uint64(1), np.uint64(8)

Codes = NDArray[np.int32]


class Places:
    """Of values in a list.

    Parameters
    ----------
    values : pyarrow.Array of int64 or string
        Distinct, without nulls; texts without blanks around them.

    Examples
    --------
    >>> import pyarrow as pa
    >>> Places(pa.array(["7", "b"])).of(pa.array([" b", "c", None, "07", "7"]))
    array([ 1, -1, -2, -1,  0], dtype=int32)
    >>> Places(pa.array(["7", "b"])).of(pa.array([7, 8]))
    array([ 0, -1], dtype=int32)
    """

    def __init__(self, values: pa.Array) -> None:
        self.values = values
        self._work = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.values,)  # tables are made anew where they are needed

    def of(self, column: pa.Array) -> Codes:
        """Place of each value, -1 where it is not in the list, -2 where there is none.

        7 and "7" are the same, "007" is another; blanks around a text are no part of it, and a blank one is none.

        Parameters
        ----------
        column : pyarrow.Array of whole numbers or text
            Or a dictionary of these, or nulls.
        """
        of, kind = pa.types, column.type
        if of.is_dictionary(kind):
            if len(column.dictionary) > len(column):  # a part of a long column
                return self.of(column.dictionary_decode())
            of_levels = np.append(self.of(column.dictionary), np.int32(NOTHING))
            rows = column.indices.cast(pa.int64()).fill_null(len(column.dictionary))
            return np.asarray(of_levels[rows.to_numpy()])
        if of.is_null(kind):
            return np.full(len(column), NOTHING, np.int32)
        if of.is_integer(kind) and self._numbers is not None:
            places = self._of_integers(column)
        else:
            places = self._of_texts(column.cast(pa.string()))
        if column.null_count:
            places[column.is_null().to_numpy(zero_copy_only=False)] = NOTHING
        return places

    def _of_integers(self, column: pa.Array) -> Codes:
        unsigned = pa.types.is_uint64(column.type)
        whole = column if unsigned else column.cast(pa.int64())
        numbers = (whole.fill_null(0) if whole.null_count else whole).to_numpy().view(np.int64)
        places = self._of_numbers(numbers)
        if unsigned:
            places[numbers < 0] = UNKNOWN  # beyond int64, where no value of the list is
        return places

    def _of_numbers(self, numbers: NDArray[np.int64]) -> Codes:
        if self._by_number is not None:
            lowest, table = self._by_number
            at = numbers.view(np.uint64) - lowest  # what is lower goes round, to beyond the end
            return np.asarray(table[np.minimum(at, np.uint64(len(table) - 1)).view(np.int64)])
        if not self._is_worth(len(numbers)):
            found = pc.index_in(pa.array(numbers), value_set=pa.array(self._numbers))
            return np.array(found.fill_null(UNKNOWN).to_numpy(), np.int32)
        out = np.empty(len(numbers), np.int32)
        find_numbers(numbers, self._numbers, self._slots, out)
        return out

    def _of_texts(self, texts: pa.StringArray) -> Codes:
        if not self._is_worth(len(texts)):
            trimmed = pc.utf8_trim_whitespace(texts)
            places = np.array(pc.index_in(trimmed, value_set=self._texts).fill_null(UNKNOWN).to_numpy(), np.int32)
            places[pc.equal(trimmed, "").fill_null(False).to_numpy(zero_copy_only=False)] = NOTHING
            return places
        places = self._of_written(texts)
        again = np.flatnonzero(places == BLANKS)
        if len(again):
            trimmed = self._of_written(pc.utf8_trim_whitespace(texts.take(pa.array(again))))
            places[again] = np.where(trimmed == BLANKS, UNKNOWN, trimmed)
        return places

    def _of_written(self, texts: pa.StringArray) -> Codes:
        """Texts as they stand; `BLANKS` where those around may be why one is not found."""
        offsets, letters = _buffers(texts)
        out = np.empty(len(texts), np.int32)
        if self._numbers is None:
            find_texts(offsets, letters, *_buffers(self.values), self._slots, out)
            return out
        numbers = np.empty(len(texts), np.int64)
        read_numbers(offsets, letters, numbers, out)
        numbers.flags.writeable = False  # as those of Arrow: one compiled kernel for both
        return np.where(out == 0, self._of_numbers(numbers), out)

    def _is_worth(self, n: int) -> bool:
        """Whether so much has been asked for by now that kernels are."""
        self._work += n + len(self.values)
        return self._work > WORTH

    @cached_property
    def _texts(self) -> pa.StringArray:
        return self.values.cast(pa.string())

    @cached_property
    def _numbers(self) -> NDArray[np.int64] | None:
        """The values, if all of them are whole numbers written the usual way."""
        try:
            numbers = self.values.cast(pa.int64())
        except pa.ArrowInvalid:
            return None
        if not pa.types.is_integer(self.values.type) and not numbers.cast(pa.string()).equals(self._texts):
            return None
        return np.asarray(numbers.to_numpy())

    @cached_property
    def _by_number(self) -> tuple[np.uint64, Codes] | None:
        """The lowest number, and the place of each from there on, with an entry more for all others."""
        numbers = self._numbers
        assert numbers is not None
        if not len(numbers):
            return np.uint64(0), np.full(1, UNKNOWN, np.int32)
        lowest, largest = numbers.min(), numbers.max()
        n = int(largest) - int(lowest) + 1
        if n > max(WIDE * len(numbers), FEWEST):
            return None
        table = np.full(n + 1, UNKNOWN, np.int32)
        table[numbers - lowest] = np.arange(len(numbers), dtype=np.int32)
        return lowest.view(np.uint64), table

    @cached_property
    def _slots(self) -> NDArray[np.uint64]:
        slots = np.zeros(1 << (2 * len(self.values)).bit_length(), np.uint64)
        if self._numbers is not None:
            place_numbers(self._numbers, slots)
        else:
            place_texts(*_buffers(self.values), slots)
        return slots


def _buffers(texts: pa.StringArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Where each text begins, and the next; the bytes of all."""
    _, offsets, letters = texts.buffers()
    if not len(texts):
        return np.frombuffer(bytes(4), np.int32), np.frombuffer(bytes(1), np.uint8)
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return ends, np.frombuffer(letters if letters is not None and letters.size else bytes(1), np.uint8)


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
