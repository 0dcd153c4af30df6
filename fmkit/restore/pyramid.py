"""From coarse to fine: a hole too wide for a patch to see across is filled in a smaller picture first."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from fmkit.restore.exemplars import copy_known_patches
from fmkit.restore.passes import OnProgress, run_passes
from fmkit.restore.settings import Settings
from fmkit.restore.start import enlarge, shrink, smooth_fill


def fill_planes(
    planes: NDArray[np.float32],
    lost: NDArray[np.bool_],
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
    progress: OnProgress | None = None,
    with_variance: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Fill the lost pixels of planes.

    Pixels farther than `settings.depth` from any known one get their values from copies of known patches, chosen by
    what the picture of half the size is there, and filled in the same way; all other lost pixels by `run_passes`.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        Values of lost pixels are ignored.
    lost : bool ndarray of shape (n_rows, n_columns)
        At least one pixel is known.
    settings, rng, n_threads, progress, with_variance
        See `run_passes`. Progress is that of the passes over the full size.
    """
    s = settings
    n_rows, n_columns = lost.shape
    grow = [(0, max(0, s.patch - n)) for n in lost.shape]  # a picture smaller than a patch gets lost pixels
    planes, lost = np.pad(planes, [(0, 0), *grow]), np.pad(lost, grow, constant_values=True)
    distance = distance_transform_cdt(lost, "chessboard")
    deep = distance > s.depth
    if deep.any() and min(lost.shape) > 2 * s.patch:
        coarse, weight = shrink(np.where(lost, np.float32(0), planes), (~lost).astype(np.float32))
        coarse, _ = fill_planes(coarse, weight == 0, s, rng, n_threads)
        x = np.where(lost, enlarge(coarse, lost.shape), planes)
        x, copied = copy_known_patches(x, lost, distance, s.depth, s.patch, s.guide_confidence)
        deep &= copied
    else:
        x = smooth_fill(planes, lost)
        deep[:] = False
    x, variance = run_passes(x, lost, lost & ~deep, s, rng, n_threads, progress, with_variance)
    return x[:, :n_rows, :n_columns], None if variance is None else variance[:, :n_rows, :n_columns]
