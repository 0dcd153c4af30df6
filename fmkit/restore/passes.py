"""The outer iteration: groups over the whole picture, their overlapping answers averaged, pass after pass."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.answers import fill_stripe
from fmkit.restore.correlation import patch_correlation
from fmkit.restore.looks import Look
from fmkit.restore.machines import fill_by_machines
from fmkit.restore.patches import search_moments
from fmkit.restore.settings import Settings
from fmkit.restore.stripes import Part, any_in_patch, sum_stripes

OnProgress = Callable[[int, int], object]


def run_passes(
    planes: NDArray[np.float32],
    lost: NDArray[np.bool_],
    open_: NDArray[np.bool_],
    settings: Settings,
    rng: np.random.Generator,
    n_threads: int,
    progress: OnProgress | None = None,
    with_variance: bool = False,
    observed: NDArray[np.float32] | None = None,
    look: Look | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Improve the filling of lost pixels by groups of similar patches.

    The result depends on `rng` and not on the number of threads; see `sum_stripes`.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        Known values and a first filling. Similar patches are found on the first plane or, if the Gaussians are joint,
        on all of them.
    lost : bool ndarray of shape (n_rows, n_columns) or (n_planes, n_rows, n_columns)
        No side is shorter than a patch.
    open_ : bool ndarray of the shape of `lost`
        The pixels to improve; the others keep their first filling.
    settings : Settings
    rng : numpy.random.Generator
        Draws the offset of each pass's grid of references.
    n_threads : int
    progress : callable of (done, total), optional
    with_variance : bool, default False
    observed : float32 ndarray of the shape of `planes`, optional
        What is known of each pixel; by default what stands in `planes`, which the Gaussians are fitted to.
    look : Look, optional
        Shown the filling after each pass, and in the midst of a long one.

    Returns
    -------
    planes : float32 ndarray of the shape of `planes`
    variance : float32 ndarray of the shape of `planes`, or None
        How far the answers are from the truth and from one another, in the mean over a pixel's answers; 0 where there
        were none.
    """
    s = settings
    n_planes, n_rows, n_columns = planes.shape
    lost, open_ = (m[None] if m.ndim == 2 else m for m in (lost, open_))
    x, last_variance = planes.copy(), None
    n_joint = n_planes if s.joint else 1
    searched = slice(None) if s.joint else slice(1)
    confidence = np.where(lost, np.float32(s.filled_confidence), np.float32(1))
    touches_open = any_in_patch(np.asarray(open_.any(axis=0)), s.patch)
    prior = _prior_correlation(s, x[:n_joint])
    look = look or Look()
    for t in range(s.n_passes):
        final = t + 1 == s.n_passes
        tau = s.tau_first * (s.tau_last / s.tau_first) ** (t / max(1, s.n_passes - 1))
        rows, columns = (_grid(last, s.stride, rng) for last in (n_rows - s.patch, n_columns - s.patch))
        # A view. The first plane leads, the others settle in half the passes.
        active = x if final or s.joint or 2 * t >= s.n_passes else x[:1]
        moments = search_moments(x[searched], confidence[searched])
        grid = [(active, moments, int(row), columns[touches_open[row, columns]]) for row in rows]
        stripes = [stripe for stripe in grid if len(stripe[3])]
        n_sums = 4 if with_variance and final else 2
        seed = 0 if s.method == "patches" else int(rng.integers(1, 2**62))

        def answers(
            x: NDArray[np.float32],
            moments: NDArray[np.float32],
            row: int,
            columns: NDArray[np.int64],
            *,
            seed: int = seed,
            tau: float = tau,
            n_sums: int = n_sums,
        ) -> Part:
            top, bottom = max(0, row - s.radius), min(n_rows, row + s.radius + s.patch)
            sums = np.zeros((n_sums, len(x), bottom - top, n_columns), np.float32)
            if s.method != "patches":
                fill_by_machines(x, lost, moments, s, row, columns, seed + row, sums)
                return top, sums
            seen = x if observed is None else observed
            fill_stripe(
                *(x, seen, lost, moments, s.patch, n_joint, row, columns, s.radius, s.n_similar, s.n_answered),
                *(s.decay, tau, s.nu, s.doubt, prior, s.noise, max(s.noise, s.least_noise), s.denoise, sums),
            )
            return top, sums

        def tell(
            done: int,
            sums: NDArray[np.float32],
            *,
            t: int = t,
            n: int = len(stripes),
            active: NDArray[np.float32] = active,
        ) -> None:
            if progress is not None:
                progress(t * n_rows + done * n_rows // n, s.n_passes * n_rows)
            if look.due:
                some, so_far = (sums[0] > 0) & open_, x.copy()
                so_far[: len(active)][some] = sums[1][some] / sums[0][some]
                look(so_far)

        sums = sum_stripes(answers, stripes, (n_sums, *active.shape), n_threads, tell)
        answered = (sums[0] > 0) & open_
        mean, variance = answered_mean(sums, answered)
        if variance is not None:
            last_variance = np.zeros_like(x)
            last_variance[answered] = variance
        active[answered] += np.float32(1 if final else s.relaxation) * (mean - active[answered])
        look(x)
    return x, last_variance


def answered_mean(
    sums: NDArray[np.float32], answered: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Means of the answers and, if there are sums for it, how far they are from the truth and from one another."""
    weight = sums[0][answered]
    mean = sums[1][answered] / weight
    if len(sums) < 4:
        return mean, None
    return mean, np.maximum(sums[2][answered] / weight - mean * mean, 0) + sums[3][answered] / weight


def _grid(last: int, stride: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """0 .. last by stride from a random offset, both ends included."""
    return np.unique(np.clip(np.arange(rng.integers(stride) - stride, last + stride, stride), 0, last))


def _prior_correlation(settings: Settings, planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Between all positions of a patch of `planes`: that of their distance times that of their planes."""
    within = patch_correlation(settings.correlation, settings.patch)
    flat = planes.reshape(len(planes), -1)[:, :: 1 + planes[0].size // 2**18]
    spread = np.sqrt(flat.var(axis=1)) + 1e-6
    between = np.cov(flat, bias=True).reshape(len(planes), -1) / np.outer(spread, spread) if len(planes) > 1 else [[1]]
    return np.asarray(np.kron(between, within), np.float32)
