"""Averages of sweeps that are worth averaging: between two steps of ALS, the factors are shaken.

ALS comes to rest in one optimum, and the average of sweeps there is that optimum (RMSE .8507 against .8507 on
validation parts of MovieLens latest-small). Here every side, once solved, gets noise as large as what its rows leave
open,

    variance = SHARE curvature spread^2 / (penalty_j + curvature sum_r omega_r x_rj^2 g),

g being the mean square of what the rest of a row adds up to in a dimension: a Gibbs step (`fmkit.solvers.mcmc`) for
priors and a noise that are given, with a covariance that is a multiple of 1. Solutions are averaged, before their
noise, so that few sweeps are enough: one that is solved given noisy partners overfits to none of them, which shrinks
factors by itself (Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995). So penalties count
less here, by `WEAKER`. Both numbers are from validation parts of the training rows of two rating sets, penalties of .5
to .65 times `noise_levels` and shares of .3 to .45: MovieLens latest-small .8444 to .8492, goodbooks .8529 to .8574,
plain ALS .8507 and .8562; here .8456 and .8539. The predictions of eight starts of five sweeps each, averaged,
come to .8473, those of sweeps with bootstrapped weights to .8511.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.linalg import row_dots
from fmkit.machine import FactorizationMachine
from fmkit.solvers.averaging import uninterrupted
from fmkit.solvers.members import move_rows
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties, column_sums
from fmkit.solvers.sides import Sides

SHARE = 0.35  # of the targets' variance that is taken for noise
WEAKER = 2 / 3  # times the penalties of factors that plain ALS has
WIDEST = 0.5  # standard deviation of the noise at most, for targets and columns of unit variance: without any penalty


def weaker(penalties: Penalties) -> Penalties:
    """Penalties for sweeps that are shaken, from those of plain ALS."""
    return Penalties(penalties.linear, penalties.factors * np.float32(WEAKER))


class Shaking:
    """The noise of ALS's sweeps, and the average of their solutions.

    Parameters
    ----------
    objective : Objective
        With the penalties that the sweeps go by.
    sides : Sides
    spread : float
        Standard deviation of the targets; of the log odds, for the log loss.
    burn_in : int
        Sweeps before solutions are averaged.
    seed : int
        Key of the noise, positive: it depends on this and the sweep alone.
    nonnegative : bool
        Factors are reflected at zero, and averaged as they are. Others are told but for a rotation, which is undone
        (orthogonal Procrustes; Schönemann, Psychometrika 1966).

    Attributes
    ----------
    solution : FactorizationMachine
        Of the last sweep, before the noise.
    mean : FactorizationMachine
        Of the solutions after `burn_in`.
    count : int
        Solutions in `mean`.
    """

    def __init__(
        self, objective: Objective, sides: Sides, spread: float, burn_in: int, seed: int, nonnegative: bool
    ) -> None:
        self.sides, self.spread, self.burn_in, self.seed, self.nonnegative = sides, spread, burn_in, seed, nonnegative
        self.curvature = 0.25 if objective.logistic else 1.0
        self.penalty = objective.penalties.factors
        machine = sides.machine
        self.squares, counts = column_sums(objective.design, objective.weights)
        units = np.sqrt(np.divide(self.squares, counts, out=np.ones(len(counts)), where=self.squares > 0))
        self._widest = (WIDEST * np.sqrt(spread) / units).astype(np.float32)
        self._total = objective.total_weight
        self.solution = machine.copy()
        self.mean = FactorizationMachine(0.0, np.zeros_like(machine.linear), np.zeros_like(machine.factors))
        self.count = 0
        self._energies = np.array([self._energy(s) for s in range(len(sides.sides))])
        self._rng = np.random.default_rng()

    def begin(self, sweep: int) -> None:
        """Make the noise of a sweep ready."""
        self._rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, sweep]))

    def take(self, s: int) -> None:
        """Take in the solution of a side."""
        columns = _span(self.sides.sides[s].columns)
        self.solution.linear[columns] = self.sides.machine.linear[columns]
        self.solution.factors[columns] = self.sides.machine.factors[columns]

    def shake(self, s: int) -> None:
        """Add noise to the factors of a side that was taken in."""
        sides, V = self.sides, self.sides.machine.factors
        side, columns = sides.sides[s], _span(sides.sides[s].columns)
        self._energies[s] = self._energy(s)
        rest = self._energies.sum() - (0 if side.table else self._energies[s])  # a table's columns meet each other
        certain = self.penalty[columns] + self.curvature * self.squares[columns] * rest
        variance = SHARE * self.curvature * self.spread**2 / np.maximum(certain, 1e-30)
        sd = np.minimum(np.sqrt(variance).astype(np.float32), self._widest[columns])
        old = V[columns].copy()
        noise = self._rng.standard_normal(old.shape, dtype=np.float32)
        V[columns] += sd[:, None] * noise
        if self.nonnegative:
            np.abs(V, out=V)
        if side.table is not None:
            block = sides.design.blocks[s - len(sides.design.fields)]
            q, c = sides.machine.block_rows(block, sides.n_threads)
            dq, dc = q - side.table.q, c - side.table.c
            side.table.q[...], side.table.c[...] = q, c
            if not sides.pair:
                move_rows(0, len(sides.f), side.codes, q, dq, dc, sides.f, sides.Q)
        elif not sides.pair:
            sides.follow_columns(side, columns, old)

    def end(self, sweep: int) -> None:
        """Average the solution of a whole sweep."""
        self.solution.bias = self.sides.machine.bias
        if sweep <= self.burn_in:
            return
        V = self.solution.factors
        if self.count and V.shape[1] and not self.nonnegative:
            left, _, right = np.linalg.svd((V.T @ self.mean.factors).astype(np.float64))
            V = V @ (left @ right).astype(np.float32)
        with uninterrupted():
            self.count += 1
            share = np.float32(1 / self.count)
            self.mean.bias += (self.solution.bias - self.mean.bias) / self.count
            self.mean.linear += share * (self.solution.linear - self.mean.linear)
            self.mean.factors += share * (V - self.mean.factors)

    @property
    def machine(self) -> FactorizationMachine:
        """The average; of fits that end before there is one, the last solution."""
        return self.mean if self.count else self.solution

    def kept(self) -> str:
        """What Ctrl-C keeps."""
        return f"the average of the last {self.count} sweeps" if self.count else "the machine so far"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What the average goes on from, beside `count` and the biases."""
        machines = {"solution": self.solution, "mean": self.mean}
        named = {f"{name}.linear": machine.linear for name, machine in machines.items()}
        return (
            named
            | {f"{name}.factors": machine.factors for name, machine in machines.items()}
            | {"energies": self._energies}
        )

    def _energy(self, s: int) -> float:
        """Mean over rows of sum_j x_j^2 v_jf^2, and over the dimensions: what a side adds to a row, squared."""
        columns = _span(self.sides.sides[s].columns)
        V = self.sides.machine.factors[columns]
        squares = float(row_dots(V, V) @ self.squares[columns])
        return float(squares / (max(V.shape[1], 1) * self._total))


def _span(columns: NDArray[np.int32]) -> slice | NDArray[np.int32]:
    """Columns as a slice where they follow each other: views, not copies."""
    first, last = (int(columns[0]), int(columns[-1])) if len(columns) else (0, -1)
    adjacent = last - first + 1 == len(columns) and bool((np.diff(columns) == 1).all())
    return slice(first, last + 1) if adjacent else columns
