"""Several classes at once: a softmax of one machine a class, each fitted given the others.

Given the other classes' values, a class's likelihood is logistic in its own value less the log-sum-exp of theirs
(Holmes and Held, "Bayesian auxiliary variable models for binary and multinomial regression", Bayesian Analysis 2006):
a sweep is one of each class's machine, each with the step of two classes. That is a Gibbs sampler of the joint
posterior; by VB, where the others stand at their expectations, a fixed point in place of a bound. A common shift of all
values changes nothing: the biases' mean, which would go astray, is kept at 0.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fmkit.machine import FactorizationMachine
from fmkit.posterior import Posterior
from fmkit.progress import Progress
from fmkit.solvers.logistic import Logistic
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.vb import Variational

Floats = NDArray[np.float32]


class Classes:
    """Solvers of one machine a class, to be iterated over together.

    Parameters
    ----------
    solvers : sequence of Chain, or of Variational
        Each with a `Logistic` likelihood that says which rows are of the class.
    codes : ndarray of shape (n_rows,), int
        Class of each row.
    weights : ndarray of shape (n_rows,), float32, or None

    Attributes
    ----------
    machines : list of FactorizationMachine
        One a class, as they are told.
    trace : list of dict
        `loss`, and of the traces of all classes what is not the same for all.
    """

    def __init__(
        self, solvers: Sequence[Chain] | Sequence[Variational], codes: NDArray[np.intp], weights: Floats | None
    ) -> None:
        self.solvers: list[Chain | Variational] = list(solvers)
        self.codes, self.weights = codes, weights
        self.machines = [solver.sides.machine for solver in solvers]
        self.trace: list[dict[str, float]] = []
        for solver in self.solvers:
            assert solver.rows is not None
            solver.rows.given_others = True
        self._values = np.stack([solver.sides.predict() for solver in solvers])

    def __iter__(self) -> Iterator[Progress[FactorizationMachine]]:
        start = time.perf_counter()
        while True:
            self._sweep()
            losses = np.logaddexp.reduce(self._values) - self._values[self.codes, np.arange(len(self.codes))]
            loss = float(np.average(losses.astype(np.float64), weights=self.weights))
            self.machines = [solver.collect(loss) for solver in self.solvers]
            told: dict[str, float] = {}
            for c, solver in enumerate(self.solvers):
                last = solver.trace[-1]
                told |= {f"{name} of class {c}": value for name, value in last.items() if " of " in name}
            self.trace.append({"loss": loss, **told})
            seconds = time.perf_counter() - start
            yield Progress(self.solvers[0].sweep, loss, seconds, self.machines[0], machines=self.machines)

    def _sweep(self) -> None:
        values = self._values
        behind = np.full_like(values, -np.inf)  # log-sum-exp of the classes after each one, as they were
        for c in range(len(values) - 2, -1, -1):
            behind[c] = np.logaddexp(behind[c + 1], values[c + 1])
        before = np.full_like(values[0], -np.inf)
        for c, solver in enumerate(self.solvers):
            assert solver.rows is not None
            assert isinstance(solver.rows.likelihood, Logistic)
            solver.rows.likelihood.offset = np.logaddexp(before, behind[c])
            solver.advance()
            values[c] = solver.sides.predict() if solver.rows.f is None else solver.rows.f
            before = np.logaddexp(before, values[c])
        shift = -float(np.mean([solver.sides.machine.bias for solver in self.solvers]))
        values += np.float32(shift)
        for solver in self.solvers:
            solver.sides.move_bias(shift)
            assert solver.rows is not None
            solver.rows.f = None

    def kept(self) -> str:
        """What `posteriors` are of."""
        return self.solvers[0].kept()

    def posteriors(self) -> list[Posterior]:
        """One a class."""
        return [solver.posterior() for solver in self.solvers]


def softmax_probabilities(means: Floats, variances: Floats) -> Floats:
    """Probabilities of classes whose values are normal and independent.

    1 / p_c = 1 + sum_d exp(-(f_c - f_d) / sqrt(1 + pi / 8 (var f_c + var f_d))), scaled to a sum of 1: MacKay's
    approximation of a pair of classes ("The evidence framework applied to classification networks", 1992), from which
    that of more is put together as without variances (Lu, Ie and Sha, "Mean-field approximation to Gaussian-softmax
    integral", 2020).

    Parameters
    ----------
    means, variances : ndarrays of shape (n_classes, n_rows), float32

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float32
    """
    logs = np.empty(means.shape[::-1])
    for c in range(len(means)):
        scale = np.sqrt(1 + np.pi / 8 * (variances + variances[c]))
        odds = (means - means[c]) / scale
        odds[c] = 0
        logs[:, c] = -np.logaddexp.reduce(odds.astype(np.float64))
    logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
    return np.exp(logs).astype(np.float32)
