"""Numbers of 32 bits as text: the fewest digits that are read as the same number again.

Arrow spells them so, too, in two to four times as long, which is most of what it takes to write scores to CSV.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from fmkit.kernels import kernel

LONGEST = 20  # letters of a number that is spelt here
FEW, MANY = 6, 9  # digits from which, and up to which, one is tried: nine tell all numbers of 32 bits apart
LEAST, MOST = 1e-4, 1e7  # others are Arrow's, some of them with an exponent
POWERS = 10.0 ** np.arange(20)
EPSILON = 2.0**-52


def spelt(numbers: pa.FloatArray) -> pa.StringArray:
    """Float32 as text, missing where they are missing."""
    if numbers.null_count or not len(numbers):
        return numbers.cast(pa.string())
    ends = np.zeros(len(numbers) + 1, np.int32)
    letters = np.empty(LONGEST * len(numbers), np.uint8)
    if not spell(np.asarray(numbers), POWERS, ends, letters):
        return numbers.cast(pa.string())
    content = letters[: ends[-1]]
    return pa.Array.from_buffers(pa.string(), len(numbers), [None, pa.py_buffer(ends), pa.py_buffer(content)])


@kernel
def spell(numbers: Any, powers: Any, ends: Any, letters: Any) -> bool:
    """Write numbers one after the other; False at the first that is not zero and outside of LEAST to MOST."""
    at = 0
    for r in range(len(numbers)):
        number = numbers[r]
        size = np.float64(abs(number))
        if size == 0 and np.copysign(np.float32(1), number) > 0:
            letters[at] = 48
            at += 1
            ends[r + 1] = at
            continue
        if not LEAST <= size < MOST:
            return False
        whole = 0  # digits before the point, less than 1 if zeros stand behind it
        while whole < 8 and size >= powers[whole]:
            whole += 1
        if whole == 0:
            while size * powers[1 - whole] < 1:
                whole -= 1
        digits, n_after = np.int64(0), 0
        for n_digits in range(FEW, MANY + 1):
            n_after = n_digits - whole
            scale = powers[abs(n_after)]
            digits = np.int64(np.rint(size * scale if n_after >= 0 else size / scale))
            back = digits / scale if n_after >= 0 else digits * scale
            low, high = np.float32(back * (1 - EPSILON)), np.float32(back * (1 + EPSILON))
            if low == high and high == np.float32(size):
                break
        while n_after > 0 and digits % 10 == 0:
            digits //= 10
            n_after -= 1
        while n_after < 0:
            digits *= 10
            n_after += 1
        if number < 0:
            letters[at] = 45
            at += 1
        n_letters, left = 0, digits
        while left or n_letters <= n_after:
            n_letters += 1
            left //= 10
        last = at + n_letters + (1 if n_after else 0)
        place = last - 1
        for d in range(n_letters):
            if d == n_after and n_after:
                letters[place] = 46
                place -= 1
            letters[place] = 48 + digits % 10
            digits //= 10
            place -= 1
        at = last
        ends[r + 1] = at
    return True
