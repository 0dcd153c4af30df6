"""Where files are: on this computer, or on any file system that Arrow or fsspec knows (s3://, gs://, memory://)."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from fmkit.errors import InputError

WILD = set("*?[")


@dataclass(frozen=True)
class Place:
    """A file or a folder, there or not.

    Parameters
    ----------
    system : pyarrow.fs.FileSystem
    path : str
        In that system.
    name : str
        As it is told in messages and manifests.
    """

    system: fs.FileSystem
    path: str
    name: str

    @classmethod
    def of(cls, text: str | Path) -> Place:
        """A path of this computer, or an address with a scheme.

        Raises
        ------
        InputError
            If no file system that is installed has the scheme.
        """
        text = str(text)
        scheme, colon, _ = text.partition("://")
        if not colon or scheme == "file":
            path = text.removeprefix("file://")
            return cls(fs.LocalFileSystem(), str(Path(path).absolute()), path)
        try:
            system, path = fs.FileSystem.from_uri(text)
        except pa.ArrowInvalid:
            system, path = _by_fsspec(text, scheme)
        return cls(system, path.rstrip("/"), text.rstrip("/"))

    @property
    def is_local(self) -> bool:
        """Whether it is on this computer."""
        return isinstance(self.system, fs.LocalFileSystem)

    @property
    def identity(self) -> tuple[str, str]:
        """What is the same for all names of a place: links and `..` are followed on this computer."""
        return self.system.type_name, os.path.realpath(self.path) if self.is_local else self.path

    def is_within(self, folder: Place) -> bool:
        """Whether it lies below a folder."""
        (system, path), (of_folder, above) = self.identity, folder.identity
        return system == of_folder and path.startswith(above.rstrip("/") + "/")

    @property
    def base(self) -> str:
        """Its name in its folder."""
        return self.path.rpartition("/")[2]

    def __truediv__(self, below: str) -> Place:
        return replace(self, path=f"{self.path}/{below}", name=f"{self.name}/{below}")

    def beside(self, base: str) -> Place:
        """Another name in the same folder."""
        path, name = (text[: len(text) - len(self.base)] + base for text in (self.path, self.name))
        return replace(self, path=path, name=name)

    def info(self) -> Any:
        """Type, size, time of the last change."""
        return self.system.get_file_info(self.path)

    @property
    def is_file(self) -> bool:
        """Whether there is such a file."""
        return bool(self.info().type == fs.FileType.File)

    @property
    def is_folder(self) -> bool:
        """Whether there is such a folder."""
        return bool(self.info().type == fs.FileType.Directory)

    def make_folder(self) -> None:
        """Make it, and those above it."""
        with self.telling():
            self.system.create_dir(self.path, recursive=True)

    def files_below(self) -> list[tuple[str, Any]]:
        """All files of a folder and its folders: path below it, and information; in order.

        A link to a folder above itself is not followed.
        """
        found = self.system.get_file_info(fs.FileSelector(self.path, recursive=True))
        start = len(self.path.rstrip("/")) + 1
        loops: dict[str, bool] = {}
        below = []
        for info in found:
            path = info.path[start:]
            if info.type == fs.FileType.File and not self._is_loop(path.rpartition("/")[0], loops):
                below.append((path, info))
        return sorted(below, key=lambda pair: pair[0])

    def _is_loop(self, folder: str, known: dict[str, bool]) -> bool:
        """Whether a folder below this one is one that it lies in."""
        if not folder or not self.is_local:
            return False
        if folder not in known:
            above = folder.rpartition("/")[0]
            real = os.path.realpath(f"{self.path}/{folder}")
            home = os.path.realpath(f"{self.path}/{above}")
            known[folder] = self._is_loop(above, known) or home == real or home.startswith(real.rstrip("/") + "/")
        return known[folder]

    def children(self) -> list[Any]:
        """What a folder holds itself, in order of names."""
        return sorted(self.system.get_file_info(fs.FileSelector(self.path)), key=lambda info: info.base_name)

    def open(self) -> Any:
        """To be read at any place."""
        with self.telling():
            return self.system.open_input_file(self.path)

    def read_text(self) -> str:
        """All of it."""
        with self.open() as file:
            return bytes(file.read()).decode()

    def write_text(self, text: str) -> None:
        """Write it whole: beside, then renamed."""
        with self.written_beside() as part, part.system.open_output_stream(part.path) as stream:
            stream.write(text.encode())

    @contextlib.contextmanager
    def written_beside(self) -> Iterator[Place]:
        """A place beside it to write to, which takes its name at the end, and is gone after an error.

        On this computer the content is on the disk before the name is given.
        """
        part = self.beside(f".{self.base}.part")
        try:
            yield part
            if part.is_local:
                _sync(part.path)
            with self.telling():
                part.system.move(part.path, self.path)
            if self.is_local:
                _sync(os.path.dirname(self.path))  # noqa: PTH120 (it is a string of Arrow's)
        except BaseException:
            with contextlib.suppress(OSError):
                part.system.delete_file(part.path)
            raise

    def remove(self) -> None:
        """Delete the file, or the folder with all that is in it, if it is there."""
        kind = self.info().type
        with self.telling():
            if kind == fs.FileType.Directory:
                self.system.delete_dir(self.path)
            elif kind == fs.FileType.File:
                self.system.delete_file(self.path)

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Errors of the system as sentences with the name of the place."""
        try:
            yield
        except OSError as error:
            number = error.errno or errno.EIO
            told = os.strerror(number) if error.errno else str(error)
            raise OSError(number, told, self.name) from None


def _by_fsspec(text: str, scheme: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise InputError(
            f"addresses of {scheme}:// need fsspec, and its package for them: pip install fsspec"
        ) from None
    try:
        system, path = url_to_fs(text)
    except (ValueError, ImportError) as error:
        raise InputError(f"no file system for {scheme}:// is installed ({error})") from None
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
