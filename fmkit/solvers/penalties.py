"""How much a column's weight and factors are drawn to zero."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.design import Design, Field


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
    reg_linear: ArrayLike,
    reg_factors: ArrayLike,
    curvature: float,
    spread: float,
) -> Penalties:
    """Penalties that mean the same for any unit of the targets and of the columns, and for any number of rows.

    A penalty is a ratio of variances, noise over prior, so it does not grow with the number of rows: more ratings of a
    film leave less shrinkage by themselves, and 10 million rows of many users are no other problem than 100,000 of few.
    It is told for targets of unit variance and columns whose entries have unit mean square, and scaled to the real
    ones: targets with standard deviation s have linear weights in units of s, and factors in units of sqrt(s).

    Parameters
    ----------
    design : Design
    weights : ndarray of shape (n_rows,), or None
    reg_linear, reg_factors : float, or array-like of shape (n_fields,)
        For all fields, or one a field.
    curvature : float
        Of the loss: 1 for half the squared error, at most 1/4 for the log loss.
    spread : float
        Standard deviation of the targets (1 for the log loss).
    """
    linear, factors = np.empty(design.n_features, np.float32), np.empty(design.n_features, np.float32)
    by_field = zip(
        design.fields,
        _per_field("reg_linear", reg_linear, len(design.fields)),
        _per_field("reg_factors", reg_factors, len(design.fields)),
        strict=True,
    )
    for field, of_linear, of_factors in by_field:
        square = curvature * _mean_square(field, weights)
        linear[field.columns] = of_linear * square
        factors[field.columns] = of_factors * spread * square
    return Penalties(linear, factors)


def _per_field(name: str, value: Any, n_fields: int) -> NDArray[np.float64]:
    values = np.asarray(value, np.float64)
    if values.shape not in ((), (n_fields,)):
        raise ValueError(f"{name} must be a number or one for each of {n_fields} fields, got shape {values.shape}")
    if not (values >= 0).all():  # NaN too
        raise ValueError(f"{name} must not be negative, got {value}")
    return np.broadcast_to(values, n_fields)


def _mean_square(field: Field, weights: NDArray[np.float32] | None) -> NDArray[np.float64] | float:
    """Mean square of each column's entries; 1 for a column without any."""
    if field.values is None:
        return 1.0
    omega = None if weights is None else weights if field.rows is None else weights[field.rows]
    squares = field.values.astype(np.float64) ** 2
    size = len(field.columns)
    count = np.bincount(field.codes, omega, size)
    total = np.bincount(field.codes, squares if omega is None else squares * omega, size)
    return np.divide(total, count, out=np.ones(size), where=count > 0)
