"""How much a column's weight and factors are drawn to zero."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.design import Design, Field

PARTNERS = 1024  # fields that a field is paired with for its noise level, where there are more


@dataclass(frozen=True)
class Penalties:
    """Ridge penalties of an objective sum_r loss_r + 1/2 sum_j (linear_j w_j^2 + factors_j |v_j|^2).

    Parameters
    ----------
    linear, factors : ndarray of shape (n_features,), float32
    """

    linear: NDArray[np.float32]
    factors: NDArray[np.float32]


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
        For all fields, or one a field.
    curvature : float
        Of the loss: 1 for half the squared error, at most 1/4 for the log loss.
    spread : float
        Standard deviation of the targets.
    """
    linear, factors = curvature * np.square(units), curvature * np.square(units)
    by_field = zip(
        design.fields,
        _per_field("reg_linear", reg_linear, len(design.fields)),
        _per_field("reg_factors", reg_factors, len(design.fields)) * noise_levels(design, weights),
        strict=True,
    )
    for field, of_linear, of_factors in by_field:
        linear[field.columns] *= of_linear
        factors[field.columns] *= of_factors * spread
    return Penalties(linear.astype(np.float32), factors.astype(np.float32))


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
    """
    n_fields = len(design.fields)
    if n_fields < 2:
        return np.ones(n_fields)
    everywhere = float(design.n_rows if weights is None else weights.sum(dtype=np.float64))
    counts = [_weights_of_columns(field, weights) for field in design.fields]
    total = np.array([count.sum() for count in counts])
    rows_a_column = total / np.maximum([np.count_nonzero(count) for count in counts], 1)
    coverage = total / everywhere
    some = np.arange(0, n_fields, -(-n_fields // PARTNERS))
    norm = np.sqrt(np.outer(rows_a_column, coverage[some])) + np.sqrt(np.outer(coverage, rows_a_column[some]))
    logs = np.log(np.maximum(norm, 1))
    logs[some, np.arange(len(some))] = 0  # no field meets itself
    of_partners = logs.sum(axis=1) / (len(some) - np.isin(np.arange(n_fields), some))
    if n_fields == 2:
        return np.asarray(np.exp(of_partners))
    sums = (n_fields - 1) * of_partners
    return np.asarray(np.exp(2 * (sums - sums.sum() / (2 * (n_fields - 1))) / (n_fields - 2)))


def column_units(design: Design, weights: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Root mean square of each column's entries, shape (n_features,); 1 for one-hot and empty columns."""
    units = np.ones(design.n_features, np.float32)
    for field in design.fields:
        if field.values is not None:
            omega = None if weights is None else weights if field.rows is None else weights[field.rows]
            squares = np.square(field.values, dtype=np.float64)
            size = len(field.columns)
            count = np.bincount(field.codes, omega, size)
            total = np.bincount(field.codes, squares if omega is None else squares * omega, size)
            units[field.columns] = np.sqrt(np.divide(total, count, out=np.ones(size), where=total > 0))
    return units


def _weights_of_columns(field: Field, weights: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """Sum of the weights of each column's rows."""
    omega = None if weights is None else weights if field.rows is None else weights[field.rows]
    return np.bincount(field.codes, omega, len(field.columns)).astype(np.float64)


def _per_field(name: str, value: Any, n_fields: int) -> NDArray[np.float64]:
    values = np.asarray(value, np.float64)
    if values.shape not in ((), (n_fields,)):
        raise ValueError(f"{name} must be a number or one for each of {n_fields} fields, got shape {values.shape}")
    if not (values >= 0).all():  # NaN too
        raise ValueError(f"{name} must not be negative, got {value}")
    return np.broadcast_to(values, n_fields)
