"""The state of SGD over a stream: a table of columns that grows, and its steps, a batch at a time.

The objective is that of `fmkit.solvers.sgd`, on the rows met so far. A visit carries the penalty of a column divided by
the column's weight so far, not by that of all its rows, which nobody knows yet: wherever the stream is cut, the steps
were those of a fit to the rows before. The penalty itself follows the noise that so many rows show, as that of a fit
does (`fmkit.solvers.penalties`). A column is given its first factors when it is first met, from a counter-based
generator keyed by its number, so that they do not depend on what came before; until then it is nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.checkpoint import State
from fmkit.lanes import HALF, table
from fmkit.machine import FactorizationMachine
from fmkit.solvers.pair_step import SHARE_V, SHARE_W, WEIGHT
from fmkit.solvers.penalties import Penalties, levels
from fmkit.solvers.sgd import visit_rows
from fmkit.streams.coded import Coded
from fmkit.streams.steps import BEHIND, PACE, begin, count, value_rows, visit_pairs

Floats = NDArray[np.float32]


class Learner:
    """A machine and what its steps go by.

    Parameters
    ----------
    n_factors : int
    logistic : bool
        The log loss, of targets 0 and 1; else the squared error.
    offset, bias : float
        What is taken off the targets, and where the bias starts from.
    spread : float
        Standard deviation of the targets.
    reg_linear, reg_factors, learning_rate, init_scale
        As parameters of the estimators.
    seed : int
        Of the first factors.
    """

    def __init__(
        self,
        n_factors: int,
        *,
        logistic: bool,
        offset: float,
        bias: float,
        spread: float,
        reg_linear: ArrayLike,
        reg_factors: ArrayLike,
        learning_rate: float,
        init_scale: float,
        seed: int,
    ) -> None:
        self.n_factors, self.logistic, self.offset, self.spread = n_factors, logistic, offset, spread
        self.reg_linear, self.reg_factors = np.asarray(reg_linear, float), np.asarray(reg_factors, float)
        self.seed, self.scale = seed, np.float32(init_scale * np.sqrt(spread))
        self.lanes = -(-n_factors // HALF) * HALF  # further factors are 0 and stay so
        # Sums of squared slopes are divided by the lanes: the rate makes up for those that are none.
        among = np.sqrt(max(n_factors, 1) / max(self.lanes, 1))
        self.rates = np.array([learning_rate * spread, learning_rate * np.sqrt(spread) * among], np.float32)
        self.bias = np.array([bias, 0], np.float32)
        self.weight = 0.0  # of all rows so far
        self.n_columns = 0
        self.P = table(0, self.lanes + BEHIND)
        self.sums = np.zeros((0, 2))  # of each column, its rows' weights and weighted squares
        self.used, self.coverage = np.zeros(0, np.int64), np.zeros(0)  # columns of each field, weight of its rows

    def values(self, rows: Coded) -> NDArray[np.float32]:
        """The machine's values, less the offset; columns that were never met are nothing."""
        out = np.empty(len(rows), np.float32)
        self._grow(rows)
        value_rows(rows.indptr, rows.columns, rows.values, self.bias[0], self.P, self.lanes, out)
        return out

    def targets(self, rows: Coded) -> Floats:
        """Targets less the offset."""
        return (rows.targets - self.offset).astype(np.float32)

    def losses(self, rows: Coded) -> NDArray[np.float64]:
        """Of each row, the loss that the machine has by now."""
        f, y = self.values(rows).astype(np.float64), self.targets(rows)
        return np.logaddexp(0, f) - y * f if self.logistic else np.square(y - f)

    def learn(self, rows: Coded, order: NDArray[np.int32], *, known: bool = False) -> float:
        """Visit rows in an order; returns the sum of their losses as they were met.

        `known` rows were counted in another pass.
        """
        self._grow(rows)
        omega, y = rows.weights, self.targets(rows)
        weight = float(omega.sum(dtype=np.float64)) if len(omega) else float(len(rows))
        if not known:
            self.weight += weight
            entries = (rows.indptr, rows.columns, rows.fields, rows.values, omega)
            count(*entries, self.sums, self.used, self.coverage)
        linear, factors = self._penalties()
        first = (self.seed, self.n_factors, self.scale, self.P, self.lanes)
        begin(rows.columns, rows.fields, self.sums, linear, factors, *first)
        if rows.pairs:
            state = (self.bias, self.P, self.lanes)
            loss, slopes = visit_pairs(order, rows.columns, y, omega, *state, self.rates, self.logistic)
            # Every row's bias stands still meanwhile, then takes a Newton step, as on `fmkit.solvers.sgd_grid`.
            self.bias[0] -= np.float32(slopes / ((0.25 if self.logistic else 1.0) * max(self.weight, 1e-30)))
            return float(loss)
        of_columns = (self.P[:, self.lanes + SHARE_W], self.P[:, self.lanes + SHARE_V], self.P[:, self.lanes + PACE])
        how = (*of_columns, self.rates, self.logistic)
        of_rows = (rows.indptr, rows.columns, rows.values, y, omega)
        return float(visit_rows(order, *of_rows, self.bias, self.P, self.lanes, *how))

    def machine(self) -> FactorizationMachine:
        """The machine by now, on the learner's own memory."""
        P = self.P[: self.n_columns]
        bias = self.offset + float(self.bias[0])
        return FactorizationMachine(bias, P[:, self.lanes + WEIGHT], P[:, : self.n_factors])

    def take(self, machine: FactorizationMachine) -> None:
        """Go on from a machine instead of from nothing."""
        if machine.n_factors != self.n_factors:
            raise ValueError(
                f"the model was fitted with {machine.n_factors} factors, n_factors is {self.n_factors} now"
            )
        self._make_room(machine.n_features)
        self.n_columns = machine.n_features
        self.P[:, : self.n_factors], self.P[:, self.lanes + WEIGHT] = machine.factors, machine.linear
        self.P[:, self.lanes + PACE] = 1  # they are met
        self.bias[0] = machine.bias - self.offset

    def penalties(self) -> Penalties:
        """Ridge penalties of every column by now; of those that were never met none."""
        P, counts = self.P[: self.n_columns], self.sums[: self.n_columns, 0]
        shares = (P[:, self.lanes + SHARE_W], P[:, self.lanes + SHARE_V])
        return Penalties(*((share * counts).astype(np.float32) for share in shares))

    def state(self) -> State:
        """All that later steps go by."""
        n = self.n_columns
        facts = {"offset": self.offset, "spread": self.spread, "weight": self.weight}
        arrays: dict[str, NDArray[Any]] = {
            "table": self.P[:n],
            "sums": self.sums[:n],
            "used": self.used,
            "coverage": self.coverage,
            "bias": self.bias,
        }
        return State(facts, arrays)

    def resume(self, state: State) -> None:
        """Go on from a state; a KeyError, TypeError or ValueError if it is of another learner."""
        arrays = state.arrays
        n = len(arrays["table"])
        if arrays["sums"].dtype != np.float64 or arrays["sums"].shape != (n, 2):
            raise ValueError("its sums do not fit its columns")
        if arrays["table"].dtype != np.float32 or arrays["table"].shape[1] != self.P.shape[1]:
            raise ValueError("its columns have another number of factors")
        if arrays["bias"].dtype != np.float32 or arrays["bias"].shape != (2,):
            raise ValueError("its bias is none")
        self._make_room(n)
        self.P[:n], self.sums[:n] = arrays["table"], arrays["sums"]
        self.used, self.coverage = arrays["used"].astype(np.int64), arrays["coverage"].astype(np.float64)
        self.bias[:], self.n_columns = arrays["bias"], n
        self.offset, self.spread = float(state.facts["offset"]), float(state.facts["spread"])
        self.weight = float(state.facts["weight"])

    def _grow(self, rows: Coded) -> None:
        if rows.n_columns > len(self.P):
            self._make_room(rows.n_columns if not self.n_columns else max(rows.n_columns, len(self.P) * 3 // 2))
        self.n_columns = max(self.n_columns, rows.n_columns)
        more = rows.n_fields - len(self.used)
        if more > 0:
            self.used = np.concatenate([self.used, np.zeros(more, np.int64)])
            self.coverage = np.concatenate([self.coverage, np.zeros(more)])

    def _make_room(self, n: int) -> None:
        larger = table(n, self.lanes + BEHIND)
        larger[: len(self.P)] = self.P
        sums = np.zeros((n, 2))
        sums[: len(self.sums)] = self.sums
        self.P, self.sums = larger, sums

    def _penalties(self) -> tuple[Floats, Floats]:
        """Of each field, penalties of weights and factors, for columns of unit mean square."""
        n_fields = len(self.used)
        noise = np.ones(n_fields)
        if n_fields > 1:
            noise = levels(self.coverage / np.maximum(self.used, 1), self.coverage / max(self.weight, 1e-30))
        curvature = 0.25 if self.logistic else 1.0
        told = []
        for name, value in (("reg_linear", self.reg_linear), ("reg_factors", self.reg_factors)):
            if value.shape not in ((), (n_fields,)):
                raise ValueError(f"{name} must be a number or one for each of {n_fields} fields, got {value.shape}")
            told.append(curvature * np.broadcast_to(value, n_fields))
        return told[0].astype(np.float32), (told[1] * noise * self.spread).astype(np.float32)
