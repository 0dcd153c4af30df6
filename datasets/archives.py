"""The files of a folder or of an archive by their names, read where they are: nothing is unpacked."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Files:
    """Files by their names alone, whatever folder they are in.

    Parameters
    ----------
    readers : dict of str to callable
        What gives each file's bytes.
    """

    readers: dict[str, Callable[[], bytes]]

    def __contains__(self, name: str) -> bool:
        return name in self.readers or f"{name}.gz" in self.readers

    def __iter__(self) -> Iterator[str]:
        """The names, in the order in which they are read fastest."""
        yield from self.readers

    def read(self, name: str) -> bytes:
        """A file's bytes; if `name.gz` is there instead, what it unpacks to."""
        if name in self.readers:
            return self.readers[name]()
        if name in self:
            return gzip.decompress(self.readers[f"{name}.gz"]())
        raise FileNotFoundError(name)

    def array(self, name: str) -> NDArray[Any]:
        """An array of an npz file, which is a zip file to all others."""
        return np.asarray(np.load(io.BytesIO(self.read(f"{name}.npy")), allow_pickle=False))


@contextmanager
def open_files(source: Path) -> Iterator[Files]:
    """The files below a folder, in a zip or tar file, or the one table that `source` is."""
    if source.is_dir():
        yield Files({file.name: file.read_bytes for file in sorted(source.rglob("*")) if file.is_file()})
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as zipped:
            inside = [member for member in zipped.infolist() if not member.is_dir()]
            yield Files({Path(member.filename).name: partial(zipped.read, member) for member in inside})
    elif tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:

            def content(member: tarfile.TarInfo) -> bytes:
                file = archive.extractfile(member)
                assert file is not None
                return file.read()

            yield Files({Path(member.name).name: partial(content, member) for member in archive if member.isfile()})
    elif source.name.removesuffix(".gz").endswith(".csv"):
        yield Files({source.name: source.read_bytes})
    else:
        raise ValueError("neither a zip nor a tar archive")
