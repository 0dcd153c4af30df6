"""A first filling, cheap and smooth: the passes need some value in every lost pixel, and which hardly matters."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d


def smooth_fill(planes: NDArray[np.float32], lost: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill lost pixels by pull-push: means of 2 x 2 pixels, of those again, until a known pixel shows in each.

    Source: Gortler et al., The Lumigraph (1996).

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        Values of lost pixels are ignored.
    lost : bool ndarray of shape (n_rows, n_columns)
        At least one pixel is known.
    """
    return _pull_push(np.where(lost, np.float32(0), planes), (~lost).astype(np.float32))


def _pull_push(x: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    if (weight == 1).all() or weight.shape == (1, 1):
        return x
    return weight * x + (1 - weight) * enlarge(_pull_push(*shrink(x, weight)), weight.shape)


def shrink(planes: NDArray[np.float32], weight: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Half the size: weighted means of 2 x 2 pixels and their weights' sums, at most 1; 0 where all weights are 0."""
    sums, weights = _sum_of_fours(planes * weight), _sum_of_fours(weight)
    means = sums / np.maximum(weights, np.float32(1e-6))
    return means.astype(np.float32), np.minimum(weights, np.float32(1))


def enlarge(planes: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Twice the size by linear interpolation, cut to `shape`."""
    for axis in (1, 2):
        doubled = np.repeat(planes, 2, axis=axis)
        planes = convolve1d(doubled, np.array([0.25, 0.5, 0.25]), axis=axis, mode="nearest")
    return planes[:, : shape[0], : shape[1]]


def _sum_of_fours(x: NDArray[np.float32]) -> NDArray[np.float32]:
    even = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, x.shape[-2] % 2), (0, x.shape[-1] % 2)])
    return even[..., ::2, ::2] + even[..., 1::2, ::2] + even[..., ::2, 1::2] + even[..., 1::2, 1::2]
