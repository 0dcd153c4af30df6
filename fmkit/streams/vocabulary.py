"""A vocabulary that grows: from prints to columns, in the order in which they come.

An id is known by its print alone: of 10 million ids, two share one with a probability of 3 in a million.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.streams.hashing import Prints

FEWEST = 1 << 10  # slots


class Vocabulary:
    """Columns of prints, from 0 in the order of first appearance.

    Parameters
    ----------
    prints : ndarray of uint64, optional
        Those known, in the order of their columns.

    Examples
    --------
    >>> import numpy as np
    >>> vocabulary = Vocabulary()
    >>> vocabulary.columns(np.uint64([7, 3, 7]), grow=True)
    array([0, 1, 0], dtype=int32)
    >>> vocabulary.columns(np.uint64([3, 5]), grow=False)
    array([ 1, -1], dtype=int32)
    >>> len(vocabulary)
    2
    """

    def __init__(self, prints: Prints | None = None) -> None:
        self._prints, self._n = np.empty(FEWEST // 2, np.uint64), 0
        self._keys, self._codes = np.zeros(FEWEST, np.uint64), np.empty(FEWEST, np.int32)
        if prints is not None:
            self.columns(prints, grow=True)

    def __len__(self) -> int:
        return self._n

    @property
    def prints(self) -> Prints:
        """Those known, in the order of their columns; later ones leave them as they are."""
        return self._prints[: self._n]

    def columns(self, prints: Prints, *, grow: bool) -> NDArray[np.int32]:
        """The column of each print; new ones get the next, or -1 if the vocabulary is not to grow."""
        if grow:
            self._make_room(self._n + len(prints))
        out = np.empty(len(prints), np.int32)
        self._n = int(look_up(prints, self._keys, self._codes, self._prints, self._n, grow, out))
        return out

    def _make_room(self, most: int) -> None:
        if most > len(self._prints):
            larger = np.empty(max(most, 2 * len(self._prints)), np.uint64)
            larger[: self._n] = self._prints[: self._n]
            self._prints = larger
        if 2 * most > len(self._keys):
            known, n_slots = self.prints, len(self._keys)
            while 2 * most > n_slots:
                n_slots *= 2
            self._keys, self._codes = np.zeros(n_slots, np.uint64), np.empty(n_slots, np.int32)
            look_up(known, self._keys, self._codes, known.copy(), 0, True, np.empty(len(known), np.int32))


@kernel
def look_up(prints: Any, keys: Any, codes: Any, known: Any, n: int, grow: bool, out: Any) -> int:
    """out[i] = the column of prints[i]; returns the number of columns.

    Parameters
    ----------
    prints : uint64 array
        None is 0.
    keys, codes : uint64 and int32 arrays, a power of two long
        Slots; a key of 0 means that one is free. A print stands in the first free slot from where its low bits say.
    known : uint64 array
        Prints of the columns; new ones are written to it.
    n : int
        Columns so far.
    """
    last = np.uint64(len(keys) - 1)
    for i in range(len(prints)):
        at = prints[i] & last
        while keys[at] != 0 and keys[at] != prints[i]:
            at = (at + np.uint64(1)) & last
        if keys[at] == 0:
            if not grow:
                out[i] = -1
                continue
            keys[at], codes[at], known[n] = prints[i], n, prints[i]
            n += 1
        out[i] = codes[at]
    return n


def is_vocabulary(prints: Any) -> bool:
    """Whether an array of a model file holds prints, each once."""
    if prints.dtype != np.uint64 or prints.ndim != 1 or not prints.all():
        return False
    return len(np.unique(prints)) == len(prints)
