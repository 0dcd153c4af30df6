"""Hierarchical blocks: what is known of a user tells where the user's vector is to be expected.

A table's row u has a column of its own, (v_u, w_u), and members theta_l = (v_l, w_l) with values x_ul. The ratings see
their sum alone, T_u = (q_u, c_u), the pairs inside the row included. So T is the unknown, a column of a one-hot field,
and has the prior N(mu + sum_l x_ul theta_l, diag(lambda)^-1): a regression a dimension (Agarwal and Chen,
"Regression-based latent factor models", KDD 2009). The members are found given T, without a rating being read, and
what T has in common with the ratings is told by a full covariance. In turns with the members themselves
(`fmkit.solvers.members`) a chain moves slowly, and VB takes the sum of 150 members for far less certain than it is.

It is the same machine with another prior: that of a row's own weight is put on w_u and the pairs inside the row
together. While a solver works, a row's own column holds T; `Hierarchies.expanded` turns that into a machine of the
user's design.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Block, Design, own_field
from fmkit.draws import fill_normals
from fmkit.fields import Field
from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, LANES, padded, rank_update, row_dots
from fmkit.machine import FactorizationMachine, for_each_block, sum_factor_rows
from fmkit.solvers.columns import NONE, TILE
from fmkit.solvers.groups import find_groups
from fmkit.solvers.members import Members, add_weighted
from fmkit.solvers.sides import NO_DRAW, Prior
from fmkit.threads import for_each

Floats = NDArray[np.float32]
Draw = tuple[np.uint64, np.uint32, np.uint32]


@dataclass
class Hierarchy:
    """A hierarchical block at work.

    Parameters
    ----------
    rows : Field
        The rows as columns of the design.
    own : ndarray of shape (n_table_rows,), int32
        The design's column of each row.
    group : int
        Group of these columns.
    members : Members
        All others.
    rest : Block
        The table without the own columns.
    sizes : ndarray of shape (n_members,), float64
        Sums of the squares of each member's values, in the order of `members.columns`.
    n_threads : int
    told : ndarray of shape (n_table_rows, k + 1), float32
        Where the members expect each row, but for a mean that all have.
    """

    rows: Field
    own: NDArray[np.int32]
    group: int
    members: Members
    rest: Block
    sizes: NDArray[np.float64]
    n_threads: int
    told: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @classmethod
    def of_block(cls, block: Block, groups: NDArray[np.int32], n_threads: int) -> Hierarchy:
        """From a block with a column of its own for each row of its table, and the groups of the design's columns."""
        own = own_field(block.table)
        assert own is not None
        levels = block.columns[own.columns]
        group = int(groups[levels[0]])
        others = tuple(f for f in block.table.fields if f is not own)
        rest = replace(block, table=replace(block.table, fields=others))
        members = Members.of_table(rest.table, block.columns, groups)
        squares, counts = np.square(members.x, dtype=np.float64), np.diff(members.ptr)
        column = np.repeat(np.arange(len(counts)), counts)
        sizes = np.bincount(column, squares if len(squares) else None, len(counts)).astype(np.float64)
        rows = Field(levels, own.codes[block.codes])
        return cls(rows, levels[own.codes], group, members, rest, sizes, n_threads)

    @property
    def groups(self) -> list[int]:
        """Groups of the members."""
        return list(dict.fromkeys(group for _, _, group, _ in self.members.runs))

    def tell(self, machine: FactorizationMachine) -> None:
        """Renew `told` after a change of the members."""
        self.told = self._told_by(machine)

    def _told_by(self, machine: FactorizationMachine) -> Floats:
        columns, table = self.rest.columns, self.rest.table.csr
        theta = np.column_stack([machine.factors[columns], machine.linear[columns]])
        told = np.zeros((len(self.own), theta.shape[1]), np.float32)
        for_each_block(lambda rows, a, b: sum_factor_rows(*rows, theta, told[a:b]), table, self.n_threads)
        return told

    def residuals(self, machine: FactorizationMachine) -> FactorizationMachine:
        """What the rows are beyond that, as a machine of columns: what their prior is told by."""
        factors = machine.factors[self.own] - self.told[:, :-1]
        return FactorizationMachine(0.0, machine.linear[self.own] - self.told[:, -1], factors)

    def centres(self, machine: FactorizationMachine, prior: Prior) -> Floats:
        """Prior means of the rows at their own columns, shape (n_features, k + 1)."""
        centres = np.tile(prior.centre, (machine.n_features, 1))
        centres[self.own] += self.told
        return centres

    def solve_members(
        self,
        machine: FactorizationMachine,
        priors: Sequence[Prior],
        draw: Draw = NO_DRAW,
        variances: tuple[Floats, Floats] = (NONE, np.empty((0, 0), np.float32)),
    ) -> None:
        """Renew the members given the rows: by a draw, or by means and `variances` of weights and factors."""
        rest, k = self.residuals(machine), machine.n_factors
        R = np.zeros((len(self.own), padded(k + 1)), np.float32)
        R[:, :k], R[:, k] = rest.factors, rest.linear
        R[:, : k + 1] -= priors[self.group].centre
        members, of_rows = self.members, priors[self.group].precision
        for run in members.runs:
            prior = priors[run[2]]
            state: tuple[Any, ...] = (members.columns, members.ptr, members.holders, members.x)
            state += (R, machine.linear, machine.factors)
            state += (of_rows, prior.precision, prior.centre, draw, *variances)
            for_each(regress_members, [(*part, *state) for part in members.parts(run, self.n_threads)], self.n_threads)
        self.tell(machine)

    def about_members(self, machine: FactorizationMachine) -> FactorizationMachine:
        """As `residuals`, of a machine of the user's design: the own columns, with the pairs inside of each row."""
        factors = machine.factors[self.own]
        q, c = machine.block_rows(self.rest, self.n_threads)
        pairs = c - self._told_by(machine)[:, -1] + row_dots(q, factors)
        return FactorizationMachine(0.0, machine.linear[self.own] + pairs, factors)

    def variance_of_sums(self, linear: Floats, factors: Floats) -> NDArray[np.float64]:
        """Variance of what the members tell, given theirs, summed over the rows: shape (k + 1,)."""
        columns = self.members.columns
        return np.append(self.sizes @ factors[columns], self.sizes @ linear[columns])


class Hierarchies:
    """The hierarchical blocks of a design, and the design with their rows as columns of one-hot fields.

    Parameters
    ----------
    design : Design
    machine : FactorizationMachine
        Becomes one of whole rows, in place.
    n_threads : int

    Attributes
    ----------
    design : Design
        The fields, one more for each of these blocks, and the other blocks. It has the columns of the given one, of
        which members are in no field.
    of_side : dict of int to Hierarchy
        By number of the field.
    """

    def __init__(self, design: Design, machine: FactorizationMachine, n_threads: int) -> None:
        chosen = [block for block in design.blocks if block.hierarchical]
        self.of_side: dict[int, Hierarchy] = {}
        self.design, self._order = design, list(range(len(design.fields) + len(design.blocks)))
        if not chosen:
            return
        groups, fields = find_groups(design), list(design.fields)
        for block in chosen:
            hierarchy = Hierarchy.of_block(block, groups, n_threads)
            self.of_side[len(fields)] = hierarchy
            fields.append(hierarchy.rows)
            q, c = machine.block_rows(hierarchy.rest, n_threads)
            machine.linear[hierarchy.own] += c + row_dots(q, machine.factors[hierarchy.own])
            machine.factors[hierarchy.own] += q
            hierarchy.tell(machine)
        rest = tuple(block for block in design.blocks if not block.hierarchical)
        n = len(design.fields)
        places = [n + i for i, block in enumerate(design.blocks) if block.hierarchical]
        places += [n + i for i, block in enumerate(design.blocks) if not block.hierarchical]
        self._order = [*range(n), *places]
        self.design = replace(design, fields=tuple(fields), blocks=rest, groups=groups)

    @property
    def own(self) -> NDArray[np.int32]:
        """Columns that stand for rows of tables."""
        return np.concatenate([np.empty(0, np.int32), *(one.own for one in self.of_side.values())])

    def of_group(self, group: int) -> Hierarchy | None:
        """The one whose rows are this group of columns."""
        return next((one for one in self.of_side.values() if one.group == group), None)

    def sides(self, numbers: Sequence[int] | None) -> list[int] | None:
        """Numbers of sides of the given design as those of this one."""
        if numbers is None or not self.of_side:
            return None if numbers is None else list(numbers)
        return [self._order.index(s) if s in self._order else s for s in numbers]

    def tell(self, machine: FactorizationMachine) -> None:
        """Take in a machine that was changed from outside."""
        for one in self.of_side.values():
            one.tell(machine)

    def expanded(self, machine: FactorizationMachine) -> FactorizationMachine:
        """The machine of the given design that has the same values; the same one if there are no such blocks."""
        if not self.of_side:
            return machine
        machine = machine.copy()
        for one in self.of_side.values():
            q, c = machine.block_rows(one.rest, one.n_threads)
            machine.factors[one.own] -= q
            machine.linear[one.own] -= c + row_dots(q, machine.factors[one.own])
        return machine


@kernel(fastmath=FASTMATH)
def regress_members(
    first: int,
    last: int,
    columns: Any,
    ptr: Any,
    holders: Any,
    x: Any,
    R: Any,
    w: Any,
    V: Any,
    of_rows: Any,
    precision: Any,
    centre: Any,
    draw: Any,
    var_w: Any,
    var_v: Any,
) -> None:
    """Renew each of the columns first:last of `Members` given the rows, one after the other.

    Parameters
    ----------
    columns, ptr, holders, x
        Of `Members`.
    R : float32 array of shape (n_table_rows, padded(k + 1))
        What rows are beyond their prior means; kept up to date.
    w, V : float32 arrays of shape (n_features,), (n_features, k)
        Overwritten for these columns.
    of_rows : float32 array of shape (k + 1,)
        Precisions of the rows about their means.
    precision, centre : float32 arrays of shape (k + 1,)
        Prior of the columns.
    draw : tuple of (uint64, uint32, uint32)
        Key, stream and sweep of the random numbers; (0, 0, 0) for means.
    var_w, var_v : float32 arrays of shape (n_features,), (n_features, k), or without rows
        Get the variances.
    """
    k, width = V.shape[1], R.shape[1]
    step, noise = np.zeros((1, width), np.float32), np.zeros(width, np.float32)
    values, rows, value = np.ones(TILE, np.float32), np.empty(TILE, np.int64), np.ones((1, 1), np.float32)
    for j in range(first, last):
        c = columns[j]
        step[:] = 0
        square = np.float32(0)
        for start in range(ptr[j], ptr[j + 1], TILE):
            n = min(TILE, ptr[j + 1] - start)
            for r in range(n):
                rows[r] = holders[start + r]
                if len(x):
                    values[r] = x[start + r]
            # A loop of its own: beside stores it is compiled twice, for arrays that overlap and for others, with sums
            # of another order; and which it is, is told by addresses that reach beyond an array.
            for r in range(n):
                square += values[r] * values[r]
            for b in range(0, width, LANES):
                add_weighted(step, 0, b, values, rows, n, R, 0, b, 1)
        if draw[0]:
            fill_normals(draw[0], draw[1], draw[2], np.uint32(c), k + 1, noise)
        for i in range(k + 1):
            old = V[c, i] if i < k else w[c]
            full = precision[i] + of_rows[i] * square
            slope = precision[i] * (centre[i] - old) + of_rows[i] * step[0, i]
            step[0, i] = slope / full + noise[i] / np.sqrt(full)
            if i < k:
                V[c, i] = old + step[0, i]
            else:
                w[c] = old + step[0, i]
            if len(var_w):
                if i < k:
                    var_v[c, i] = np.float32(1) / full
                else:
                    var_w[c] = np.float32(1) / full
        for e in range(ptr[j], ptr[j + 1]):
            if len(x):
                value[0, 0] = x[e]
            for b in range(0, width, LANES):
                rank_update(R, holders[e], b, value, 0, 0, step, 0, b, 1, 1, 1)
