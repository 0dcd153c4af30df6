"""How far the model's own deviations are from the truth: some known pixels are hidden, filled, and compared."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.hidden import FEWEST, hide_some
from fmkit.restore.model import PictureModel
from fmkit.restore.region import fill_region
from fmkit.restore.settings import Settings

SIDE = 512  # pixels of the part of a picture that is tried
COVERAGE, NORMAL = 0.9, 1.6449  # a normal deviate is within +- NORMAL so often
UNTRIED = 1.5  # the factor where nothing can be hidden; typical of photographs


def calibrate(
    colours: NDArray[Any],
    lost: NDArray[np.bool_],
    model: PictureModel,
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
    tell: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float32]:
    """The factors, one a channel, that make +- 1.64 standard deviations hold nine tenths of hidden known values.

    Parameters
    ----------
    colours : ndarray of shape (n_rows, n_columns, n_colours)
    lost : bool ndarray of shape (n_rows, n_columns, 1 or n_colours)
    model, settings, rng, n_threads
    tell : callable of (share done), optional
    """
    n_colours = colours.shape[2]
    factors = np.full(n_colours, UNTRIED, np.float32)
    tried = hide_some(colours, lost, SIDE, rng)
    if tried is None:
        return factors
    values, without, hidden = tried
    plain = replace(settings, denoise=False)
    filled, std = fill_region(values, without, model, plain, rng, n_threads, True, tell)
    assert std is not None
    ratio = np.abs(filled - model.scale.to(np.where(hidden, values, 0))) / std
    for channel in range(n_colours):
        ratios = ratio[:, :, channel][hidden[:, :, channel]]
        if len(ratios) < FEWEST:  # told by all channels
            ratios = ratio[hidden]
        factors[channel] = np.clip(np.quantile(ratios, COVERAGE) / NORMAL, 0.2, 5)
    return factors
