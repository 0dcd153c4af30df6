"""Files appear whole or not at all."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """A path beside `path`, with its suffix, to write to; renamed into place at the end, removed after an error.

    A file that is replaced keeps its permissions, a link keeps pointing to it. What is no file (a pipe, /dev/stdout) is
    written to as it is.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written to, or the disk is full; it names `path`.
    """
    path = Path(path)
    try:
        check_writable(path)
        if _is_device(path):
            yield path
            return
        target = path.resolve()
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        part = Path(name)
        try:
            yield part
            part.chmod(_permissions(target))  # mkstemp makes private files
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def check_writable(path: str | Path) -> None:
    """Raise, before hours of work, the OSError that `written_beside` would raise after them."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if _is_device(path):
        return
    folder = path.resolve().parent
    if not folder.exists():
        mend = f"there is no folder {path.parent}: make it first, or choose another name"
        raise FileNotFoundError(errno.ENOENT, mend, str(path))
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _permissions(path: Path) -> int:
    """Those of the file that is there, or of any new one."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
