"""Small problems of every kind that the solvers tell apart, for the tests of ALS and SGD."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fmkit.design import Design
from fmkit.machine import FactorizationMachine
from fmkit.solvers.penalties import Penalties, column_units


@dataclass
class Problem:
    """A design, targets and weights, a start and penalties, and the same in dense float64."""

    design: Design
    y: Any
    weights: Any
    start: FactorizationMachine
    penalties: Penalties
    logistic: bool

    @property
    def units(self):
        return column_units(self.design, self.weights)

    @property
    def dense(self):
        """X, y, omega, penalty_w, penalty_v as the reference takes them."""
        omega = np.ones(len(self.y)) if self.weights is None else self.weights.astype(float)
        penalties = self.penalties.linear.astype(float), self.penalties.factors.astype(float)
        return self.design.to_csr().toarray().astype(float), self.y.astype(float), omega, *penalties


def problem(kind, *, logistic=False, weighted=False, k=3, n=60, seed=0):
    """Two one-hot fields ("pair"), values in sparse columns ("values") or one-hot fields with gaps ("gaps")."""
    rng = np.random.default_rng(seed)
    if kind == "pair":
        design = Design.from_codes([rng.integers(0, 6, n), rng.integers(0, 5, n)], [7, 5])  # one column without a row
    elif kind == "gaps":
        design = Design.from_codes([rng.integers(-1, m, n) for m in (4, 3, 2)])
    else:
        design = Design.from_matrix(rng.standard_normal((n, 6)) * (rng.random((n, 6)) < 0.4))
    y = (rng.random(n) < 0.4) if logistic else rng.standard_normal(n)
    weights = (0.5 + rng.random(n)).astype(np.float32) if weighted else None
    factors = 0.3 * rng.standard_normal((design.n_features, k))
    start = FactorizationMachine(0.25, np.zeros(design.n_features, np.float32), factors.astype(np.float32))
    penalties = Penalties(*(0.5 + rng.random((2, design.n_features))).astype(np.float32))
    return Problem(design, y.astype(np.float32), weights, start, penalties, logistic)
