"""Pictures about a restoration, to be looked at: what would be touched, before and after, how sure it is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from fmkit.lettering import letters

Rgb = NDArray[np.uint8]

_LOST, _AROUND = (255, 0, 60), (255, 220, 0)
# From sure to unsure, dark to light, so that it reads in gray, too; the anchors of matplotlib's inferno.
_HEAT = np.array(
    [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39],
     [252, 255, 164]]
)  # fmt: skip


def displayed(pixels: NDArray[Any], scale: tuple[float, float] | None = None) -> Rgb:
    """Eight bits a channel and three channels of any picture.

    Parameters
    ----------
    pixels : ndarray of shape (n_rows, n_columns) or (n_rows, n_columns, 1 or 3)
    scale : (float, float), optional
        What is black and what is white; see `scale_of`.
    """
    low, high = scale or scale_of(pixels)
    values = np.nan_to_num(pixels.reshape(*pixels.shape[:2], -1).astype(np.float32), nan=low)
    levels = np.clip((values - low) * (255 / (high - low)), 0, 255)
    return np.ascontiguousarray(np.broadcast_to(np.rint(levels), (*pixels.shape[:2], 3)).astype(np.uint8))


def scale_of(pixels: NDArray[Any]) -> tuple[float, float]:
    """The values to be shown black and white: all that unsigned integers hold, 0 to 1, or from least to largest."""
    if pixels.dtype.kind == "u":
        return 0.0, float(np.iinfo(pixels.dtype).max)
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, max(high, low + 1e-6 * max(abs(low), 1.0))


def preview(picture: Rgb, lost: NDArray[np.bool_]) -> Rgb:
    """The picture in gray, its lost pixels red, with a yellow rim, so that a speck can be seen in a large picture."""
    gray = picture.mean(axis=2, keepdims=True)
    view = np.repeat(0.75 * gray + 0.25 * 255, 3, axis=2).astype(np.uint8)
    width = 1 + max(lost.shape) // 1000
    view[binary_dilation(lost, np.ones((3, 3), bool), width) & ~lost] = _AROUND if lost.any() else 0
    view[lost] = _LOST
    return view


def side_by_side(before: Rgb, after: Rgb) -> Rgb:
    """Two pictures of one size beside each other, each under its name."""
    gap = max(4, before.shape[1] // 100)
    parts = [_captioned(before, "before"), _captioned(after, "after")]
    between = np.full((parts[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([parts[0], between, parts[1]], axis=1)


def _captioned(picture: Rgb, text: str) -> Rgb:
    height = _letter_height(picture)
    ink = letters(text, height)[:, : max(picture.shape[1] - height // 2, 0)]
    band = np.full((2 * height, picture.shape[1], 3), 255, np.uint8)
    band[height // 2 :, height // 2 :][: ink.shape[0], : ink.shape[1]][ink] = 0
    return np.concatenate([band, picture])


def _letter_height(picture: NDArray[Any]) -> int:
    return max(7, int(min(picture.shape[:2])) // 40)


def heat_map(std: NDArray[Any]) -> Rgb:
    """Standard deviations as colours, with their scale at the right, in the picture's own units.

    Parameters
    ----------
    std : ndarray of shape (n_rows, n_columns) or (n_rows, n_columns, n_channels)
        Of several channels the root of the mean square is shown. The scale ends at the 99.5% quantile of what is not
        0, or a few wild pixels would leave all others dark.
    """
    values = np.sqrt(np.square(std.reshape(*std.shape[:2], -1).astype(np.float64)).mean(axis=2))
    unsure = values[values > 0]
    top = float(np.quantile(unsure, 0.995)) if unsure.size else 1.0
    height = _letter_height(values)
    ticks = [f"{top * part:.3g}" for part in (1, 0.75, 0.5, 0.25, 0)]
    inks = [letters(tick, height) for tick in ticks]
    title = letters("std", height)
    n_rows = max(values.shape[0], 14 * height)
    bar_top, bar_bottom = 3 * height, n_rows - height
    bar = slice(height, 3 * height)
    legend = np.full((n_rows, 5 * height + max(ink.shape[1] for ink in [*inks, title]), 3), 255, np.uint8)
    legend[bar_top:bar_bottom, bar] = heat(np.linspace(1, 0, bar_bottom - bar_top))[:, None]
    legend[height // 2 :][: title.shape[0], height : height + title.shape[1]][title] = 0
    for ink, part in zip(inks, (0, 0.25, 0.5, 0.75, 1), strict=True):
        middle = round(bar_top + part * (bar_bottom - 1 - bar_top))
        legend[middle, 3 * height : 3 * height + max(2, height // 2)] = 0
        first = middle - ink.shape[0] // 2
        legend[first : first + ink.shape[0], 4 * height : 4 * height + ink.shape[1]][ink] = 0
    map_ = np.full((n_rows, values.shape[1], 3), 255, np.uint8)
    map_[: values.shape[0]] = heat(values / top)
    return np.concatenate([map_, legend], axis=1)


def heat(parts: NDArray[np.float64]) -> Rgb:
    """Colours of numbers between 0 and 1, from sure to unsure."""
    anchors = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(parts, anchors, _HEAT[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), dtype=np.uint8)
