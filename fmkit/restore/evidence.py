"""How likely a thin thing is damage: its measures weighed by a classifier, adjusted to the wear of the picture.

Lines and specks have one layer of 36 tanh units each, the mean log odds of three fits of twelve. `evidence.csv` holds
them; `python benchmarks/bench_find_damage.py --fit` writes it anew.
"""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.defects import FEATURES

TABLE = Path(__file__).with_name("evidence.csv")
SURE_LINE = 0.9  # the probability of a line that speaks for what goes on where it ends
_LINKED = 0.7  # of lines that go on where damage ends, this share is damage
_SAME_COLOUR = 0.05  # of the range: the distance of two colours
_MOST = 20.0  # times the odds that a colour makes of them
_GAP = 40  # pixels between the pieces of a line
_IN_ROW = 5.5  # things of one size in a row: more are letters
_FAR_OUT = 4.0  # standard deviations
_IN_DOUBT, _BEYOND_DOUBT = 0.3, 0.95
_TAIL = 6  # times as many in doubt as beyond: drawn dust that is found has 5 at most, galaxies and craters 9 and 11
_PSEUDO = 10  # things of average wear that are added to each picture's own, so that few things do not decide alone

_COLOUR, _BOUNDS, _CONTRAST, _ROW = (FEATURES.index(name) for name in ("colour", "bounds", "contrast", "row"))


class Weights(NamedTuple):
    """One layer of tanh units."""

    share: float
    """Of damage among the things that it was fitted to."""
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    """Mean and standard deviation of each measure."""
    hidden: NDArray[np.float64]
    """Shape (1 + n_features, n_units): what enters each unit, of 1 and of the standardized measures."""
    out: NDArray[np.float64]
    """Shape (1 + n_units,): what enters the log odds, of 1 and of the units."""


def read_weights(path: Path) -> dict[str, Weights]:
    """The classifiers of lines and of specks, by the names "line" and "speck".

    Parameters
    ----------
    path : Path
        Rows of a name, what follows, and numbers: the "share" of damage, "mean" and "scale" of each of `FEATURES`;
        by the name of a measure, "1" first, its weights in each unit; and the "odds".
    """
    with path.open(newline="") as table:
        rows = {(of, what): np.array(numbers, np.float64) for of, what, *numbers in csv.reader(table)}
    return {
        of: Weights(
            float(rows[of, "share"][0]),
            rows[of, "mean"],
            rows[of, "scale"],
            np.stack([rows[of, name] for name in ("1", *FEATURES)]),
            rows[of, "odds"],
        )
        for of in ("line", "speck")
    }


@cache
def _weights(*, line: bool) -> Weights:
    return read_weights(TABLE)["line" if line else "speck"]


def probability(features: NDArray[np.float64], *, line: bool) -> NDArray[np.float64]:
    """The probability that each thing is damage, in a picture of average wear.

    Parameters
    ----------
    features : float64 ndarray of shape (n_things, n_features)
    line : bool
        Whether these things are lines or specks: each has a classifier of its own.
    """
    odds = log_odds(features, _weights(line=line))
    if not line:
        odds[features[:, _ROW] > np.log(_IN_ROW)] = -50  # letters
    # Across a strong edge the channels do not follow each other as they do around it: what is left there is no damage.
    odds[(features[:, _COLOUR] == 1) & (features[:, _BOUNDS] > features[:, _CONTRAST])] = -50
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -50, 50))))


def log_odds(features: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """What the measures alone say, without rules."""
    units = np.tanh(standardized(features, weights.mean, weights.scale) @ weights.hidden[1:] + weights.hidden[0])
    return np.asarray(units @ weights.out[1:] + weights.out[0])


def standardized(
    features: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measures in units of how they vary; what lies further out than any that was seen says no more than that."""
    return np.asarray(np.clip((features - mean) / scale, -_FAR_OUT, _FAR_OUT))


def share_of_damage(p: NDArray[np.float64], *, line: bool) -> float:
    """The share of damage among a picture's things, which these themselves tell (Saerens et al. 2002).

    Parameters
    ----------
    p : float64 ndarray of shape (n_things,)
        What `probability` gave for all things of a picture.
    line : bool
    """
    average = share = _weights(line=line).share
    for _ in range(50):
        # Never raised: a texture that the training did not know would vouch for itself.
        share = min(average, (float(adjusted(p, share, line=line).sum()) + _PSEUDO * average) / (len(p) + _PSEUDO))
    return share


def adjusted(p: NDArray[np.float64], share: float | NDArray[np.float64], *, line: bool) -> NDArray[np.float64]:
    """Probabilities where not the average share of things is damage, but this one."""
    average = _weights(line=line).share
    return times_odds(p, share / (1 - share) * (1 - average) / average)


def only_a_tail(p: NDArray[np.float64], share: float) -> bool:
    """Whether specks are so much like damage all over the picture that they are the picture.

    What lies on a picture comes apart from it: most specks that may be dust are so beyond doubt. Stars and craters are
    of every size and contrast, many in doubt for each that is like dust, and those few are the tail of the others.

    Parameters
    ----------
    p : float64 ndarray of shape (n_specks,)
        What `probability` gave for all specks of a picture.
    share : float
        Of damage among them.
    """
    p = adjusted(p, share, line=False)
    beyond = np.count_nonzero(p >= _BEYOND_DOUBT)
    return bool(np.count_nonzero(p >= _IN_DOUBT) - beyond > _TAIL * beyond)


def best_case(p: NDArray[np.float64], *, line: bool) -> NDArray[np.float64]:
    """Probabilities of what goes on where a sure line ends, in its colour: nothing makes more of them."""
    return times_odds(adjusted(p, max(_LINKED, _weights(line=line).share), line=line), _MOST)


def odds_by_colour(p: NDArray[np.float64], colours: NDArray[np.float32]) -> NDArray[np.float64]:
    """By how much the colour of each thing raises its odds: one knife, one pen, one dust, so damage has few colours.

    How often a sure thing has the colour of another one, against how often what is none has it by chance, is told by
    the picture itself: where scratches are white and straw is not, white speaks for a scratch; among white lines it
    says nothing.

    Parameters
    ----------
    p : float64 ndarray of shape (n_things,)
        Probabilities of all things of a picture that stand out alike.
    colours : float32 ndarray of shape (n_things, n_channels)

    Returns
    -------
    float64 ndarray of shape (n_things,)
        From 1 to 20.
    """
    from scipy.spatial import KDTree

    sure, others = p >= SURE_LINE, p < _IN_DOUBT
    if np.count_nonzero(sure) < 2:
        return np.ones(len(p))
    tree = KDTree(colours[sure])
    alike = tree.query(colours, distance_upper_bound=_SAME_COLOUR)[0] < np.inf
    alike_sure = tree.query(colours[sure], 2, distance_upper_bound=_SAME_COLOUR)[0][:, 1] < np.inf
    # The more like damage a thing is else, the more it tells of what is mistaken for damage.
    weight = np.sqrt(p[others])
    of_damage = (alike_sure.sum() + 0.5) / (len(alike_sure) + 1)
    by_chance = (alike[others] @ weight + 0.05) / (weight.sum() + 0.1)
    return np.where(alike, np.clip(of_damage / by_chance, 1, _MOST), 1.0)


def times_odds(p: NDArray[np.float64], times: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities with odds that are so many times those of `p`."""
    return times * p / (times * p + 1 - p)


def shares_linked(p: NDArray[np.float64], share: float, axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share for each line: what goes on where a sure one ends is one with it more often than not.

    Parameters
    ----------
    p : float64 ndarray of shape (n_lines,)
        What `probability` gave for the lines of one plane.
    share : float
        Of damage among all lines of the picture.
    axes : float64 ndarray of shape (n_lines, 5)
        Row and column of the middle and of a unit step along the line, and the length in pixels.
    """
    shares = np.full(len(p), share)
    for _ in range(3):  # from piece to piece
        shares = shares_beside(adjusted(p, shares, line=True), axes, shares, axes)
    return shares


def shares_beside(
    p: NDArray[np.float64], lines: NDArray[np.float64], shares: NDArray[np.float64], axes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shares for things of `axes`, raised where they go on where one of `lines` that is sure by `p` ends."""
    shares = shares.copy()
    for i in np.flatnonzero(p > SURE_LINE):
        row, column, along_row, along_column, length = lines[i]
        rows, columns = axes[:, 0] - row, axes[:, 1] - column
        along = np.abs(rows * along_row + columns * along_column)
        across = np.abs(columns * along_row - rows * along_column)
        turn = np.abs(axes[:, 2] * along_column - axes[:, 3] * along_row)  # the sine of it; of a spot it means nothing
        near = (along < (axes[:, 4] + length) / 2 + _GAP) & (along > length / 3) & (across < 2 + 0.1 * along)
        on = near & ((turn < 0.3) | (axes[:, 4] < 8))
        shares[on] = np.maximum(shares[on], _LINKED * p[i])
    return shares
