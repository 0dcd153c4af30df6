"""How near a restored picture comes to the true one: PSNR and SSIM, over all of it or over what was lost."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter

from fmkit.errors import InputError

WINDOW = 7  # pixels a side, as Wang et al. (2004) with a flat window and scikit-image have it


def psnr(picture: ArrayLike, restored: ArrayLike, mask: ArrayLike | None = None, *, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio in decibels: 10 log10(peak² / mean squared error).

    Parameters
    ----------
    picture : array-like of shape (n_rows, n_columns) or (n_rows, n_columns, n_channels)
        The true picture; its channels count alike, so leave alpha out.
    restored : array-like of the shape of `picture`
    mask : array-like of bool, of shape (n_rows, n_columns), optional
        Score only the pixels where it is True, such as those that were lost.
    peak : float, optional
        Height of the picture's range. By default that of its type for integers, from the least to the largest value of
        `picture` for floats.

    Returns
    -------
    float
        Infinite if nothing differs.

    Raises
    ------
    InputError
        If the shapes differ, or no pixel is to be scored.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.restore import psnr
    >>> picture = np.zeros((8, 8), np.uint8)
    >>> round(psnr(picture, picture + 1), 2)
    48.13
    """
    true, other, chosen, height = _checked(picture, restored, mask, peak)
    error = float(np.mean(np.square(true[chosen] - other[chosen])))
    return float(10 * np.log10(height**2 / error)) if error else float("inf")


def ssim(picture: ArrayLike, restored: ArrayLike, mask: ArrayLike | None = None, *, peak: float | None = None) -> float:
    """Mean structural similarity of windows of 7 x 7 pixels, at most 1; scikit-image's, with its defaults.

    Parameters
    ----------
    picture, restored, mask, peak
        As in `psnr`. With a mask, the mean is over the windows about the pixels where it is True; without, over the
        windows that are inside the picture.

    Returns
    -------
    float
        Mean over channels, too.

    Raises
    ------
    InputError
        As in `psnr`, or if the picture is smaller than a window.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.restore import ssim
    >>> picture = np.random.default_rng(0).random((32, 32))
    >>> ssim(picture, picture)
    1.0
    >>> ssim(picture, 1 - picture) < 0
    True
    """
    true, other, chosen, height = _checked(picture, restored, mask, peak)
    if min(true.shape[:2]) < WINDOW:
        raise InputError(f"SSIM needs pictures of at least {WINDOW} x {WINDOW} pixels, got {true.shape[:2]}")
    if mask is None:
        chosen = np.zeros(true.shape[:2], bool)
        chosen[WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)] = True
    scores = [
        _similarity(true[:, :, channel], other[:, :, channel], height)[chosen].mean()
        for channel in range(true.shape[2])
    ]
    return float(np.mean(scores))


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """SSIM of the window about every pixel; sample covariances (divided by n - 1)."""
    sample = WINDOW**2 / (WINDOW**2 - 1)
    mean_x, mean_y = uniform_filter(x, WINDOW), uniform_filter(y, WINDOW)
    var_x = sample * (uniform_filter(x * x, WINDOW) - mean_x * mean_x)
    var_y = sample * (uniform_filter(y * y, WINDOW) - mean_y * mean_y)
    covariance = sample * (uniform_filter(x * y, WINDOW) - mean_x * mean_y)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return np.asarray(above / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)))


def _checked(
    picture: ArrayLike, restored: ArrayLike, mask: ArrayLike | None, peak: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], float]:
    true, other = np.asarray(picture), np.asarray(restored)
    if true.shape != other.shape or true.ndim not in (2, 3) or not true.size:
        raise InputError(f"two pictures of one shape are needed, got {true.shape} and {other.shape}")
    chosen = np.ones(true.shape[:2], bool) if mask is None else np.asarray(mask, dtype=bool)
    if chosen.shape != true.shape[:2]:
        raise InputError(f"the mask has the shape {chosen.shape}, the picture {true.shape[:2]} pixels")
    if not chosen.any():
        raise InputError("the mask chooses no pixel to score")
    if peak is None:
        whole = np.iinfo(true.dtype) if true.dtype.kind in "iu" else None
        peak = float(whole.max) - float(whole.min) if whole else float(true.max()) - float(true.min())
    if not peak > 0:
        raise InputError(f"peak must be positive, got {peak}")
    shape = (*true.shape[:2], -1)
    return true.reshape(shape).astype(np.float64), other.reshape(shape).astype(np.float64), chosen, peak
