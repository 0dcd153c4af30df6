"""How the pixels of a patch correlate in pictures of one kind, told by their known pixels."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

REACH = 16  # rows and columns: patches are smaller
LEAST = 0.01  # of the eigenvalues' mean: what is told by pairs need not be a covariance
FEWEST = 100  # pairs that a lag is told by


def correlation_by_lag(pictures: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]]) -> NDArray[np.float32] | None:
    """Correlations of pixels by how many rows and columns they are apart.

    With g(l) the mean of (x_p - x_(p + l))^2 / 2 over pairs of known pixels, two pixels correlate by
    1 - g(l) / g(far), `far` being lags of `REACH` rows or columns, across which a group's mean no longer tells much.
    The sums over pairs are correlations of the mask, the picture and its square with each other.

    Parameters
    ----------
    pictures : iterable of (plane, lost), both of shape (n_rows, n_columns)

    Returns
    -------
    float32 ndarray of shape (2 REACH + 1, 2 REACH + 1), or None
        Lag (r, c) stands at [REACH + r, REACH + c]. None if the pictures are too small, too little is known, or
        nothing varies.
    """
    squares, pairs = np.zeros((2, 2 * REACH + 1, 2 * REACH + 1))
    for plane, lost in pictures:
        shape = [next_fast_len(max(n + REACH, 2 * REACH + 1), real=True) for n in plane.shape]
        known = (~lost).astype(np.float64)
        x = np.where(lost, 0, plane).astype(np.float64)
        of_known, of_x, of_square = (rfft2(a, shape) for a in (known, x, x * x))

        def near(product: NDArray[np.complex128], shape: list[int] = shape) -> NDArray[np.float64]:
            return np.asarray(np.roll(irfft2(product, shape), (REACH, REACH), (0, 1))[: 2 * REACH + 1, : 2 * REACH + 1])

        pairs += near(np.abs(of_known) ** 2)
        squares += near(2 * (of_square * of_known.conj()).real - 2 * np.abs(of_x) ** 2)
    far = np.array([[0, REACH], [2 * REACH, REACH], [REACH, 0], [REACH, 2 * REACH]]).T
    sill = squares[*far].sum() / max(1.0, pairs[*far].sum())
    if pairs.min() < FEWEST or sill < 1e-3:
        return None
    return np.asarray(1 - squares / pairs / sill, np.float32)


def patch_correlation(by_lag: NDArray[np.float32] | None, patch: int) -> NDArray[np.float32]:
    """Correlations of the positions of a patch, of shape (patch * patch, patch * patch).

    By default pixels at a distance of d correlate by exp(-d / 6).
    """
    at = np.stack(np.divmod(np.arange(patch * patch), patch), -1)
    lag = at[:, None] - at[None]
    if by_lag is None:
        return np.asarray(np.exp(-np.linalg.norm(lag, axis=2) / 6), np.float32)
    values, axes = np.linalg.eigh(by_lag[REACH + lag[..., 0], REACH + lag[..., 1]].astype(np.float64))
    told = (axes * np.maximum(values, LEAST)) @ axes.T
    scale = np.sqrt(np.diag(told))
    return np.asarray(told / np.outer(scale, scale), np.float32)
