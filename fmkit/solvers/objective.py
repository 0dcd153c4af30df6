"""What every solver lowers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.solvers.losses import Loss
from fmkit.solvers.penalties import Penalties


@dataclass(frozen=True)
class Objective:
    """The penalised loss of a machine's values f on the rows of a design.

        sum_r omega_r loss(y_r, f(x_r)) + 1/2 sum_j (penalty_w_j w_j^2 + penalty_v_j |v_j|^2)

    with loss = 1/2 (y - f)^2 or, for labels 0 and 1, the log loss log(1 + exp(f)) - y f; SGD knows others.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (n_rows,), float32
        Targets; 0 or 1 for the log loss.
    weights : ndarray of shape (n_rows,), float32, or None
        Positive weights omega of the rows; None if all are 1.
    penalties : Penalties
    logistic : bool
        The log loss.
    other : Loss, optional
        SGD: a loss that is neither; `logistic` is False then.
    """

    design: Design
    y: NDArray[np.float32]
    weights: NDArray[np.float32] | None
    penalties: Penalties
    logistic: bool
    other: Loss | None = None

    @property
    def loss(self) -> Loss:
        """Of a row."""
        return self.other or Loss("logistic" if self.logistic else "squared")

    @property
    def total_weight(self) -> float:
        """Sum of the weights of the rows."""
        return float(self.design.n_rows if self.weights is None else self.weights.sum(dtype=np.float64))
