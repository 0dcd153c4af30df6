"""A data set as it was published: found, read in whatever form, and checked to be that."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError

from .archives import Files, open_files
from .download import cache, download

DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    gzip.BadGzipFile,
    struct.error,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
)

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Publication:
    """A data set, and where it is from.

    Parameters
    ----------
    title : str
    page : str
        Where people download it.
    downloads : mapping of str to str
        The files that are downloaded, by their place in the cache: one archive, or files of one folder.
    sha256 : mapping of str to str
        Of the bytes of each of its arrays, whatever the form.
    """

    title: str
    page: str
    downloads: Mapping[str, str]
    sha256: Mapping[str, str]

    def read(self, path: str | Path | None, parse: Callable[[Files], Arrays]) -> tuple[Arrays, Path]:
        """Arrays that are those published, and where they were read from.

        Parameters
        ----------
        path : str or Path, optional
            By default what the cache holds, or is downloaded to it.
        parse : callable
            From the files to the arrays that `sha256` names.

        Raises
        ------
        InputError
            If there is no such set at `path`, or another's, or a damaged one, or it cannot be downloaded.
        """
        source = self._downloaded() if path is None else Path(path).expanduser()
        mend = "delete it and call again" if path is None else f"download {self.title} from {self.page}"
        if not source.exists():
            raise InputError(f"no such file or folder: {mend} and give its path", path=path)
        try:
            with open_files(source) as files:
                arrays = parse(files)
        except FileNotFoundError as error:
            raise InputError(f"there is no {error} in it: {mend}", path=source) from None
        except DAMAGED as error:
            reason = str(error).partition("\n")[0].rstrip(":")
            raise InputError(f"not {self.title}, or a damaged copy ({reason}): {mend}", path=source) from None
        for name, array in arrays.items():
            if _sha256(array) != self.sha256[name]:
                raise InputError(f"its {name} is not that of {self.title} (by SHA-256): {mend}", path=source)
        return arrays, source

    def _downloaded(self) -> Path:
        places = [download(url, cache() / name, self.title) for name, url in self.downloads.items()]
        return places[0] if len(places) == 1 else places[0].parent


def _sha256(array: NDArray[Any]) -> str:
    little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(little_endian.tobytes()).hexdigest()
