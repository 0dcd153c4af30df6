"""ALS by sides: for every column one ridge system for its weight and factors, the columns of a field in parallel.

Columns of a field share no row, so each can be solved exactly while the others of the field move: a sweep is block
coordinate descent on the objective, which never rises. For the log loss each sweep lowers the quadratic bound of
Jaakkola and Jordan ("Bayesian parameter estimation via variational methods", 2000) at the predictions before it, rows
of weight tanh(f/2) / 2f with targets (y - 1/2) / weight, which keeps the descent monotone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fmkit.checkpoint import State, fill, live_arrays, take_rows
from fmkit.machine import FactorizationMachine
from fmkit.progress import Progress
from fmkit.solvers.columns import NONE, solve_columns
from fmkit.solvers.logistic import bound_curvature
from fmkit.solvers.nonnegative import solve_nonnegative
from fmkit.solvers.objective import Objective
from fmkit.solvers.shaking import Shaking
from fmkit.solvers.sides import Prior, make_sides

if TYPE_CHECKING:
    import torch


def als(
    objective: Objective, machine: FactorizationMachine, n_threads: int
) -> Iterator[Progress[FactorizationMachine]]:
    """Sweep for as long as the caller asks for more.

    Parameters
    ----------
    objective : Objective
    machine : FactorizationMachine
        The start, fitted in place. If its factors are all zero they stay so.
    n_threads : int
        The result is the same, bit for bit, for any number.

    Yields
    ------
    Progress
        One a sweep.
    """
    return iter(Als(objective, machine, n_threads))


class Als:
    """`als` as something that can be left after a sweep and taken up again (`fmkit.checkpoint.Resumable`).

    Parameters
    ----------
    objective, machine, n_threads
        As for `als`. The machine is the result, too, unless sweeps are averaged.
    nonnegative : bool
        Keep the factors from falling below zero; those of the start must not be. For designs without blocks.
    device : torch.device, optional
        Where columns are solved for, if not by the package's kernels. For designs without blocks, too.
    """

    def __init__(
        self,
        objective: Objective,
        machine: FactorizationMachine,
        n_threads: int,
        nonnegative: bool = False,
        device: torch.device | None = None,
    ) -> None:
        assert not (nonnegative and objective.design.blocks), "blocks have no non-negative steps"
        self.objective, self.sweep, self.nonnegative = objective, 0, nonnegative
        step = solve_nonnegative if nonnegative else solve_columns
        rows = objective.design, machine, objective.y, objective.weights, n_threads
        self.sides = make_sides(*rows, changing=objective.logistic, step=step, device=device)
        self.shaking: Shaking | None = None

    def average(self, spread: float, burn_in: int, seed: int) -> None:
        """Shake the sweeps to come and average those after `burn_in`; see `fmkit.solvers.shaking`."""
        self.shaking = Shaking(self.objective, self.sides, spread, burn_in, seed, self.nonnegative)

    @property
    def machine(self) -> FactorizationMachine:
        """The result so far."""
        return self.shaking.machine if self.shaking else self.sides.machine

    def __iter__(self) -> Iterator[Progress[FactorizationMachine]]:
        start = time.perf_counter()
        objective, sides, machine = self.objective, self.sides, self.sides.machine
        y, weights, logistic = objective.y, objective.weights, objective.logistic
        priors = [no_prior(machine.n_factors)] * (int(sides.groups.max(initial=0)) + 1)
        penalties = objective.penalties.linear, objective.penalties.factors
        f = sides.predict() if logistic else NONE
        last = len(sides.sides) - 1
        shaking = self.shaking
        while True:
            self.sweep += 1
            if shaking:
                shaking.begin(self.sweep)
            if logistic:
                curvature = bound_curvature(f, sides.n_threads)
                sides.set_targets(
                    (y - np.float32(0.5)) / curvature, curvature if weights is None else curvature * weights
                )
            loss = 0.0
            for s in range(len(sides.sides)):
                loss = float(sides.solve(s, priors, penalties)[:, 0].sum())
                if shaking:
                    shaking.take(s)
                    if s < last:
                        shaking.shake(s)
            slope, curve = sides.residual_sums(None if sides.pair else sides.weights)
            if curve > 0:
                sides.move_bias(slope / curve)
                loss -= slope**2 / curve
            if logistic:
                f = sides.predict()
                loss = float(np.average(np.logaddexp(0, f) - y * f, weights=weights))
            elif sides.pair:
                loss /= objective.total_weight
            else:
                loss = float(np.average(np.square(sides.residuals()), weights=weights))
            if shaking:
                shaking.end(self.sweep)
                shaking.shake(last)
                f = sides.predict() if logistic else NONE
            yield Progress(self.sweep, loss, time.perf_counter() - start, self.machine)

    def state(self) -> State:
        """What the descent goes on from after a sweep."""
        facts = {"bias": self.sides.machine.bias, "sweep": self.sweep}
        if self.shaking is None:
            return State(facts, live_arrays(self.sides))
        facts |= {"count": self.shaking.count, "mean": self.shaking.mean.bias}
        return State(facts, live_arrays(self.sides) | self.shaking.arrays())

    def resume(self, state: State) -> None:
        """Go on from a state of the same fit."""
        arrays = live_arrays(self.sides)
        fill(arrays, state.arrays)
        take_rows(self.sides, arrays)
        self.sides.machine.bias, self.sweep = float(state.facts["bias"]), int(state.facts["sweep"])
        if self.shaking is not None:
            fill(self.shaking.arrays(), state.arrays)
            self.shaking.count, self.shaking.mean.bias = int(state.facts["count"]), float(state.facts["mean"])


def no_prior(n_factors: int) -> Prior:
    """A prior of precision zero, beside penalties."""
    return Prior(np.zeros(n_factors + 1, np.float32), np.zeros(n_factors + 1, np.float32))
