"""What the visits of all interactions do alike: the loss of a row, and the steps of weights and of quads."""

from typing import Any

import numpy as np

from fmkit.interactions.quads import kept, per_root, plus, plus_product, store, times
from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH
from fmkit.solvers.losses import loss_and_slope


@kernel(fastmath=FASTMATH, error_model="numpy")
def met(f: Any, y: Any, weight: Any, kind: int, delta: Any, rate: Any, bias: Any) -> Any:
    """The weighted loss of a row of value f and its slope, along which the bias steps."""
    loss, slope = loss_and_slope(f, y, kind, delta)
    loss, slope = weight * loss, weight * slope
    bias[1] += slope * slope
    bias[0] -= rate * slope / np.sqrt(bias[1])
    return loss, slope


@kernel(fastmath=FASTMATH, error_model="numpy")
def step_weight(W: Any, j: Any, slope: Any, decay: Any, rate: Any) -> None:
    """A step of the weight W[j, 0], whose sum of squared slopes is W[j, 1]."""
    d = slope + decay * W[j, 0]
    W[j, 1] += d * d
    W[j, 0] -= rate * d / np.sqrt(W[j, 1])


@kernel(fastmath=FASTMATH, error_model="numpy")
def step(P: Any, at: Any, apart: Any, v: Any, squares: Any, along: Any, u: Any, decay: Any, rate: Any) -> None:
    """A step of the factors v, which stand at a place of P, along `along` u + `decay` v; their sums stand `apart`."""
    d = plus(times(along, u), decay, v)
    squares = plus_product(squares, d, d)
    store(P, at, kept(plus_product(v, per_root(-rate, squares), d)))
    store(P, at + apart, squares)
