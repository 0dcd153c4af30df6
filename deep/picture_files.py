"""Picture files as arrays: folders by class, read in threads, of one size, kept in a cache if asked for."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.files import written_beside
from fmkit.threads import count_threads, for_each

from .pictures import Shape

SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
USUAL_SIZE = 64  # of pictures that are not all of one size
LARGEST = 224


def are_paths(X: Any) -> bool:
    """Whether X is a list of files, and no array of numbers."""
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and X.dtype.kind in "UO" and are_paths(X.tolist())
    return isinstance(X, Sequence) and len(X) > 0 and all(isinstance(x, str | Path) for x in X)


def files_by_class(folder: str | Path, suffixes: Sequence[str] = SUFFIXES) -> tuple[list[Path], list[str]]:
    """The pictures in the folders of a folder, or other files, and the names of their folders: their classes.

    Raises
    ------
    InputError
        If there are not two folders that hold some.
    OSError
        If the folder cannot be read.
    """
    folders = sorted(inside for inside in Path(folder).iterdir() if inside.is_dir() and inside.name[0] != ".")
    found = {
        inside.name: sorted(file for file in inside.rglob("*") if file.suffix.lower() in suffixes) for inside in folders
    }
    found = {name: files for name, files in found.items() if files}
    if len(found) < 2:
        raise InputError(
            f"{len(found)} of its folders hold files of the kind ({', '.join(suffixes)}): put those of each class into "
            "one of its own, with the name of the class",
            path=folder,
        )
    return [file for files in found.values() for file in files], [name for name, fs in found.items() for _ in fs]


def common_shape(
    files: Sequence[str | Path], size: int | Sequence[int] | None, n_jobs: int | None, on_error: str = "raise"
) -> Shape:
    """Height, width and channels that pictures of files are read in.

    Parameters
    ----------
    files : sequence of path
    size : int or (height, width), optional
        By default the pictures' own if they share one of up to 224 x 224, else 64 x 64.
    n_jobs : int, optional
    on_error : {"raise", "skip"}, default="raise"
        Files that are no pictures do not count by "skip".
    """
    found = for_each(_header, [(file, on_error) for file in files], count_threads(n_jobs))
    headers = {header for header in found if header is not None}
    if not headers:
        raise InputError("none of the files is a picture that can be read")
    n_channels = max(channels for _, _, channels in headers)
    if size is None:
        sizes = {header[:2] for header in headers}
        alike = len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST
        return (*(next(iter(sizes)) if alike else (USUAL_SIZE, USUAL_SIZE)), n_channels)
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width), n_channels


def read_files(
    files: Sequence[str | Path],
    shape: Shape,
    *,
    n_jobs: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    cache: str | Path | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read pictures, resized to one shape, with as many threads as there are cores.

    Parameters
    ----------
    files : sequence of path
    shape : tuple of three int
        Height, width, and 1 or 3 channels.
    n_jobs : int, optional
    on_error : {"raise", "skip"}, default="raise"
        Refuse a file that is no picture, or a damaged one, or name it in a warning.
    cache : path, optional
        A folder in which the result is kept, under a name made of the shape and the files' names, sizes and times.

    Returns
    -------
    pixels : ndarray of shape (n_read, height, width, n_channels), uint8
    read : ndarray of shape (n_files,), bool
        Which files are in it.

    Raises
    ------
    InputError
        That names the file.
    OSError
        If one cannot be read, or the cache cannot be written.
    """
    kept = None if cache is None else Path(cache) / f"pictures-{_fingerprint(files, shape)}.npz"
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as arrays:
            pixels, read = arrays["pixels"], arrays["read"]
        if read.all() or on_error == "skip":
            return pixels, read
    pixels, read = np.empty((len(files), *shape), np.uint8), np.zeros(len(files), bool)
    failed: list[str] = []

    def read_one(number: int) -> None:
        try:
            pixels[number] = _read(files[number], shape)
            read[number] = True
        except (InputError, OSError) as error:
            if on_error == "raise":
                raise
            failed.append(str(error))

    for_each(read_one, [(number,) for number in range(len(files))], count_threads(n_jobs))
    if failed:
        shown = "; ".join(sorted(failed)[:5]) + ("; ..." if len(failed) > 5 else "")
        warnings.warn(f"{len(failed)} of {len(files)} pictures are left out: {shown}", stacklevel=3)
        pixels = pixels[read]
    if not len(pixels):
        raise InputError("none of the files is a picture that can be read")
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(kept) as part:
            np.savez(part, pixels=pixels, read=read)
    return pixels, read


def _fingerprint(files: Iterable[str | Path], shape: Shape) -> str:
    told = [str(shape)]
    for file in files:
        facts = Path(file).stat()
        told.append(f"{Path(file).resolve()} {facts.st_size} {facts.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _header(file: str | Path, on_error: str) -> Shape | None:
    import pyvips  # loads libvips

    try:
        with Path(file).open("rb"):  # libvips does not say whether a file is missing or not permitted
            image = pyvips.Image.new_from_file(str(file)).autorot()
        return int(image.height), int(image.width), 1 if image.interpretation in ("b-w", "grey16") else 3
    except (pyvips.Error, OSError) as error:
        if on_error == "skip":
            return None
        if isinstance(error, OSError):
            raise
        raise InputError("this is no picture that can be read: leave it out, or on_error='skip'", path=file) from None


def _read(file: str | Path, shape: Shape) -> NDArray[np.uint8]:
    import pyvips

    height, width, n_channels = shape
    try:
        with Path(file).open("rb"):
            # Decodes no more of the file than the size needs, and turns it upright.
            image = pyvips.Image.thumbnail(str(file), width, height=height, size="force", fail_on="truncated")
        image = image.flatten() if image.hasalpha() else image
        image = image.colourspace("b-w" if n_channels == 1 else "srgb")
        pixels = image.cast("uchar").numpy()
    except pyvips.Error as error:
        reason = str(error.detail or error.message).strip().splitlines()[0]
        raise InputError(f"the picture is damaged ({reason}): leave it out, or on_error='skip'", path=file) from None
    return np.asarray(pixels.reshape(height, width, n_channels))
