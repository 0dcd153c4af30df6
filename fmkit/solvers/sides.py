"""The rows of a design as every exact solver reads them: side by side, sorted by what the side has.

A side is a field, or a relation block. Where a design is two sides, of both of which every row has one (users and
items, each with or without a block), a row's rest is the other side's row of a small table, and nothing is kept a row.
Else the prediction f and the sum of factors Q = X V are kept a row and follow each change at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Block, Design, own_field
from fmkit.linalg import padded, row_dots
from fmkit.machine import FactorizationMachine, sum_factors
from fmkit.solvers.columns import NONE, move_columns, solve_columns, sort_by_code
from fmkit.solvers.groups import find_groups
from fmkit.solvers.members import Members, centre_block_rows, move_rows, solve_members, sum_block_rows
from fmkit.threads import even_cuts, for_each

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
NO_DRAW = (np.uint64(0), np.uint32(0), np.uint32(0))


@dataclass
class Prior:
    """Gaussian prior of the columns of a group, independent in each dimension: factors first, the weight last.

    Parameters
    ----------
    precision, centre : ndarray of shape (n_factors + 1,), float32
    """

    precision: Floats
    centre: Floats


@dataclass
class BlockTable:
    """A block's table at work: its columns, what its rows add as they are, and room for their sums."""

    members: Members
    q: Floats
    c: Floats
    work: tuple[Floats, Floats] | None = None

    def work_space(self) -> tuple[Floats, Floats]:
        """P and h of `sum_block_rows`, kept: fresh memory would cost more than what is written to it."""
        if self.work is None:
            n, k = self.q.shape
            lanes = max(padded(k), 1)
            self.work = np.zeros((n, k + 1, lanes), np.float32), np.zeros((n, lanes + 1), np.float32)
        return self.work


@dataclass
class Side:
    """A field or a block, with the entries of the rows sorted by level (column or block row).

    Parameters
    ----------
    n_levels : int
    columns : ndarray of shape (n_levels,), int32
        The design's columns of a field; of a block's table, all of them.
    ptr : ndarray of shape (n_levels + 1,), int64
    order : ndarray of shape (n_entries,), int32, or None
        Row of each entry, None where nobody needs it.
    source, x, y, omega : ndarrays
        As `fmkit.solvers.columns.solve_columns` takes them.
    group : int
        Group of a field's columns.
    table : BlockTable, optional
        Of a block.
    codes : ndarray of shape (n_rows,), int32, or None
        Level of each row; None where rows lack one or have values.
    own : tuple of two ndarrays, or None
        The design's column that stands for each level, and the level; None if there is no such column.
    """

    n_levels: int
    columns: NDArray[np.int32]
    ptr: NDArray[np.int64]
    order: NDArray[np.int32] | None
    source: NDArray[np.int32]
    x: Floats
    y: Floats
    omega: Floats
    group: int
    table: BlockTable | None
    codes: NDArray[np.int32] | None
    own: tuple[NDArray[np.int32], NDArray[np.intp]] | None


class Sides:
    """A design, targets and a machine, ready to be swept over.

    Parameters
    ----------
    design : Design
    machine : FactorizationMachine
        Changed in place.
    y : ndarray of shape (n_rows,), float32
        Targets.
    weights : ndarray of shape (n_rows,), float32, or None
        Weights of the rows.
    n_threads : int
    changing : bool
        Whether `set_targets` will be called: targets and weights that a likelihood other than the Gaussian makes up
        a sweep.
    step : callable
        The kernel that solves a field's columns: `solve_columns`, or one with its parameters; tables have their own.

    Attributes
    ----------
    pair : bool
        Two sides, nothing kept a row.
    groups : ndarray of shape (n_features,), int32
        `find_groups` of the design.
    """

    def __init__(
        self,
        design: Design,
        machine: FactorizationMachine,
        y: Floats,
        weights: Floats | None,
        n_threads: int,
        changing: bool = False,
        step: Any = solve_columns,
    ) -> None:
        self.design, self.machine, self.n_threads = design, machine, n_threads
        self._step = step
        self.y, self.weights = y, weights
        self.groups = find_groups(design)
        one_hot = [f for f in design.fields if f.rows is None and f.values is None]
        self.pair = len(one_hot) == len(design.fields) and len(design.fields) + len(design.blocks) == 2
        self._changing = changing
        self.sides = [self._of_field(f) for f in design.fields] + [self._of_block(b) for b in design.blocks]
        if self.pair:
            for side, other in zip(self.sides, self.sides[::-1], strict=True):
                assert side.order is not None
                assert other.codes is not None
                source = other.codes[side.order]
                side.source = source if other.table else other.columns[source]
                side.y, side.omega = y[side.order], NONE if weights is None else weights[side.order]
                if not changing:
                    side.order = None
        else:
            self.f = machine.predict(design, n_threads)
            self.Q = sum_factors(design, machine.factors, n_threads)
        self.sums = np.zeros((machine.n_features, 3))
        self._last = np.zeros((0, 3))

    def _of_field(self, field: Any) -> Side:
        ptr, order = sort_by_code(field.codes, len(field.columns))
        rows = order if field.rows is None else field.rows[order]
        x = NONE if field.values is None else field.values[order]
        group = int(self.groups[field.columns[0]]) if len(field.columns) else 0
        codes = field.codes if field.rows is None and field.values is None else None
        own = None if codes is None else (field.columns, np.arange(len(field.columns)))
        return Side(len(field.columns), field.columns, ptr, order, rows, x, self.y, NONE, group, None, codes, own)

    def _of_block(self, block: Block) -> Side:
        ptr, order = sort_by_code(block.codes, block.table.n_rows)
        members = Members.of_table(block.table, block.columns, self.groups)
        table = BlockTable(members, *self.machine.block_rows(block, self.n_threads))
        rows = block.table.n_rows
        field = own_field(block.table)
        own = None if field is None else (block.columns[field.columns[field.codes]], np.arange(rows))
        return Side(rows, block.columns, ptr, order, order, NONE, self.y, NONE, 0, table, block.codes, own)

    def set_targets(self, y: Floats, weights: Floats) -> None:
        """Replace the targets and weights of all rows."""
        self.y, self.weights = y, weights
        for side in self.sides:
            if self.pair:
                side.y, side.omega = y[side.order], weights[side.order]
            else:
                side.y = y

    def predict(self) -> Floats:
        """The machine's value for every row."""
        return self.machine.predict(self.design, self.n_threads) if self.pair else self.f

    def residuals(self) -> Floats:
        """Targets less predictions, where these are kept a row."""
        return self.y - self.f

    def rows(self) -> tuple[Floats, Floats]:
        """What is kept of all rows, where it is: predictions and sums of factors."""
        return self.f, self.Q

    def set_rows(self, f: Floats, Q: Floats) -> None:
        """Replace them."""
        self.f[...], self.Q[...] = f, Q

    def solve(
        self,
        number: int,
        priors: Sequence[Prior],
        penalties: tuple[Floats, Floats] = (NONE, NONE),
        scale: Floats | None = None,
        level: Floats = NONE,
        draw: tuple[np.uint64, np.uint32, np.uint32] = NO_DRAW,
        centres: Floats | None = None,
    ) -> NDArray[np.float64]:
        """Solve, or draw, all columns of a side.

        Parameters
        ----------
        number : int
            Of the side: fields first, blocks after them.
        priors : sequence of Prior
            One a group.
        penalties : tuple of two ndarrays of shape (n_features,) or (0,), float32
            Ridge penalties of weights and factors, beside the priors.
        scale : ndarray of shape (n_levels,) or (1,), float32, optional
            Noise precision that the rows of a level have in common; by default 1.
        level : ndarray, float32
            Weights of the rows in place of those given, () for these; where nothing is kept a row, further weights
            beside those given, by the other side's level (of a field: by the design's column).
        draw : tuple
            Key, stream and sweep of the draws; by default none, the solution.
        centres : ndarray of shape (n_features, k + 1), float32, optional
            Prior means of a field's columns, in place of one that all have.

        Returns
        -------
        ndarray of shape (n_levels, 3), float64
            Sums of omega e^2, omega e and omega over the rows of each level, without `scale`. Where nothing is kept a
            row: after the step.
        """
        side, machine = self.sides[number], self.machine
        scale = np.ones(1, np.float32) if scale is None else scale
        if self.pair:
            other = self.sides[1 - number]
            known, Q = (other.table.c, other.table.q) if other.table else (machine.linear, machine.factors)
        else:
            known, Q = self.f, self.Q
            if not len(level) and self.weights is not None:
                level = self.weights
        rest = (np.float32(machine.bias), known, Q)
        cuts = even_cuts(side.ptr, self.n_threads)
        if side.table is None:
            entries = (side.columns, side.ptr, side.source, side.x, side.y, side.omega, level)
            prior = priors[side.group]
            centres = prior.centre[None] if centres is None else centres
            how = (scale, prior.precision, centres, *penalties, draw, not self.pair, self.sums)
            state = (*entries, *rest, machine.linear, machine.factors, *how)
            for_each(self._step, [(*cut, *state) for cut in cuts], self.n_threads)
            sums: NDArray[np.float64] = self.sums[side.columns]
        else:
            of_rows = (side.ptr, side.source, side.y, side.omega, level)
            sums = self._solve_block(side, side.table, of_rows, rest, cuts, priors, penalties, scale, draw)
        self._last = sums
        return sums

    def _solve_block(
        self,
        side: Side,
        table: BlockTable,
        entries: tuple[Any, ...],
        rest: tuple[Any, ...],
        cuts: list[tuple[int, int]],
        priors: Sequence[Prior],
        penalties: tuple[Floats, Floats],
        scale: Floats,
        draw: tuple[np.uint64, np.uint32, np.uint32],
    ) -> NDArray[np.float64]:
        """The sums of all block rows, then every column of the table from these alone."""
        machine, members, q, c = self.machine, table.members, table.q, table.c
        n, k = q.shape
        P, h = table.work_space()
        counts, sums = np.zeros(n, np.float32), np.zeros((n, 3))
        state = (*entries, *rest, q, c, scale, not self.pair, P, h, counts, sums)
        for_each(sum_block_rows, [(*cut, *state) for cut in cuts], self.n_threads)
        for_each(centre_block_rows, [(*cut, P, h, counts) for cut in cuts], self.n_threads)
        before, old_q, old_c = h.copy(), q.copy(), c.copy()
        for run in members.runs:
            prior = priors[run[2]]
            state = (members.columns, members.ptr, members.holders, members.x, q, c, P, h, counts)
            state += (machine.linear, machine.factors, prior.precision, prior.centre, *penalties, draw)
            parts = members.parts(run, self.n_threads)
            for_each(solve_members, [(*part, *state) for part in parts], self.n_threads)
        dq, dc = q - old_q, c - old_c
        if self.pair:
            both = before + h
            means = P[:, k, :k]
            gain = row_dots(dq, both[:, :k]) + (row_dots(dq, means) + dc) * both[:, -1]
            sums[:, 0] -= gain / scale
            sums[:, 1] = h[:, -1] / scale
        else:
            self.move_rows_of(side, dq, dc)
        return sums

    def move_rows_of(self, side: Side, dq: Floats, dc: Floats) -> None:
        """Let the rows follow a change of what a block's rows add, where predictions are kept a row."""
        assert side.codes is not None
        assert side.table is not None
        step = max(1, len(self.f) // (4 * self.n_threads) + 1)
        pieces = [(a, min(a + step, len(self.f))) for a in range(0, len(self.f), step)]
        state = (side.codes, side.table.q, dq, dc, self.f, self.Q)
        for_each(move_rows, [(*piece, *state) for piece in pieces], self.n_threads)

    def follow_columns(self, side: Side, columns: Any, old: Floats) -> None:
        """Let the rows follow a change of the factors of a field's columns, where predictions are kept a row.

        Parameters
        ----------
        side : Side
        columns : slice or ndarray
            Its columns.
        old : ndarray of shape (n_levels, n_factors), float32
            Their factors before the change.
        """
        V = self.machine.factors[columns]
        state = (side.ptr, side.source, side.x, V, V - old, self.f, self.Q)
        for_each(move_columns, [(*cut, *state) for cut in even_cuts(side.ptr, self.n_threads)], self.n_threads)

    def residual_sums(self, weights: Floats | None) -> tuple[float, float]:
        """Sums of omega e and of omega over all rows: what a step of the bias goes by.

        Parameters
        ----------
        weights : ndarray of shape (n_rows,), float32, or None
            Weights of the rows; None for 1. Where nothing is kept a row: what the rows of each level of the side that
            was solved last have in common, of shape (n_levels,) or (1,).
        """
        if self.pair:
            sums = (
                self._last[:, 1:].sum(axis=0) if weights is None or len(weights) == 1 else weights @ self._last[:, 1:]
            )
            sums = sums * weights[0] if weights is not None and len(weights) == 1 else sums
            return float(sums[0]), float(sums[1])
        e = self.residuals()
        if weights is None:
            return float(e.sum(dtype=np.float64)), float(len(e))
        return float(np.dot(weights.astype(np.float64), e)), float(weights.sum(dtype=np.float64))

    def set_last(self, sums: NDArray[np.float64]) -> None:
        """Take sums as `solve` returns them from a solver that made its own."""
        self._last = sums

    def scale(self, times: np.float32) -> None:
        """Multiply the machine's values by a number, positive."""
        machine, root = self.machine, np.sqrt(times)
        machine.bias *= float(times)
        tables = [side.table for side in self.sides if side.table is not None]
        for array in (machine.linear, *(table.c for table in tables), *(() if self.pair else (self.f,))):
            array *= times
        for array in (machine.factors, *(table.q for table in tables), *(() if self.pair else (self.Q,))):
            array *= root

    def move_bias(self, shift: float) -> None:
        """Add to the bias."""
        self.machine.bias += shift
        if not self.pair:
            self.f += np.float32(shift)


def make_sides(
    design: Design,
    machine: FactorizationMachine,
    y: Floats,
    weights: Floats | None,
    n_threads: int,
    *,
    changing: bool = False,
    step: Any = solve_columns,
    device: torch.device | None = None,
) -> Sides:
    """`Sides`, of which a torch device solves the columns if one is given."""
    if device is None:
        return Sides(design, machine, y, weights, n_threads, changing, step)
    from fmkit.tensors.sides import TensorSides  # loads torch

    return TensorSides(design, machine, y, weights, n_threads, changing, device=device)
