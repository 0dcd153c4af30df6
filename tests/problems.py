"""Small problems of every kind that the solvers tell apart, for the tests of ALS and SGD."""

from dataclasses import dataclass, replace

import numpy as np

from fmkit.design import Design
from fmkit.machine import FactorizationMachine
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties, column_units


@dataclass
class Problem:
    """A design, targets and weights, a start and penalties, and the same in dense float64."""

    objective: Objective
    start: FactorizationMachine

    @property
    def design(self):
        return self.objective.design

    @property
    def y(self):
        return self.objective.y

    @property
    def units(self):
        return column_units(self.design, self.objective.weights)

    @property
    def dense(self):
        """X, y, omega, penalty_w, penalty_v as the reference takes them."""
        o = self.objective
        omega = np.ones(len(o.y)) if o.weights is None else o.weights.astype(float)
        penalties = o.penalties.linear.astype(float), o.penalties.factors.astype(float)
        return self.design.to_csr().toarray().astype(float), self.y.astype(float), omega, *penalties


def problem(kind, *, logistic=False, weighted=False, k=3, n=60, seed=0):
    """Two one-hot fields ("pair"), the same with their ones written out ("ones"), values in sparse columns ("values"),
    or one-hot fields with gaps ("gaps").
    """
    rng = np.random.default_rng(seed)
    if kind in ("pair", "ones"):
        design = Design.from_codes([rng.integers(0, 6, n), rng.integers(0, 5, n)], [7, 5])  # one column without a row
        if kind == "ones":
            fields = [replace(field, values=np.ones(n, np.float32)) for field in design.fields]
            design = replace(design, fields=tuple(fields))
    elif kind == "gaps":
        design = Design.from_codes([rng.integers(-1, m, n) for m in (4, 3, 2)])
    else:
        design = Design.from_matrix(rng.standard_normal((n, 6)) * (rng.random((n, 6)) < 0.4))
    y = (rng.random(n) < 0.4) if logistic else rng.standard_normal(n)
    weights = (0.5 + rng.random(n)).astype(np.float32) if weighted else None
    factors = 0.3 * rng.standard_normal((design.n_features, k))
    start = FactorizationMachine(0.25, np.zeros(design.n_features, np.float32), factors.astype(np.float32))
    penalties = Penalties(*(0.5 + rng.random((2, design.n_features))).astype(np.float32))
    return Problem(Objective(design, y.astype(np.float32), weights, penalties, logistic), start)


def torch_loss(loss, f, y):
    """A row's loss (`fmkit.solvers.losses.Loss`) of the value f by torch's own, in float64."""
    import torch

    target, functional = torch.tensor(y, dtype=torch.float64), torch.nn.functional
    return {
        "squared": lambda: functional.mse_loss(f, target) / 2,
        "logistic": lambda: functional.binary_cross_entropy_with_logits(f, target),
        "absolute": lambda: functional.l1_loss(f, target),
        "huber": lambda: functional.huber_loss(f, target, delta=loss.width),
        "poisson": lambda: functional.poisson_nll_loss(f, target),
    }[loss.name]()
