"""The lost pixels of a stationary Gaussian field given the known ones: windows of one covariance, in a single pass.

Source: Matheron, Principles of Geostatistics (1963), who named it after Krige. A window is a patch whose group has the
field's own covariance, so `fill_by_covariance` answers here too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH
from fmkit.restore.field import Field, window_side
from fmkit.restore.groups import fill_by_covariance, work_size
from fmkit.restore.passes import answered_mean
from fmkit.restore.stripes import Part, any_in_patch, sum_stripes

KNOWN = 100  # pixels in a window, about
LEAST_NOISE = 3e-5  # of the field's variance: float32 can factorize its covariance
SHARPNESS = 4  # answers weigh their inverse variances to this power: the window that lies best tells most of it


@kernel(fastmath=FASTMATH)
def krige_row(plane: Any, lost: Any, S: Any, noise: float, side: int, row: int, columns: Any, sums: Any) -> None:
    """Sum the answers of the windows whose corners are (row, columns).

    Parameters
    ----------
    plane : float32 array of shape (n_rows, n_columns)
    lost : bool array of shape (n_rows, n_columns)
    S : float32 array of shape (side * side, side * side)
        Covariance of a window, in units of the field's variance.
    noise : float
        Variance of the noise in the same units.
    side, row : int
    columns : int64 array
    sums : float32 array of shape (4, side, n_columns)
        Sums of weights v, of v a for answers a, of v a^2, and of v times the answers' variances.
    """
    D = side * side
    known, asked = np.empty(D, np.int64), np.empty(D, np.int64)
    y, b, variance = np.empty((1, D), np.float32), np.empty(D, np.float32), np.empty(D, np.float32)
    work = np.zeros(work_size(D, 1), np.float32)
    eps = np.sqrt(noise)
    for column in columns:
        n = m = 0
        mean = np.float32(0)
        for p in range(D):
            r, c = row + p // side, column + p % side
            y[0, p] = plane[r, c]
            if lost[r, c]:
                asked[m] = p
                m += 1
            else:
                known[n] = p
                mean += y[0, p]
                n += 1
        if n == 0 or m == 0:
            continue
        b[:] = mean / np.float32(n)
        fill_by_covariance(S, b, eps, known, n, asked, m, work, y, 1, variance)
        for j in range(m):
            p = asked[j]
            r, c = p // side, column + p % side
            least = max(variance[j], np.float32(noise))
            v = np.float32(1) / least**SHARPNESS
            sums[0, r, c] += v
            sums[1, r, c] += v * y[0, p]
            sums[2, r, c] += v * y[0, p] * y[0, p]
            sums[3, r, c] += v * least


def krige(
    planes: NDArray[np.float32],
    lost: NDArray[np.bool_],
    fields: tuple[Field, ...],
    n_threads: int,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fill the lost pixels of planes that are stationary Gaussian fields.

    The mean of a window is not known: it has a prior as wide as the field.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        With a first filling, which stays where no window knows a pixel.
    lost : bool ndarray of shape (n_rows, n_columns)
    fields : tuple of Field
        One a plane.
    n_threads, progress
        See `run_passes`.

    Returns
    -------
    planes, variance : float32 ndarrays of the shape of `planes`
    """
    x, variance = planes.copy(), np.zeros_like(planes)
    side = min(window_side(max(float((~lost).mean()), 1e-3), KNOWN), *lost.shape)
    touched = any_in_patch(lost, side)
    rows, columns = (np.unique(np.r_[0 : n - side : side // 2, n - side]) for n in lost.shape)
    stripes = [(int(row), columns[touched[row, columns]]) for row in rows if touched[row, columns].any()]
    for i, (plane, field) in enumerate(zip(planes, fields, strict=True)):
        S = np.asarray(field.correlation(side) + 1, np.float32)
        noise = max(field.noise, LEAST_NOISE)

        def answers(
            row: int,
            columns: NDArray[np.int64],
            *,
            plane: NDArray[np.float32] = plane,
            S: NDArray[np.float32] = S,
            noise: float = noise,
        ) -> Part:
            sums = np.zeros((4, side, lost.shape[1]), np.float32)
            krige_row(plane, lost, S, noise, side, row, columns, sums)
            return row, sums[:, None]

        def tell(done: int, sums: NDArray[np.float32], *, i: int = i) -> None:
            if progress is not None:
                progress(i * len(stripes) + done, len(planes) * len(stripes))

        sums = sum_stripes(answers, stripes, (4, 1, *lost.shape), n_threads, tell)
        sums[3] *= np.float32(field.variance)
        answered = (sums[0] > 0) & lost
        x[i][answered[0]], variance[i][answered[0]] = answered_mean(sums, answered)
    return x, variance
