"""The machine of third order: pairs and triples of columns, in time of the entries by ANOVA kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.interactions.machine import UNSEEN, Floats, InteractionMachine, Ints, Rows, packed, weights_and_sums
from fmkit.interactions.quads import QUAD, load, nothing, plus, plus_product, store, times, total
from fmkit.interactions.row import met, step, step_weight
from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH

ORDERS = 2  # those of two and of three columns


@dataclass
class ThirdOrderMachine(InteractionMachine):
    """A factorization machine of third order (Blondel, Fujino, Ueda, Ishihata, NIPS 2016).

        y(x) = bias + <linear, z> + sum_{i<j} <p_i, p_j> z_i z_j
                    + sum_{i<j<l} sum_f q_if q_jf q_lf z_i z_j z_l,    z = x - means

    Pairs and triples have factors of their own, p and q: with shared ones, data in which only triples tell something
    would bring noise into the pairs, and vectors that suit pairs are of another length than those that suit triples.

    Parameters
    ----------
    bias, linear, means
        As of `InteractionMachine`.
    factors : ndarray of shape (n_features, 2, n_factors), float32
        The vectors p and q of each column.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.float32([[[1], [1]], [[2], [3]], [[1], [2]]])
    >>> machine = ThirdOrderMachine(1.0, np.zeros(3, np.float32), factors, np.zeros(3))
    >>> machine.predict(np.array([[1, 1, 0], [1, 1, 1]]))
    array([ 3., 12.], dtype=float32)
    """

    interaction: ClassVar[str] = "anova3"

    @classmethod
    def begin(
        cls, design: Design, n_factors: int, bias: float, scale: float, spread: float, units: Floats, rng: Any
    ) -> Self:
        """As of `InteractionMachine`."""
        n = design.n_features
        factors = rng.standard_normal((n, ORDERS, n_factors), dtype=np.float32)
        scales = np.array([scale * spread ** (1 / order) for order in (2, 3)], np.float32)
        factors *= scales[:, None] / units[:, None, None]
        return cls(bias, np.zeros(n, np.float32), factors, np.zeros(n))

    @classmethod
    def shapes(cls, arrays: dict[str, NDArray[Any]], n_factors: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """As of `InteractionMachine`."""
        own = {"factors": ("<f4", (len(arrays["linear"]), ORDERS, n_factors))}
        return {**super().shapes(arrays, n_factors), **own}

    def row_values(self) -> Callable[..., None]:
        """As of `InteractionMachine`."""
        return partial(value_rows, np.float32(self.bias), self.linear, self.factors)

    def visits(self, rows: Rows) -> tuple[Callable[[Ints], float], Callable[[], None]]:
        """As of `InteractionMachine`."""
        P, (pairs, triples) = packed(self.factors[:, :1], self.factors[:, 1:])
        W, bias = weights_and_sums(self.linear), np.array([self.bias, UNSEEN], np.float32)
        chunks = -(-self.n_factors // QUAD)
        state = (bias, P, W, chunks, rows.share_w, rows.share_v, rows.pace, rows.rates(2, 3), *rows.loss)

        def keep() -> None:
            self.bias, self.linear[:] = float(bias[0]), W[:, 0]
            self.factors[:, :1], self.factors[:, 1:] = pairs, triples

        return lambda order: visit_rows(order, *rows.table, *state), keep


@kernel(fastmath=FASTMATH)
def value_rows(w0: Any, w: Any, V: Any, indptr: Any, columns: Any, values: Any, out: Any) -> None:
    """The machine's value of every row.

    The dynamic programme: each entry, one after the other, adds z times what there is of one order to the next.
    """
    k = V.shape[2]
    ones = np.empty((2, k), np.float32)  # sums of single entries, for pairs and for triples
    twos, threes = np.empty((2, k), np.float32), np.empty(k, np.float32)
    for r in range(len(indptr) - 1):
        ones[:], twos[:], threes[:] = 0, 0, 0
        f = w0
        for e in range(indptr[r], indptr[r + 1]):
            j, x = columns[e], values[e]
            f += x * w[j]
            for i in range(k):
                z = x * V[j, 1, i]
                threes[i] += z * twos[1, i]
                twos[1, i] += z * ones[1, i]
                ones[1, i] += z
                z = x * V[j, 0, i]
                twos[0, i] += z * ones[0, i]
                ones[0, i] += z
        for i in range(k):
            f += twos[0, i] + threes[i]
        out[r] = f


@kernel(fastmath=FASTMATH, error_model="numpy")
def visit_rows(
    order: Any,
    indptr: Any,
    columns: Any,
    values: Any,
    y: Any,
    omega: Any,
    bias: Any,
    P: Any,
    W: Any,
    chunks: int,
    share_w: Any,
    share_v: Any,
    pace: Any,
    rates: Any,
    kind: int,
    delta: Any,
) -> float:
    """A step for each of the rows in `order`; returns the sum of their losses as they were met.

    With the sums a of single entries z and b of their pairs, z meets a - z in pairs, and b - z (a - z) in triples.

    Parameters
    ----------
    order : int32 array
        Rows to visit.
    indptr, columns, values, y, omega, share_w, share_v, pace
        As of `Rows`.
    bias : float32 array of shape (2,)
        The bias and its sum of squared slopes.
    P : float32 array of shape (n_features, n_quads, 4)
        As of `packed`: a column's factors of pairs, their sums of squared slopes, those of triples, and their sums.
    W : float32 array of shape (n_features, 2)
        Weights and sums.
    chunks : int
        Quads of a vector.
    rates : float32 array of shape (3,)
        Learning rates of weights (and the bias), of the factors of pairs and of triples.
    kind, delta
        Of the loss, as of `fmkit.solvers.losses.loss_and_slope`.
    """
    width, minus = P.shape[1], np.float32(-1)
    # Sums of single entries of pairs' factors, of single entries and of pairs of triples' ones.
    of_pairs, of_triples = np.empty((chunks, QUAD), np.float32), np.empty((2 * chunks, QUAD), np.float32)
    losses = 0.0
    for r in order:
        for c in range(chunks):
            store(of_pairs, c, nothing())
            store(of_triples, c, nothing())
            store(of_triples, chunks + c, nothing())
        f, several = bias[0], nothing()
        for e in range(indptr[r], indptr[r + 1]):
            j = np.intp(columns[e])
            x = values[e] if len(values) else np.float32(1)
            start = j * width
            f += x * W[j, 0]
            for c in range(chunks):
                z, a = times(x, load(P, start + c, QUAD)), load(of_pairs, c, QUAD)
                several = plus_product(several, z, a)
                store(of_pairs, c, plus(a, np.float32(1), z))
                z, a = times(x, load(P, start + 2 * chunks + c, QUAD)), load(of_triples, c, QUAD)
                b = load(of_triples, chunks + c, QUAD)
                several = plus_product(several, z, b)
                store(of_triples, chunks + c, plus_product(b, z, a))
                store(of_triples, c, plus(a, np.float32(1), z))
        weight = omega[r] if len(omega) else np.float32(1)
        loss, slope = met(f + total(several), y[r], weight, kind, delta, rates[0], bias)
        losses += loss
        for e in range(indptr[r], indptr[r + 1]):
            j = np.intp(columns[e])
            x = values[e] if len(values) else np.float32(1)
            along, decay = slope * x, weight * share_v[j]
            for c in range(chunks):
                at = j * width + c
                v = load(P, at, QUAD)
                u = plus(load(of_pairs, c, QUAD), -x, v)
                step(P, at, chunks, v, load(P, at + chunks, QUAD), along, u, decay, pace[j] * rates[1])
                at += 2 * chunks
                v = load(P, at, QUAD)
                others = plus(load(of_triples, c, QUAD), -x, v)
                u = plus_product(load(of_triples, chunks + c, QUAD), times(minus * x, v), others)
                step(P, at, chunks, v, load(P, at + chunks, QUAD), along, u, decay, pace[j] * rates[2])
            step_weight(W, j, along, weight * share_w[j], pace[j] * rates[0])
    return losses
