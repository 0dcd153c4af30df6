"""Values of pairs of a user and an item, read where the vectors of all stand: nothing is gathered for a batch.

A pair has the same bits whichever others come with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH
from fmkit.recommend.model import Codes, Floats

if TYPE_CHECKING:
    from fmkit.recommend.rating_model import RatingModel
    from fmkit.recommend.rating_side import RatingSide

UNKNOWN = np.array([-1])


class Members(NamedTuple):
    """Users or items as the kernels read them.

    Parameters
    ----------
    vectors, var_vectors, covariance : ndarrays of shape (n, d), (n, k), (n, k), float32
    level, var_weights, noise : ndarrays of shape (n,), float32
    """

    vectors: Floats
    var_vectors: Floats
    covariance: Floats
    level: Floats
    var_weights: Floats
    noise: Floats

    @classmethod
    def of(cls, side: RatingSide, told: Floats, add: np.float32) -> Self:
        """Those of a side, with the products with what a context comes to in their levels."""
        level = side.weights + side.vectors @ told + add
        parts = side.vectors, side.var_vectors, side.covariance, level, side.var_weights, side.noise
        return cls(*(np.ascontiguousarray(part, np.float32) for part in parts))

    def some(self, codes: Codes, unknown: Members) -> Members:
        """Some, in this order; -1 stands for the unknown one."""
        chosen = []
        for part, of_unknown in zip(self, unknown, strict=True):
            own = part[np.maximum(codes, 0)] if len(part) else np.repeat(of_unknown, len(codes), axis=0)
            own[codes < 0] = of_unknown
            chosen.append(own)
        return Members(*chosen)


@dataclass(frozen=True, eq=False)
class RatingPairs:
    """Users and items of a rating model, in the usual context.

    Parameters
    ----------
    users, items : Members
    nobody, nothing : Members
        The one user, and the one item, of whom nothing is known.
    usual : ndarray of shape (d,), float32
        What the context adds to users' vectors.
    noise : float
        Precision of a rating.
    """

    users: Members
    items: Members
    nobody: Members
    nothing: Members
    usual: Floats
    noise: float

    @classmethod
    def of(cls, model: RatingModel) -> Self:
        """From the model; beside its own arrays it takes a number a user and an item."""
        q, level = np.ascontiguousarray(model.usual[:-1]), np.float32(model.bias) + model.usual[-1]
        of_users = (Members.of(side, q, level) for side in (model.users, model.users.find(UNKNOWN)))
        of_items = (Members.of(side, q, np.float32(0)) for side in (model.items, model.items.find(UNKNOWN)))
        (users, nobody), (items, nothing) = of_users, of_items
        return cls(users, items, nobody, nothing, q, model.noise)

    def values(self, users: Codes, items: Codes) -> Floats:
        """The model's values of pairs; -1 stands for an unknown one."""
        out = np.empty(len(users), np.float32)
        u, i = np.ascontiguousarray(users, np.int32), np.ascontiguousarray(items, np.int32)
        of_users, of_items = self.users, self.items
        if (u < 0).any() or (i < 0).any():
            known = of_users.vectors, of_users.level, of_items.vectors, of_items.level
            values_with_unknown(u, i, *known, *self._of_unknown, out)
        else:
            pair_values(u, i, of_users.vectors, of_users.level, of_items.vectors, of_items.level, out)
        return out

    @cached_property
    def _of_unknown(self) -> tuple[Floats, Floats, np.float32]:
        """Values of each item for an unknown user, of an unknown item for each user, and of both."""
        told = []
        for users, items in (
            (self.nobody, self.items),
            (self.users, self.nothing),
            (self.nobody, self.nothing),
        ):
            n = max(len(users.level), len(items.level))
            u, i = (np.arange(n, dtype=np.int32) % np.int32(len(side.level)) for side in (users, items))
            values = np.empty(n if len(users.level) and len(items.level) else 0, np.float32)
            pair_values(u, i, users.vectors, users.level, items.vectors, items.level, values)
            told.append(values)
        return told[0], told[1], told[2][0]

    def variances(self, users: Codes, items: Codes) -> tuple[Floats, Floats]:
        """What is not known of these values, and of the noise of a rating."""
        out = np.empty(len(users), np.float32), np.empty(len(users), np.float32)
        for rows, u, i, of_users, of_items in self._parts(users, items):
            found = out if rows is None else (np.empty(len(rows), np.float32), np.empty(len(rows), np.float32))
            pair_variances(u, i, of_users, of_items, self.usual, np.float32(self.noise), *found)
            if rows is not None:
                out[0][rows], out[1][rows] = found
        return out

    def _parts(self, users: Codes, items: Codes) -> Iterator[tuple[Any, Codes, Codes, Members, Members]]:
        """All pairs, if all are known; else first those that are, then the others, whose vectors are gathered."""
        u, i = np.ascontiguousarray(users, np.int32), np.ascontiguousarray(items, np.int32)
        known = (u >= 0) & (i >= 0)
        if known.all():
            yield None, u, i, self.users, self.items
            return
        rows, others = np.flatnonzero(known), np.flatnonzero(~known)
        yield rows, u[rows], i[rows], self.users, self.items
        each = np.arange(len(others), dtype=np.int32)
        yield others, each, each, self.users.some(u[others], self.nobody), self.items.some(i[others], self.nothing)


def dots(users: Codes, items: Codes, U: Floats, V: Floats) -> Floats:
    """Products of rows of U and V."""
    out = np.empty(len(users), np.float32)
    u, i = np.ascontiguousarray(users, np.int32), np.ascontiguousarray(items, np.int32)
    U, V = np.ascontiguousarray(U), np.ascontiguousarray(V)
    pair_values(u, i, U, np.zeros(len(U), np.float32), V, np.zeros(len(V), np.float32), out)
    return out


@kernel(fastmath=FASTMATH)
def pair_values(users: Any, items: Any, U: Any, of_users: Any, V: Any, of_items: Any, out: Any) -> None:
    """out_r = of_users_u + of_items_i + <U_u, V_i>; users and items are int32 codes, all else is float32."""
    for r in range(len(out)):
        u, i = users[r], items[r]
        dot = np.float32(0)
        for f in range(U.shape[1]):
            dot += U[u, f] * V[i, f]
        out[r] = of_users[u] + of_items[i] + dot


@kernel(fastmath=FASTMATH)
def values_with_unknown(
    users: Any, items: Any, U: Any, of_users: Any, V: Any, of_items: Any,
    for_nobody: Any, of_nothing: Any, of_neither: Any, out: Any,
) -> None:  # fmt: skip
    """As `pair_values`, where -1 is a user or an item of whom nothing is known: what these come to is known before."""
    for r in range(len(out)):
        u, i = users[r], items[r]
        if u >= 0 and i >= 0:
            dot = np.float32(0)
            for f in range(U.shape[1]):
                dot += U[u, f] * V[i, f]
            out[r] = of_users[u] + of_items[i] + dot
        elif u >= 0:
            out[r] = of_nothing[u]
        else:
            out[r] = for_nobody[i] if i >= 0 else of_neither


@kernel(fastmath=FASTMATH)
def pair_variances(
    users: Any, items: Any, of_users: Any, of_items: Any, usual: Any, precision: Any, variance: Any, noise: Any
) -> None:
    """Of independent users and items, and 1 / (precision noise_u noise_i).

    The variance is var w_u + var w_i + sum_f var u_f (m_i^2 + var i_f) + m_u^2 var i_f + 2 cov u_f m_i + 2 m_u cov i_f,
    with m the means of dimension f, as in `fmkit.posterior.spread_rows`.

    Parameters
    ----------
    users, items : int32 arrays of shape (n,)
    of_users, of_items : Members
    usual : float32 array of shape (d,)
    precision : float32
    variance, noise : float32 arrays of shape (n,)
    """
    U, var_u, cov_u, _, var_of_u, noise_of_u = of_users
    V, var_v, cov_v, _, var_of_v, noise_of_v = of_items
    two = np.float32(2)
    for r in range(len(variance)):
        u, i = users[r], items[r]
        total = var_of_u[u] + var_of_v[i]
        for f in range(var_u.shape[1]):
            p, q = U[u, f] + usual[f], V[i, f]
            total += var_u[u, f] * (q * q + var_v[i, f]) + p * p * var_v[i, f]
            total += two * (cov_u[u, f] * q + p * cov_v[i, f])
        variance[r] = total
        noise[r] = np.float32(1) / (precision * noise_of_u[u] * noise_of_v[i])
