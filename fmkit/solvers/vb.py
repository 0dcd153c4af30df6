"""Mean-field variational Bayes: the model of the Gibbs sampler, one Gaussian a column, and a bound that never falls.

The posterior is taken for a product of Gaussians of the columns, normal-gammas of the priors' means and precisions and
gammas of the noise (Beal, "Variational algorithms for approximate Bayesian inference", 2003); each factor in turn is
replaced by the best one given the others, which raises a lower bound of the log evidence. The result is one machine of
means, deterministic but for its start, with variances in closed form. Two one-hot fields have full covariances a column
while these fit into memory (`fmkit.solvers.moments`); else the dimensions of a column are independent
(`fmkit.solvers.spreads`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from fmkit.checkpoint import State, fill, live_arrays
from fmkit.design import Design
from fmkit.kernels import kernel
from fmkit.machine import FactorizationMachine
from fmkit.posterior import Posterior
from fmkit.progress import Progress
from fmkit.solvers.groups import entries_a_row
from fmkit.solvers.hierarchy import Hierarchies
from fmkit.solvers.independent import Spreads
from fmkit.solvers.latent import LatentRows, noise_levels
from fmkit.solvers.likelihood import Likelihood
from fmkit.solvers.mcmc import A0, BETA0, C0, columns_by_group, groups_of, moments_of_group
from fmkit.solvers.moments import fill_variances, infer_columns, pack_moments, packed_size
from fmkit.solvers.sides import Prior, Sides
from fmkit.threads import even_cuts, for_each

# Of factors and weights, for what a row has one of; where it has many, their sum starts as wide. On validation parts of
# two rating sets this and a start of N(0, 1) were .001 to .004 better than .02 and N(0, .25).
START_VARIANCE = np.float32(1)
BUDGET = 1 << 29  # bytes of full covariances
LOG_2_PI = float(np.log(2 * np.pi))


class Variational:
    """A variational fit: iterate over it for sweeps, then ask for the `posterior`.

    Parameters
    ----------
    design, y, weights, noise_fields, n_threads, likelihood
        As for `fmkit.solvers.mcmc.Chain`.
    machine : FactorizationMachine
        The start, best a wide one: from small factors most dimensions are pruned. It becomes the mean.
    """

    def __init__(
        self,
        design: Design,
        y: NDArray[np.float32],
        weights: NDArray[np.float32] | None,
        machine: FactorizationMachine,
        *,
        noise_fields: Sequence[int] | None,
        n_threads: int,
        likelihood: Likelihood | None = None,
    ) -> None:
        n, k = machine.factors.shape
        crowd = entries_a_row(design)
        self.hierarchies = Hierarchies(design, machine, n_threads)
        design = self.hierarchies.design
        self.sides = sides = Sides(design, machine, y, weights, n_threads, changing=likelihood is not None)
        self.noise = noise_levels(sides, self.hierarchies.sides(noise_fields), weights, likelihood)
        self.linear_variance = (START_VARIANCE / crowd).astype(np.float32)
        self.factor_variance = np.repeat(self.linear_variance[:, None], k, axis=1)
        self.sweep = 0
        self.trace: list[dict[str, float]] = []
        self._columns = columns_by_group(sides.groups)
        self._priors: list[Prior] = [Prior(np.ones(k + 1, np.float32), np.zeros(k + 1, np.float32))] * len(
            self._columns
        )
        self._hyper: dict[int, tuple[int, float, NDArray[np.float64]]] = {}
        self._determinants = np.zeros(n)
        one_hot = sides.pair and not any(side.table for side in sides.sides)
        self.full = one_hot and 4 * n * packed_size(k) <= BUDGET
        self._sums = np.zeros((n, 4))
        if self.full:
            self._moments = np.zeros((n, packed_size(k)), np.float32)
            _pack_start(machine.factors, machine.linear, self.linear_variance, self._moments)
        else:
            self._spreads = Spreads(sides, self.linear_variance, self.factor_variance)
        self.rows = None if likelihood is None else LatentRows(sides, self.noise, likelihood)
        if self.rows is not None:
            self.rows.augment(None, self._variance_of_rows())

    def __iter__(self) -> Iterator[Progress[FactorizationMachine]]:
        start = time.perf_counter()
        while True:
            loss = self.advance()
            yield Progress(self.sweep, loss, time.perf_counter() - start, self.collect(loss))

    def advance(self) -> float:
        """One sweep; returns its loss."""
        self.sweep += 1
        return self._step()

    def collect(self, loss: float) -> FactorizationMachine:
        """The machine to be told."""
        return self.hierarchies.expanded(self.sides.machine)

    @property
    def cutpoints(self) -> NDArray[np.float64]:
        """Of the likelihood, (n_classes - 1,), float64."""
        return self.told_cutpoints

    @property
    def told_cutpoints(self) -> NDArray[np.float64]:
        """As of a `fmkit.solvers.mcmc.Chain`."""
        assert self.rows is not None
        return self.rows.likelihood.cutpoints

    def _step(self) -> float:
        """One sweep; returns the expected squared error, or the mean log loss at the means."""
        sides, noise = self.sides, self.noise
        if self.rows is not None and self.rows.given_others:
            self.rows.augment(None, self._variance_of_rows())
        total = 0.0
        if not sides.pair:
            self._spreads.renew()
        for s in range(len(sides.sides)):
            for g in groups_of(sides, s, self.hierarchies.of_side.get(s)):
                self._infer_prior(g)
            squares = self._infer_side(s)
            if sides.pair:
                if s in noise.levels:
                    noise.update_side(s, squares, None)
                tau = noise.levels.get(s)
                total = float(squares.sum() if tau is None else squares @ tau)
        if not sides.pair:
            total = noise.update_rows(np.square(sides.y - sides.f) + self._spreads.of_values(), None)
        slope, curve = sides.residual_sums(noise.scale(len(sides.sides) - 1) if sides.pair else noise.of_rows())
        shift = slope / curve if curve > 0 else 0.0
        sides.move_bias(shift)
        if curve > 0:
            total -= slope**2 / curve / noise.common
        if self.rows is not None:
            loss = self.rows.loss()
            if self.rows.given_others:
                self.trace.append({"loss": loss})
                return loss
            variance = self._variance_of_rows()
            self.rows.augment(None, variance)
            self.trace.append({"bound": self._bound(self.rows.bound(variance))})
            return loss
        noise.update_common(total, None)
        self.trace.append({"bound": self._bound(noise.bound(total)), "noise": noise.common})
        return total * noise.common / max(curve, 1e-30)

    def _infer_prior(self, g: int) -> None:
        """The normal-gamma of a group's means and precisions, at its expectations."""
        m, mean, scatter = self._moments_of(g)
        rate = C0 + scatter / 2 + BETA0 * m / (BETA0 + m) * mean**2 / 2
        shape = A0 + m / 2
        self._priors[g] = Prior((shape / rate).astype(np.float32), (m * mean / (BETA0 + m)).astype(np.float32))
        self._hyper[g] = m, shape, rate

    def _moments_of(self, g: int) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
        """Expected moments of a group about what its prior says of its columns."""
        columns: Any = self._columns[g]
        linear, factors = self.linear_variance, self.factor_variance
        m, mean, scatter = moments_of_group(self.sides.machine, g, columns, self.hierarchies)
        hierarchy = self.hierarchies.of_group(g)
        if hierarchy is not None:
            columns = hierarchy.own
            scatter += hierarchy.variance_of_sums(linear, factors)
        of_factors = factors[columns].sum(axis=0, dtype=np.float64)
        return m, mean, scatter + np.append(of_factors, linear[columns].sum(dtype=np.float64))

    def _infer_side(self, s: int) -> NDArray[np.float64]:
        """Renew the columns of a side; returns the expected squared errors by level, as `NoiseLevels` takes them."""
        side, sides = self.sides.sides[s], self.sides
        scale, level, prior = self.noise.scale(s), self.noise.level(s), self._priors[side.group]
        hierarchy = self.hierarchies.of_side.get(s)
        centres = prior.centre[None] if hierarchy is None else hierarchy.centres(sides.machine, prior)
        if side.table is not None:
            sums = self._spreads.infer_block(s, self._priors, scale, level, self._determinants)
        elif self.full:
            machine = sides.machine
            arguments: tuple[Any, ...] = (side.columns, side.ptr, side.source, side.y, side.omega, level)
            arguments += (np.float32(machine.bias),)
            arguments += (self._moments, machine.linear, machine.factors, self.linear_variance, self.factor_variance)
            arguments += (scale, prior.precision, centres, self._sums)
            cuts = even_cuts(side.ptr, sides.n_threads)
            for_each(infer_columns, [(*cut, *arguments) for cut in cuts], sides.n_threads)
            sums = self._sums[side.columns]
            self._determinants[side.columns] = sums[:, 3]
        else:
            sums = self._spreads.infer_field(s, prior, centres, scale, level)
            self._determinants[side.columns] = sums[:, 3]
        if hierarchy is not None:
            variances = self.linear_variance, self.factor_variance
            hierarchy.solve_members(sides.machine, self._priors, variances=variances)
            columns = hierarchy.members.columns
            logs = np.log(variances[0][columns]) + np.log(variances[1][columns]).sum(axis=1)
            self._determinants[columns] = logs / 2
        sides.set_last(sums[:, :3])
        return np.asarray(sums[:, 0])

    def _variance_of_rows(self) -> NDArray[np.float32]:
        """Of the predictions."""
        if not self.full:
            return self._spreads.of_values()
        sides, k = self.sides, self.sides.machine.n_factors
        out = np.empty(sides.design.n_rows, np.float32)
        columns = [side.columns[side.codes] for side in sides.sides]
        step = max(1, -(-len(out) // (4 * sides.n_threads)))
        pieces = [(a, min(a + step, len(out)), *columns, self._moments, k, out) for a in range(0, len(out), step)]
        for_each(fill_variances, pieces, sides.n_threads)
        return out

    def _bound(self, bound: float) -> float:
        """The lower bound of the log evidence, from that of rows and noise."""
        k = self.sides.machine.n_factors
        bound += float(self._determinants.sum()) + len(self._determinants) * (k + 1) / 2 * (1 + LOG_2_PI)
        for g, (m, shape, rate) in self._hyper.items():
            prior = self._priors[g]
            _, mean, scatter = self._moments_of(g)
            centre = prior.centre.astype(np.float64)
            precision, log_precision, beta = shape / rate, digamma(shape) - np.log(rate), BETA0 + m
            squares = scatter + m * np.square(mean - centre)
            terms = m / 2 * (log_precision - LOG_2_PI - 1 / beta) - precision * squares / 2
            terms += (np.log(BETA0) - BETA0 * (precision * centre**2 + 1 / beta) - np.log(beta) + 1) / 2
            terms += A0 * np.log(C0) - gammaln(A0) + (A0 - 1) * log_precision - C0 * precision
            terms += shape - np.log(rate) + gammaln(shape) + (1 - shape) * digamma(shape)
            bound += float(terms.sum())
        return bound

    def kept(self) -> str:
        """What `posterior` is of."""
        return f"the posterior of sweep {max(len(self.trace), 1)}"

    def state(self) -> State:
        """What the fit goes on from after a sweep: the rest follows from the columns' posteriors."""
        bias = self.sides.machine.bias
        facts = {"bias": bias, "sweep": self.sweep, "trace": self.trace, "noise": self.noise.facts()}
        facts["log_gaps"] = [] if self.rows is None else self.rows.likelihood.log_gaps.tolist()
        return State(facts, self._arrays())

    def resume(self, state: State) -> None:
        """Go on from a state of the same fit."""
        fill(self._arrays(), state.arrays)
        self.hierarchies.tell(self.sides.machine)
        self.noise.resume(state.facts["noise"])
        self.sides.machine.bias, self.sweep = float(state.facts["bias"]), int(state.facts["sweep"])
        self.trace[:] = [dict(row) for row in state.facts["trace"]]
        if self.rows is not None:
            self.rows.likelihood.log_gaps[:] = state.facts["log_gaps"]
            self.rows.resume()

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {**live_arrays(self.sides), **self.noise.arrays()}
        if self.rows is not None:
            arrays |= self.rows.arrays()
        arrays |= {"linear_variance": self.linear_variance, "factor_variance": self.factor_variance}
        if self.full:
            return arrays | {"moments": self._moments}
        spreads = self._spreads
        for s, table in spreads._tables.items():
            arrays |= {f"spreads.{s}.{i}": array for i, array in enumerate(table)}
        return arrays if self.sides.pair else arrays | {"VQ": spreads.VQ, "G": spreads.G}

    def posterior(self) -> Posterior:
        """What the fit tells so far."""
        machine, noise = self.hierarchies.expanded(self.sides.machine.copy()), self.noise
        zero = np.zeros(machine.n_features)
        levels = noise.by_column()
        no_covariance = np.zeros((0, machine.n_factors), np.float32)
        covariance = _covariances(self._moments, machine.n_factors) if self.full else no_covariance
        if self.hierarchies.of_side and not self.full:
            covariance = np.zeros_like(self.factor_variance)  # a row's own column stands for the row with it
        stands = np.zeros(machine.n_features, bool)
        stands[self.hierarchies.own] = True
        spreads = self.linear_variance, self.factor_variance, covariance
        return Posterior(machine, *spreads, stands, noise.common, levels, zero, [])


def _covariances(M: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Covariances of weight and factors of columns, from their packed moments."""
    last = [k + 2 + (i + 1) * (k + 1) - i * (i + 1) // 2 - 1 for i in range(k)]  # of E v_i w
    return np.asarray(M[:, last] - M[:, 1 : k + 1] * M[:, k + 1 : k + 2])


@kernel
def _pack_start(V: Any, w: Any, variance: Any, M: Any) -> None:
    k = V.shape[1]
    cov = np.zeros((k + 1, k + 1), np.float32)
    for c in range(len(w)):
        for i in range(k + 1):
            cov[i, i] = variance[c]
        pack_moments(V[c], w[c], cov, k, M[c])
