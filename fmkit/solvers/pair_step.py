"""The AdaGrad step of a row of two ids, on a table with a row for each column."""

from typing import Any

import numpy as np

from fmkit.kernels import kernel
from fmkit.lanes import mix_rows, reciprocal_roots

# What stands behind the factors of a row of the table, as `fmkit.solvers.sgd.visit_rows` has it: the weight, AdaGrad's
# sums of squared slopes of factors (their mean) and weight; then the penalties of both that a visit of unit weight
# carries.
WEIGHT, SQUARE_V, SQUARE_W, SHARE_W, SHARE_V = range(5)

STEP_MATH = {"contract", "nsz", "arcp"}
TINY = np.float32(1e-35)
EXACT = np.float32(1e-6)  # of a sum of two squares and a product, in float32


# Inlined: of a kernel that several others contain, the linker takes one copy, and copies may differ in the last bit.
@kernel(inline="always")
def step_pair(P: Any, i: Any, j: Any, lanes: int, products: Any, s: Any, weight: Any, rates: Any, mean: Any) -> None:
    """A step of the rows i and j of the table.

    With a = P[i], b = P[j] and the slope s of the loss, a's slope is d = s b + c a. The three products of a and b give
    the value and |d|^2 at once, so that both rows are read twice, and written once.

    Parameters
    ----------
    P : float32 array of shape (n_places, at least lanes + 5)
        Factors, then what `WEIGHT` to `SHARE_V` say.
    lanes : int
        Factors, a multiple of `fmkit.lanes.HALF`.
    products : tuple of three float32
        `fmkit.lanes.row_products` of the rows.
    s, weight : float32
        The slope of the row's loss, weighted, and the weight.
    rates : float32 array of shape (2,)
        Learning rates of weights and of factors.
    mean : float32
        Share of each factor in a sum of squared slopes.
    """
    aa, ab, bb = products
    two = np.float32(2)
    c_i, c_j = weight * P[i, lanes + SHARE_V], weight * P[j, lanes + SHARE_V]
    w_i = s + weight * P[i, lanes + SHARE_W] * P[i, lanes + WEIGHT]
    w_j = s + weight * P[j, lanes + SHARE_W] * P[j, lanes + WEIGHT]
    apart_i, apart_j = s * s * bb + c_i * c_i * aa, s * s * aa + c_j * c_j * bb
    cross = two * s * ab
    # Where the parts cancel, float32 keeps what is lost of them: without it a first step might be any length.
    P[i, lanes + SQUARE_V] += mean * max(apart_i + c_i * cross, EXACT * apart_i)
    P[j, lanes + SQUARE_V] += mean * max(apart_j + c_j * cross, EXACT * apart_j)
    P[i, lanes + SQUARE_W] += w_i * w_i
    P[j, lanes + SQUARE_W] += w_j * w_j
    rate_i, rate_j, rate_w_i, rate_w_j = reciprocal_roots(
        P[i, lanes + SQUARE_V] + TINY,
        P[j, lanes + SQUARE_V] + TINY,
        P[i, lanes + SQUARE_W] + TINY,
        P[j, lanes + SQUARE_W] + TINY,
    )
    rate_i, rate_j = rates[1] * rate_i, rates[1] * rate_j
    P[i, lanes + WEIGHT] -= rates[0] * rate_w_i * w_i
    P[j, lanes + WEIGHT] -= rates[0] * rate_w_j * w_j
    mix_rows(P, i, j, lanes, -rate_i * c_i, -rate_i * s, -rate_j * c_j, -rate_j * s)
