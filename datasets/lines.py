"""Text files as blocks of whole lines, plain or gzipped, by path or open: what is in memory is bounded."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from fmkit.errors import InputError

Source = str | Path | BinaryIO

BLOCK = 1 << 22  # bytes at once: from 256 KiB to 16 MiB none is faster than another
LONGEST = 1 << 28  # bytes that a line may have: what has no line ends is no text, and must not fill the memory
GZIP = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def name_of(source: Source) -> str:
    """What a sentence calls the file."""
    name = source if isinstance(source, str | Path) else getattr(source, "name", None)
    return str(name) if isinstance(name, str | Path) else "the open file"


def blocks_of_lines(source: Source) -> Iterator[bytes]:
    """The text from where the file stands, some lines at a time; the last line gets the line end that it may lack.

    Parameters
    ----------
    source : str, Path or binary file
        What begins as gzip does is unpacked, whatever its name. An open file stays open.

    Raises
    ------
    OSError
        If the file is missing, a folder, or not readable for this user.
    InputError
        If gzip's data are cut off or damaged, or a line is longer than any text's.
    """
    if isinstance(source, io.TextIOBase) or not (isinstance(source, str | Path) or hasattr(source, "read")):
        raise TypeError(f"a path or a file opened with open(path, 'rb') is needed, got {type(source).__name__}")
    with Path(source).open("rb") if isinstance(source, str | Path) else nullcontext(source) as file:
        looked: Any = _Looked(file)
        with gzip.GzipFile(fileobj=looked) if looked.head == GZIP else nullcontext(looked) as unpacked:
            for position, text in enumerate(_whole_lines(unpacked, source)):
                yield text if position else text.removeprefix(BYTE_ORDER_MARK)


def _whole_lines(file: Any, source: Source) -> Iterator[bytes]:
    rest = b""
    while piece := _read(file, source):
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > LONGEST:
            raise InputError(f"a line has more than {LONGEST:,} bytes: is this text?", path=name_of(source))
    if rest:
        yield rest + b"\n"


class _Looked:
    """A file whose first two bytes are known before they are read: not all that can be read can be rewound."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.head = self.unread = file.read(len(GZIP))

    def read(self, size: int) -> bytes:
        if not self.unread:
            return self.file.read(size)  # type: ignore[no-any-return]
        head, self.unread = self.unread[:size], self.unread[size:]
        return head  # type: ignore[no-any-return]


def _read(file: Any, source: Source) -> bytes:
    try:
        piece = file.read(BLOCK)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"the gzipped file is cut off or damaged ({error}): fetch it again", path=name_of(source)
        ) from error
    if not isinstance(piece, bytes):
        raise TypeError(f"a file that gives bytes is needed, {name_of(source)} gives {type(piece).__name__}")
    return piece
