"""Noise of a level of its own: an erratic user pulls less, a steady one more.

A row's noise precision is omega_r alpha prod_s tau_s(r): its weight, a common precision, and a factor for its level of
each chosen side (its user, its item). The factors are Gamma(c, c) a priori, with mean 1, and so is their posterior
conjugate: Gamma(c + n / 2, c + alpha SSE / 2), n and SSE being the level's sum of weights and of weighted squared errors.
How much levels differ, c, is learned: a small c where they differ much, a large one where they do not. With the factors
integrated out the errors of a user are Student's t with 2 c degrees of freedom, common to all of the user's ratings.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from fmkit.draws import draw_gamma
from fmkit.kernels import kernel
from fmkit.solvers.columns import NONE
from fmkit.solvers.sides import Sides

SHAPES = np.geomspace(0.5, 200, 200)  # of c; beyond, levels differ by less than 7 %: as good as not at all
PRIOR = 0.5  # shape and rate of the common precision's Gamma prior, for targets of unit variance


class NoiseLevels:
    """The noise precisions of a design's rows.

    Parameters
    ----------
    sides : Sides
    chosen : sequence of int
        The sides whose levels have a precision of their own.
    weights : ndarray of shape (n_rows,), float32, or None
    fixed : bool
        Keep the common precision at 1, as likelihoods without a scale of their own have it.

    Attributes
    ----------
    common : float
        alpha.
    levels : dict of int to ndarray of shape (n_levels,), float32
        tau of each chosen side.
    shapes : dict of int to float
        c of each chosen side.
    """

    def __init__(
        self, sides: Sides, chosen: Sequence[int], weights: NDArray[np.float32] | None, fixed: bool = False
    ) -> None:
        self.sides, self.weights, self.fixed = sides, weights, fixed
        self.common = 1.0
        self.levels = {s: np.ones(sides.sides[s].n_levels, np.float32) for s in chosen}
        self.shapes = dict.fromkeys(chosen, 4.0)
        self._counts = {
            s: np.bincount(_codes(sides, s), weights, sides.sides[s].n_levels).astype(np.float64) for s in chosen
        }
        n_rows = sides.design.n_rows
        self._total = float(n_rows if weights is None else weights.sum(dtype=np.float64))
        self._rows: NDArray[np.float32] | None = None

    def scale(self, side: int) -> NDArray[np.float32]:
        """Noise precision that a level's rows have in common, as `Sides.solve` takes it."""
        if not self.sides.pair:
            return np.ones(1, np.float32)
        return np.float32(self.common) * self.levels.get(side, np.ones(1, np.float32))

    def level(self, side: int) -> NDArray[np.float32]:
        """The other weights of the rows, as `Sides.solve` takes them."""
        if not self.sides.pair:
            return self.of_rows()
        other = 1 - side
        if other not in self.levels:
            return NONE
        of_other = self.sides.sides[other]
        if of_other.table:
            return self.levels[other]
        by_column = np.zeros(self.sides.design.n_features, np.float32)
        by_column[of_other.columns] = self.levels[other]
        return by_column

    def of_rows(self) -> NDArray[np.float32]:
        """Full precision of every row, its weight included; made anew after each change."""
        if self._rows is None:
            rows = np.full(self.sides.design.n_rows, self.common, np.float32)
            for s, tau in self.levels.items():
                rows *= tau[_codes(self.sides, s)]
            if self.weights is not None:
                rows *= self.weights
            self._rows = rows
        return self._rows

    def update_side(self, side: int, squares: NDArray[np.float64], draw: tuple[Any, ...] | None) -> None:
        """Renew a side's levels and their shape.

        Parameters
        ----------
        side : int
            A chosen one.
        squares : ndarray of shape (n_levels,), float64
            Sums of the (expected) squared errors, weighted by everything but the levels themselves and the common
            precision.
        draw : tuple of (uint64, uint32, uint32, Generator), or None
            Key, stream and sweep of the levels' draws, and what draws the shape; None for their expectations.
        """
        shape = self.shapes[side] + 0.5 * self._counts[side]
        rate = self.shapes[side] + 0.5 * self.common * squares
        if draw is None:
            mean, log_mean = shape / rate, digamma(shape) - np.log(rate)
            self.levels[side] = mean.astype(np.float32)
        else:
            tau = np.empty(len(shape), np.float32)
            _draw_levels(draw[0], draw[1], draw[2], shape, rate, tau)
            mean, log_mean = tau.astype(np.float64), np.log(np.maximum(tau, 1e-30, dtype=np.float64))
            self.levels[side] = tau
        some = self._counts[side] > 0
        n, total = np.count_nonzero(some), float((log_mean[some] - mean[some]).sum())
        logs = n * (SHAPES * np.log(SHAPES) - gammaln(SHAPES)) + (SHAPES - 1) * total
        if draw is None:
            self.shapes[side] = float(SHAPES[int(np.argmax(logs))])
        else:
            chances = np.exp(logs - logs.max())
            self.shapes[side] = float(draw[3].choice(SHAPES, p=chances / chances.sum()))
        self._rows = None

    def update_rows(self, errors: NDArray[np.float32], draw: tuple[Any, ...] | None) -> float:
        """Renew the levels of every chosen side from the errors of the rows; returns their weighted sum of squares.

        Parameters
        ----------
        errors : ndarray of shape (n_rows,), float32
        draw : tuple, or None
            As `update_side` takes it, with the stream of side 0.
        """
        for s in self.levels:
            codes = _codes(self.sides, s)
            others = self.of_rows() / (np.float32(self.common) * self.levels[s][codes])
            squares = np.bincount(codes, others * np.square(errors), len(self.levels[s]))
            mine = None if draw is None else (draw[0], np.uint32(draw[1] + s), *draw[2:])
            self.update_side(s, squares, mine)
        return float(np.dot(self.of_rows().astype(np.float64), np.square(errors))) / self.common

    def update_common(self, square: float, rng: np.random.Generator | None) -> None:
        """Renew the common precision from the sum of squared errors, weighted by everything but itself."""
        if self.fixed:
            return
        shape, rate = PRIOR + 0.5 * self._total, PRIOR + 0.5 * square
        self.common = shape / rate if rng is None else float(rng.gamma(shape) / rate)
        self._rows = None


def many_rows(sides: Sides, least: float) -> list[int]:
    """The sides whose levels have `least` rows or more on average, and of which every row has one."""
    chosen = []
    for number, side in enumerate(sides.sides):
        if side.codes is not None and side.n_levels > 1:
            used = np.count_nonzero(np.diff(side.ptr))
            if used and len(side.codes) >= least * used:
                chosen.append(number)
    return chosen


def _codes(sides: Sides, side: int) -> NDArray[np.int32]:
    codes = sides.sides[side].codes
    if codes is None:
        raise ValueError(
            f"noise_fields names field {side}, of which some rows have no level, or one with a value: "
            "only a field of which every row has one level, or a relation block, can have noise levels"
        )
    return codes


@kernel
def _draw_levels(key: Any, stream: Any, sweep: Any, shape: Any, rate: Any, out: Any) -> None:
    for j in range(len(out)):
        out[j] = draw_gamma(key, stream, sweep, np.uint32(j), shape[j]) / rate[j]
