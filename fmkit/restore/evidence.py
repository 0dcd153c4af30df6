"""How likely a thin thing is damage: its features weighed by a small classifier, adjusted to the wear of the picture.

The classifiers, of one layer of twelve tanh units, were fitted to things in 15 undamaged pictures, of which half were
made soft and grainy, with scratches and specks drawn on them: `python benchmarks/bench_find_damage.py --fit`.

Of a logistic regression on the same 20 measures the average precision by area, on pictures left out and with two
drawings of each, is .40 for lines and .67 for specks, of these units .70 and .77. Squares and products of the measures
(230 numbers; these units are 265) bring it to .69 for lines, .76 for specks.
"""

import numpy as np
from numpy.typing import NDArray

SURE_LINE = 0.9  # the probability of a line that speaks for what goes on where it ends
_LINKED = 0.7  # of lines that go on where damage ends, this share is damage
_GAP = 40  # pixels between the pieces of a line
_PSEUDO = 10  # things of average wear that are added to each picture's own, so that few things do not decide alone

# What enters each unit, the bias first; and what the units give, the bias first.
Classifier = tuple[NDArray[np.float64], NDArray[np.float64]]


def _numbers(text: str) -> Classifier:
    rows = [np.array(line.split(), np.float64) for line in text.strip().splitlines()]
    return np.stack(rows[:-1]), rows[-1]


def probability(features: NDArray[np.float64], *, line: bool) -> NDArray[np.float64]:
    """The probability that each thing is damage, in a picture of average wear.

    Parameters
    ----------
    features : float64 ndarray of shape (n_things, n_features)
    line : bool
        Whether these things are lines or specks: each has a classifier of its own.
    """
    hidden, out = _WEIGHTS[line]
    activity = np.tanh(np.clip(features, -12, 12) @ hidden[1:] + hidden[0])
    return np.asarray(1 / (1 + np.exp(-(activity @ out[1:] + out[0]))))


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


# Printed by `python benchmarks/bench_find_damage.py --fit`: a column a unit, of which there are twelve; the first row
# is its bias, then one a feature; the last row is the bias and a weight a unit. Shares are of damage among all things.
_LINE = _numbers("""
    0.287 -4.65 -2.4 -6.3 3.11 -1.42 -1.42 6.13 -0.96 -3.91 -1.09 -1.97
    0.003 -0.503 0.138 -0.289 -0.014 -0.263 -0.209 -0.371 -0.057 0.013 -0.183 0.032
    0.674 -0.565 0.87 0.135 -0.168 0.012 -0.059 -0.4 -0.296 0.178 0.074 -0.145
    0.105 0.506 0.276 0.41 -0.393 -0.027 -0.089 0.301 -0.223 -0.157 0.188 0.333
    0.159 0.07 -0.175 0.064 -0.005 0.089 -0.185 0.191 0.114 0.075 0.132 0.242
    -0.181 0.114 -0.451 0.924 -0.307 -0.216 0.341 -0.35 -0.303 -0.222 -1 -0.074
    -0.337 0.013 -0.181 -1.21 0.555 -0.025 0.002 0.183 0.244 -0.593 0.811 0.065
    0.542 -0.252 0.191 -0.3 -0.143 0.09 -0.1 0.091 0.193 -0.098 -0.252 -0.212
    0.13 0.088 -0.11 -0.013 0.055 1.27 -0.107 -0.046 -0.087 -0.085 -0.137 0.027
    -0.721 0.565 0.023 -0.152 0.061 1.36 0.246 -0.03 0.409 -0.106 -0.196 -0.092
    0.067 -0.009 0.057 0.08 0.006 -0.016 -0.03 -0.186 0.139 0.287 -0.003 0.14
    0.152 0.062 0.143 0.124 -0.048 -0.131 -0.051 -0.397 0.058 0.563 -0.084 0.163
    -0.196 -0.532 -0.195 -0.095 0.235 0.656 -0.136 0.639 0.726 -0.836 0.333 0.186
    0.375 0.813 -0.846 1.83 0.096 0.135 -0.304 -0.173 0.193 -0.384 -0.216 -0.131
    -0.074 0.046 -0.773 -0.013 0.001 0.031 0.11 0.587 0.107 0.43 -0.036 0.685
    0.16 0.162 -0.059 -0.554 0.001 0.019 -0.176 -0.216 0.087 0.309 -0.085 -0.879
    0.352 -0.764 0.443 0.115 2.3 -0.036 0.25 0.828 -0.138 -0.154 0.092 0.051
    0.784 1.97 0.298 0.107 -0.824 -0.512 -0.602 0.017 -0.572 0.859 3.29 0.4
    -0.843 -1.12 -0.288 0.106 2.3 0.067 3.43 -1.42 0.561 1.06 -1.94 0.023
    -0.483 0.157 -0.284 -0.351 -0.034 0.093 -0.031 0.331 0.157 0.243 0.01 -0.247
    -0.311 0.037 0.064 0.216 0.19 -0.197 0.075 -0.476 -2.08 0.007 0.059 -0.014
    -4.23 1.7 2.27 2.52 -1.6 -1.56 2 2.49 2.31 -2.68 -1.84 -2.12 2.32
""")
_LINE_SHARE = 0.058
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
_SPECK_SHARE = 0.135

_WEIGHTS = {True: _LINE, False: _SPECK}
_SHARE = {True: _LINE_SHARE, False: _SPECK_SHARE}
