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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.design import Block, Design, Field, own_field
from fmkit.draws import fill_normals
from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH, padded
from fmkit.machine import FactorizationMachine
from fmkit.solvers.columns import NONE
from fmkit.solvers.groups import find_groups
from fmkit.solvers.members import Members
from fmkit.solvers.sides import NO_DRAW, Prior
from fmkit.threads import for_each

Floats = NDArray[np.float32]
Draw = tuple[np.uint64, np.uint32, np.uint32]


@dataclass(frozen=True)
class Hierarchy:
    """A hierarchical block at work.

    Parameters
    ----------
    field : Field
        The rows as columns of the design.
    own : ndarray of shape (n_table_rows,), int32
        The design's column of each row.
    group : int
        Group of these columns.
    members : Members
        All others.
    table : csr_array of shape (n_table_rows, n_members), float32
        Their values, in the order of `members.columns`.
    squares : csr_array
        The squares of these.
    """

    field: Field
    own: NDArray[np.int32]
    group: int
    members: Members
    table: sparse.csr_array
    squares: sparse.csr_array

    @classmethod
    def of_block(cls, block: Block, groups: NDArray[np.int32]) -> Hierarchy:
        """From a block with a column of its own for each row of its table, and the groups of the design's columns."""
        own = own_field(block.table)
        assert own is not None
        levels = block.columns[own.columns]
        group = int(groups[levels[0]])
        if np.count_nonzero(groups == group) > len(levels):
            raise ValueError(
                "the own columns of a hierarchical block's rows must be a group of their own: "
                "give them a label that no other column has in fields="
            )
        others = tuple(field for field in block.table.fields if field is not own)
        members = Members.of_table(replace(block.table, fields=others), block.columns, groups)
        place = np.empty(len(groups), np.int64)
        place[members.columns] = np.arange(len(members.columns))
        rest = replace(block.table, fields=others).to_csr()
        used = np.isin(np.arange(block.table.n_features), own.columns, invert=True)
        rest = rest[:, np.flatnonzero(used)[np.argsort(place[block.columns[used]])]]
        table = sparse.csr_array(rest)
        field = Field(levels, own.codes[block.codes])
        return cls(field, levels[own.codes], group, members, table, sparse.csr_array(table.multiply(table)))

    @property
    def groups(self) -> list[int]:
        """Groups of the members."""
        return list(dict.fromkeys(group for _, _, group, _ in self.members.runs))

    def told_by_members(self, machine: FactorizationMachine) -> Floats:
        """Where the members expect each row, but for a mean that all have: shape (n_table_rows, k + 1)."""
        columns = self.members.columns
        return np.asarray(self.table @ np.column_stack([machine.factors[columns], machine.linear[columns]]))

    def residuals(self, machine: FactorizationMachine) -> FactorizationMachine:
        """What the rows are beyond that, as a machine of columns: what the prior of the rows is told by."""
        rest = np.column_stack([machine.factors[self.own], machine.linear[self.own]]) - self.told_by_members(machine)
        return FactorizationMachine(0.0, np.ascontiguousarray(rest[:, -1]), np.ascontiguousarray(rest[:, :-1]))

    def centres(self, machine: FactorizationMachine, prior: Prior) -> Floats:
        """Prior means of the rows at their own columns, shape (n_features, k + 1)."""
        centres = np.tile(prior.centre, (machine.n_features, 1))
        centres[self.own] += self.told_by_members(machine)
        return centres

    def solve_members(
        self,
        machine: FactorizationMachine,
        priors: Sequence[Prior],
        n_threads: int,
        draw: Draw = NO_DRAW,
        variances: tuple[Floats, Floats] = (NONE, np.empty((0, 0), np.float32)),
    ) -> None:
        """Renew the members given the rows: by a draw, or by means and `variances` of weights and factors."""
        rest = self.residuals(machine)
        R = np.column_stack([rest.factors, rest.linear]) - priors[self.group].centre
        members, of_rows = self.members, priors[self.group].precision
        for run in members.runs:
            prior = priors[run[2]]
            state = (members.columns, members.ptr, members.holders, members.x, R, machine.linear, machine.factors)
            state += (of_rows, prior.precision, prior.centre, draw, *variances)
            for_each(regress_members, [(*part, *state) for part in members.parts(run, n_threads)], n_threads)

    def variance_of_sums(self, linear: Floats, factors: Floats) -> NDArray[np.float64]:
        """Variance of what the members tell, given theirs, summed over the rows: shape (k + 1,)."""
        columns, sizes = self.members.columns, self.squares.sum(axis=0, dtype=np.float64)
        return np.append(sizes @ factors[columns], sizes @ linear[columns])

    def pairs(self, machine: FactorizationMachine, own: Floats) -> Floats:
        """Sums over the pairs inside each row, own columns having the factors `own`: shape (n_table_rows,)."""
        columns, k = self.members.columns, machine.n_factors
        V = machine.factors[columns]
        q = self.table @ V
        lengths = self.squares @ np.einsum("jf,jf->j", V, V)
        pairs = np.einsum("uf,uf->u", q, own) + (np.einsum("uf,uf->u", q, q) - lengths) / 2
        return np.asarray(pairs, np.float32) if k else np.zeros(len(q), np.float32)


class Hierarchies:
    """The hierarchical blocks of a design, and the design with their rows as columns of one-hot fields.

    Attributes
    ----------
    design : Design
        The fields, one more for each of these blocks, and the other blocks. It has the columns of the given one, of
        which members are in no field.
    of_side : dict of int to Hierarchy
        By number of the field.
    """

    def __init__(self, design: Design) -> None:
        chosen = [block for block in design.blocks if block.hierarchical]
        self.of_side: dict[int, Hierarchy] = {}
        self.design, self._order = design, list(range(len(design.fields) + len(design.blocks)))
        if not chosen:
            return
        groups, fields = find_groups(design), list(design.fields)
        for block in chosen:
            hierarchy = Hierarchy.of_block(block, groups)
            self.of_side[len(fields)] = hierarchy
            fields.append(hierarchy.field)
        rest = tuple(block for block in design.blocks if not block.hierarchical)
        n = len(design.fields)
        places = [n + i for i, block in enumerate(design.blocks) if block.hierarchical]
        places += [n + i for i, block in enumerate(design.blocks) if not block.hierarchical]
        self._order = [*range(n), *places]
        self.design = replace(design, fields=tuple(fields), blocks=rest, groups=groups)

    def sides(self, numbers: Sequence[int] | None) -> list[int] | None:
        """Numbers of sides of the given design as those of this one."""
        if numbers is None or not self.of_side:
            return None if numbers is None else list(numbers)
        return [self._order.index(s) if s in self._order else s for s in numbers]

    def collapse(self, machine: FactorizationMachine) -> None:
        """Turn a machine of the given design into one of whole rows, in place."""
        for one in self.of_side.values():
            pairs = one.pairs(machine, machine.factors[one.own])
            told = one.told_by_members(machine)
            machine.factors[one.own] += told[:, :-1]
            machine.linear[one.own] += told[:, -1] + pairs

    def expanded(self, machine: FactorizationMachine) -> FactorizationMachine:
        """The machine of the given design that has the same values; perhaps with further factors of rows."""
        if not self.of_side:
            return machine
        machine = machine.copy()
        for one in self.of_side.values():
            told = one.told_by_members(machine)
            machine.factors[one.own] -= told[:, :-1]
            machine.linear[one.own] -= told[:, -1] + one.pairs(machine, machine.factors[one.own])
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
    R : float32 array of shape (n_table_rows, k + 1)
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
    k = V.shape[1]
    slope, noise = np.zeros(k + 1, np.float32), np.zeros(padded(k + 1), np.float32)
    for j in range(first, last):
        c = columns[j]
        slope[:] = 0
        square = np.float32(0)
        for e in range(ptr[j], ptr[j + 1]):
            value = x[e] if len(x) else np.float32(1)
            square += value * value
            for i in range(k + 1):
                slope[i] += value * R[holders[e], i]
        if draw[0]:
            fill_normals(draw[0], draw[1], draw[2], np.uint32(c), k + 1, noise)
        for i in range(k + 1):
            old = V[c, i] if i < k else w[c]
            full = precision[i] + of_rows[i] * square
            step = (precision[i] * (centre[i] - old) + of_rows[i] * slope[i]) / full + noise[i] / np.sqrt(full)
            slope[i] = step
            if i < k:
                V[c, i] = old + step
            else:
                w[c] = old + step
            if len(var_w):
                if i < k:
                    var_v[c, i] = np.float32(1) / full
                else:
                    var_w[c] = np.float32(1) / full
        for e in range(ptr[j], ptr[j + 1]):
            value = x[e] if len(x) else np.float32(1)
            for i in range(k + 1):
                R[holders[e], i] -= value * slope[i]
