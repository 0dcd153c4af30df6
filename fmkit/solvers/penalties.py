"""How much a column's weight and factors are drawn to zero."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.design import Design


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
    """Penalties that mean the same for any unit of the targets and of the columns, and for any number of rows.

    A penalty is a ratio of variances, noise over prior, so it does not grow with the number of rows: more ratings of a
    film leave less shrinkage by themselves, and 10 million rows of many users are no other problem than 100,000 of few.
    It is told for targets of unit variance, columns whose entries have unit mean square, and rows of two entries, and
    scaled to the real ones: targets with standard deviation s have linear weights in units of s, and factors in units
    of sqrt(s). With m entries a row, the same interactions in all come from m (m - 1) / 2 pairs: the factors' penalty
    grows by m / 2 (on the census of `adult`, m = 14, 3 to 9 times that of two fields did best).

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
        _per_field("reg_factors", reg_factors, len(design.fields)),
        strict=True,
    )
    pairing = _entries_a_row(design, weights) / 2
    for field, of_linear, of_factors in by_field:
        linear[field.columns] *= of_linear
        factors[field.columns] *= of_factors * spread * pairing
    return Penalties(linear.astype(np.float32), factors.astype(np.float32))


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


def _entries_a_row(design: Design, weights: NDArray[np.float32] | None) -> float:
    if weights is None:
        return sum(len(field.codes) for field in design.fields) / design.n_rows
    everywhere = float(weights.sum(dtype=np.float64))
    per_field = (
        everywhere if field.rows is None else weights[field.rows].sum(dtype=np.float64) for field in design.fields
    )
    return float(sum(per_field)) / everywhere


def _per_field(name: str, value: Any, n_fields: int) -> NDArray[np.float64]:
    values = np.asarray(value, np.float64)
    if values.shape not in ((), (n_fields,)):
        raise ValueError(f"{name} must be a number or one for each of {n_fields} fields, got shape {values.shape}")
    if not (values >= 0).all():  # NaN too
        raise ValueError(f"{name} must not be negative, got {value}")
    return np.broadcast_to(values, n_fields)
