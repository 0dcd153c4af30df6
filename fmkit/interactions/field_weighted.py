"""The field-weighted machine: a vector of factors a column, and a weight for every pair of fields.

Twice the weights and factors by half of two are the same machine with a smaller penalty: left free, the weight of users
and movies goes to 24 within 30 epochs on MovieLens latest-small, and the machine learns noise. So what a weight is
beyond 1 has a penalty, tie / 2 (|weight| - 1)^2, that balances what the factors of both fields give up: by their prior
they are worth as much as they are many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.interactions.field_aware import find_slots
from fmkit.interactions.machine import (
    UNSEEN,
    Floats,
    InteractionMachine,
    Ints,
    Rows,
    count_labels,
    of_fields,
    packed,
    weights_and_sums,
)
from fmkit.interactions.quads import QUAD, load, nothing, plus, plus_product, store, times, total
from fmkit.interactions.row import met, step, step_weight
from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH
from fmkit.solvers.losses import LOSSES, Loss


@dataclass
class FieldWeightedMachine(InteractionMachine):
    """A field-weighted factorization machine (Pan et al., WWW 2018).

        y(x) = bias + <linear, z> + sum_{i<j} weights[f_i, f_j] <factors_i, factors_j> z_i z_j,    z = x - means

    Parameters
    ----------
    bias, linear, means
        As of `InteractionMachine`.
    factors : ndarray of shape (n_features, n_factors), float32
    fields : ndarray of shape (n_features,), int32
        The field f of each column.
    weights : ndarray of shape (n_fields, n_fields), float32
        Symmetric; all 1, as a fit begins, it is a plain factorization machine.

    Examples
    --------
    >>> import numpy as np
    >>> pair = np.float32([[2], [3]]), np.zeros(2), np.int32([0, 1]), np.float32([[1, 0.5], [0.5, 1]])
    >>> FieldWeightedMachine(1.0, np.float32([0.5, 0.25]), *pair).predict(np.array([[1, 0], [1, 1]]))
    array([1.5 , 4.75], dtype=float32)
    """

    interaction: ClassVar[str] = "fwfm"

    fields: Ints
    weights: Floats

    @classmethod
    def begin(
        cls, design: Design, n_factors: int, bias: float, scale: float, spread: float, units: Floats, rng: Any
    ) -> Self:
        """As of `InteractionMachine`."""
        n, fields = design.n_features, of_fields(design)
        factors = rng.standard_normal((n, n_factors), dtype=np.float32)
        factors *= (np.float32(scale * np.sqrt(spread)) / units)[:, None]
        n_fields = count_labels(fields)
        weights = np.ones((n_fields, n_fields), np.float32)
        return cls(bias, np.zeros(n, np.float32), factors, np.zeros(n), fields, weights)

    @classmethod
    def shapes(cls, arrays: dict[str, NDArray[Any]], n_factors: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """As of `InteractionMachine`."""
        n, n_fields = len(arrays["linear"]), count_labels(arrays["fields"])
        own = {"factors": ("<f4", (n, n_factors)), "fields": ("<i4", (n,)), "weights": ("<f4", (n_fields, n_fields))}
        return {**super().shapes(arrays, n_factors), **own}

    def row_values(self) -> Callable[..., None]:
        """As of `InteractionMachine`."""
        return partial(value_rows, np.float32(self.bias), self.linear, self.factors, self.fields, self.weights)

    def visits(self, rows: Rows) -> tuple[Callable[[Ints], float], Callable[[], None]]:
        """As of `InteractionMachine`."""
        P, (V,) = packed(self.factors[:, None])
        W, bias = weights_and_sums(self.linear), np.array([self.bias, UNSEEN], np.float32)
        R = np.stack([self.weights, np.full_like(self.weights, UNSEEN)])
        sizes = rows.most(self.fields), -(-self.n_factors // QUAD)
        rates = np.append(rows.rates(2), np.float32(rows.learning_rate))
        penalties = self._ties(rows), *sizes, rows.share_w, rows.share_v
        state = (self.fields, bias, P, W, R, *penalties, rows.pace, rates, *rows.loss)

        def keep() -> None:
            self.bias, self.linear[:], self.factors[:] = float(bias[0]), W[:, 0], V[:, 0]
            self.weights[:] = np.tril(R[0]) + np.tril(R[0], -1).T

        return lambda order: visit_rows(order, *rows.table, *state), keep

    def _ties(self, rows: Rows) -> Floats:
        """Penalty of each pair's weight that a visit carries: the factors of a field are shared by all its pairs."""
        counts = np.bincount(self.fields, minlength=len(self.weights)).astype(np.float32)
        kind, width = rows.loss
        curvature = Loss(LOSSES[kind], float(width)).curvature(rows.spread, float(rows.y.mean()))
        of_one = curvature * rows.spread**2 * self.n_factors / (2 * max(len(counts) - 1, 1) * len(rows.y))
        return np.float32(of_one) * (counts[:, None] + counts)


@kernel(fastmath=FASTMATH)
def value_rows(w0: Any, w: Any, V: Any, fields: Any, R: Any, indptr: Any, columns: Any, values: Any, out: Any) -> None:
    """The machine's value of every row, by sums of factors a field."""
    n_fields, k = len(R), V.shape[1]
    slot_of, present = np.full(n_fields, -1, np.int64), np.empty(n_fields, np.int64)
    sums = np.empty((n_fields, k), np.float32)
    for r in range(len(indptr) - 1):
        n = find_slots(indptr, columns, r, fields, slot_of, present)
        sums[:n] = 0
        f, twice = w0, np.float32(0)
        for e in range(indptr[r], indptr[r + 1]):
            j, x = columns[e], values[e]
            s = slot_of[fields[j]]
            f += x * w[j]
            square = np.float32(0)
            for i in range(k):
                v = x * V[j, i]
                sums[s, i] += v
                square += v * v
            twice -= R[present[s], present[s]] * square
        for s in range(n):
            for t in range(n):
                product = np.float32(0)
                for i in range(k):
                    product += sums[s, i] * sums[t, i]
                twice += R[present[s], present[t]] * product
            slot_of[present[s]] = -1
        out[r] = f + twice / np.float32(2)


@kernel(fastmath=FASTMATH, error_model="numpy")
def visit_rows(
    order: Any,
    indptr: Any,
    columns: Any,
    values: Any,
    y: Any,
    omega: Any,
    fields: Any,
    bias: Any,
    P: Any,
    W: Any,
    R: Any,
    tie: Any,
    n_slots: int,
    chunks: int,
    share_w: Any,
    share_v: Any,
    pace: Any,
    rates: Any,
    kind: int,
    delta: Any,
) -> float:
    """A step for each of the rows in `order`; returns the sum of their losses as they were met.

    Parameters
    ----------
    order : int32 array
        Rows to visit.
    indptr, columns, values, y, omega, share_w, share_v, pace
        As of `Rows`.
    fields : int32 array of shape (n_features,)
    bias : float32 array of shape (2,)
        The bias and its sum of squared slopes.
    P : float32 array of shape (n_features, n_quads, 4)
        As of `packed`: a column's factors and their sums of squared slopes.
    W : float32 array of shape (n_features, 2)
        Weights and sums.
    R : float32 array of shape (2, n_fields, n_fields)
        Weights of pairs of fields, and sums; what stands above the diagonal is not read.
    tie : float32 array of shape (n_fields, n_fields)
        Penalty, beyond 1, of each that a visit of unit weight carries.
    n_slots, chunks : int
        The most fields that a row has, quads of a vector.
    rates : float32 array of shape (3,)
        Learning rates of weights (and the bias), of factors and of the weights of pairs.
    kind, delta
        Of the loss, as of `fmkit.solvers.losses.loss_and_slope`.
    """
    width, half = P.shape[1], np.float32(0.5)
    sums, mixed = np.empty((n_slots * chunks, QUAD), np.float32), np.empty((n_slots * chunks, QUAD), np.float32)
    products = np.empty((n_slots, n_slots), np.float32)
    n_fields = R.shape[1]
    slot_of, present = np.full(n_fields, -1, np.int64), np.empty(n_slots, np.int64)
    losses = 0.0
    for r in order:
        n = find_slots(indptr, columns, r, fields, slot_of, present)
        for s in range(n):
            products[s, s] = 0
            for q in range(s * chunks, (s + 1) * chunks):
                store(sums, q, nothing())
                store(mixed, q, nothing())
        f = bias[0]
        for e in range(indptr[r], indptr[r + 1]):
            j = np.intp(columns[e])
            x = values[e] if len(values) else np.float32(1)
            s = slot_of[fields[j]]
            f += x * W[j, 0]
            square = nothing()
            for c in range(chunks):
                v = times(x, load(P, j * width + c, QUAD))
                store(sums, s * chunks + c, plus(load(sums, s * chunks + c, QUAD), np.float32(1), v))
                square = plus_product(square, v, v)
            products[s, s] -= half * total(square)
        for s in range(n):
            for t in range(s + 1):
                a, b = max(present[s], present[t]), min(present[s], present[t])
                weight = R[0, a, b]
                product = nothing()
                for c in range(chunks):
                    u, v = load(sums, s * chunks + c, QUAD), load(sums, t * chunks + c, QUAD)
                    product = plus_product(product, u, v)
                    store(mixed, s * chunks + c, plus(load(mixed, s * chunks + c, QUAD), weight, v))
                    if t < s:
                        store(mixed, t * chunks + c, plus(load(mixed, t * chunks + c, QUAD), weight, u))
                if t < s:
                    products[s, t] = total(product)
                else:
                    products[s, s] += half * total(product)
                f += weight * products[s, t]
        weight = omega[r] if len(omega) else np.float32(1)
        loss, slope = met(f, y[r], weight, kind, delta, rates[0], bias)
        losses += loss
        for e in range(indptr[r], indptr[r + 1]):
            j = np.intp(columns[e])
            x = values[e] if len(values) else np.float32(1)
            s = slot_of[fields[j]]
            own = R[0, present[s], present[s]]
            along, decay, rate = slope * x, weight * share_v[j], pace[j] * rates[1]
            for c in range(chunks):
                at = j * width + c
                v = load(P, at, QUAD)
                u = plus(load(mixed, s * chunks + c, QUAD), -x * own, v)  # a column does not meet itself
                step(P, at, chunks, v, load(P, at + chunks, QUAD), along, u, decay, rate)
            step_weight(W, j, along, weight * share_w[j], pace[j] * rates[0])
        for s in range(n):
            for t in range(s + 1):
                a, b = max(present[s], present[t]), min(present[s], present[t])
                own = R[0, a, b]
                beyond = own - min(max(own, np.float32(-1)), np.float32(1))
                d = slope * products[s, t] + weight * tie[a, b] * beyond
                R[1, a, b] += d * d
                R[0, a, b] -= rates[2] * d / np.sqrt(R[1, a, b])
        for s in range(n):
            slot_of[present[s]] = -1
    return losses
