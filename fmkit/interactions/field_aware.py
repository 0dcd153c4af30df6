"""The field-aware machine: a column has a vector of factors for every field that it meets."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
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
from fmkit.interactions.quads import QUAD, fetch, load, nothing, plus, plus_product, store, times, total
from fmkit.interactions.row import met, step, step_weight
from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH

AHEAD = 6  # rows whose columns are fetched while others are visited: half the time on two fields of 80,000 columns
CACHED = 1 << 20  # bytes that need no fetching
WIDE = 8  # lanes of a step where a row has all fields in order


@dataclass
class FieldAwareMachine(InteractionMachine):
    """A field-aware factorization machine (Juan, Zhuang, Chin, Lin, RecSys 2016).

        y(x) = bias + <linear, z> + sum_{i<j} <factors[i, f_j], factors[j, f_i]> z_i z_j,    z = x - means

    Columns of one field meet by the vectors that they have for their own field.

    Penalties of factors count sqrt(2 / m) where rows have up to m fields: a plain machine pays once for a vector that
    meets all fields, this one for a vector each. With two fields both machines are the same. On validation parts of
    adult's training rows, of 14 fields, .35 to .5 of the plain machine's penalty did best (log loss .304), and all of
    it .306.

    Parameters
    ----------
    bias, linear, means
        As of `InteractionMachine`.
    factors : ndarray of shape (n_features, n_fields, n_factors), float32
    fields : ndarray of shape (n_features,), int32
        The field f of each column.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.float32([[[0], [2]], [[3], [0]]])
    >>> machine = FieldAwareMachine(1.0, np.float32([0.5, 0.25]), factors, np.zeros(2), np.int32([0, 1]))
    >>> machine.predict(np.array([[1, 0], [1, 1]]))
    array([1.5 , 7.75], dtype=float32)
    """

    interaction: ClassVar[str] = "ffm"

    fields: Ints

    @classmethod
    def begin(
        cls, design: Design, n_factors: int, bias: float, scale: float, spread: float, units: Floats, rng: Any
    ) -> Self:
        """As of `InteractionMachine`."""
        n, fields = design.n_features, of_fields(design)
        _check_room(n, count_labels(fields), n_factors)
        factors = rng.standard_normal((n, count_labels(fields), n_factors), dtype=np.float32)
        factors *= (np.float32(scale * np.sqrt(spread)) / units)[:, None, None]
        return cls(bias, np.zeros(n, np.float32), factors, np.zeros(n), fields)

    @classmethod
    def shapes(cls, arrays: dict[str, NDArray[Any]], n_factors: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """As of `InteractionMachine`."""
        n, n_fields = len(arrays["linear"]), count_labels(arrays["fields"])
        own = {"factors": ("<f4", (n, n_fields, n_factors)), "fields": ("<i4", (n,))}
        return {**super().shapes(arrays, n_factors), **own}

    def row_values(self) -> Callable[..., None]:
        """As of `InteractionMachine`."""
        return partial(value_rows, np.float32(self.bias), self.linear, self.factors, self.fields)

    def visits(self, rows: Rows) -> tuple[Callable[[Ints], float], Callable[[], None]]:
        """As of `InteractionMachine`."""
        P, (V,) = packed(self.factors)
        W, bias = weights_and_sums(self.linear), np.array([self.bias, UNSEEN], np.float32)
        n_slots = rows.most(self.fields)
        sizes = self.factors.shape[1], n_slots, -(-self.n_factors // QUAD), AHEAD if P.nbytes > CACHED else 0
        share_v = rows.share_v * np.float32(np.sqrt(2 / max(n_slots, 2)))
        state = (self.fields, bias, P, W, *sizes, rows.share_w, share_v, rows.pace, rows.rates(2), *rows.loss)

        def keep() -> None:
            self.bias, self.linear[:], self.factors[:] = float(bias[0]), W[:, 0], V

        return lambda order: visit_rows(order, *rows.table, *state), keep


def _check_room(n_columns: int, n_fields: int, n_factors: int) -> None:
    """Refuse what the computer cannot hold: the system would promise the memory, and end the process later."""
    if not hasattr(os, "sysconf"):  # Windows, which promises nothing that it has not
        return
    a_vector = 2 * n_factors + 2 * QUAD * -(-n_factors // QUAD)  # the machine, a copy; factors and sums at work
    needed, there = 4 * n_columns * n_fields * a_vector, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise MemoryError(
            f"interaction='ffm' has {n_columns:,} columns x {n_fields:,} fields x {n_factors} factors, whose fit takes "
            f"{needed / 1e9:,.0f} GB of {there / 1e9:,.0f} GB that there are: take 'fwfm', or fewer n_factors"
        )


@kernel
def find_slots(indptr: Any, columns: Any, r: Any, fields: Any, slot_of: Any, present: Any) -> int:
    """Number the fields that row r has; `slot_of` (-1 for none) and `present` are filled, the number is returned."""
    n = 0
    for e in range(indptr[r], indptr[r + 1]):
        field = np.intp(fields[columns[e]])
        if slot_of[field] < 0:
            slot_of[field], present[n] = n, field
            n += 1
    return n


@kernel(fastmath=FASTMATH)
def value_rows(w0: Any, w: Any, V: Any, fields: Any, indptr: Any, columns: Any, values: Any, out: Any) -> None:
    """The machine's value of every row, by sums of factors from field to field."""
    n_fields, k = V.shape[1], V.shape[2]
    slot_of, present = np.full(n_fields, -1, np.int64), np.empty(n_fields, np.int64)
    toward = np.empty((n_fields, n_fields, k), np.float32)  # of slot s, its sum toward the field of slot t
    for r in range(len(indptr) - 1):
        n = find_slots(indptr, columns, r, fields, slot_of, present)
        toward[:n, :n] = 0
        f, twice = w0, np.float32(0)
        for e in range(indptr[r], indptr[r + 1]):
            j, x = columns[e], values[e]
            s = slot_of[fields[j]]
            f += x * w[j]
            for t in range(n):
                for i in range(k):
                    toward[s, t, i] += x * V[j, present[t], i]
            for i in range(k):  # a column does not meet itself
                twice -= (x * V[j, present[s], i]) ** 2
        for s in range(n):
            for t in range(n):
                for i in range(k):
                    twice += toward[s, t, i] * toward[t, s, i]
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
    n_fields: int,
    n_slots: int,
    chunks: int,
    ahead: int,
    share_w: Any,
    share_v: Any,
    pace: Any,
    rates: Any,
    kind: int,
    delta: Any,
) -> float:
    """A step for each of the rows in `order`; returns the sum of their losses as they were met.

    The slope of a column's vector for field g is x_j times the sum, over the row's entries in g, of their vectors for
    the column's field: summed once, they cost entries x fields. The penalty of a vector counts in the rows in which
    the column meets the field. Each factor has an AdaGrad sum of its own, as libffm has it: no sum across lanes.

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
        As of `packed`: a column's factors by fields, and their sums of squared slopes.
    W : float32 array of shape (n_features, 2)
        Weights and sums.
    n_fields, n_slots, chunks, ahead : int
        Fields, the most of them that a row has, quads of a vector, and `AHEAD` or 0.
    rates : float32 array of shape (2,)
        Learning rates of weights (and the bias) and of factors.
    kind, delta
        Of the loss, as of `fmkit.solvers.losses.loss_and_slope`.
    """
    width, half, row = P.shape[1], n_fields * chunks, n_slots * chunks
    sums = np.zeros((n_slots, row, QUAD), np.float32)  # for slots s, t: of slot t's factors toward the field of s
    own = np.empty((chunks, QUAD), np.float32)
    slot_of, present = np.full(n_fields, -1, np.int64), np.empty(n_slots, np.int64)
    entries = np.empty(n_slots, np.int64)
    place, across = np.empty(row, np.int64), np.empty(row, np.int64)
    losses = 0.0
    for number in range(len(order)):
        r = order[number]
        if ahead and number + ahead < len(order):
            later = order[number + ahead]
            for e in range(indptr[later], indptr[later + 1]):
                for q in range(columns[e] * width, (columns[e] + 1) * width, QUAD):
                    fetch(P, q)
        n = find_slots(indptr, columns, r, fields, slot_of, present)
        ordered = n == n_fields
        for t in range(n):
            entries[t] = 0
            ordered &= present[t] == t
            for c in range(chunks):
                place[t * chunks + c], across[t * chunks + c] = present[t] * chunks + c, t * row + c
        f, pairs, more = bias[0], nothing(), nothing()
        for e in range(indptr[r], indptr[r + 1]):
            j = np.intp(columns[e])
            x = values[e] if len(values) else np.float32(1)
            s = slot_of[fields[j]]
            start, there = j * width, s * chunks
            f += x * W[j, 0]
            if entries[s] == 0:
                for q in range(n * chunks):
                    store(sums, across[q] + there, times(x, load(P, start + place[q], QUAD)))
            else:
                for q in range(n * chunks):
                    at = across[q] + there
                    store(sums, at, plus(load(sums, at, QUAD), x, load(P, start + place[q], QUAD)))
            entries[s] += 1
            for q in range(there, there + chunks):  # a column does not meet itself
                v = times(x, load(P, start + place[q], QUAD))
                pairs = plus_product(pairs, v, times(np.float32(-0.5), v))
        for s in range(n):
            here, there = s * row, s * chunks
            for q in range(1, there, 2):  # two sums, so that one need not wait for the other
                pairs = plus_product(pairs, load(sums, here + q - 1, QUAD), load(sums, across[q - 1] + there, QUAD))
                more = plus_product(more, load(sums, here + q, QUAD), load(sums, across[q] + there, QUAD))
            for q in range(there // 2 * 2, there):
                pairs = plus_product(pairs, load(sums, here + q, QUAD), load(sums, across[q] + there, QUAD))
            for q in range(here + there, here + there + chunks):
                v = load(sums, q, QUAD)
                pairs = plus_product(pairs, v, times(np.float32(0.5), v))
        weight = omega[r] if len(omega) else np.float32(1)
        loss, slope = met(f + total(plus(pairs, np.float32(1), more)), y[r], weight, kind, delta, rates[0], bias)
        losses += loss
        whole = n * chunks // 2 * 2 if ordered else 0
        for e in range(indptr[r], indptr[r + 1]):
            j = np.intp(columns[e])
            x = values[e] if len(values) else np.float32(1)
            s = slot_of[fields[j]]
            start, here, there = j * width, s * row, s * chunks
            along, decay, rate = slope * x, weight * share_v[j], pace[j] * rates[1]
            for c in range(chunks):
                q = there + c
                u = load(sums, here + q, QUAD)
                store(own, c, u)
                store(sums, here + q, plus(u, -x, load(P, start + place[q], QUAD)))
            for q in range(0, whole, 2):
                at = start + q
                v, squares, u = load(P, at, WIDE), load(P, at + half, WIDE), load(sums, here + q, WIDE)
                step(P, at, half, v, squares, along, u, decay, rate)
            for q in range(whole, n * chunks):
                at = start + place[q]
                v, squares, u = load(P, at, QUAD), load(P, at + half, QUAD), load(sums, here + q, QUAD)
                step(P, at, half, v, squares, along, u, decay, rate)
            for c in range(chunks):
                store(sums, here + there + c, load(own, c, QUAD))
            step_weight(W, j, along, weight * share_w[j], pace[j] * rates[0])
        for s in range(n):
            slot_of[present[s]] = -1
    return losses
