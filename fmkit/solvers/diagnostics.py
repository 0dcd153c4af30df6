"""Has a chain run long enough? R-hat and effective sample sizes of what it is watched by, and a plain sentence.

Both are those of Vehtari, Gelman, Simpson, Carpenter and Bürkner ("Rank-normalization, folding, and localization: an
improved R-hat", Bayesian Analysis 2021): a chain is split in halves, values are replaced by normal scores of their
ranks. Factors of a machine are told but for their order and sign, which a chain may change on its way: only what does
not depend on these is watched, the loss, the noise, and precisions that are averaged over factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

# The paper asks 1.01 of four chains together. One chain has two halves only: of 1,000 autoregressive ones from their
# stationary state, of an effective size of 100 (the least that is asked), a third exceed 1.01 by chance, 2 to 3 % 1.05.
R_HAT = 1.05
LEAST_SIZE = 100.0  # 50 a half, as the paper asks: below, R-hat itself is not to be trusted
AT_ONCE = 4.0  # times as long at most is asked for: from a chain far from settled no more can be told
FEW = 8  # draws; of fewer nothing is told
# Of the bound, in the last sweep. On MovieLens latest-small (8 factors) sweep 60 rises by 3.1e-5 and later ones gain
# .001 in RMSE; sweep 150 rises by 1.3e-5, and they gain nothing.
STILL_RISES = 2e-5


@dataclass(frozen=True)
class Watched:
    """A quantity that a chain is watched by.

    Parameters
    ----------
    name : str
        As in the trace.
    mean, sd : float
        Of the draws, in the solver's units: for targets of unit variance.
    r_hat : float
        1 for halves that look alike.
    size : float
        Effective sample size of the bulk: independent draws that would tell as much of the mean.
    """

    name: str
    mean: float
    sd: float
    r_hat: float
    size: float


@dataclass(frozen=True)
class Diagnostics:
    """What `FMRegressor.diagnostics` tells; `str` gives the sentence, and `pandas.DataFrame(it.rows)` a table.

    Parameters
    ----------
    settled : bool
        Whether it was long enough.
    sentence : str
    rows : list of Watched
        Of a chain; nothing of a variational fit.
    """

    settled: bool
    sentence: str
    rows: list[Watched] = field(default_factory=list)

    def __str__(self) -> str:
        return self.sentence


def diagnose_chain(
    trace: Sequence[dict[str, float]], burn_in: int, planned: int = 0, share: float | None = 0.2
) -> Diagnostics:
    """Diagnostics of a chain.

    Parameters
    ----------
    trace : sequence of dict
        What it is watched by, a row a sweep, the burn-in included.
    burn_in : int
        Sweeps that are left out.
    planned : int
        Sweeps that were asked for: a chain that was ended before is too short for another reason.
    share : float or None
        Share of all sweeps that the burn-in of a longer chain would be; None for as many as now.
    """
    n_draws = len(trace) - burn_in

    def mend(draws: float) -> str:
        if len(trace) < planned:
            return f"let it go on, it was ended after {len(trace)} of {planned} sweeps"
        return f"ask for max_iter={_rounded(draws + burn_in if share is None else draws / (1 - share))}"

    if n_draws < FEW:
        done = f"{max(n_draws, 0)} sweeps after a burn-in of {burn_in}"
        return Diagnostics(False, f"the chain is too short: {done} tell nothing of it; {mend(2 * LEAST_SIZE)}")
    rows = []
    for name in trace[-1]:
        x = np.array([row[name] for row in trace[burn_in:]])
        rows.append(Watched(name, float(x.mean()), float(x.std(ddof=1)), split_r_hat(x), bulk_size(x)))
    worst, fewest = max(rows, key=lambda w: w.r_hat), min(rows, key=lambda w: w.size)
    if worst.r_hat <= R_HAT and fewest.size >= LEAST_SIZE:
        return Diagnostics(
            True,
            f"the chain is long enough: its halves agree (R-hat is {worst.r_hat:.2f} at most), and its {n_draws} draws "
            f"are worth {fewest.size:.0f} independent ones or more",
            rows,
        )
    longer = min(max(LEAST_SIZE / fewest.size, 2.0 if worst.r_hat > R_HAT else 1.0), AT_ONCE)
    reasons = []
    if worst.r_hat > R_HAT:
        reasons.append(f"R-hat of the {worst.name} is {worst.r_hat:.2f}, above {R_HAT}")
    if fewest.size < LEAST_SIZE:
        reasons.append(
            f"the {n_draws} draws of the {fewest.name} are worth {fewest.size:.0f} independent ones, "
            f"not {LEAST_SIZE:.0f}"
        )
    return Diagnostics(False, f"the chain is too short: {', and '.join(reasons)}; {mend(longer * n_draws)}", rows)


def diagnose_bound(trace: Sequence[dict[str, float]]) -> Diagnostics:
    """Whether the bound of a variational fit still rises."""
    bounds = [row["bound"] for row in trace]
    if len(bounds) < 2:
        return Diagnostics(False, "a single sweep tells nothing of the bound: ask for more of them by max_iter")
    rise = (bounds[-1] - bounds[-2]) / max(abs(bounds[-1]), 1e-30)
    told = f"it rose by {100 * max(rise, 0):.2g} % in the last of {len(bounds)} sweeps"
    if rise > STILL_RISES:
        return Diagnostics(False, f"the bound still rises: {told}; ask for max_iter={_rounded(2 * len(bounds))}")
    return Diagnostics(True, f"the bound has settled: {told}")


def split_r_hat(chains: ArrayLike) -> float:
    """Rank-normalised split R-hat: the greater of that of the values and that of their distances from the median.

    Parameters
    ----------
    chains : array-like of shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    float
        NaN for fewer than 4 draws, 1 for a constant.
    """
    halves = _split(chains)
    if halves.shape[1] < 2:
        return math.nan
    if np.ptp(halves) == 0:
        return 1.0
    folded = np.abs(halves - np.median(halves))
    return max(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(folded)))


def bulk_size(chains: ArrayLike) -> float:
    """Bulk effective sample size: that of the normal scores of the halves, with Geyer's initial monotone sequence.

    Parameters
    ----------
    chains : array-like of shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    float
        NaN for fewer than 4 draws, the number of draws for a constant; of antithetic chains more than that.
    """
    halves = _split(chains)
    m, n = halves.shape
    if n < 2:
        return math.nan
    if np.ptp(halves) == 0:
        return float(m * n)
    z = _normal_scores(halves)
    covariances = _autocovariances(z).mean(axis=0)
    within = covariances[0] * n / (n - 1)
    total = covariances[0] + (z.mean(axis=1).var(ddof=1) if m > 1 else 0.0)
    correlations = 1 - (within - covariances) / total
    correlations[0] = 1
    pairs = correlations[: n - n % 2].reshape(-1, 2).sum(axis=1)  # of lags 2t and 2t + 1
    end = max((n - 3) // 2, 0)  # beyond, too few products are left
    negative = np.flatnonzero(pairs[:end] <= 0)
    end = int(negative[0]) if len(negative) else end
    time = 2 * float(np.minimum.accumulate(pairs[:end]).sum()) - 1 + max(float(correlations[2 * end]), 0)
    return float(m * n) / max(time, 1 / math.log10(m * n))


def _split(chains: ArrayLike) -> NDArray[np.float64]:
    """The halves of each chain, as chains; the middle of an odd number of draws is left out."""
    x = np.atleast_2d(np.asarray(chains, np.float64))
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, x.shape[1] - half :]])


def _normal_scores(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import rankdata  # half a second to import

    ranks = rankdata(x).reshape(x.shape)
    return np.asarray(ndtri((ranks - 0.375) / (x.size + 0.25)))


def _r_hat(x: NDArray[np.float64]) -> float:
    n = x.shape[1]
    between, within = n * x.mean(axis=1).var(ddof=1), x.var(axis=1, ddof=1).mean()
    return math.inf if within == 0 else float(np.sqrt((between / within + n - 1) / n))


def _autocovariances(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row at every lag, over n."""
    n = x.shape[1]
    spectrum = np.fft.rfft(x - x.mean(axis=1, keepdims=True), 2 * n)
    return np.asarray(np.fft.irfft(np.square(np.abs(spectrum)), 2 * n)[:, :n] / n)


def _rounded(n: float) -> int:
    """Up to two digits."""
    unit: int = 10 ** max(math.floor(math.log10(n)) - 1, 0)
    return math.ceil(n / unit) * unit
