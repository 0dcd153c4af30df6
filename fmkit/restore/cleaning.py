"""The noise taken off known pixels: the same Gaussians of groups, asked for what was seen.

Source: Lebrun, Buades and Morel, A Nonlocal Bayesian Image Denoising Algorithm (2013), whose second step this has too:
the picture cleaned once tells groups and covariances better, and what was seen is conditioned on again.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.passes import OnProgress, run_passes
from fmkit.restore.settings import Settings

# The noise of a covariance of D positions from n patches goes with D / n: few positions, many patches.
CLEANING: dict[str, Any] = {
    "method": "patches", "patch": 5, "stride": 3, "n_similar": 128, "n_answered": 64, "n_passes": 1, "nu": 0.5,
    "tau_first": 0.5, "filled_confidence": 1.0, "decay": 1e6,
}  # fmt: skip
SECOND_TAU = 0.1  # of the noise: what the picture cleaned once may be wrong by


def clean_planes(
    planes: NDArray[np.float32],
    lost: NDArray[np.bool_],
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
    progress: OnProgress | None = None,
) -> NDArray[np.float32]:
    """Take the noise off the pixels that are not lost; the filled ones stay.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        Filled.
    lost : bool ndarray of shape (n_rows, n_columns) or (n_planes, n_rows, n_columns)
    settings : Settings
        Nothing is done if its noise is 0.
    rng, n_threads, progress
        See `run_passes`.
    """
    s = replace(settings, **CLEANING, denoise=True, joint=lost.ndim == 3)
    if s.noise == 0 or min(planes.shape[1:]) < s.patch:
        return planes
    once, _ = run_passes(planes, lost, ~lost, s, rng, n_threads, progress)
    s = replace(s, noise=0.0, least_noise=s.noise, tau_first=SECOND_TAU * s.noise)
    return run_passes(once, lost, ~lost, s, rng, n_threads, progress, observed=planes)[0]
