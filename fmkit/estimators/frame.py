"""The solver's units and the user's: columns centred and scaled, targets centred and scaled, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.fields import Field
from fmkit.machine import FactorizationMachine
from fmkit.posterior import GroupPriors, Posterior
from fmkit.solvers.centring import centred, shifted
from fmkit.solvers.groups import find_groups
from fmkit.solvers.mcmc import A0, BETA0, C0, Chain, columns_by_group, moments
from fmkit.solvers.penalties import column_sums
from fmkit.solvers.vb import Variational


@dataclass(frozen=True)
class Frame:
    """A solver sees (x - means) / units and (y - offset) / spread.

    Parameters
    ----------
    means : ndarray of shape (n_features,), float64
    units : ndarray of shape (n_features,), float32
    offset, spread : float
    """

    means: NDArray[np.float64]
    units: NDArray[np.float32]
    offset: float
    spread: float

    @classmethod
    def of_ridge(cls, design: Design, weights: NDArray[np.float32] | None, offset: float) -> tuple[Design, Frame]:
        """For penalties that bring their units along: columns are centred only. Returns the solver's design, too."""
        design, means = centred(design, weights)
        return design, cls(means, np.ones(design.n_features, np.float32), offset, 1.0)

    @classmethod
    def of_priors(
        cls, design: Design, weights: NDArray[np.float32] | None, offset: float, spread: float
    ) -> tuple[Design, Frame]:
        """For priors that columns share: what a group adds to a row has unit mean square, single columns each by
        itself.

        So a bag of many small entries starts, and is expected a priori, where a one-hot field is.
        """
        design, means = centred(design, weights)
        groups = find_groups(design)
        squares, counts = column_sums(design, weights)
        n_groups = int(groups.max(initial=-1)) + 1
        everywhere = float(design.n_rows if weights is None else weights.sum(dtype=np.float64))
        of_group = np.bincount(groups, squares, n_groups), np.bincount(groups, counts, n_groups)
        of_group = of_group[0], np.minimum(of_group[1], everywhere)
        alone = means != 0
        square = np.where(alone, squares, of_group[0][groups])
        count = np.where(alone, counts, of_group[1][groups])
        units = np.sqrt(np.divide(square, count, out=np.ones(len(count)), where=square > 0)).astype(np.float32)
        if (units == 1).all():
            return design, cls(means, units, offset, spread)
        every = np.arange(design.n_features, dtype=np.int32)
        fields = tuple(_in_units(field, every, units) for field in design.fields)
        blocks = []
        for block in design.blocks:
            scaled = tuple(_in_units(field, block.columns, units) for field in block.table.fields)
            blocks.append(replace(block, table=replace(block.table, fields=scaled)))
        return replace(design, fields=fields, blocks=tuple(blocks)), cls(means, units, offset, spread)

    def to_user(self, machine: FactorizationMachine) -> FactorizationMachine:
        """A machine of the user's X and y."""
        root = np.float32(np.sqrt(self.spread))
        linear = machine.linear * (np.float32(self.spread) / self.units)
        factors = machine.factors * (root / self.units)[:, None]
        machine = shifted(FactorizationMachine(machine.bias * self.spread, linear, factors), self.means)
        machine.bias += self.offset
        return machine

    def to_solver(self, machine: FactorizationMachine) -> FactorizationMachine:
        """The reverse of `to_user`."""
        start = shifted(machine, -self.means)
        root = np.float32(np.sqrt(self.spread))
        linear = start.linear * (self.units / np.float32(self.spread))
        return FactorizationMachine(
            (start.bias - self.offset) / self.spread, linear, start.factors * (self.units / root)[:, None]
        )

    def posterior_to_user(self, posterior: Posterior) -> Posterior:
        """A posterior of the user's X and y."""
        square: Any = np.square(self.units)
        return Posterior(
            self.to_user(posterior.machine),
            posterior.linear_variance * (np.float32(self.spread**2) / square),
            posterior.factor_variance * (np.float32(self.spread) / square)[:, None],
            posterior.covariance * (np.float32(self.spread**1.5) / square[: len(posterior.covariance)])[:, None],
            posterior.stands_for_row,
            posterior.noise / self.spread**2,
            posterior.noise_levels,
            self.means,
            [self.to_user(machine) for machine in posterior.draws],
            None if posterior.priors is None else self._priors_to_user(posterior.priors),
        )

    def _priors_to_user(self, priors: GroupPriors) -> GroupPriors:
        """Of the targets' units; those of the columns go along."""
        k, spread = priors.precision.shape[1] - 1, self.spread
        unit = np.append(np.full(k, np.sqrt(spread)), spread).astype(np.float32)  # of factors, of the weight
        precision = np.asarray(priors.precision / np.square(unit), np.float32)
        return replace(priors, units=self.units, precision=precision, centre=priors.centre * unit)


def group_priors(solver: Chain | Variational, posterior: Posterior) -> GroupPriors:
    """The expected prior of each group given the posterior of its columns.

    As VB infers it: the normal-gamma of a dimension given means and variances. For a chain, these are of draws turned
    alike (`fmkit.solvers.averaging`), which its own priors are not.
    """
    sides, k = solver.sides, posterior.factor_variance.shape[1]
    n_groups = int(sides.groups.max(initial=-1)) + 1
    precision, centre = np.ones((n_groups, k + 1), np.float32), np.zeros((n_groups, k + 1), np.float32)
    for g, columns in enumerate(columns_by_group(sides.groups)):
        hierarchy, machine, some = solver.hierarchies.of_group(g), posterior.machine, columns
        if hierarchy is not None:  # its rows' prior is of their weights with the pairs inside, about their members
            machine, some = hierarchy.about_members(machine), slice(None)
        m, mean, scatter = moments(FactorizationMachine(0.0, machine.linear, machine.factors[:, :k]), some)
        of_factors = posterior.factor_variance[columns].sum(axis=0, dtype=np.float64)
        scatter += np.append(of_factors, posterior.linear_variance[columns].sum(dtype=np.float64))
        precision[g] = (A0 + m / 2) / (C0 + scatter / 2 + BETA0 * m / (BETA0 + m) * mean**2 / 2)
        centre[g] = m * mean / (BETA0 + m)
    shape = np.zeros(n_groups, np.float32)
    for s, last in solver.noise.shapes.items():
        of_levels = sides.sides[s].own
        name = f"noise shape of side {s}"
        told = [row[name] for row in solver.trace[len(solver.trace) // 2 :] if name in row]
        if of_levels is not None:
            shape[sides.groups[of_levels[0][:1]]] = np.exp(np.mean(np.log(told))) if told else last
    units = np.ones(len(sides.groups), np.float32)
    return GroupPriors(sides.groups.astype(np.int32), units, precision, centre, shape)


def _in_units(field: Field, columns: NDArray[np.int32], units: NDArray[np.float32]) -> Field:
    of_columns = units[columns[field.columns]]
    if (of_columns == 1).all():
        return field
    values = np.float32(1) if field.values is None else field.values
    return replace(field, values=values / of_columns[field.codes])
