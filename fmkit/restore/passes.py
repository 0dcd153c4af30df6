"""The outer iteration: groups over the whole picture, their overlapping answers averaged, pass after pass."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.groups import fill_stripe
from fmkit.restore.patches import search_moments
from fmkit.restore.stripes import Part, any_in_patch, sum_stripes

OnProgress = Callable[[int, int], object]


@dataclass(frozen=True)
class Settings:
    """What the passes are run with; intensities are in units of 1/255 of the picture's range.

    The values were found on photographs with 50% and 80% of the pixels lost at random; none is sharp.
    """

    patch: int = 8
    """Side of a patch; a multiple of 4, so that a patch fills whole vector registers."""
    stride: int = 6
    """Distance of reference patches, rows and columns."""
    n_similar: int = 64
    """Patches in a group."""
    n_answered: int = 24
    """Patches of a group that are filled, the nearest ones: all 64 take twice the time and come out no better."""
    radius: int = 14
    """Similar patches begin at most so many rows and columns from their reference."""
    n_passes: int = 8
    filled_confidence: float = 0.3
    """Weight of a filled pixel in the search, where a known one has 1."""
    decay: float = 1000.0
    """A patch at mean squared difference d weighs exp(-d / decay): nearly uniform weights did best."""
    nu: float = 2.0
    """Weight of the stationary prior, in patches."""
    correlation_length: float = 6.0
    """The prior correlates pixels p and q by exp(-|p - q| / correlation_length)."""
    eps: float = 1.0
    """Standard deviation of the known pixels' noise."""
    tau_first: float = 7.0
    tau_last: float = 1.5
    """Standard deviation of the filling's error, falling geometrically from the first pass to the last."""
    relaxation: float = 1.75
    """Lost pixels move so many times the way to their new answer, in all passes but the last."""
    depth: int = 4
    """Lost pixels farther than this from any known one are copied instead: with 6, flakes of paint 12 pixels wide were
    filled smoothly where the paint around them has a grain, though 0.3 dB nearer to the truth."""
    guide_confidence: float = 0.15
    """What a coarser picture's value weighs in the search for a patch to copy, where a known pixel has 1."""


def run_passes(
    planes: NDArray[np.float32],
    lost: NDArray[np.bool_],
    open_: NDArray[np.bool_],
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
    progress: OnProgress | None = None,
) -> NDArray[np.float32]:
    """Improve the filling of lost pixels by groups of similar patches.

    The result depends on `rng` and not on the number of threads; see `sum_stripes`.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        Known values and a first filling. Similar patches are found on the first plane.
    lost : bool ndarray of shape (n_rows, n_columns)
        No side is shorter than a patch.
    open_ : bool ndarray of shape (n_rows, n_columns)
        The lost pixels to improve; the others keep their first filling.
    settings : Settings
    rng : numpy.random.Generator
        Draws the offset of each pass's grid of references.
    n_threads : int
    progress : callable of (done, total), optional
    """
    s = settings
    n_rows, n_columns = lost.shape
    x = planes.copy()
    confidence = np.where(lost, s.filled_confidence, 1).astype(np.float32)
    touches_open = any_in_patch(open_, s.patch)
    prior = _prior_correlation(s)

    def answers(
        x: NDArray[np.float32], moments: NDArray[np.float32], row: int, columns: NDArray[np.int64], tau: float
    ) -> Part:
        top, bottom = max(0, row - s.radius), min(n_rows, row + s.radius + s.patch)
        total, weight = np.zeros((2, len(x), bottom - top, n_columns), np.float32)
        fill_stripe(
            *(x, lost, moments, s.patch, row, columns, s.radius, s.n_similar, s.n_answered, s.decay),
            *(tau, s.nu, prior, s.eps, total, weight),
        )
        return top, total, weight

    for t in range(s.n_passes):
        tau = s.tau_first * (s.tau_last / s.tau_first) ** (t / max(1, s.n_passes - 1))
        rows, columns = (_grid(last, s.stride, rng) for last in (n_rows - s.patch, n_columns - s.patch))
        # A view. The first plane leads, the others settle in half the passes.
        active = x if 2 * t >= s.n_passes else x[:1]
        moments = search_moments(x[:1], confidence)
        grid = [(active, moments, int(row), columns[touches_open[row, columns]], tau) for row in rows]
        stripes = [stripe for stripe in grid if len(stripe[3])]

        def tell(done: int, t: int = t, n: int = len(stripes)) -> None:
            if progress is not None:
                progress(t * n_rows + done * n_rows // n, s.n_passes * n_rows)

        total, weight = sum_stripes(answers, stripes, active.shape, n_threads, tell)
        answered = (weight > 0) & open_
        step = s.relaxation if t + 1 < s.n_passes else 1.0
        active[answered] += np.float32(step) * (total[answered] / weight[answered] - active[answered])
    return x


def _grid(last: int, stride: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """0 .. last by stride from a random offset, both ends included."""
    return np.unique(np.clip(np.arange(rng.integers(stride) - stride, last + stride, stride), 0, last))


def _prior_correlation(settings: Settings) -> NDArray[np.float32]:
    i = np.arange(settings.patch)
    at = np.stack(np.meshgrid(i, i, indexing="ij"), -1).reshape(-1, 2)
    distance = np.linalg.norm(at[:, None] - at[None], axis=2)
    return np.asarray(np.exp(-distance / settings.correlation_length), np.float32)
