"""Arrays as pictures: what is lost, the range of the values, and the way back to the array's own type."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from fmkit.errors import InputError


def checked_picture(picture: ArrayLike) -> NDArray[Any]:
    """An array of the shape and type that pictures have, or a sentence."""
    if issparse(picture):
        raise InputError("a picture is a dense array, and this one is sparse: its toarray() is dense")
    picture = np.asarray(picture)
    if picture.ndim not in (2, 3) or 0 in picture.shape:
        raise InputError(
            "a picture has the shape (rows, columns) or (rows, columns, channels), none of them 0, "
            f"but this array has the shape {picture.shape}"
        )
    if picture.dtype.kind not in "iuf":
        raise InputError(f"a picture holds integers or floats, but this array holds {picture.dtype}")
    return picture


def colours_of(picture: NDArray[Any]) -> NDArray[Any]:
    """A view of shape (n_rows, n_columns, n_colours): of 2 or 4 channels the last is alpha, and left out."""
    channels = picture if picture.ndim == 3 else picture[:, :, None]
    return channels[:, :, :-1] if channels.shape[2] in (2, 4) else channels


def lost_values(colours: NDArray[Any], mask: ArrayLike | None) -> NDArray[np.bool_]:
    """Which values are lost: those under the mask and those that are not a number.

    Parameters
    ----------
    colours : ndarray of shape (n_rows, n_columns, n_colours)
    mask : array-like of shape (n_rows, n_columns) or (n_rows, n_columns, 1, n_colours or more), or None

    Returns
    -------
    bool ndarray
        Of shape (n_rows, n_columns, 1) where all channels lost the same pixels, or that of `colours`.
    """
    lost = np.zeros((*colours.shape[:2], 1), np.bool_)
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype.kind not in "biu":
            raise InputError(f"a mask holds booleans, True where a pixel is lost, but this one holds {mask.dtype}")
        channels = mask[:, :, None] if mask.ndim == 2 else mask
        if channels.ndim != 3 or channels.shape[:2] != colours.shape[:2] or (1 != channels.shape[2] < colours.shape[2]):
            raise InputError(
                f"the mask has the shape {mask.shape}, but the picture has "
                f"{colours.shape[0]} rows and {colours.shape[1]} columns"
            )
        lost = channels[:, :, : colours.shape[2]] != 0
    if colours.dtype.kind == "f":
        unknown = np.isnan(colours)
        if unknown.any():
            lost = lost | unknown
    if lost.shape[2] > 1 and (lost == lost[:, :, :1]).all():
        lost = lost[:, :, :1]
    return np.ascontiguousarray(lost)


@dataclass(frozen=True)
class Scale:
    """How values are brought to -127.5 .. 127.5, and back."""

    middle: float
    half: float
    low: NDArray[Any]
    high: NDArray[Any]
    """The least and the greatest known value of each channel: no answer leaves them."""

    @classmethod
    def of(cls, colours: NDArray[Any], lost: NDArray[np.bool_]) -> "Scale":
        """That of the known values; uint8 and uint16 are taken to span their whole range, as pictures do."""
        channels = range(colours.shape[2])
        known = [colours[:, :, c][~lost[:, :, min(c, lost.shape[2] - 1)]] for c in channels]
        low, high = (np.array([pick(values) for values in known], colours.dtype) for pick in (np.min, np.max))
        if colours.dtype in (np.uint8, np.uint16):
            least, most = 0.0, float(np.iinfo(colours.dtype).max)
        else:
            least, most = float(low.min()), float(high.max())
        # Without overflow: halves first.
        return cls(least / 2 + most / 2, (most / 2 - least / 2) or 1.0, low, high)

    def to(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """In units of 1/255 of the range, about 0."""
        return ((values.astype(np.float64) - self.middle) * (127.5 / self.half)).astype(np.float32)

    def back(self, answer: NDArray[Any], channels: NDArray[np.intp] | None = None) -> NDArray[Any]:
        """In the picture's type: integers rounded, within the range of each channel's known values.

        `answer` has shape (n, n_colours) or, with the channel of each value in `channels`, (n,).
        """
        low, high = (self.low, self.high) if channels is None else (self.low[channels], self.high[channels])
        values = answer.astype(np.float64) * (self.half / 127.5) + self.middle
        if low.dtype.kind != "f":
            values = np.rint(values)
        # Compared as floats, but taken from the known values: the float next to the largest int64 is no int64.
        result: NDArray[Any] = np.where(values >= high.astype(np.float64), high, low)
        inside = (values > low.astype(np.float64)) & (values < high.astype(np.float64))
        result[inside] = values[inside].astype(low.dtype)
        return result


def check_finite(colours: NDArray[Any], lost: NDArray[np.bool_]) -> None:
    """Refuse known values that are infinite."""
    if colours.dtype.kind != "f" or np.isfinite(colours).all():
        return
    bad = np.isinf(colours) & ~lost
    if bad.any():
        row, column = np.argwhere(bad.any(axis=2))[0]
        raise InputError(f"the pixel in row {row}, column {column} is infinite: pictures need finite values")
