"""One region of a picture: its values as planes, the planes filled, and the way back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.channels import fill_channels
from fmkit.restore.cleaning import clean_planes
from fmkit.restore.looks import Look
from fmkit.restore.means import least_depth
from fmkit.restore.model import PictureModel
from fmkit.restore.pyramid import fill_planes
from fmkit.restore.settings import Settings

ROUNDING = np.float32(1 / 12)  # variance of a value that is rounded to a whole number: nobody is surer than that


def fill_region(
    colours: NDArray[Any],
    lost: NDArray[np.bool_],
    model: PictureModel,
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
    with_std: bool,
    tell: Callable[[float], None],
    look: Look | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """All values of a region, in units of 1/255 of the picture's range, and the model's own standard deviations.

    Parameters
    ----------
    colours : ndarray of shape (n_rows, n_columns, n_colours)
    lost : bool ndarray of shape (n_rows, n_columns, 1 or n_colours)
    model, settings, rng, n_threads
    with_std : bool
    tell : callable of (share done)
    look : Look, optional
        Shown the values so far, of shape (n_rows, n_columns, n_colours).
    """

    def progress(done: int, total: int) -> None:
        tell(done / max(total, 1))

    look = look or Look()
    settings = replace(settings, noise=model.noise, correlation=model.correlation)
    scaled = model.scale.to(np.where(lost, colours.dtype.type(0), colours))
    gone = np.asarray(lost.all(axis=2))
    settings = replace(settings, depth=least_depth(float(gone.mean()), settings.depth))
    if lost.shape[2] > 1:
        settings = replace(settings, noise=model.noise / model.space.noise_ratio)
        planes = np.ascontiguousarray(np.moveaxis(scaled, -1, 0))
        masks = np.ascontiguousarray(np.moveaxis(lost, -1, 0))
        filled, variance = fill_channels(
            *(planes, masks, replace(settings, denoise=False), rng, n_threads, progress, with_std),
            look.through(lambda x: np.moveaxis(x, 0, -1)),
        )
        if settings.denoise:
            filled = clean_planes(filled, masks, settings, rng, n_threads)
        return np.moveaxis(filled, 0, -1), _std(None if variance is None else np.moveaxis(variance, 0, -1))
    space = model.space
    planes = space.split(scaled.astype(np.float64))
    filled, variance = fill_planes(
        *(planes, gone, replace(settings, denoise=False), rng, n_threads, progress, with_std),
        look.through(lambda x: space.join(x).astype(np.float32)),
    )
    if settings.denoise:
        filled = clean_planes(filled, gone, settings, rng, n_threads)
    return space.join(filled).astype(np.float32), _std(None if variance is None else space.join_variance(variance))


def _std(variance: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    return None if variance is None else np.sqrt(np.maximum(variance, ROUNDING))
