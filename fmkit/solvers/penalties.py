"""How much a column's weight and factors are drawn to zero."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.design import Design
from fmkit.fields import Field
from fmkit.solvers.groups import find_groups

PARTNERS = 1024  # fields that a field is paired with for its noise level, where there are more


@dataclass(frozen=True)
class Penalties:
    """Ridge penalties of an objective sum_r loss_r + 1/2 sum_j (linear_j w_j^2 + factors_j |v_j|^2).

    Parameters
    ----------
    linear, factors : ndarray of shape (n_features,), float32
    l1_linear, l1_factors : ndarray of shape (n_features,), float32, optional
        Lasso penalties beside them, sum_j (l1_linear_j |w_j| + l1_factors_j |v_j|), for FTRL; None for none.
    """

    linear: NDArray[np.float32]
    factors: NDArray[np.float32]
    l1_linear: NDArray[np.float32] | None = None
    l1_factors: NDArray[np.float32] | None = None

    def lasso(self) -> "Penalties":
        """The lasso penalties where ridge penalties stand, zeros if there are none."""
        none = np.zeros_like(self.linear)
        linear, factors = self.l1_linear, self.l1_factors
        return Penalties(none if linear is None else linear, none if factors is None else factors)


def scaled_penalties(
    design: Design,
    weights: NDArray[np.float32] | None,
    units: NDArray[np.float32],
    reg_linear: ArrayLike,
    reg_factors: ArrayLike,
    curvature: float,
    spread: float,
) -> Penalties:
    """Penalties that mean the same for any unit of the targets and of the columns, and for any shape of the table.

    They are told for targets of unit variance and columns whose entries have unit mean square, and scaled to the real
    ones: targets with standard deviation s have linear weights in units of s, and factors in units of sqrt(s).

    `reg_linear` is a ratio of variances, noise over prior: a column with many rows is shrunk little by itself.
    `reg_factors` is a multiple of what noise alone would do; see `noise_levels`.

    Parameters
    ----------
    design : Design
    weights : ndarray of shape (n_rows,), or None
    units : ndarray of shape (n_features,)
        `column_units` of the design.
    reg_linear, reg_factors : float, or array-like of shape (n_fields,)
        For all fields and groups of blocks' tables, or one each.
    curvature : float
        Of the loss: 1 for half the squared error, at most 1/4 for the log loss.
    spread : float
        Standard deviation of the targets.
    """
    linear, factors = curvature * np.square(units), curvature * np.square(units)
    part, n_parts = _parts(design)
    of_linear = _per_part("reg_linear", reg_linear, n_parts)
    of_factors = _per_part("reg_factors", reg_factors, n_parts) * noise_levels(design, weights)
    return Penalties(
        (linear * of_linear[part]).astype(np.float32), (factors * of_factors[part] * spread).astype(np.float32)
    )


def with_lasso(
    penalties: Penalties,
    design: Design,
    units: NDArray[np.float32],
    l1_linear: ArrayLike,
    l1_factors: ArrayLike,
    curvature: float,
    spread: float,
) -> Penalties:
    """Ridge penalties with lasso ones beside them, told for the same units.

    Parameters
    ----------
    penalties : Penalties
    design, units, curvature, spread
        As of `scaled_penalties`.
    l1_linear, l1_factors : float, or array-like of shape (n_fields,)
        The slope, of a column's rows together, that it takes to have a weight, or a vector of factors.
    """
    part, n_parts = _parts(design)
    slope = curvature * spread * units
    linear = slope * _per_part("l1_linear", l1_linear, n_parts)[part]
    factors = slope * np.sqrt(spread) * _per_part("l1_factors", l1_factors, n_parts)[part]
    return replace(penalties, l1_linear=linear.astype(np.float32), l1_factors=factors.astype(np.float32))


def noise_levels(design: Design, weights: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """A penalty a field, such that interactions which noise of unit variance would show are held down to zero.

    The factors of the fields a and b make a matrix of interactions. With ridge penalties on both factors its singular
    values are thresholded at sqrt(l_a l_b) (Srebro, Rennie, Jaakkola, NIPS 2004). Noise alone gives the gradient there
    a spectral norm of about sqrt(r_a) + sqrt(r_b) (Geman, Annals of Probability 1980), r_a being the rows that a column
    of a shares with b, on average. So l solves sqrt(l_a l_b) = sqrt(r_a) + sqrt(r_b) for all pairs, in logarithms by
    least squares. For users and items of MovieLens latest-small l is 15, where 11 to 17 do best; but a numeric column
    beside them, with a slope for every user to overfit, gets one of thousands.

    Parameters
    ----------
    design : Design
    weights : ndarray of shape (n_rows,), or None

    Returns
    -------
    ndarray of shape (n_fields,)
        The fields of the design, then the groups of its blocks' tables (`fmkit.solvers.groups`).
    """
    part, n_parts = _parts(design)
    if n_parts < 2:
        return np.ones(n_parts)
    everywhere = float(design.n_rows if weights is None else weights.sum(dtype=np.float64))
    _, counts = column_sums(design, weights)
    total = np.bincount(part, counts, n_parts)
    rows_a_column = total / np.maximum(np.bincount(part, counts > 0, n_parts), 1)
    coverage = total / everywhere
    return levels(rows_a_column, coverage)


def levels(rows_a_column: NDArray[np.float64], coverage: NDArray[np.float64]) -> NDArray[np.float64]:
    """`noise_levels` of two fields and more, from the rows that a column of each has and the share of rows with one."""
    n_parts = len(coverage)
    some = np.arange(0, n_parts, -(-n_parts // PARTNERS))
    norm = np.sqrt(np.outer(rows_a_column, coverage[some])) + np.sqrt(np.outer(coverage, rows_a_column[some]))
    logs = np.log(np.maximum(norm, 1))
    logs[some, np.arange(len(some))] = 0  # no field meets itself
    of_partners = logs.sum(axis=1) / (len(some) - np.isin(np.arange(n_parts), some))
    if n_parts == 2:
        return np.asarray(np.exp(of_partners))
    sums = (n_parts - 1) * of_partners
    return np.asarray(np.exp(2 * (sums - sums.sum() / (2 * (n_parts - 1))) / (n_parts - 2)))


def column_units(design: Design, weights: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Root mean square of each column's entries, shape (n_features,); 1 for one-hot and empty columns."""
    squares, counts = column_sums(design, weights)
    return np.sqrt(np.divide(squares, counts, out=np.ones(len(counts)), where=squares > 0)).astype(np.float32)


def column_sums(design: Design, weights: NDArray[np.float32] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of the weights of each column's rows, times the squares of its entries and by themselves."""
    squares, counts = np.zeros(design.n_features), np.zeros(design.n_features)
    tables: list[tuple[tuple[Field, ...], Any, Any]] = [(design.fields, np.arange(design.n_features), weights)]
    for block in design.blocks:
        of_rows = np.bincount(block.codes, weights, block.table.n_rows)
        tables.append((block.table.fields, block.columns, of_rows))
    for fields, columns, omega in tables:
        for field in fields:
            of_entries = None if omega is None else omega if field.rows is None else omega[field.rows]
            size, at = len(field.columns), columns[field.columns]
            counts[at] = squares[at] = np.bincount(field.codes, of_entries, size)
            if field.values is not None:
                square = np.square(field.values, dtype=np.float64)
                squares[at] = np.bincount(field.codes, square if of_entries is None else square * of_entries, size)
    return squares, counts


def column_shares(
    penalties: Penalties, design: Design, weights: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Penalties of each column's weight and factors that a visit of SGD to a row of unit weight carries."""
    share = np.maximum(column_sums(design, weights)[1], 1e-30)
    return (penalties.linear / share).astype(np.float32), (penalties.factors / share).astype(np.float32)


def _parts(design: Design) -> tuple[NDArray[np.int32], int]:
    """What has a penalty of its own: every field, and every group of a block's table; its number by column."""
    part = np.zeros(design.n_features, np.int32)
    for number, field in enumerate(design.fields):
        part[field.columns] = number
    n_parts = len(design.fields)
    if design.blocks:
        groups = find_groups(design)
        for block in design.blocks:
            of_block, numbers = np.unique(groups[block.columns], return_inverse=True)
            part[block.columns] = n_parts + numbers
            n_parts += len(of_block)
    return part, n_parts


def _per_part(name: str, value: Any, n_parts: int) -> NDArray[np.float64]:
    values = np.asarray(value, np.float64)
    if values.shape not in ((), (n_parts,)):
        raise ValueError(f"{name} must be a number or one for each of {n_parts} fields, got shape {values.shape}")
    if not (values >= 0).all():  # NaN too
        raise ValueError(f"{name} must not be negative, got {value}")
    return np.broadcast_to(values, n_parts)
