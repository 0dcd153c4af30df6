"""The solver's units and the user's: columns centred and scaled, targets centred and scaled, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design, Field
from fmkit.machine import FactorizationMachine
from fmkit.posterior import Posterior
from fmkit.solvers.centring import centred, shifted
from fmkit.solvers.groups import find_groups
from fmkit.solvers.penalties import column_sums


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
        """For penalties that bring their units along: columns are centred only. Returns the design as the solver sees it."""
        design, means = centred(design, weights)
        return design, cls(means, np.ones(design.n_features, np.float32), offset, 1.0)

    @classmethod
    def of_priors(
        cls, design: Design, weights: NDArray[np.float32] | None, offset: float, spread: float
    ) -> tuple[Design, Frame]:
        """For priors that columns share: entries of a group have unit mean square, single columns each by itself."""
        design, means = centred(design, weights)
        groups = find_groups(design)
        squares, counts = column_sums(design, weights)
        n_groups = int(groups.max(initial=-1)) + 1
        of_group = np.bincount(groups, squares, n_groups), np.bincount(groups, counts, n_groups)
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
        square = np.square(self.units)
        return Posterior(
            self.to_user(posterior.machine),
            posterior.linear_variance * (np.float32(self.spread**2) / square),
            posterior.factor_variance * (np.float32(self.spread) / square)[:, None],
            posterior.noise / self.spread**2,
            posterior.noise_levels,
            self.means,
            [self.to_user(machine) for machine in posterior.draws],
        )


def _in_units(field: Field, columns: NDArray[np.int32], units: NDArray[np.float32]) -> Field:
    of_columns = units[columns[field.columns]]
    if (of_columns == 1).all() or field.values is None:
        return field
    return replace(field, values=field.values / of_columns[field.codes])
