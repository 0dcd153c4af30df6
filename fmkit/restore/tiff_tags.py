"""What libvips leaves out of TIFF files: EXIF data, and pages of different sizes.

A TIFF file is a chain of directories (IFDs), one a page, of entries (tag, type, values). EXIF and GPS data are
directories of their own that an entry points to; the EXIF block of a JPEG, PNG or WebP file is such a file without a
picture. Both jobs are to append directories to a file and to set a pointer.
"""

import io
import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # bytes a value, by type
_WORDS = {3: 2, 8: 2, 4: 4, 5: 4, 9: 4, 10: 4, 11: 4, 13: 4, 12: 8}  # bytes that change places with the byte order
_EXIF, _GPS = 34665, 34853
_PLACES = (273, 324)  # offsets of strips and tiles
# Words about the picture: description, make, model, software, date, artist, host, copyright, rating, and Windows' own.
_TOLD = {270, 271, 272, 305, 306, 315, 316, 33432, 18246, 40091, 40092, 40093, 40094, 40095}
_NOT_COPIED = {40962, 40963, 40965}  # width and height, which turning changes; a pointer into the old file

Directory = dict[int, tuple[int, bytes]]
"""Type and little-endian values of every tag."""


@dataclass
class Exif:
    """What the EXIF block of a picture says."""

    image: Directory = field(default_factory=dict)
    exif: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.image or self.exif or self.gps)


def exif_in(data: "bytes | mmap.mmap") -> Exif:
    """Read the EXIF data of a TIFF file, or of the EXIF block of another; nothing if it is broken.

    Examples
    --------
    >>> from fmkit.restore.tiff_tags import Exif, exif_block, exif_in
    >>> exif_in(exif_block(Exif(image={315: (2, b"Bruegel\\0")}))[6:]).image
    {315: (2, b'Bruegel\\x00')}
    """
    try:
        order, first = _begin(data)
        main, _ = _directory(data, first, order)
        parts = [_directory(data, _number(main[tag]), order)[0] if tag in main else {} for tag in (_EXIF, _GPS)]
    except (struct.error, KeyError, IndexError, ValueError):
        return Exif()
    return Exif(
        {tag: value for tag, value in main.items() if tag in _TOLD},
        {tag: value for tag, value in parts[0].items() if tag not in _NOT_COPIED},
        parts[1],
    )


def exif_of(path: Path) -> Exif:
    """Read the EXIF data of the first page of a TIFF file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return exif_in(data)


def exif_block(exif: Exif) -> bytes:
    """EXIF data as JPEG, PNG and WebP files hold it."""
    file = io.BytesIO(b"II*\0\0\0\0\0")
    _append(file, _with_exif(file, {}, exif), 0, 4)
    return b"Exif\0\0" + file.getvalue()


def put_exif(path: Path, exif: Exif) -> None:
    """Write EXIF data into a TIFF file that libvips wrote."""
    with path.open("r+b") as file:
        data = file.read()
        _, first = _begin(data)
        main, following = _directory(data, first, "<")
        _append(file, _with_exif(file, main, exif), following, 4)


def put_page(path: Path, page: Path) -> None:
    """Append the page of a TIFF file to another; libvips wrote both."""
    data = page.read_bytes()
    _, first = _begin(data)
    directory, _ = _directory(data, first, "<")
    with path.open("r+b") as file:
        whole = file.read()
        _, at = _begin(whole)
        pointer = 4
        while at:
            entries = struct.unpack_from("<H", whole, at)[0]
            pointer = at + 2 + 12 * entries
            at = struct.unpack_from("<I", whole, pointer)[0]
        shift = _at_end(file, data)
        for tag in set(_PLACES) & set(directory):
            kind, values = directory[tag]
            old = struct.unpack(f"<{len(values) // _SIZES[kind]}{'H' if kind == 3 else 'I'}", values)
            directory[tag] = 4, struct.pack(f"<{len(old)}I", *(place + shift for place in old))
        _append(file, directory, 0, pointer)


def _begin(data: "bytes | mmap.mmap") -> tuple[str, int]:
    """Byte order and place of the first directory."""
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    version, first = struct.unpack_from(f"{order}HI", data, 2)
    if version != 42:
        raise ValueError("BigTIFF, or no TIFF at all")
    return order, first


def _directory(data: "bytes | mmap.mmap", at: int, order: str) -> tuple[Directory, int]:
    """The entries of a directory, and the place of the next one."""
    entries: Directory = {}
    (n_entries,) = struct.unpack_from(f"{order}H", data, at)
    for entry in range(at + 2, at + 2 + 12 * n_entries, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
        if kind not in _SIZES:
            continue
        size = _SIZES[kind] * count
        start = entry + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, entry + 8)[0]
        values = bytes(data[start : start + size])
        if len(values) < size:
            raise ValueError("an entry points beyond the end")
        entries[tag] = kind, values if order == "<" else _swapped(values, _WORDS.get(kind, 1))
    return entries, struct.unpack_from(f"{order}I", data, at + 2 + 12 * n_entries)[0]


def _swapped(values: bytes, word: int) -> bytes:
    return b"".join(values[i : i + word][::-1] for i in range(0, len(values), word))


def _number(entry: tuple[int, bytes]) -> int:
    return int.from_bytes(entry[1], "little")


def _with_exif(file: BinaryIO, main: Directory, exif: Exif) -> Directory:
    """The directory `main` with what the EXIF data say, whose own directories are written at the file's end."""
    pointers = {
        tag: (4, struct.pack("<I", _at_end(file, _packed(file, part, 0))))
        for tag, part in ((_EXIF, exif.exif), (_GPS, exif.gps))
        if part
    }
    return {**main, **exif.image, **pointers}


def _append(file: BinaryIO, directory: Directory, following: int, pointer: int) -> None:
    """Write a directory at the end, and its place where the pointer to it is."""
    place = struct.pack("<I", _at_end(file, _packed(file, directory, following)))
    file.seek(pointer)
    file.write(place)


def _packed(file: BinaryIO, directory: Directory, following: int) -> bytes:
    """A directory whose longer values are written at the file's end."""
    packed = struct.pack("<H", len(directory))
    for tag, (kind, values) in sorted(directory.items()):
        stored = values if len(values) <= 4 else struct.pack("<I", _at_end(file, values))
        packed += struct.pack("<HHI", tag, kind, len(values) // _SIZES[kind]) + stored.ljust(4, b"\0")
    return packed + struct.pack("<I", following)


def _at_end(file: BinaryIO, data: bytes) -> int:
    """Where data were written; at an even place, as the format wants it."""
    place = file.seek(0, 2)
    if place % 2:
        file.write(b"\0")
        place += 1
    file.write(data)
    return place
