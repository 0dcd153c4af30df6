"""How far the model's own deviations are from the truth: some known pixels are hidden, filled, and compared."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.model import PictureModel
from fmkit.restore.region import fill_region
from fmkit.restore.settings import Settings

SIDE = 512  # pixels of the part of a picture that is tried
COVERAGE, NORMAL = 0.9, 1.6449  # a normal deviate is within +- NORMAL so often
ENOUGH = 400  # values to hide, or more
FEWEST = 50  # hidden values that a share of COVERAGE can be told from
UNTRIED = 1.5  # the factor where nothing can be hidden; typical of photographs


def calibrate(
    colours: NDArray[Any],
    lost: NDArray[np.bool_],
    model: PictureModel,
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
) -> NDArray[np.float32]:
    """The factors, one a channel, that make +- 1.64 standard deviations hold nine tenths of hidden known values.

    The lost pixels' own pattern, moved, says which are hidden: deviations in a scratch are not those of lone pixels.
    Dense patterns are thinned, so that little more is lost than before.

    Parameters
    ----------
    colours : ndarray of shape (n_rows, n_columns, n_colours)
    lost : bool ndarray of shape (n_rows, n_columns, 1 or n_colours)
    model, settings, rng, n_threads
    """
    box = _most_damaged(np.asarray(lost.any(axis=2)))
    values, gone = colours[box], lost[box]
    n_rows, n_columns, _ = gone.shape
    shift = [int(n * rng.uniform(0.25, 0.75)) for n in (n_rows, n_columns)]
    share = gone.mean()
    thinned = max(0.1 * (1 - share) / max(share, 1e-9), ENOUGH / (gone.size * max(share * (1 - share), 1e-9)))
    kept = rng.random((n_rows, n_columns, 1)) < thinned
    hidden = np.roll(gone, shift, axis=(0, 1)) & ~gone & kept
    without = gone | hidden
    hidden = np.broadcast_to(hidden, values.shape)
    n_colours = values.shape[2]
    factors = np.full(n_colours, UNTRIED, np.float32)
    if hidden.sum() < FEWEST or without.all(axis=(0, 1)).any():
        return factors
    plain = replace(settings, denoise=False)
    filled, std = fill_region(values, without, model, plain, rng, n_threads, True, lambda share: None)
    assert std is not None
    ratio = np.abs(filled - model.scale.to(np.where(hidden, values, 0))) / std
    for channel in range(n_colours):
        tried = ratio[:, :, channel][hidden[:, :, channel]]
        if len(tried) < FEWEST:  # told by all channels
            tried = ratio[hidden]
        factors[channel] = np.clip(np.quantile(tried, COVERAGE) / NORMAL, 0.2, 5)
    return factors


def _most_damaged(lost: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The square of `SIDE` pixels, of a grid of them, in which most is lost, and not all."""
    rows, columns = (sorted({*range(0, max(1, n - SIDE + 1), SIDE), max(0, n - SIDE)}) for n in lost.shape)
    boxes = [np.s_[r : r + SIDE, c : c + SIDE] for r in rows for c in columns]
    shares = [lost[box].mean() for box in boxes]
    return boxes[int(np.argmax([share if share < 0.95 else 1 - share for share in shares]))]
