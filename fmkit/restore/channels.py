"""Planes that lost different pixels: what one plane knows tells what another one lost."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.looks import Look
from fmkit.restore.means import wide_holes
from fmkit.restore.passes import OnProgress, run_passes
from fmkit.restore.pyramid import fill_planes
from fmkit.restore.settings import Settings
from fmkit.restore.start import smooth_fill

MOST_JOINT = 4  # planes in a Gaussian; the time grows with the square
POSITIONS = 80  # of a Gaussian: smaller patches of more planes. On mosaics of colours 5 x 5 x 3 did best


def fill_channels(
    planes: NDArray[np.float32],
    lost: NDArray[np.bool_],
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
    progress: OnProgress | None = None,
    with_variance: bool = False,
    look: Look | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Fill planes of which each lost pixels of its own, by Gaussians over the patches of up to four planes.

    Pixels of wide holes that all planes lost are filled afterwards, as `fill_planes` does it.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        Values of lost pixels are ignored.
    lost : bool ndarray of the shape of `planes`
    settings, rng, n_threads, progress, with_variance, look
        See `run_passes`.
    """
    n_planes, n_rows, n_columns = planes.shape
    x, look = regressed_fill(planes, lost), look or Look()
    look(x)
    variance = np.zeros_like(x) if with_variance else None
    gone = np.asarray(lost.all(axis=0))
    n_blocks = -(-n_planes // MOST_JOINT)
    for i, block in enumerate(np.array_split(np.arange(n_planes), n_blocks)):
        patch = max(3, int(np.sqrt(POSITIONS / len(block))))
        s = replace(settings, joint=True, patch=patch, stride=max(2, patch - 1), n_similar=96)
        s = replace(s, n_passes=settings.n_passes + settings.n_passes // 2)

        def tell(done: int, total: int, i: int = i) -> None:
            if progress is not None:
                progress(i * total + done, n_blocks * total)

        grow = [(0, 0), *((0, max(0, patch - n)) for n in (n_rows, n_columns))]
        padded, mask = np.pad(x[block], grow, mode="edge"), np.pad(lost[block], grow, constant_values=True)

        def with_block(filled: NDArray[np.float32], block: NDArray[np.int64] = block) -> NDArray[np.float32]:
            so_far = x.copy()
            so_far[block] = filled[:, :n_rows, :n_columns]
            return so_far

        shown = look.through(with_block)
        filled, spread = run_passes(padded, mask, mask, s, rng, n_threads, tell, with_variance, look=shown)
        x[block] = filled[:, :n_rows, :n_columns]
        if variance is not None and spread is not None:
            variance[block] = spread[:, :n_rows, :n_columns]
    if wide_holes(gone, settings.depth).any():
        filled, spread = fill_planes(x, gone, settings, rng, n_threads, None, with_variance, look)
        x[:, gone] = filled[:, gone]
        if variance is not None and spread is not None:
            variance[:, gone] = spread[:, gone]
    return x, variance


def regressed_fill(planes: NDArray[np.float32], lost: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill each plane by a linear function of the planes filled before it, plus its smooth remainder.

    The plane that knows most comes first. A layer lost in a wide hole gets its edges from the layers that are left.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        Values of lost pixels are ignored.
    lost : bool ndarray of the shape of `planes`
        At least one pixel of each plane is known.
    """
    x = planes.copy()
    order = np.argsort(lost.reshape(len(lost), -1).sum(axis=1), kind="stable")
    for i, plane in enumerate(order):
        before = x[order[:i]]
        predictors = np.concatenate([before, np.ones_like(x[:1])])
        known = ~lost[plane]
        some = slice(None, None, 1 + int(known.sum()) // 2**16)  # enough to tell a few coefficients
        slopes = np.linalg.lstsq(predictors[:, known][:, some].T, x[plane][known][some], rcond=None)[0]
        told = np.tensordot(slopes.astype(np.float32), predictors, 1)
        remainder = smooth_fill((x[plane] - told)[None], lost[plane])[0]
        x[plane] = np.where(known, x[plane], told + remainder)
    return x
