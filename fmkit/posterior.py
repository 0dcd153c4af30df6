"""Posterior: what a Bayesian fit knows of a machine, its mean, its variances and the noise, and perhaps draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.design import Block, Design, canonical_csr
from fmkit.fields import Field
from fmkit.kernels import kernel
from fmkit.machine import FactorizationMachine, for_each_block
from fmkit.threads import count_threads

Floats = NDArray[np.float32]


@dataclass
class GroupPriors:
    """What a column is expected to be before it has a row, by its group: means and precisions, in the units of y.

    Parameters
    ----------
    groups : ndarray of shape (n_features,), int32
        The group of each column.
    units : ndarray of shape (n_features,), float32
        The priors are told for columns in this unit: factors and weights of x / units.
    precision, centre : ndarrays of shape (n_groups, n_factors + 1), float32
        Factors first, the weight last.
    noise_shape : ndarray of shape (n_groups,), float32
        c of the Gamma(c, c) prior of the noise levels of a group's columns; 0 where they have none of their own.
    """

    groups: NDArray[np.int32]
    units: Floats
    precision: Floats
    centre: Floats
    noise_shape: Floats


@dataclass
class Posterior:
    """A machine of independent columns, each with a mean and a variance a dimension.

    Parameters
    ----------
    machine : FactorizationMachine
        The mean. Its first factors are those of `factor_variance`; more of them hold what draws have in common beyond
        the product of their means.
    linear_variance : ndarray of shape (n_features,), float32
    factor_variance : ndarray of shape (n_features, n_factors), float32
    covariance : ndarray of shape (n_features, n_factors) or (0, n_factors), float32
        Of a column's weight and factors; (0, n_factors) for none.
    stands_for_row : ndarray of shape (n_features,), bool
        In a relation block's table, the column's variances are those of the whole row that has it.
    noise : float
        Precision that the noise of all rows has in common, in units of the targets.
    noise_levels : ndarray of shape (n_features,), float32
        A row's noise precision is `noise` times these of its columns; 1 where a column has none of its own.
    means : ndarray of shape (n_features,), float64
        Variances are those of x - means (`fmkit.solvers.centring`).
    draws : list of FactorizationMachine
        Draws that were kept, evenly thinned.
    priors : GroupPriors, optional
        For columns that come later.
    """

    machine: FactorizationMachine
    linear_variance: Floats
    factor_variance: Floats
    covariance: Floats
    stands_for_row: NDArray[np.bool_]
    noise: float
    noise_levels: Floats
    means: NDArray[np.float64]
    draws: list[FactorizationMachine]
    priors: GroupPriors | None = None

    def variance(self, X: Any, n_jobs: int | None = None) -> Floats:
        """Variance of the machine's value, for every row of X, a float32 array of shape (n_rows,).

        Of the draws, if there are ten or more; else that of independent columns, in closed form.
        """
        if len(self.draws) >= 10:
            total, squares = np.zeros(X.shape[0], np.float64), np.zeros(X.shape[0], np.float64)
            mean = self.machine.predict(X, n_jobs)
            for machine in self.draws:
                d = machine.predict(X, n_jobs) - mean
                total += d
                squares += d * d
            n = len(self.draws)
            return np.maximum((squares - total**2 / n) / (n - 1), 0).astype(np.float32)
        if self.means.any():
            X = less_means(X, self.means)
        V = np.ascontiguousarray(self.machine.factors[:, : self.factor_variance.shape[1]])
        spreads = self.linear_variance, self.factor_variance
        return value_variance(X, V, *spreads, count_threads(n_jobs), self.covariance, self.stands_for_row)

    def noise_variance(self, X: Any, n_jobs: int | None = None) -> Floats:
        """Variance of the noise of every row of X, a float32 array of shape (n_rows,)."""
        no_factors = np.empty((len(self.noise_levels), 0), np.float32)
        logs = FactorizationMachine(0.0, np.log(self.noise_levels), no_factors)
        indicator = X if isinstance(X, Design) else _ones(canonical_csr(X))
        return np.asarray(np.exp(-logs.predict(indicator, n_jobs)) / self.noise, np.float32)


def value_variance(
    X: Any,
    V: Floats,
    var_w: Floats,
    var_v: Floats,
    n_threads: int,
    cov: Floats | None = None,
    stands: NDArray[np.bool_] | None = None,
) -> Floats:
    """Variance of a machine's value in closed form, for independent columns; X is a Design or a sparse matrix.

    Parameters
    ----------
    X : Design, or sparse or dense matrix of shape (n_rows, n_features)
    V, var_w, var_v : ndarrays of shape (n_features, k), (n_features,), (n_features, k), float32
        Means of the factors, variances of weights and factors.
    n_threads : int
    cov, stands : ndarrays, optional
        `covariance` and `stands_for_row` of a `Posterior`.
    """
    cov = np.zeros((0, V.shape[1]), np.float32) if cov is None else cov
    if not isinstance(X, Design):
        X = canonical_csr(X)
    elif X.blocks:
        X, V, var_w, var_v, cov = condensed_spreads(X, V, var_w, var_v, n_threads, cov, stands)
    out = np.empty(X.shape[0], np.float32)
    for_each_block(lambda rows, a, b: spread_rows(*rows, V, var_w, var_v, cov, out[a:b]), X, n_threads)
    return out


def block_spreads(
    block: Block,
    V: Floats,
    var_w: Floats,
    var_v: Floats,
    n_threads: int,
    covariance: Floats | None = None,
    stands: NDArray[np.bool_] | None = None,
) -> tuple[Floats, Floats, Floats, Floats]:
    """What the rows of a block's table add, in expectation and spread: q, var q, cov(q, c) and var c.

    Parameters
    ----------
    block : Block
    V, var_w, var_v : ndarrays of shape (n_features, k), (n_features,), (n_features, k), float32
    n_threads : int
    covariance, stands : ndarrays, optional
        `covariance` and `stands_for_row` of a `Posterior`.

    Returns
    -------
    q, var_q, cov : ndarrays of shape (n_table_rows, k), float32
    var_c : ndarray of shape (n_table_rows,), float32
    """
    n, k = block.table.n_rows, V.shape[1]
    of_columns = np.zeros((0, k), np.float32) if covariance is None else covariance
    own = np.zeros(0, bool) if stands is None else stands
    q, var_q, cov = (np.empty((n, k), np.float32) for _ in range(3))
    var_c = np.empty(n, np.float32)

    def work(rows: tuple[NDArray[Any], ...], a: int, b: int) -> None:
        indptr, columns, values = rows
        of = block.columns[columns]
        result = q[a:b], var_q[a:b], cov[a:b], var_c[a:b]
        spread_table_rows(indptr, of, values, V, var_w, var_v, of_columns, own, *result)

    for_each_block(work, block.table.csr, n_threads)
    return q, var_q, cov, var_c


def condensed_spreads(
    X: Design,
    V: Floats,
    var_w: Floats,
    var_v: Floats,
    n_threads: int,
    covariance: Floats | None = None,
    stands: NDArray[np.bool_] | None = None,
) -> tuple[Design, Floats, Floats, Floats, Floats]:
    """As `fmkit.machine.condensed`: a table row as a one-hot column, with a covariance of its factors and weight."""
    of_columns = covariance if covariance is not None and len(covariance) else np.zeros_like(V)
    fields, parts, first = list(X.fields), [(V, var_w, var_v, of_columns)], X.n_features
    for block in X.blocks:
        q, var_q, cov, var_c = block_spreads(block, V, var_w, var_v, n_threads, covariance, stands)
        fields.append(Field(np.arange(first, first + len(q), dtype=np.int32), block.codes))
        parts.append((q, var_c, var_q, cov))
        first += len(q)
    V, var_w, var_v, cov = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Design(X.n_rows, first, tuple(fields)), V, var_w, var_v, cov


def less_means(X: Any, means: NDArray[np.float64]) -> Any:
    """X with the means taken off the columns that have one."""
    if isinstance(X, Design):
        fields = []
        for field in X.fields:
            if len(field.columns) == 1 and means[field.columns[0]] and field.values is not None:
                field = replace(field, values=field.values - np.float32(means[field.columns[0]]))
            fields.append(field)
        return replace(X, fields=tuple(fields))
    some = np.flatnonzero(means)
    matrix = sparse.csc_array(canonical_csr(X))
    dense = sparse.csc_array((matrix[:, some].toarray() - means[some]).astype(np.float32))
    rest = matrix.copy()
    rest.data[np.isin(np.repeat(np.arange(len(means)), np.diff(matrix.indptr)), some)] = 0
    spread_out = sparse.csc_array((dense.data, dense.indices, dense.indptr), shape=dense.shape)
    selector = sparse.csr_array((np.ones(len(some), np.float32), (np.arange(len(some)), some)), (len(some), len(means)))
    return sparse.csr_array(rest + spread_out @ selector)


def _ones(matrix: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


@kernel(fastmath={"contract", "reassoc", "nsz"})
def spread_rows(indptr: Any, columns: Any, values: Any, V: Any, var_w: Any, var_v: Any, cov: Any, out: Any) -> None:
    """out_r = variance of the machine's value for independent columns with independent dimensions, exactly.

    With Q the row's sum of factors, an entry x of column j adds x^2 (var w_j + sum_f var v_jf (Q_f - x v_jf)^2), and a
    pair of entries the product of their variances. `cov` of shape (n_features, k) adds a covariance of a column's
    weight and factors; (0, k) for none.
    """
    k = V.shape[1]
    q, before = np.empty(k, np.float32), np.empty(k, np.float32)
    for r in range(len(out)):
        q[:] = 0
        before[:] = 0
        for i in range(indptr[r], indptr[r + 1]):
            for f in range(k):
                q[f] += values[i] * V[columns[i], f]
        total = np.float32(0)
        for i in range(indptr[r], indptr[r + 1]):
            j, x = columns[i], values[i]
            square = x * x
            own, pairs = var_w[j], np.float32(0)
            for f in range(k):
                rest, s = q[f] - x * V[j, f], square * var_v[j, f]
                own += var_v[j, f] * rest * rest
                pairs += s * before[f]
                before[f] += s
                if len(cov):
                    own += 2 * cov[j, f] * rest
            total += square * max(own, np.float32(0)) + pairs
        out[r] = total


@kernel(fastmath={"contract", "reassoc", "nsz"})
def spread_table_rows(
    indptr: Any,
    columns: Any,
    values: Any,
    V: Any,
    var_w: Any,
    var_v: Any,
    covariance: Any,
    stands: Any,
    q: Any,
    var_q: Any,
    cov: Any,
    var_c: Any,
) -> None:
    """For the rows of a table: sums of factors q, their variance, and covariance with and variance of the row's own
    part.

    Parameters
    ----------
    covariance : float32 array of shape (n_features, k) or (0, k)
    stands : bool array of shape (n_features,) or (0,)
        A row with such a column has that column's variances and covariance.
    """
    k = V.shape[1]
    for r in range(len(var_c)):
        q[r] = 0
        var_q[r] = 0
        cov[r] = 0
        own = -1
        for i in range(indptr[r], indptr[r + 1]):
            for f in range(k):
                q[r, f] += values[i] * V[columns[i], f]
            if len(stands) and stands[columns[i]]:
                own = columns[i]
        if own >= 0:
            for f in range(k):
                var_q[r, f], cov[r, f] = var_v[own, f], covariance[own, f]
            var_c[r] = var_w[own]
            continue
        total = np.float32(0)
        for i in range(indptr[r], indptr[r + 1]):
            j, x = columns[i], values[i]
            square = x * x
            part, pairs = var_w[j], np.float32(0)
            for f in range(k):
                rest, s = q[r, f] - x * V[j, f], square * var_v[j, f]
                part += var_v[j, f] * rest * rest
                pairs += s * var_q[r, f]
                cov[r, f] += s * rest
                var_q[r, f] += s
                if len(covariance):
                    part += 2 * covariance[j, f] * rest
                    cov[r, f] += square * covariance[j, f]
            total += square * max(part, np.float32(0)) + pairs
        var_c[r] = total
