"""What a restoration is run with, and the presets by quality."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.field import Field


@dataclass(frozen=True)
class Settings:
    """What the passes are run with; intensities are in units of 1/255 of the picture's range.

    The values were found on photographs with 50% and 80% of the pixels lost at random; none is sharp.
    """

    method: str = "patches"
    """How a group is filled; see `restore_image`."""
    patch: int = 8
    """Side of a patch."""
    stride: int = 6
    """Distance of reference patches, rows and columns."""
    n_similar: int = 64
    """Patches in a group."""
    n_answered: int = 24
    """Patches of a group that are filled, the nearest ones: all 64 take twice the time and come out no better."""
    radius: int = 20
    """Similar patches begin at most so many rows and columns from their reference."""
    n_passes: int = 8
    filled_confidence: float = 0.3
    """Weight of a filled pixel in the search, where a known one has 1."""
    decay: float = 1000.0
    """A patch at mean squared difference d weighs exp(-d / decay): nearly uniform weights did best."""
    nu: float = 6.0
    """Least weight of the stationary prior, in patches."""
    doubt: float = 0.6
    """How far what is chance in a group's covariance gives way to the prior, by Ledoit and Wolf's formula. It takes the
    patches for independent and known; so it is divided by the share of their pixels that is."""
    correlation: NDArray[np.float32] | None = None
    """The prior's, by lag; see `patch_correlation`."""
    noise: float = 0.0
    """Standard deviation of the known pixels' noise. The covariances are freed from it, and it is what known pixels
    are doubted by, at least by `least_noise`."""
    least_noise: float = 1.0
    tau_first: float = 7.0
    tau_last: float = 1.5
    """Standard deviation of the filling's error, falling geometrically from the first pass to the last."""
    relaxation: float = 1.75
    """Lost pixels move so many times the way to their new answer, in all passes but the last."""
    joint: bool = False
    """One Gaussian over all planes, instead of one a plane: for planes that lost different pixels."""
    denoise: bool = False
    """Answer the known pixels too."""
    fields: tuple[Field, ...] = ()
    """The picture's planes as stationary Gaussian fields, if they are filled as such; see `trial.choose`."""
    depth: int = 4
    """Holes with pixels farther than this from any known one are wide, and filled from coarse to fine."""


Method = Literal["auto", "patches", "als", "sgd", "mcmc"]
METHODS = ("auto", "patches", "als", "sgd", "mcmc")

Quality = Literal["fast", "balanced", "best"]
QUALITIES: dict[str, dict[str, Any]] = {
    "fast": {"n_passes": 4, "stride": 7, "n_similar": 48, "n_answered": 16, "radius": 10},
    "balanced": {},
    "best": {"n_passes": 12, "stride": 4, "radius": 28},
}

MACHINES: dict[str, Any] = {"patch": 6, "stride": 4, "n_similar": 40, "radius": 14, "relaxation": 1.0}
"""Of the methods but "patches", whose groups need fewer patches and positions; they make a third of the passes."""
