"""How likely a thin thing is damage: its measures weighed by a classifier, adjusted to the wear of the picture.

Lines are weighed by logistic regression on the measures and their products: the log odds are a quadratic form.
`evidence.csv` holds it; `python benchmarks/bench_find_damage.py --fit` writes it anew. Specks are weighed by one layer
of twelve tanh units on the first 20 measures. They were fitted with scikit-learn's MLPClassifier to things in 15
undamaged pictures with drawn damage and are kept: the form found fewer specks, and less surely (its table is not here).
"""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.defects import FEATURES

SURE_LINE = 0.9  # the probability of a line that speaks for what goes on where it ends
_LINKED = 0.7  # of lines that go on where damage ends, this share is damage
_GAP = 40  # pixels between the pieces of a line
_IN_ROW = 5.5  # things of one size in a row: more are letters
_FAR_OUT = 4.0  # standard deviations
_PSEUDO = 10  # things of average wear that are added to each picture's own, so that few things do not decide alone

_COLOUR, _BOUNDS, _CONTRAST, _ROW = (FEATURES.index(name) for name in ("colour", "bounds", "contrast", "row"))


class Weights(NamedTuple):
    """A quadratic form of measures."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    """Mean and standard deviation of each measure."""
    form: NDArray[np.float64]
    """Upper triangle, shape (1 + n_features, 1 + n_features): of 1 and the standardized measures."""
    share: float
    """Of damage among the things that it was fitted to."""


def read_weights(path: Path) -> Weights:
    """The classifier of lines.

    Parameters
    ----------
    path : Path
        A table with the columns what, one, other, line: "mean" and "scale" of the measure `one`, "weight" of it
        or of its product with `other`, and the "share" of damage. The measure "1" is 1.
    """
    names = {name: i for i, name in enumerate(("1", *FEATURES))}
    n, share = len(names), 0.0
    mean, scale, form = np.zeros(n), np.ones(n), np.zeros((n, n))
    with path.open(newline="") as table:
        for row in csv.DictReader(table):
            value = float(row["line"])
            if row["what"] == "share":
                share = value
            elif row["what"] == "weight":
                form[names[row["one"]], names[row["other"]]] = value
            else:
                (mean if row["what"] == "mean" else scale)[names[row["one"]]] = value
    return Weights(mean[1:], scale[1:], form, share)


_LINE = read_weights(Path(__file__).with_name("evidence.csv"))


def probability(features: NDArray[np.float64], *, line: bool) -> NDArray[np.float64]:
    """The probability that each thing is damage, in a picture of average wear.

    Parameters
    ----------
    features : float64 ndarray of shape (n_things, n_features)
    line : bool
        Whether these things are lines or specks: each has a classifier of its own.
    """
    if line:
        measures = np.ones((len(features), 1 + features.shape[1]))
        measures[:, 1:] = standardized(features, _LINE.mean, _LINE.scale)
        odds = np.einsum("ij,ij->i", measures @ _LINE.form, measures)
    else:
        hidden, out = _SPECK
        activity = np.tanh(np.clip(features[:, : len(hidden) - 1], -12, 12) @ hidden[1:] + hidden[0])
        odds = activity @ out[1:] + out[0]
        odds[features[:, _ROW] > np.log(_IN_ROW)] = -50  # letters
    # Across a strong edge the channels do not follow each other as they do around it: what is left there is no damage.
    odds[(features[:, _COLOUR] == 1) & (features[:, _BOUNDS] > features[:, _CONTRAST])] = -50
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -50, 50))))


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
    average = share = _SHARE[line]
    for _ in range(50):
        # Never raised: a texture that the training did not know would vouch for itself.
        share = min(average, (float(adjusted(p, share, line=line).sum()) + _PSEUDO * average) / (len(p) + _PSEUDO))
    return share


def adjusted(p: NDArray[np.float64], share: float | NDArray[np.float64], *, line: bool) -> NDArray[np.float64]:
    """Probabilities where not the average share of things is damage, but this one."""
    odds = share / (1 - share) * (1 - _SHARE[line]) / _SHARE[line]
    return p * odds / (p * odds + 1 - p)


def best_case(p: NDArray[np.float64], *, line: bool) -> NDArray[np.float64]:
    """Probabilities of what goes on where a sure line ends: no share of a picture makes more of them."""
    return adjusted(p, max(_LINKED, _SHARE[line]), line=line)


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


def _numbers(text: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = [np.array(line.split(), np.float64) for line in text.strip().splitlines()]
    return np.stack(rows[:-1]), rows[-1]


# A column a unit; the first row is its bias, then one a measure; the last row is the bias and a weight a unit.
_SPECK = _numbers("""
    0.283 -10.4 -1.03 2.12 5.58 -2.34 -2.15 13.2 -0.063 -0.213 -0.073 -3.7
    -0.376 -0.294 -0.029 0.638 -0.008 -0.177 0.008 0.068 0.304 0.62 -0.591 0.099
    -0.616 -0.061 0.206 0.15 -0.006 -0.418 0.083 -0.175 -0.156 -0.281 0.435 -0.316
    0.44 0.538 0.051 -0.832 0.121 0.365 0.408 -0.388 0.134 -0.384 -0.147 0.102
    0.266 0.378 -0.151 0.115 -0.191 0.133 -0.362 0.052 -0.031 -0.076 -0.383 0.358
    0.032 0.2 -0.092 0.233 0.437 -0.071 -0.776 -0.007 -0.388 0.47 -0.386 1.37
    -0.001 -0.736 0.029 0.086 0.018 -0.025 0.524 0.258 0.423 -0.329 -0.105 -1.49
    -0.01 -0.238 0.03 -0.008 -0.019 -0.089 0.16 0.062 -0.038 -0.069 0.175 -0.096
    0.081 0.118 1.34 -0.012 0.038 0.087 -0.054 -0.046 -0.113 -0.037 0.019 -0.073
    0.374 -0.058 0.833 -0.955 -0.231 0.337 0.093 -0.012 0.053 -0.153 0.16 0.016
    -0.074 0.358 0.03 0.027 -0.449 0.094 0.068 -0.118 0.077 -0.016 0.098 0.012
    0.077 0.775 -0.115 -0.149 -0.649 0.057 0.758 -0.418 0.104 0.234 0.208 -0.048
    -0.552 -0.019 0.485 0.482 -0.861 0.401 -1.53 0.37 0.148 -0.683 -0.017 0.171
    0.354 -0.223 0.162 -0.284 0.308 0.031 -1.22 0.044 -0.239 -0.219 -0.566 0.225
    0.05 -0.215 -0.034 0.016 -0.02 -0.005 -0.101 1.71 0.022 -0.004 0.022 0.001
    0.329 -0.302 0.292 -1.12 -0.02 -0.042 -0.034 -0.079 -0.012 -0.243 0.216 -0.378
    -0.335 0.08 0.026 0.062 0.164 0.091 0.348 0.098 -0.056 -0.267 1.37 -0.566
    -2.23 0.39 -0.761 1.92 0.151 -1.34 0.327 0.167 -0.572 1.14 -0.255 0.203
    -1.52 -0.446 0.284 0.617 -0.202 0.294 0.043 -0.097 -0.027 0.951 -0.596 -0.629
    0.277 -0.288 0.033 -0.273 0.105 0.198 0.225 0.15 0.206 0.369 -0.097 0.015
    0.055 -0.245 -0.298 -0.356 -0.3 -0.971 0.141 0.04 -1.76 0.437 -0.429 0.127
    -1.53 -3.12 2.26 1.99 -2.4 2.46 2.53 1.96 2.1 -2.77 -2.48 -1.98 1.81
""")
_SHARE = {True: _LINE.share, False: 0.135}
