"""Pictures for the eye of a browser: small enough to be sent, eight bits a channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.restore.picture_file import page_sizes, without_alpha
from fmkit.restore.views import displayed, heat, scale_of

MOST_PIXELS = 52_000_000
MOST_PAGES = 100  # of a file
MOST_MEGAPIXELS = 50  # as it is told: cameras of 50 megapixels have a few more
SIDE = 4096  # pixels: the longest of a view; a canvas of more is refused by some browsers
LOST_COLOUR = (255, 0, 90, 255)


def check_pixels(path: Path, command: str) -> int:
    """The number of pages, of a picture that is not too large, which headers tell before anything is unpacked.

    Parameters
    ----------
    path : Path
    command : str
        That takes larger ones.

    Raises
    ------
    InputError
        If all pages together are too large, or too many, or as `page_sizes`.
    OSError
        If it cannot be read.
    """
    sizes = page_sizes(path, MOST_PAGES)
    n_pixels = sum(n_rows * n_columns for n_rows, n_columns in sizes)
    if n_pixels > MOST_PIXELS:
        raise InputError(
            f"pictures of at most {MOST_MEGAPIXELS} megapixels are taken, this one has {n_pixels / 1e6:,.0f}: the "
            f"command {command} takes any",
            path=path,
        )
    return len(sizes)


def view_of(pixels: NDArray[Any], most: int = SIDE) -> NDArray[np.uint8]:
    """Red, green and blue of a picture, alpha aside, made smaller until no side is longer than `most`."""
    colours = without_alpha(pixels)
    scale = scale_of(colours)
    return displayed(_smaller(np.nan_to_num(colours, nan=scale[0]), most), scale)


def write_jpeg(path: Path, view: NDArray[np.uint8]) -> None:
    """Write a view for a browser."""
    pyvips.Image.new_from_array(view).write_to_file(str(path), Q=90)


def as_jpeg(view: NDArray[np.uint8]) -> bytes:
    """A view as it is sent."""
    return bytes(pyvips.Image.new_from_array(view).jpegsave_buffer(Q=80))


def mask_png(mask: NDArray[np.bool_], most: int = SIDE) -> bytes:
    """A mask as a picture that is transparent but where pixels are lost; a speck of one pixel is not left out."""
    factor = -(-max(mask.shape) // most)
    small = np.zeros([-(-n // factor) for n in mask.shape], bool)
    for row in range(factor):
        for column in range(factor):
            part = mask[row::factor, column::factor]
            small[: part.shape[0], : part.shape[1]] |= part
    rgba = np.zeros((*small.shape, 4), np.uint8)
    rgba[small] = LOST_COLOUR
    return bytes(pyvips.Image.new_from_array(rgba, interpretation="srgb").pngsave_buffer(compression=3))


def certainty_png(std: NDArray[np.float32], lost: NDArray[np.bool_], most: int = SIDE) -> tuple[bytes, float]:
    """Standard deviations as colours over the pixels that were filled, and the one that the lightest stands for.

    Parameters
    ----------
    std : float32 ndarray of shape (n_rows, n_columns) or (n_rows, n_columns, n_channels)
    lost : bool ndarray of shape (n_rows, n_columns)
    most : int
    """
    values = np.sqrt(np.square(std.reshape(*lost.shape, -1)).mean(axis=2))
    unsure = values[values > 0]
    top = float(np.quantile(unsure, 0.995)) if unsure.size else 1.0
    small = _smaller(np.asarray(values, np.float32), most).reshape(-1)
    seen = _smaller(lost.astype(np.uint8) * np.uint8(255), most).reshape(-1)
    shape = _smaller(lost.astype(np.uint8), most).shape[:2]
    rgba = np.dstack([heat(np.minimum(small / top, 1)).reshape(*shape, 3), seen.reshape(shape)])
    image = pyvips.Image.new_from_array(np.ascontiguousarray(rgba), interpretation="srgb")
    return bytes(image.pngsave_buffer(compression=3)), top


def _smaller(pixels: NDArray[Any], most: int) -> NDArray[Any]:
    if max(pixels.shape[:2]) <= most:
        return pixels
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(most / max(pixels.shape[:2]), kernel="linear").numpy())
