"""Block Gibbs sampling: ALS plus noise, with priors and noise levels drawn along.

A sweep draws, side by side and column by column, (v_j, w_j) from its Gaussian posterior given all else; before that the
prior of each group of columns, an own mean and precision in each dimension with a normal-gamma hyper-prior (Rendle,
"Factorization Machines with libFM", TIST 2012); after it the noise (`fmkit.solvers.noise`). Every random number is a
function of the seed, the sweep and what is drawn, so that a chain is the same for any number of threads, and goes on
from a checkpoint as if it had never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import lsmr

from fmkit.checkpoint import State, fill, live_arrays, pack_machines, take_rows, unpack_machines
from fmkit.design import Design
from fmkit.machine import FactorizationMachine
from fmkit.posterior import Posterior
from fmkit.progress import Progress
from fmkit.solvers.averaging import RunningMoments, centred, uninterrupted
from fmkit.solvers.hierarchy import Hierarchies, Hierarchy
from fmkit.solvers.latent import LatentRows, noise_levels
from fmkit.solvers.likelihood import Likelihood
from fmkit.solvers.sides import Prior, Sides, make_sides

if TYPE_CHECKING:
    import torch

# The hyper-prior of a dimension's mean and precision, for targets of unit variance: Gamma(1/2, 1/2), and a mean that is
# worth one column more.
A0, C0, BETA0 = 0.5, 0.5, 1.0
COLUMNS, LEVELS = 1, 2  # streams of random numbers; the second and those after it are the sides' levels


def columns_by_group(groups: NDArray[np.int32]) -> list[slice | NDArray[np.intp]]:
    """The columns of each group, as a slice where they follow each other."""
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(int(groups.max(initial=-1)) + 2))
    parts: list[slice | NDArray[np.intp]] = []
    for a, b in pairwise(bounds):
        columns = order[a:b]
        adjacent = len(columns) > 0 and columns[-1] - columns[0] == len(columns) - 1
        parts.append(slice(int(columns[0]), int(columns[-1]) + 1) if adjacent else columns)
    return parts


def moments(machine: FactorizationMachine, columns: Any) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Number, mean and scatter about the mean of a group's columns, factors first."""
    V, w = machine.factors[columns], machine.linear[columns]
    mean = np.append(V.mean(axis=0, dtype=np.float64), w.mean(dtype=np.float64))
    squares = np.append(np.einsum("jf,jf->f", V, V, dtype=np.float64), np.dot(w, w.astype(np.float64)))
    return len(w), mean, np.maximum(squares - len(w) * np.square(mean), 0)


def draw_prior(m: int, mean: NDArray[np.float64], scatter: NDArray[np.float64], rng: np.random.Generator) -> Prior:
    """A group's prior given the moments of its columns."""
    precision = rng.gamma(A0 + m / 2, size=len(mean)) / (C0 + scatter / 2 + BETA0 * m / (BETA0 + m) * mean**2 / 2)
    centre = m * mean / (BETA0 + m) + rng.standard_normal(len(mean)) / np.sqrt(precision * (BETA0 + m))
    return Prior(precision.astype(np.float32), centre.astype(np.float32))


class Chain:
    """A Markov chain: iterate over it for sweeps, then ask for the `posterior`.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (n_rows,), float32
        Targets, of about unit variance; not looked at with a likelihood.
    weights : ndarray of shape (n_rows,), float32, or None
    machine : FactorizationMachine
        The start; it becomes the draw of each sweep.
    noise_fields : sequence of int, or None
        Sides (fields, then blocks) whose levels have a noise precision of their own; None for those with many rows
        a level.
    burn_in : int
        Sweeps before draws are averaged.
    n_sweeps : int
        Sweeps that will be asked for: what thinning goes by.
    keep_draws : int
        Draws to keep, evenly thinned.
    seed : int
        Key of the random numbers, positive.
    n_threads : int
    tell_mean : bool
        Whether the machines that are told after the burn-in are means, not draws.
    likelihood : Likelihood, optional
        Of the rows, with the same weights; by default they are Gaussian.
    device : torch.device, optional
        Where columns are drawn, if not by the package's kernels; of designs without blocks.

    Attributes
    ----------
    cutpoints : ndarray of shape (n_classes - 1,), float64
        Of the likelihood, averaged as the draws are.
    """

    def __init__(
        self,
        design: Design,
        y: NDArray[np.float32],
        weights: NDArray[np.float32] | None,
        machine: FactorizationMachine,
        *,
        noise_fields: Sequence[int] | None,
        burn_in: int,
        n_sweeps: int,
        keep_draws: int,
        seed: int,
        n_threads: int,
        tell_mean: bool = False,
        likelihood: Likelihood | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.hierarchies = Hierarchies(design, machine, n_threads)
        design = self.hierarchies.design
        changing = likelihood is not None
        self.sides = sides = make_sides(design, machine, y, weights, n_threads, changing=changing, device=device)
        self.noise = noise_levels(sides, self.hierarchies.sides(noise_fields), weights, likelihood)
        self.rows = None if likelihood is None else LatentRows(sides, self.noise, likelihood)
        self.cutpoints = np.zeros(0) if likelihood is None else np.zeros_like(likelihood.cutpoints)
        self.seed, self.burn_in, self.n_sweeps, self.keep_draws = seed, burn_in, n_sweeps, keep_draws
        self.sweep = 0
        self.trace: list[dict[str, float]] = []
        self.draws: list[FactorizationMachine] = []
        self._columns = columns_by_group(sides.groups)
        self._priors = [draw_prior(*self._moments_of(g), _generator(seed, 0)) for g in range(len(self._columns))]
        # Rows of tables are averaged beside the columns: their posteriors are tighter than their columns'.
        self._table_rows: dict[int, slice] = {}
        first = design.n_features
        for s, side in enumerate(sides.sides):
            if side.table is not None:
                self._table_rows[s] = slice(first, first + side.n_levels)
                first += side.n_levels
        self.moments = RunningMoments(first, machine.n_factors, self._pair(), self._counts(first))
        self.tell_mean = tell_mean
        self._noise_mean = 0.0
        self._level_means = {s: np.zeros(len(tau)) for s, tau in self.noise.levels.items()}

    def __iter__(self) -> Iterator[Progress[FactorizationMachine]]:
        start = time.perf_counter()
        while True:
            loss = self.advance()
            machine = self.collect(loss)
            yield Progress(self.sweep, loss, time.perf_counter() - start, machine)

    def advance(self) -> float:
        """One sweep; returns its loss."""
        self.sweep += 1
        return self._step()

    def collect(self, loss: float) -> FactorizationMachine:
        """Take the draw in, after the burn-in; returns the machine to be told."""
        self.trace.append({"loss": loss, "noise": self.noise.common, **self._told_priors()})
        machine = self.sides.machine
        if self.sweep > self.burn_in:
            with uninterrupted():
                self._average()
            if self.tell_mean:
                machine = self._mean(self.moments.mean())
        return self.hierarchies.expanded(machine)

    @property
    def told_cutpoints(self) -> NDArray[np.float64]:
        """Cutpoints that go with the machine that is told, (n_classes - 1,), float64."""
        assert self.rows is not None
        return self.cutpoints if self.tell_mean and self.moments.count else self.rows.likelihood.cutpoints

    def _step(self) -> float:
        """One sweep; returns the draw's mean squared error, rows weighted as their noise has it, or mean log loss."""
        sides, noise, machine = self.sides, self.noise, self.sides.machine
        rng = _generator(self.seed, self.sweep)
        key, sweep = np.uint64(self.seed), np.uint32(self.sweep)
        total = 0.0
        if self.rows is not None:
            self.rows.rescale(self._chance_of_scale, rng)
            self.hierarchies.tell(machine)
            self.rows.augment((np.uint64(self.seed), self.sweep, rng))
        for s in range(len(sides.sides)):
            hierarchy = self.hierarchies.of_side.get(s)
            for g in groups_of(sides, s, hierarchy):
                self._priors[g] = draw_prior(*self._moments_of(g), rng)
            draw = (key, np.uint32(COLUMNS), sweep)
            centres = None if hierarchy is None else hierarchy.centres(machine, self._priors[hierarchy.group])
            how: dict[str, Any] = {"scale": noise.scale(s), "level": noise.level(s), "draw": draw}
            sums = sides.solve(s, self._priors, **how, centres=centres)
            if hierarchy is not None:
                hierarchy.solve_members(machine, self._priors, draw)
            if sides.pair:
                if s in noise.levels:
                    noise.update_side(s, sums[:, 0], (key, np.uint32(LEVELS + s), sweep, rng))
                tau = noise.levels.get(s)
                total = float(sums[:, 0].sum() if tau is None else sums[:, 0] @ tau)
        if not sides.pair:
            total = noise.update_rows(np.square(sides.residuals()), (key, LEVELS, sweep, rng))
        noise.update_common(total, rng)
        slope, curve = sides.residual_sums(noise.scale(len(sides.sides) - 1) if sides.pair else noise.of_rows())
        if curve > 0:
            sides.move_bias(slope / curve + rng.standard_normal() / np.sqrt(curve))
        if self.rows is not None:
            return self.rows.loss()
        return total * noise.common / max(curve, 1e-30)

    def _average(self) -> None:
        machine, tables = self.sides.machine, [self.sides.sides[s].table for s in self._table_rows]
        if tables:
            linear = np.concatenate([machine.linear, *(table.c for table in tables if table)])
            factors = np.concatenate([machine.factors, *(table.q for table in tables if table)])
            machine = FactorizationMachine(machine.bias, linear, factors)
        elif self.hierarchies.of_side and (pair := self._pair()):  # members drift more than ids, by orders
            machine = centred(machine, pair, self._counts(machine.n_features), self._members())
        self.moments.add(machine)
        share = 1 / self.moments.count
        if self.rows is not None:
            self.cutpoints += share * (self.rows.likelihood.cutpoints - self.cutpoints)
        self._noise_mean += share * (self.noise.common - self._noise_mean)
        for s, tau in self.noise.levels.items():
            self._level_means[s] += share * (tau - self._level_means[s])
        due = self.keep_draws * self.moments.count // max(self.n_sweeps - self.burn_in, 1)
        if due > len(self.draws) and len(self.draws) < self.keep_draws:
            draw = self.hierarchies.expanded(self.sides.machine)
            self.draws.append(draw.copy() if draw is self.sides.machine else draw)

    def _chance_of_scale(self, step: float) -> float:
        """Log ratio of prior densities, volumes included, of the machine times e^step and of itself."""
        chance = step * (1 + self.sides.machine.n_features * (1 + self.sides.machine.n_factors / 2))
        powers = np.append(np.ones(self.sides.machine.n_factors), 2.0)
        for g in range(len(self._columns)):
            m, mean, scatter = self._moments_of(g)
            rate = C0 + (scatter + BETA0 * m / (BETA0 + m) * mean**2) / 2
            chance -= (A0 + m / 2) * float(np.log1p((1 - C0 / rate) * np.expm1(powers * step)).sum())
        return chance

    def _moments_of(self, g: int) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
        """Moments of a group about what its prior says of its columns."""
        return moments_of_group(self.sides.machine, g, self._columns[g], self.hierarchies)

    def _told_priors(self) -> dict[str, float]:
        told = {f"weights of group {g}": float(prior.precision[-1]) for g, prior in enumerate(self._priors)}
        if self.sides.machine.n_factors:
            factors = [float(1 / np.mean(1 / prior.precision[:-1])) for prior in self._priors]
            if len(factors) == 2 and self.sides.pair and not self._table_rows:
                told["factors"] = float(np.sqrt(factors[0] * factors[1]))  # the scale between two fields is free
            else:
                told |= {f"factors of group {g}": precision for g, precision in enumerate(factors)}
        for s, shape in self.noise.shapes.items():
            told[f"noise shape of side {s}"] = shape
        if self.rows is not None and len(self.rows.likelihood.log_gaps):
            told |= {f"cutpoint {i}": float(cut) for i, cut in enumerate(self.rows.likelihood.cutpoints)}
        return told

    def kept(self) -> str:
        """What `posterior` is of."""
        n = self.moments.count
        if n:
            return f"the average of {n} draws" if n > 1 else "a single draw"
        return f"the burn-in of {self.burn_in} sweeps was not over: only the present draw"

    def state(self) -> State:
        """What the chain goes on from after a sweep: priors are drawn anew from the machine."""
        facts = {
            "bias": self.sides.machine.bias,
            "sweep": self.sweep,
            "trace": self.trace,
            "noise": self.noise.facts(),
            "noise_mean": self._noise_mean,
            "log_gaps": [] if self.rows is None else self.rows.likelihood.log_gaps.tolist(),
            "moments": {name: getattr(self.moments, name) for name in ("count", "bias", "filled")},
        }
        return State(facts, {**self._arrays(), **pack_machines(self.draws, "draws")})

    def resume(self, state: State) -> None:
        """Go on from a state of the same chain."""
        facts = state.facts
        arrays = self._arrays()
        fill(arrays, state.arrays)
        take_rows(self.sides, arrays)
        self.hierarchies.tell(self.sides.machine)
        self.noise.resume(facts["noise"])
        if self.rows is not None:
            self.rows.likelihood.log_gaps[:] = facts["log_gaps"]
        self.sides.machine.bias, self._noise_mean = float(facts["bias"]), float(facts["noise_mean"])
        self.moments.count, self.moments.filled = int(facts["moments"]["count"]), int(facts["moments"]["filled"])
        self.moments.bias, self.sweep = float(facts["moments"]["bias"]), int(facts["sweep"])
        self.trace[:] = [dict(row) for row in facts["trace"]]
        self.draws[:] = unpack_machines(state.arrays, "draws")

    def _arrays(self) -> dict[str, NDArray[Any]]:
        means = {f"level means.{s}": mean for s, mean in self._level_means.items()}
        means["cutpoint means"] = self.cutpoints
        return {**live_arrays(self.sides), **self.noise.arrays(), **self.moments.arrays(), **means}

    def posterior(self) -> Posterior:
        """What the draws so far tell; of the present draw alone if none is averaged yet."""
        if not self.moments.count:
            self._average()
        machine = self._mean(self.moments.full_mean())
        levels = self.noise.by_column(self._level_means)
        linear, factor, covariance = (array[: machine.n_features].copy() for array in self.moments.variances())
        stands = np.zeros(machine.n_features, bool)
        for s, rows in self._table_rows.items():
            own = self.sides.sides[s].own
            if own is not None:
                for array, of_all in zip((linear, factor, covariance), self.moments.variances(), strict=True):
                    array[own[0]] = of_all[rows]
                stands[own[0]] = True
        stands[self.hierarchies.own] = True
        machine = self.hierarchies.expanded(machine)
        zero = np.zeros(machine.n_features)
        return Posterior(machine, linear, factor, covariance, stands, self._noise_mean, levels, zero, self.draws)

    def _mean(self, machine: FactorizationMachine) -> FactorizationMachine:
        """The machine of the columns from one of columns and table rows, true to the means of the rows.

        A pair of columns inside a row has a mean product that is not the product of the means, and what two rows have
        in common beyond their means is told of rows, not of columns: both go to the row's own column. Where there is
        none, weights make up for the first in the least squares.
        """
        n = self.sides.design.n_features
        mean = FactorizationMachine(machine.bias, machine.linear[:n], machine.factors[:n])
        k = self.sides.machine.n_factors
        for s, rows in self._table_rows.items():
            block, own = self.sides.design.blocks[s - len(self.sides.design.fields)], self.sides.sides[s].own
            if mean.linear.base is not None:
                mean = mean.copy()
            if own is not None:
                mean.factors[own[0], k:] = machine.factors[rows, k:]
            gap = machine.linear[rows] - mean.block_rows(block, self.sides.n_threads)[1]
            if own is not None:
                mean.linear[own[0]] += gap
            else:
                change = lsmr(block.table.csr, gap.astype(np.float64), damp=1e-3, maxiter=100)[0]
                mean.linear[block.columns] += change.astype(np.float32)
        return mean

    def _pair(self) -> tuple[slice, slice] | None:
        """Where the levels of two sides, of which every row has one each, stand among columns and table rows."""
        if not self.sides.pair:
            return None
        slices = []
        for s, side in enumerate(self.sides.sides):
            if side.table is not None:
                if self.sides.sides[s].own is None:
                    return None
                slices.append(self._table_rows[s])
            else:
                first, last = int(side.columns[0]), int(side.columns[-1])
                if last - first + 1 != side.n_levels:
                    return None
                slices.append(slice(first, last + 1))
        return slices[0], slices[1]

    def _members(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Columns that tell where those of each of two sides are expected."""
        found = [self.hierarchies.of_side.get(s) for s in range(2)]
        nothing = np.empty(0, np.int32)
        first, second = (nothing if one is None else one.members.columns for one in found)
        return first, second

    def _counts(self, n: int) -> NDArray[np.int64]:
        """Rows of each column of a field and of each table row; 0 for a table's columns."""
        counts = np.zeros(n, np.int64)
        for s, side in enumerate(self.sides.sides):
            counts[side.columns if side.table is None else self._table_rows[s]] = np.diff(side.ptr)
        return counts


def moments_of_group(
    machine: FactorizationMachine, g: int, columns: Any, hierarchies: Hierarchies
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """`moments` of a group's columns, of the rows of a hierarchical block about what their members tell."""
    hierarchy = hierarchies.of_group(g)
    return moments(machine, columns) if hierarchy is None else moments(hierarchy.residuals(machine), slice(None))


def groups_of(sides: Sides, s: int, hierarchy: Hierarchy | None) -> list[int]:
    """The groups of a side's columns, and of the members of its rows."""
    side = sides.sides[s]
    if side.table is None:
        return [side.group] if hierarchy is None else [side.group, *hierarchy.groups]
    return list(dict.fromkeys(group for _, _, group, _ in side.table.members.runs))


def _generator(seed: int, sweep: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, sweep]))
