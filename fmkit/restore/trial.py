"""The way of filling that suits a picture: groups of patches or, if it looks like one, a stationary Gaussian field."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.field import Field, fit_field, looks_gaussian
from fmkit.restore.hidden import Hidden, hide_some
from fmkit.restore.model import PictureModel, samples
from fmkit.restore.region import fill_region
from fmkit.restore.settings import Settings

SIDE = 128  # pixels of the part of a picture that is tried
SAMPLE = 256  # pixels of a part that is looked at
SHARE = 0.15  # of its known pixels that are hidden
MOST_TRIALS = 4  # of small pictures, in which few pixels can be hidden at a time
CLEAR = 1.5  # standard errors that the field must be ahead by


def choose(
    colours: NDArray[Any],
    lost: NDArray[np.bool_],
    model: PictureModel,
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
) -> Settings:
    """The settings, with the picture's fields if these fill hidden known pixels clearly better than its groups do.

    Looking at the differences of neighbours takes milliseconds, and ends it for photographs.

    Parameters
    ----------
    colours : ndarray of shape (n_rows, n_columns, n_colours)
    lost : bool ndarray of shape (n_rows, n_columns, 1 or n_colours)
        Where channels lost different pixels, the settings stay.
    model, settings, rng, n_threads
    """
    if settings.method not in ("auto", "patches") or lost.shape[2] > 1 or not lost.any():
        return settings
    for box in samples(lost.shape[:2], SAMPLE):
        planes = _planes(colours[box], lost[box], model)
        if not looks_gaussian([(plane, lost[box][:, :, 0]) for plane in planes], model.noise):
            return settings
    ahead: list[NDArray[np.float64]] = []
    fields: tuple[Field, ...] = ()
    for i in range(max(1, min(MOST_TRIALS, SIDE**2 // lost.size))):
        tried = hide_some(colours, lost, SIDE, rng, SHARE)
        if tried is None:
            break
        if i == 0:
            planes = _planes(tried.values, tried.lost, model)
            fields = tuple(fit_field(plane, tried.lost[:, :, 0]) for plane in planes)
        seed = int(rng.integers(2**63))
        ahead.append(_squares(tried, model, settings, seed, n_threads))
        ahead[-1] -= _squares(tried, model, replace(settings, fields=fields), seed, n_threads)
    if not ahead:
        return settings
    gain = np.concatenate(ahead)
    clear = gain.mean() > CLEAR * gain.std() / np.sqrt(len(gain))
    return replace(settings, fields=fields) if clear else settings


def _squares(tried: Hidden, model: PictureModel, settings: Settings, seed: int, n_threads: int) -> NDArray[np.float64]:
    """Squared errors of the hidden values, filled."""
    plain = replace(settings, denoise=False)
    rng = np.random.default_rng(seed)
    filled, _ = fill_region(tried.values, tried.lost, model, plain, rng, n_threads, False, lambda share: None)
    truth = model.scale.to(np.where(tried.hidden, tried.values, 0))
    return np.asarray(np.square(filled - truth)[tried.hidden], np.float64)


def _planes(colours: NDArray[Any], lost: NDArray[np.bool_], model: PictureModel) -> NDArray[np.float32]:
    values = model.scale.to(np.where(lost, colours.dtype.type(0), colours))
    return model.space.split(values.astype(np.float64))
