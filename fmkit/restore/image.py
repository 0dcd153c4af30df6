"""`restore_image`: an array with lost pixels in, the same array with them filled out."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.errors import InputError
from fmkit.restore.colour import PrincipalPlanes
from fmkit.restore.passes import OnProgress, Settings
from fmkit.restore.pyramid import fill_planes
from fmkit.threads import count_threads


def restore_image(
    picture: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    random_state: int | np.random.Generator | None = 0,
    n_jobs: int | None = None,
    progress: OnProgress | None = None,
) -> NDArray[Any]:
    """Fill the lost pixels of a picture from patches that look alike.

    Patches that look alike are rows, their pixels columns, of a factorization machine whose factors are integrated
    out: each group of them is a Gaussian, and a patch's lost pixels have a closed form given its known ones. The
    answers of overlapping groups are averaged, and the filled picture searched again, several times over.

    Parameters
    ----------
    picture : array-like of shape (n_rows, n_columns) or (n_rows, n_columns, n_channels)
        Integers or floats. Of 2 or 4 channels the last is alpha, which is passed through. uint8 and uint16 are taken
        to span their whole range, as pictures do; of other types the range is that of the known values, so that the
        result does not depend on units. Not a number means lost.
    mask : array-like of the shape of `picture`, or of its first two axes, optional
        True (or any integer but 0) where a pixel is lost. By default only pixels that are not a number are.
    random_state : int, numpy.random.Generator or None, default 0
        Draws the grids of patches; the same seed gives the same picture, whatever `n_jobs`. None: another every time.
    n_jobs : int, optional
        Threads; by default (and for -1) every core that the process may use.
    progress : callable of (done, total), optional
        Called as the work goes on.

    Returns
    -------
    ndarray of the shape and dtype of `picture`
        Known values bit for bit as they were, lost ones within the range of their channel's known ones. If nothing is
        lost, `picture` itself.

    Raises
    ------
    InputError
        If the array is no picture, the mask does not fit it, or nothing in a channel is known.

    Notes
    -----
    A pixel lost in one channel only is filled in that channel, but the others' values there are not made use of.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.restore import restore_image
    >>> ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8)
    >>> scratched = ramp.copy()
    >>> scratched[15:17] = 255
    >>> lost = scratched == 255
    >>> bool(np.abs(restore_image(scratched, lost).astype(int) - ramp).max() <= 1)
    True
    """
    picture = _checked_picture(picture)
    n_channels = 1 if picture.ndim == 2 else picture.shape[2]
    n_colours = n_channels - 1 if n_channels in (2, 4) else n_channels
    values = picture.reshape(*picture.shape[:2], n_channels)[:, :, :n_colours]
    lost_values = _lost_values(values, mask)
    lost = np.asarray(lost_values.any(axis=2))
    if not lost.any():
        return picture
    if lost.all():
        raise InputError(
            "every pixel of the picture is lost, or one of its channels is: at least one must be known in all channels"
        )
    if np.isinf(values[~lost]).any():
        row, column = np.argwhere(np.isinf(values).any(axis=2) & ~lost)[0]
        raise InputError(f"the pixel in row {row}, column {column} is infinite: pictures need finite values")

    middle, half = _range(values[~lost])
    scaled = (np.where(lost_values, middle, values).astype(np.float64) - middle) * (127.5 / half)
    known = scaled[~lost]
    space = PrincipalPlanes.of(known[:: 1 + len(known) // 2**20])  # a million colours are enough to tell the axes
    rng, n_threads = np.random.default_rng(random_state), count_threads(n_jobs)
    filled = fill_planes(space.split(scaled), lost, Settings(), rng, n_threads, progress)
    answer = space.join(filled[:, lost]) * (half / 127.5) + middle

    result = picture.copy()
    colours = result.reshape(*picture.shape[:2], n_channels)[:, :, :n_colours]
    colours[lost] = np.where(lost_values[lost], _as_dtype_of(values[~lost], answer), values[lost])
    return result


def _checked_picture(picture: ArrayLike) -> NDArray[Any]:
    picture = np.asarray(picture)
    if picture.ndim not in (2, 3) or 0 in picture.shape:
        raise InputError(
            "a picture has the shape (rows, columns) or (rows, columns, channels), none of them 0, "
            f"but this array has the shape {picture.shape}"
        )
    if picture.dtype.kind not in "iuf":
        raise InputError(f"a picture holds integers or floats, but this array holds {picture.dtype}")
    return picture


def _lost_values(values: NDArray[Any], mask: ArrayLike | None) -> NDArray[np.bool_]:
    """Which values are lost, of the shape of `values`: those under the mask and those that are not a number."""
    lost: NDArray[np.bool_] = np.isnan(values)
    if mask is None:
        return lost
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biu":
        raise InputError(f"a mask holds booleans, True where a pixel is lost, but this one holds {mask.dtype}")
    channels = mask.reshape(*mask.shape[:2], -1) if mask.ndim in (2, 3) else mask[..., None]
    if channels.shape[:2] != values.shape[:2] or 1 < channels.shape[2] < values.shape[2]:
        raise InputError(
            f"the mask has the shape {mask.shape}, but the picture has "
            f"{values.shape[0]} rows and {values.shape[1]} columns"
        )
    return np.asarray(lost | (channels[:, :, : values.shape[2]] != 0))


def _range(known: NDArray[Any]) -> tuple[float, float]:
    """Middle and half width of the range of values, without overflow."""
    if known.dtype in (np.uint8, np.uint16):
        low, high = 0.0, float(np.iinfo(known.dtype).max)
    else:
        low, high = float(known.min()), float(known.max())
    return low / 2 + high / 2, (high / 2 - low / 2) or 1.0


def _as_dtype_of(known: NDArray[Any], answer: NDArray[np.float64]) -> NDArray[Any]:
    """Round to integers where the picture holds them, and keep to the range of each channel's known values."""
    low, high = known.min(axis=0), known.max(axis=0)
    if known.dtype.kind != "f":
        answer = np.rint(answer)
    # Compared as floats, but taken from the known values: the float next to the largest int64 is no int64.
    result: NDArray[Any] = np.where(answer >= high.astype(np.float64), high, low)
    inside = (answer > low.astype(np.float64)) & (answer < high.astype(np.float64))
    result[inside] = answer[inside].astype(known.dtype)
    return result
