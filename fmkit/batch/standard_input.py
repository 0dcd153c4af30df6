"""What comes on stdin, as a file that is read once."""

from __future__ import annotations

import io
import sys
from typing import Any, cast

import pyarrow as pa

from fmkit.batch.inputs import Input
from fmkit.batch.places import Place
from fmkit.errors import InputError

PARQUET, ARROW, GZIP = b"PAR1", b"\xff\xff\xff\xff", b"\x1f\x8b"
PEEK = 1 << 16


class StandardInput:
    """A place that may be opened twice: what the first reading met comes again in the second.

    Parameters
    ----------
    stream : file-like
        Of bytes.
    """

    name = base = "stdin"
    is_local = is_file = False
    system = None
    path = ""
    identity = "stdin", ""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.met = b""
        self.is_looked_at = False

    def open(self) -> Any:
        """To be read from the start; the third time there is nothing left."""
        opened = pa.PythonFile(_Replay(self, remembers=not self.is_looked_at), "r")
        self.is_looked_at = True
        return opened


class _Replay(io.RawIOBase):
    def __init__(self, place: StandardInput, remembers: bool) -> None:
        self.place, self.remembers, self.at = place, remembers, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True  # forwards, which is all that is asked

    def tell(self) -> int:
        return self.at

    def seek(self, at: int, whence: int = 0) -> int:
        while self.at < at and self.read(min(at - self.at, PEEK)):
            pass
        return self.at

    def read(self, n: int = -1) -> bytes:
        place = self.place
        content = place.met[self.at : self.at + n]
        if not content:
            content = place.stream.read(n) or b""
            if self.remembers:
                place.met += content
        self.at += len(content)
        return content


def standard_input(form: str | None) -> Input:
    """Stdin as an input.

    Parameters
    ----------
    form : {"csv", "ndjson", "arrow"}, optional
        By default what its first bytes say.

    Raises
    ------
    InputError
        If it is Parquet, which cannot be read from its beginning, or compressed.
    """
    stream = sys.stdin.buffer
    first = stream.peek(PEEK) if isinstance(stream, io.BufferedReader) else b""
    if first.startswith(PARQUET) or first.startswith(b"ARROW1"):
        raise InputError("files of Parquet and Arrow are read from their end, stdin is not: save it to a file first")
    if first.startswith(GZIP):
        raise InputError("what comes on stdin is compressed: put `gzip -dc` before it")
    if form is None:
        text = first.removeprefix(b"\xef\xbb\xbf").lstrip()
        form = "arrow" if first.startswith(ARROW) else "ndjson" if text.startswith(b"{") else "csv"
    place = cast("Place", StandardInput(stream))
    return Input(place, "stdin", form, 0, "", {})
