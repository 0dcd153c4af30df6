"""Noise of a level of its own: an erratic user pulls less, a steady one more.

A row's noise precision is omega_r alpha prod_s tau_s(r): its weight, a common precision, and a factor for its level of
each chosen side (its user, its item). The factors are Gamma(c, c) a priori, with mean 1, and so is their posterior
conjugate: Gamma(c + n / 2, c + alpha SSE / 2), n and SSE being the level's sum of weights and of weighted squared
errors. How much levels differ, c, is learned: a small c where they differ much, a large one where they do not. A chain
draws c with the factors integrated out, by steps of Metropolis on log c; given the factors it would hardly move.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from fmkit.draws import draw_gamma
from fmkit.kernels import kernel
from fmkit.solvers.columns import NONE
from fmkit.solvers.sides import Sides

SHAPES = np.geomspace(0.5, 200, 300)  # of c; beyond, levels differ by less than 7 %: as good as not at all
USUAL, SPAN = np.log(5.0), 2.0  # log c is N(log 5, 2^2) a priori, within SHAPES
STEPS = (0.3, 0.1, 0.03)  # standard deviations of the steps of log c, for few levels and for many
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
        self.sample_weights = weights
        self.common = 1.0
        codes = {s: _codes(sides, s) for s in chosen}
        self.levels = {s: np.ones(sides.sides[s].n_levels, np.float32) for s in chosen}
        self.shapes = dict.fromkeys(chosen, float(SHAPES[np.searchsorted(SHAPES, 4.0)]))
        self._gammas: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._common = (1.0, 1.0)
        self._counts = {
            s: np.bincount(of_rows, weights, sides.sides[s].n_levels).astype(np.float64) for s, of_rows in codes.items()
        }
        n_rows = sides.design.n_rows
        self._total = float(n_rows if weights is None else weights.sum(dtype=np.float64))
        self._rows: NDArray[np.float32] | None = None
        self._unseen: NDArray[np.float32] = NONE

    def set_rows(self, weights: NDArray[np.float32], unseen: NDArray[np.float32] = NONE) -> None:
        """Take in the targets and weights that a likelihood made up; how many rows a level has stays as it was.

        Parameters
        ----------
        weights : ndarray of shape (n_rows,), float32
        unseen : ndarray of shape (n_rows,) or (0,), float32
            What a row's weighted squared error is short of, its target being the mean of latent variables: the levels
            go by the squares of these, not by the square of their mean.
        """
        self.weights, self._unseen, self._rows = weights, unseen, None

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

    def set_levels(self, side: int, levels: NDArray[np.float32]) -> None:
        """Replace a side's levels, in place."""
        self.levels[side][:] = levels
        self._rows = None

    def levels_of_rows(self, but: int | None = None) -> NDArray[np.float32]:
        """Product of the levels of every row, those of side `but` left out; (0,) if there are none."""
        rows = NONE
        for s, tau in self.levels.items():
            if s != but:
                rows = rows * tau[_codes(self.sides, s)] if len(rows) else tau[_codes(self.sides, s)]
        return rows

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
        if len(self._unseen):
            others = self.levels_of_rows(but=side)
            unseen = self._unseen * others if len(others) else self._unseen
            squares = squares + np.bincount(_codes(self.sides, side), unseen, len(squares))
        half_counts = 0.5 * self._counts[side]
        half_squares = 0.5 * self.common * np.maximum(squares, 0)  # by cancellation, sums of float32 may be below
        if draw is not None:
            self.shapes[side] = _draw_shape(self.shapes[side], half_counts, half_squares, draw[3])
        shape, rate = self.shapes[side] + half_counts, self.shapes[side] + half_squares
        if draw is None:
            self.levels[side] = (shape / rate).astype(np.float32)
            self.shapes[side] = _best_shape(shape, rate, half_counts > 0)
            self._gammas[side] = shape, rate
        else:
            _draw_levels(*draw[:3], shape, rate, self.levels[side])
        self._rows = None

    def update_rows(self, errors: NDArray[np.float32], draw: tuple[Any, ...] | None) -> float:
        """Renew the levels of every chosen side from the squared errors of the rows; returns their weighted sum.

        Parameters
        ----------
        errors : ndarray of shape (n_rows,), float32
            (Expected) squares.
        draw : tuple, or None
            As `update_side` takes it, with the stream of side 0.
        """
        for s in self.levels:
            codes = _codes(self.sides, s)
            others = self.of_rows() / (np.float32(self.common) * self.levels[s][codes])
            squares: NDArray[Any] = np.bincount(codes, others * errors, len(self.levels[s]))
            mine = None if draw is None else (draw[0], np.uint32(draw[1] + s), *draw[2:])
            self.update_side(s, squares, mine)
        return float(np.dot(self.of_rows().astype(np.float64), errors)) / self.common

    def update_common(self, square: float, rng: np.random.Generator | None) -> None:
        """Renew the common precision from the sum of squared errors, weighted by everything but itself."""
        if self.fixed:
            return
        shape, rate = self._common = PRIOR + 0.5 * self._total, PRIOR + 0.5 * max(square, 0.0)  # as above
        self.common = shape / rate if rng is None else float(rng.gamma(shape) / rate)
        self._rows = None

    def facts(self) -> dict[str, Any]:
        """Numbers that `resume` takes, for a checkpoint."""
        return {"common": self.common, "shapes": list(self.shapes.values())}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The levels, for a checkpoint."""
        return {f"levels.{s}": tau for s, tau in self.levels.items()}

    def resume(self, facts: dict[str, Any]) -> None:
        """Go on from `facts`, the levels being filled already."""
        self.common = float(facts["common"])
        self.shapes = dict(zip(self.shapes, map(float, facts["shapes"]), strict=True))
        self._rows = None

    def by_column(self, means: dict[int, NDArray[Any]] | None = None) -> NDArray[np.float32]:
        """The levels, or their means, at the design's columns that stand for them; 1 elsewhere."""
        levels = np.ones(self.sides.design.n_features, np.float32)
        for s, tau in (self.levels if means is None else means).items():
            columns, of_level = self.sides.sides[s].own or ([], [])
            levels[columns] = tau[of_level]
        return levels

    def bound(self, total: float) -> float:
        """What likelihood and noise add to the bound of the log evidence, after updates without a draw.

        Parameters
        ----------
        total : float
            Expected squared errors, weighted by everything but the common precision.
        """
        shape, rate = self._common
        log_common = 0.0 if self.fixed else float(digamma(shape) - np.log(rate))
        bound = self._total / 2 * (log_common - np.log(2 * np.pi)) - self.common * total / 2
        if not self.fixed:
            bound += PRIOR * np.log(PRIOR) - gammaln(PRIOR) + (PRIOR - 1) * log_common - PRIOR * self.common
            bound += shape - np.log(rate) + gammaln(shape) + (1 - shape) * digamma(shape)
        for s, (shapes, rates) in self._gammas.items():
            bound += float((self._counts[s] / 2 * np.log(shapes / rates)).sum())
        return float(bound) + self.levels_bound()

    def levels_bound(self) -> float:
        """What the levels add to the bound, where the rows' part takes them at their expectations.

        log E tau stands in the rows' part: here are the means of the logarithms less that.
        """
        bound = 0.0
        for s, (shapes, rates) in self._gammas.items():
            c, logs, means = self.shapes[s], digamma(shapes) - np.log(rates), shapes / rates
            some = self._counts[s] > 0
            terms = self._counts[s] / 2 * (logs - np.log(means))
            terms += c * np.log(c) - gammaln(c) + (c - 1) * logs - c * means
            terms += shapes - np.log(rates) + gammaln(shapes) + (1 - shapes) * digamma(shapes)
            bound += terms[some].sum() - ((np.log(c) - USUAL) / SPAN) ** 2 / 2
        return float(bound)


def many_rows(sides: Sides, least: float) -> list[int]:
    """The sides whose levels have `least` rows or more on average, and of which every row has one."""
    chosen = []
    for number, side in enumerate(sides.sides):
        used = np.count_nonzero(np.diff(side.ptr))
        if used > 1 and len(side.y) >= least * used and sides.sides[number].own:
            chosen.append(number)
    return chosen


def _codes(sides: Sides, side: int) -> NDArray[np.int32]:
    codes = sides.sides[side].codes if 0 <= side < len(sides.sides) else None
    if codes is None or not sides.sides[side].own:
        n = len(sides.sides)
        raise ValueError(
            f"noise_fields must be among the {n} fields and blocks of which every row has one level, a column of its "
            f"own; {side} is not"
        )
    return codes


def _draw_shape(
    shape: float, half_counts: NDArray[np.float64], half_squares: NDArray[np.float64], rng: np.random.Generator
) -> float:
    now = _log_chance(shape, half_counts, half_squares)
    for step in STEPS:
        other, coin = float(shape * np.exp(step * rng.standard_normal())), rng.random()
        # Where targets have no noise at all, ever smaller shapes would give levels of nothing: rows without weight.
        if not SHAPES[0] <= other <= SHAPES[-1]:
            continue
        chance = _log_chance(other, half_counts, half_squares)
        if np.log(coin) < chance - now:
            shape, now = other, chance
    return shape


def _best_shape(shape: NDArray[np.float64], rate: NDArray[np.float64], some: NDArray[np.bool_]) -> float:
    """The c of the grid under which levels that are Gamma(shape, rate) each are the least surprising."""
    total = float((digamma(shape[some]) - np.log(rate[some]) - shape[some] / rate[some]).sum())
    logs = np.log(SHAPES)
    chances = np.count_nonzero(some) * (SHAPES * logs - gammaln(SHAPES)) + (SHAPES - 1) * total
    return float(SHAPES[int(np.argmax(chances - np.square((logs - USUAL) / SPAN) / 2))])


@kernel
def _log_chance(c: Any, half_counts: Any, half_squares: Any) -> float:
    """Log of c's posterior density, but for a constant, with the levels' factors integrated out."""
    z = (math.log(c) - USUAL) / SPAN
    total: float = -z * z / 2
    of_none = c * math.log(c) - math.lgamma(c)
    for j in range(len(half_counts)):
        n = half_counts[j]
        if n > 0:
            total += of_none + math.lgamma(c + n) - (c + n) * math.log(c + half_squares[j])
    return total


@kernel
def _draw_levels(key: Any, stream: Any, sweep: Any, shape: Any, rate: Any, out: Any) -> None:
    for j in range(len(out)):
        out[j] = max(draw_gamma(key, stream, sweep, np.uint32(j), shape[j]) / rate[j], 1e-6)
