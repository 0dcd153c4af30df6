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
FEWEST = 50  # hidden values that a share of COVERAGE can be told from
UNTRIED = 1.5  # the factor where nothing can be hidden; typical of photographs


def calibrate(
    colours: NDArray[Any],
    lost: NDArray[np.bool_],
    model: PictureModel,
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
) -> float:
    """The factor that makes intervals of +- 1.64 standard deviations hold nine tenths of hidden known values.

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
    kept = rng.random((n_rows, n_columns, 1)) < 0.1 * (1 - share) / max(share, 1e-9)
    hidden = np.roll(gone, shift, axis=(0, 1)) & ~gone & kept
    without = gone | hidden
    hidden = np.broadcast_to(hidden, values.shape)
    if hidden.sum() < FEWEST or without.all(axis=(0, 1)).any():
        return UNTRIED
    plain = replace(settings, denoise=False)
    filled, std = fill_region(values, without, model, plain, rng, n_threads, True, lambda share: None)
    assert std is not None
    error = np.abs(filled[hidden] - model.scale.to(values[hidden]))
    return float(np.clip(np.quantile(error / np.maximum(std[hidden], 1e-3), COVERAGE) / NORMAL, 0.2, 5))


def _most_damaged(lost: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The square of `SIDE` pixels, of a grid of them, in which most is lost, and not all."""
    rows, columns = (sorted({*range(0, max(1, n - SIDE + 1), SIDE), max(0, n - SIDE)}) for n in lost.shape)
    boxes = [np.s_[r : r + SIDE, c : c + SIDE] for r in rows for c in columns]
    shares = [lost[box].mean() for box in boxes]
    return boxes[int(np.argmax([share if share < 0.95 else 1 - share for share in shares]))]
