"""The losses of a row that SGD lowers: kernels choose among them by a branch a row, which is always the same.

A loss is told to a kernel as its number and its width. `squared` and `logistic` are 0 and 1, so that kernels may be
called with whether it is the log loss.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH

LOSSES = ("squared", "logistic", "absolute", "huber", "poisson")
SQUARED, LOGISTIC, ABSOLUTE, HUBER, POISSON = range(5)
FAR = np.float32(80)  # logarithms of a mean are held below it: exp(80) is 5e34, its square no float32 any more


@dataclass(frozen=True)
class Loss:
    """A loss of a target y and a machine's value f.

        squared   1/2 (y - f)^2
        logistic  log(1 + exp(f)) - y f, of labels 0 and 1
        absolute  |y - f|
        huber     1/2 (y - f)^2 within the width d, and d |y - f| - 1/2 d^2 beyond
        poisson   exp(f) - y f, exp(f) being the mean of counts y

    Parameters
    ----------
    name : str
        One of `LOSSES`.
    width : float
        Of "huber".
    """

    name: str
    width: float = 0.0

    @property
    def code(self) -> tuple[int, np.float32]:
        """What kernels are told."""
        return LOSSES.index(self.name), np.float32(self.width)

    def curvature(self, spread: float, mean: float) -> float:
        """The factor of ridge penalties: times `spread` it is the standard deviation of the slopes of mere noise.

        Parameters
        ----------
        spread : float
            Standard deviation of the targets; of a log loss, of the log odds; of counts, of the logarithms of means.
        mean : float
            Of the targets.
        """
        if self.name == "huber":
            return min(1.0, self.width / spread)
        return {"squared": 1.0, "logistic": 0.25, "absolute": 1 / spread, "poisson": max(mean, 1e-9)}[self.name]

    def each(self, f: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
        """The losses of rows as they are told; see `loss_and_slope`.

        Examples
        --------
        >>> import numpy as np
        >>> Loss("huber", width=1.0).each(np.float32([0, 0]), np.float32([0.5, 3]))
        array([0.25, 5.  ], dtype=float32)
        """
        return np.asarray(_each(f, y, *self.code))


@kernel(fastmath=FASTMATH, error_model="numpy")
def loss_and_slope(f: Any, y: Any, kind: int, delta: Any) -> Any:
    """The loss of a row, as it is told, and its slope in f.

    Users are told squared errors, Huber's twice, which are these within the width, and deviances of counts: twice the
    loss, less what it is at the best.

    Parameters
    ----------
    f, y : float32
    kind : int
        Position in `LOSSES`.
    delta : float32
        The width of Huber's loss.
    """
    error = f - y
    if kind == SQUARED:
        return error * error, error
    if kind == LOGISTIC:
        loss = np.log1p(np.exp(-abs(f))) + max(f, np.float32(0)) - y * f
        return loss, np.float32(1) / (np.float32(1) + np.exp(-f)) - y
    if kind == POISSON:
        f = min(f, FAR)
        mean = np.exp(f)
        told = y * (np.log(y) - f) if y > 0 else np.float32(0)
        return np.float32(2) * max(told + (mean - y), np.float32(0)), mean - y
    size = abs(error)
    if kind == ABSOLUTE:
        return size, np.float32(np.sign(error))
    if size <= delta:
        return error * error, error
    return delta * (np.float32(2) * size - delta), delta * np.float32(np.sign(error))


@kernel
def _each(f: Any, y: Any, kind: int, delta: Any) -> Any:
    out = np.empty(len(f), np.float32)
    for r in range(len(f)):
        out[r] = loss_and_slope(f[r], y[r], kind, delta)[0]
    return out
