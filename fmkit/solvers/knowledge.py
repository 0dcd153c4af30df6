"""What rows have told of columns, in place of the rows: what later rows go on from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.machine import FactorizationMachine, for_each_block, sum_factors
from fmkit.posterior import value_variance
from fmkit.solvers.groups import find_groups
from fmkit.solvers.penalties import column_sums
from fmkit.solvers.spreads import sum_row_spreads

Floats = NDArray[np.float32]

SAMPLE = 1 << 14  # rows from which means of q^2 are told, to 1 %


@dataclass
class Evidence:
    """What the rows of a ridge fit say of its columns, in place of the rows: the precision they give each dimension.

    With z = x (q, 1) that is sum omega z^2, of a weight sum omega x^2. For factors, q is taken for that of an average
    row of the column's group: so a column takes a number, not one a dimension.

    Parameters
    ----------
    counts : ndarray of shape (n_features,), float32
        sum omega x^2 of each column.
    groups : ndarray of shape (n_features,), int32
        `fmkit.solvers.groups.find_groups` of the design.
    squares : ndarray of shape (n_groups, k), float32
        Mean of q^2 over the rows of a group's columns.
    means : ndarray of shape (n_features,), float64
        The fit sees x - means.
    """

    counts: Floats
    groups: NDArray[np.int32]
    squares: Floats
    means: NDArray[np.float64]

    @classmethod
    def of_fit(
        cls, design: Design, weights: Floats | None, machine: FactorizationMachine, means: NDArray[np.float64]
    ) -> Evidence:
        """Of a machine and the rows that it was fitted to, less the means; squares from `SAMPLE` rows at most."""
        groups = find_groups(design)
        counts, _ = column_sums(design, weights)
        chosen = np.zeros(design.n_rows, bool)
        chosen[:: -(-design.n_rows // SAMPLE)] = True
        sample, V = design.select(chosen), machine.factors
        omega = np.ones(sample.n_rows, np.float32) if weights is None else weights[chosen]
        Q = sum_factors(sample, V, 1)
        n_groups = int(groups.max(initial=-1)) + 1
        total, squares = np.zeros(n_groups), np.zeros((n_groups, machine.n_factors))
        flat = replace(sample, blocks=()).to_csr()
        rows, x = np.repeat(np.arange(flat.shape[0]), np.diff(flat.indptr)), flat.data
        of_group, share = groups[flat.indices], x**2 * omega[rows]
        for g in np.unique(of_group):
            mine = np.flatnonzero(of_group == g)
            rest = Q[rows[mine]] - x[mine, None] * V[flat.indices[mine]]
            squares[g] += share[mine] @ np.square(rest)
            total[g] += share[mine].sum()
        for block in sample.blocks:  # sum_j x^2 (q - x v)^2, multiplied out, so that a table's entries are read once
            for g in np.unique(groups[block.columns]):
                some = groups[block.columns] == g
                table, of_columns = block.table.csr[:, some], V[block.columns[some]]
                second, u = np.asarray(table.power(2).sum(axis=1)), block.codes
                third, fourth = table.power(3) @ of_columns, table.power(4) @ np.square(of_columns)
                sums = np.square(Q) * second[u, None] - 2 * Q * third[u] + fourth[u]
                squares[g] += omega @ sums
                total[g] += omega @ second[u]
        means_of_q = (squares / np.maximum(total, 1e-30)[:, None]).astype(np.float32)
        return cls(counts.astype(np.float32), groups, means_of_q, means)

    def precision(self) -> Floats:
        """What the rows give each column, of shape (n_features, k + 1), factors first."""
        one = np.ones(len(self.squares), np.float32)
        return np.column_stack([self.squares, one])[self.groups] * self.counts[:, None]


@dataclass
class Knowledge:
    """Mean and variance of every column, the dimensions independent; no bias.

    Parameters
    ----------
    w, V : ndarrays of shape (n_features,), (n_features, k), float32
    var_w, var_v, cov : ndarrays of shape (n_features,), (n_features, k), (n_features, k), float32
        Variances, and covariances of a column's weight and factors; of shape (0,), (0, k) and (0, k) where all is taken
        for certain: ridge.
    """

    w: Floats
    V: Floats
    var_w: Floats
    var_v: Floats
    cov: Floats

    def machine(self) -> FactorizationMachine:
        """The means."""
        return FactorizationMachine(0.0, self.w, self.V)

    def of_rows(self, X: Any, n_threads: int) -> tuple[Floats, Floats, Floats, Floats]:
        """f, Q, VQ and G of rows (`fmkit.solvers.spreads`), without a bias; the last two of shape (0, k) for ridge.

        Parameters
        ----------
        X : Design without blocks, or canonical matrix
        n_threads : int
        """
        f = self.machine().predict(X, n_threads)
        matrix = X.to_csr() if isinstance(X, Design) else X
        Q = np.asarray(matrix @ self.V, np.float32)
        if not len(self.var_v):
            return f, Q, self.var_v, self.cov
        V, var_v, cov = self.V, self.var_v, self.cov
        VQ, G = np.empty_like(Q), np.empty_like(Q)
        for_each_block(lambda rows, a, b: sum_row_spreads(*rows, V, var_v, cov, VQ[a:b], G[a:b]), matrix, n_threads)
        return f, Q, VQ, G

    def variance_of_rows(self, X: Any, n_threads: int) -> Floats:
        """Variance of every row's value; zeros for ridge."""
        if not len(self.var_w):
            return np.zeros(X.shape[0], np.float32)
        return value_variance(X, self.V, self.var_w, self.var_v, n_threads, self.cov)
