"""Pictures as tensors: they stay as they are, bytes mostly, until a batch is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmkit.errors import InputError

AT_ONCE = 2**20  # values that are summed at once, in float64: 8 MB
Shape = tuple[int, int, int]


@dataclass
class Pictures:
    """Rows, as the user gave them.

    Parameters
    ----------
    pixels : ndarray of shape (n_pictures, height, width, n_channels), uint8 or float32
    has_channels : bool
        Whether they were given so; else as (n_pictures, height, width).
    """

    pixels: NDArray[Any]
    has_channels: bool = True

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def dtype(self) -> torch.dtype:
        """What nets compute pictures in."""
        return torch.float32

    @property
    def shape(self) -> Shape:
        """Height, width and channels of every picture."""
        height, width, n_channels = self.pixels.shape[1:]
        return int(height), int(width), int(n_channels)


def as_pictures(X: Any) -> Pictures:
    """An array of pictures, checked; of uint8 it is not copied, other numbers become float32.

    Parameters
    ----------
    X : array-like of shape (n_pictures, height, width) or (n_pictures, height, width, n_channels)

    Raises
    ------
    InputError
        If it has another shape, holds nothing, or values that are no finite numbers.
    """
    try:
        pixels = np.asarray(X)
        pixels = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"pictures must be an array of numbers, all of one size, or a list of files: {error}"
        ) from None
    has_channels = pixels.ndim != 3
    if not has_channels:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or 0 in pixels.shape:
        raise InputError(
            f"pictures must have the shape (n, height, width) or (n, height, width, channels), got {np.shape(X)}: "
            "reshape rows of pixels to that"
        )
    if pixels.dtype != np.uint8 and not np.isfinite(pixels).all():
        raise InputError("pictures hold values that are not finite: NaN, or infinity: fill them in before the fit")
    return Pictures(pixels, has_channels)


@dataclass
class PictureScale:
    """What is learned of pictures before the net is: the mean and spread of every channel.

    Parameters
    ----------
    shape : tuple of three int
        Height, width and channels.
    whole : bool
        Whether they are bytes.
    mean, spread : ndarrays of shape (n_channels,), float64
    has_channels : bool
        Whether pictures were given with an axis of channels.
    """

    shape: Shape
    whole: bool
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    has_channels: bool = True

    @classmethod
    def learn(cls, pictures: Pictures, rows: NDArray[np.int64]) -> PictureScale:
        """From some of the pictures, a part of them at a time."""
        n_values = prod(pictures.shape)
        sums = np.zeros((2, pictures.shape[2]))
        for some in np.array_split(rows, -(-len(rows) * n_values // AT_ONCE)):
            values = pictures.pixels[some].reshape(-1, pictures.shape[2]).astype(np.float64)
            sums += values.sum(axis=0), np.square(values).sum(axis=0)
        mean, square = sums / (len(rows) * n_values / pictures.shape[2])
        variance = square - mean**2
        spread = np.where(variance > 1e-12 * square, np.sqrt(variance.clip(0)), 1.0)
        return cls(pictures.shape, pictures.pixels.dtype == np.uint8, mean, spread, pictures.has_channels)

    def inputs(self, rows: Pictures, dtype: torch.dtype) -> PictureRows:
        """Pictures as the net takes them."""
        if (rows.pixels.dtype == np.uint8) != self.whole:
            fitted, given = ("uint8", "floats") if self.whole else ("floats", "uint8")
            raise InputError(f"the net was fitted to pictures of {fitted}, these are of {given}: convert them")
        pixels = np.ascontiguousarray(rows.pixels)
        pixels = pixels if pixels.flags.writeable else pixels.copy()  # torch knows no arrays to read only
        return PictureRows(torch.from_numpy(pixels), *(torch.tensor(a, dtype=dtype) for a in (self.mean, self.spread)))

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts and arrays for a model file."""
        facts = {"shape": list(self.shape), "whole": self.whole, "has_channels": self.has_channels}
        return facts, {"mean": self.mean, "spread": self.spread}

    @classmethod
    def unpack(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PictureScale:
        """Of a model file; a KeyError, TypeError or ValueError if facts and arrays do not fit together."""
        height, width, n_channels = (int(size) for size in facts["shape"])
        mean, spread = arrays["mean"], arrays["spread"]
        if min(height, width) < 1 or mean.shape != (n_channels,) or spread.shape != (n_channels,):
            raise ValueError("its pictures' channels are not those of their scale")
        if not (np.isfinite(mean).all() and np.isfinite(spread).all() and (spread > 0).all()):
            raise ValueError("its pictures' scale is not finite and positive")
        has_channels = bool(facts.get("has_channels", True))  # files of earlier versions do not tell
        return cls((height, width, n_channels), bool(facts["whole"]), mean, spread, has_channels)


@dataclass
class PictureRows:
    """Pictures to train on.

    Parameters
    ----------
    pixels : Tensor of shape (n_pictures, height, width, n_channels), uint8 or float32
    mean, spread : Tensors of shape (n_channels,)
    """

    pixels: Tensor
    mean: Tensor
    spread: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Pictures in standard units, (n, height, width, n_channels)."""
        return ((self.pixels.index_select(0, rows) - self.mean) / self.spread,)

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return type(self)(self.pixels.to(device), self.mean.to(device), self.spread.to(device))
