"""Columns far from zero (years, temperatures) are fitted as deviations from their mean, and told as they were.

Such a column is all but parallel to the bias and to every other one like it: sweeps would take thousands to tell them
apart, and a penalty in units of its mean square would hold it down. With x - m in place of x the model is the same,

    w0 + sum_i w_i (x_i - m_i) + sum_{i<j} <v_i, v_j> (x_i - m_i)(x_j - m_j)

only with other weights: those of `shifted`. One-hot and sparse columns have no mean to speak of (m = 0).
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.fields import Field
from fmkit.machine import FactorizationMachine


def centred(design: Design, weights: NDArray[np.float32] | None) -> tuple[Design, NDArray[np.float64]]:
    """The design with its full columns centred, and what was taken off each column.

    Parameters
    ----------
    design : Design
    weights : ndarray of shape (n_rows,), or None

    Returns
    -------
    design : Design
        Columns that have an entry in every row, not all of them 1, have a (weighted) mean of zero.
    means : ndarray of shape (n_features,), float64
        0 for all other columns.
    """
    means = np.zeros(design.n_features)
    fields = _centred_fields(design.fields, np.arange(design.n_features), weights, means)
    blocks = []
    for block in design.blocks:
        of_rows = np.bincount(block.codes, weights, block.table.n_rows)
        table = replace(block.table, fields=_centred_fields(block.table.fields, block.columns, of_rows, means))
        blocks.append(replace(block, table=table))
    return replace(design, fields=fields, blocks=tuple(blocks)), means


def _centred_fields(
    fields: tuple[Field, ...], columns: NDArray[Any], weights: NDArray[Any] | None, means: NDArray[np.float64]
) -> tuple[Field, ...]:
    """The fields of one table, its columns being those of the design; fills in `means`."""
    result = []
    for field in fields:
        if field.rows is None and field.values is not None and len(field.columns) == 1:
            values = field.values.astype(np.float64)
            mean = np.average(values, weights=weights)
            means[columns[field.columns]] = mean
            field = replace(field, values=(values - mean).astype(np.float32))
        result.append(field)
    return tuple(result)


def shifted(machine: FactorizationMachine, means: NDArray[np.float64]) -> FactorizationMachine:
    """The machine whose value at x is that of the given one at x - means; with -means the way back.

    Parameters
    ----------
    machine : FactorizationMachine
    means : ndarray of shape (n_features,), float64
    """
    w, V = machine.linear.astype(np.float64), machine.factors
    some = np.flatnonzero(means)
    m, of_some = means[some], V[some].astype(np.float64)
    total = m @ of_some
    linear = w - V @ total
    linear[some] += m * np.square(of_some).sum(axis=1)
    pairs = (total @ total - np.square(m) @ np.square(of_some).sum(axis=1)) / 2
    return FactorizationMachine(float(machine.bias - means @ w + pairs), linear.astype(np.float32), V.copy())
