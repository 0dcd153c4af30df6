"""The variances that mean-field VB with independent dimensions keeps, and a side's step with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.linalg import row_dots
from fmkit.machine import for_each_block
from fmkit.posterior import block_spreads, condensed_spreads, value_variance
from fmkit.solvers.columns import NONE
from fmkit.solvers.members import sum_block_rows
from fmkit.solvers.sides import Prior, Sides
from fmkit.solvers.spreads import infer_independent, infer_members, spread_block_rows, sum_row_spreads
from fmkit.threads import even_cuts, for_each

Floats = NDArray[np.float32]


class Spreads:
    """Variances of the columns, and what follows from them for block rows and rows.

    Parameters
    ----------
    sides : Sides
    var_w, var_v : ndarrays of shape (n_features,), (n_features, k), float32
        Changed in place.
    """

    def __init__(self, sides: Sides, var_w: Floats, var_v: Floats) -> None:
        self.sides, self.var_w, self.var_v = sides, var_w, var_v
        self.sums = np.zeros((len(var_w), 4))
        V = sides.machine.factors
        self._tables: dict[int, tuple[Floats, Floats, Floats]] = {}  # of block rows: var q, cov(q, c), var c
        for s, side in enumerate(sides.sides):
            if side.table is not None:
                self._tables[s] = block_spreads(self._block(s), V, var_w, var_v, sides.n_threads)[1:]
        k = V.shape[1]
        self._no_cov = np.zeros((0, k), np.float32)
        if not sides.pair:
            self.VQ, self.G = np.empty_like(sides.Q), np.empty_like(sides.Q)
            self.renew()

    def renew(self) -> None:
        """VQ and G from scratch: where variances fall by many powers of ten, what is left of rounding would rule."""
        sides, cov = self.sides, self._no_cov
        design, V, var_v = sides.design, sides.machine.factors, self.var_v
        if design.blocks:
            design, V, _, var_v, cov = condensed_spreads(design, V, self.var_w, var_v, sides.n_threads)
        for_each_block(
            lambda rows, a, b: sum_row_spreads(*rows, V, var_v, cov, self.VQ[a:b], self.G[a:b]),
            design,
            sides.n_threads,
        )

    def of_values(self) -> Floats:
        """Variance of every row's prediction."""
        V = self.sides.machine.factors
        return value_variance(self.sides.design, V, self.var_w, self.var_v, self.sides.n_threads)

    def infer_field(self, s: int, prior: Prior, centres: Floats, scale: Floats, level: Floats) -> NDArray[np.float64]:
        """Renew the columns of a field; returns their rows of the sums of `infer_independent`."""
        sides, side, machine = self.sides, self.sides.sides[s], self.sides.machine
        entries = (side.columns, side.ptr, side.source, side.x, side.y, side.omega, level)
        how = (machine.linear, machine.factors, self.var_w, self.var_v, scale, prior.precision, centres)
        state = (*entries, *self._rest(s), *how, not sides.pair, self.sums)
        cuts = even_cuts(side.ptr, sides.n_threads)
        for_each(infer_independent, [(*cut, *state) for cut in cuts], sides.n_threads)
        sums: NDArray[np.float64] = self.sums[side.columns]
        return sums

    def infer_block(
        self, s: int, priors: Sequence[Prior], scale: Floats, level: Floats, determinants: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Renew the columns of a block; returns its rows' sums, as `Sides.solve` does, in expectation."""
        sides, side, machine = self.sides, self.sides.sides[s], self.sides.machine
        table = side.table
        assert table is not None
        members, q, c = table.members, table.q, table.c
        var_q, cov, _ = self._tables[s]
        own_g = cov - var_q * q
        n, k = q.shape
        P, h = table.work_space()
        counts, sums = np.zeros(n, np.float32), np.zeros((n, 3))
        w0, known, Q, VQ, G, var_c = self._rest(s)
        cuts = even_cuts(side.ptr, sides.n_threads)
        state: tuple[Any, ...] = (side.ptr, side.source, side.y, side.omega, level, w0, known, Q, q, c, scale)
        state += (not sides.pair, P, h, counts, sums)
        for_each(sum_block_rows, [(*cut, *state) for cut in cuts], sides.n_threads)
        state = (side.ptr, side.source, NONE, side.omega, level, Q, VQ, G, var_c, q, var_q, own_g, scale)
        state += (not sides.pair, P, h, sums)
        for_each(spread_block_rows, [(*cut, *state) for cut in cuts], sides.n_threads)

        before, old_q, old_c, old_var = h.copy(), q.copy(), c.copy(), var_q.copy()
        for run in members.runs:
            prior = priors[run[2]]
            state = (members.columns, members.ptr, members.holders, members.x, q, c, var_q, cov, P, h, counts)
            state += (machine.linear, machine.factors, self.var_w, self.var_v)
            state += (prior.precision, prior.centre, determinants)
            parts = members.parts(run, sides.n_threads)
            for_each(infer_members, [(*part, *state) for part in parts], sides.n_threads)
        _, *spreads = block_spreads(self._block(s), machine.factors, self.var_w, self.var_v, sides.n_threads)
        var_q, cov, var_c = self._tables[s] = tuple(spreads)  # type: ignore[assignment]  # without the drift of updates

        dq, dc = q - old_q, c - old_c
        if sides.pair:
            both = before + h
            sums[:, 0] -= (row_dots(dq, both[:, :k]) + dc * both[:, -1]) / scale
            own = counts * var_c + 2 * row_dots(cov, P[:, k, :k])
            own += row_dots(var_q, np.diagonal(P[:, :k, :k], axis1=1, axis2=2))
            sums[:, 0] += own / scale
            sums[:, 1] = h[:, -1] / scale
        else:
            sides.move_rows_of(side, dq, dc)
            self.VQ += (var_q - old_var)[side.codes]
            self.G += (cov - var_q * q - own_g)[side.codes]
        return sums

    def _block(self, s: int) -> Any:
        return self.sides.design.blocks[s - len(self.sides.design.fields)]

    def _rest(self, s: int) -> tuple[Any, ...]:
        """w0, known, Q, VQ, G and var_c of the rest of the rows, for side s."""
        sides, machine = self.sides, self.sides.machine
        w0 = np.float32(machine.bias)
        if not sides.pair:
            return w0, sides.f, sides.Q, self.VQ, self.G, NONE
        other = sides.sides[1 - s]
        if other.table is None:
            return w0, machine.linear, machine.factors, self.var_v, self._no_cov, self.var_w
        var_q, cov, var_c = self._tables[1 - s]
        return w0, other.table.c, other.table.q, var_q, cov, var_c
