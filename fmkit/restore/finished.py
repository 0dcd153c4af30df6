"""Finished tiles of a big picture, in a file, so that work that was interrupted goes on where it stopped.

Records are appended as they come, and a torn one at the end is cut off: nothing is lost but the tiles in work.
"""

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fmkit.files import check_writable

Arrays = list[NDArray[Any]]


class FinishedTiles:
    """The file of one picture's finished tiles, each a list of arrays.

    Parameters
    ----------
    path : path
        A file that does not exist, or that an earlier run of the same work left.
    key : bytes of length 32
        What the work is; see `key_of`. A file with another key is begun anew.
    n_arrays : int
        Arrays of a tile.
    """

    def __init__(self, path: str | os.PathLike[str], key: bytes, n_arrays: int) -> None:
        self.path, self._lock = Path(path), Lock()
        check_writable(self.path)
        self.tiles: dict[int, Arrays] = {}
        end = 0
        if self.path.is_file():
            end = self._read(key, n_arrays)
        with self.path.open("r+b" if end else "wb") as file:
            if end:
                file.truncate(end)
            else:
                file.write(key)

    def _read(self, key: bytes, n_arrays: int) -> int:
        """Take up whole records; return where they end, 0 if the file is of other work."""
        with self.path.open("rb") as file:
            if file.read(len(key)) != key:
                return 0
            while True:
                end = file.tell()
                try:
                    number = int(npy.read_array(file, allow_pickle=False).item())
                    self.tiles[number] = [npy.read_array(file, allow_pickle=False) for _ in range(n_arrays)]
                except (ValueError, EOFError, OSError):
                    self.tiles = {n: arrays for n, arrays in self.tiles.items() if len(arrays) == n_arrays}
                    return end

    def add(self, number: int, arrays: Arrays) -> None:
        """Append a tile; it is on the disk when this returns."""
        with self._lock, self.path.open("ab") as file:
            for array in (np.array(number), *arrays):
                npy.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())

    def forget(self) -> None:
        """Remove the file: the picture is done."""
        self.path.unlink(missing_ok=True)


def key_of(arrays: Iterable[NDArray[Any]], facts: object) -> bytes:
    """A digest of the picture, its mask and whatever else the answer depends on."""
    digest = blake2b(repr(facts).encode(), digest_size=32)
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        for row in array:  # row by row: a view may not be contiguous, and a copy of all would double the memory
            digest.update(np.ascontiguousarray(row).data)
    return digest.digest()
