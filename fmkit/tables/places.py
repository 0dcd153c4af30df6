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

UNKNOWN, NOTHING = -1, -2  # a value that is not in the list; none at all: null or blank
BLANKS = -3  # of a text: not found, but blanks may stand around it
WIDE = 8  # numbers of the range, for each that is in the list, up to which a table by number takes no more than slots
FEWEST = 1 << 12  # entries of a table that are nothing to speak of
WORTH = 1 << 19  # values that Arrow is asked about or makes a table of, some 50 ms, before kernels are loaded

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
        from fmkit.tables.place_kernels import find_numbers

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
        from fmkit.tables.place_kernels import find_texts, read_numbers

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
        from fmkit.tables.place_kernels import place_numbers, place_texts

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
