"""Fashion-MNIST, from the four files that it is published in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .archives import Files
from .publication import Arrays, Publication

NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FILES = {
    "data": "train-images-idx3-ubyte",
    "target": "train-labels-idx1-ubyte",
    "test_data": "t10k-images-idx3-ubyte",
    "test_target": "t10k-labels-idx1-ubyte",
}
IN_NPZ = {"data": "X_train", "target": "y_train", "test_data": "X_test", "test_target": "y_test"}
# Pictures are uint8 (n, 28, 28), labels uint8.
FASHION_MNIST = Publication(
    "Fashion-MNIST",
    "https://github.com/zalandoresearch/fashion-mnist",
    {
        f"fashion-mnist/{name}.gz": f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}.gz"
        for name in FILES.values()
    },
    {
        "data": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "target": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "test_data": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "test_target": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    },
)


def fetch_fashion_mnist(path: str | Path | None = None) -> Bunch:
    """Read Fashion-MNIST: 60,000 gray pictures of 28 x 28 of ten kinds of garments, and 10,000 to test with.

    Parameters
    ----------
    path : str or Path, optional
        The folder or the archive that holds the four files as published (train-images-idx3-ubyte and the others, packed
        by gzip or not), or an npz file of X_train, y_train, X_test and y_test. By default the files in the cache,
        `~/.cache/fmkit` (or `$FMKIT_CACHE`): they are downloaded once, 31 MB, and a download that was cut off goes on
        where it ended.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data`, uint8 of shape (60000, 28, 28), `target`, int64, `test_data` and `test_target`, `target_names` and
        `DESCR`.

    Raises
    ------
    InputError
        If there is no Fashion-MNIST at `path`, or other bytes than those published (by their SHA-256); if it is not in
        the cache and cannot be downloaded.

    References
    ----------
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", 2017.
    """
    arrays, source = FASHION_MNIST.read(path, _arrays)
    targets = {name: array.astype(np.int64) for name, array in arrays.items() if array.ndim == 1}
    descr = f"Fashion-MNIST (Zalando SE, 2017), read from {source}. Licence: MIT; source: {FASHION_MNIST.page}"
    return Bunch(**{**arrays, **targets}, target_names=list(NAMES), DESCR=descr)


def _arrays(files: Files) -> Arrays:
    if "X_train.npy" in files:
        return {name: files.array(published) for name, published in IN_NPZ.items()}
    return {name: _from_idx(files.read(published)) for name, published in FILES.items()}


def _from_idx(content: bytes) -> NDArray[np.uint8]:
    """An array of bytes, behind its number of dimensions and its shape."""
    if content[:3] != b"\0\0\x08":
        raise ValueError("no idx file of bytes")
    ndim = content[3]
    shape = np.frombuffer(content, ">u4", count=ndim, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape).copy()
