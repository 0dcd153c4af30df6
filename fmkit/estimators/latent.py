"""Fits by MCMC and VB of targets that are no numbers: classes, ordered or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fmkit.blocks import find_blocks
from fmkit.checkpoint import digest
from fmkit.design import Design
from fmkit.estimators.common import SWEEPS, FMEstimator
from fmkit.estimators.frame import Frame, group_priors
from fmkit.estimators.placement import place_fit
from fmkit.fitting import FitRecord, run_fit
from fmkit.machine import FactorizationMachine
from fmkit.posterior import Posterior
from fmkit.solvers.classes import Classes
from fmkit.solvers.likelihood import Likelihood
from fmkit.solvers.logistic import Logistic
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.ordinal import Ordinal, class_probabilities
from fmkit.solvers.vb import Variational
from fmkit.threads import count_threads

Floats = NDArray[np.float32]


@dataclass
class LatentFit:
    """What a fit leaves behind, in the user's units.

    Parameters
    ----------
    posteriors : list of Posterior
        One, or one a class.
    record : FitRecord
    trace : list of dict
    cutpoints : ndarray of shape (n_classes - 1,), float64
        Of an ordinal target; else of no use.
    """

    posteriors: list[Posterior]
    record: FitRecord[FactorizationMachine]
    trace: list[dict[str, float]]
    cutpoints: NDArray[np.float64]


class LatentFitter(FMEstimator):
    """What fits by MCMC and VB of classes share."""

    _usual_sweeps: ClassVar[dict[str, int]] = SWEEPS
    # Standard deviations of the first factors, values being in units of the noise: from .1, chains of two classes end
    # with an AUC that is .001 lower on validation parts of MovieLens latest-small.
    _usual_scales: ClassVar[dict[str, float]] = {"mcmc": 0.3, "vb": 1.0}

    def _fit_latent(
        self,
        design: Design,
        codes: NDArray[np.intp],
        weights: Floats | None,
        kind: Callable[..., Likelihood],
        n_classes: int,
        previous: Sequence[FactorizationMachine],
        rng: np.random.Generator,
    ) -> LatentFit:
        """Fit one machine, or one a class where there are several without an order.

        Parameters
        ----------
        design, codes, weights
            Rows, their classes from 0 on, and their weights.
        kind : callable
            `Logistic` for several machines; else anything that makes a likelihood of codes, weights and threads.
        n_classes : int
        previous : sequence of FactorizationMachine
            To start from with `warm_start`; may be empty.
        rng : Generator
        """
        several = kind is Logistic and n_classes > 2
        n_sweeps = self._or_usual(self.max_iter, self._usual_sweeps[self.solver], design)
        if several and self.checkpoint is not None:
            raise ValueError(f"checkpoints are of one machine, {n_classes} classes have one each: set checkpoint=None")
        checkpoint = self._open_checkpoint()
        data = ""
        if checkpoint is not None:
            checkpoint.continue_generator(rng)
            data = digest(design, codes, weights, n_classes)
        device = place_fit(self, design, n_sweeps)
        design, frame = Frame.of_priors(design if device else find_blocks(design), weights, 0.0, 1.0)
        held: tuple[Design, NDArray[np.intp], Floats | None] | None = None
        if self.early_stopping:
            aside = self._set_aside(design.n_rows, rng)
            held = design.select(aside), codes[aside], None if weights is None else weights[aside]
            design, codes, weights = design.select(~aside), codes[~aside], None if weights is None else weights[~aside]

        n_threads = count_threads(self.n_jobs)
        scale = np.float32(self._usual_scales[self.solver] if self.init_scale is None else self.init_scale)
        solvers: list[Any] = []
        for c in range(n_classes if several else 1):
            likelihood = kind((codes == c) if several else codes, weights, n_threads)
            before = previous[c] if len(previous) > c else None
            start = self._start(design, frame, before, rng, likelihood.start_bias, scale)
            if checkpoint is not None:
                checkpoint.identify(self._told_parameters() | {"max_iter": n_sweeps}, data, digest(start))
            no_targets = np.zeros(design.n_rows, np.float32)
            how = likelihood, device
            made = self._bayesian_solver(design, no_targets, weights, start, rng, n_sweeps, n_threads, *how)
            solvers.append(made)
        solver: Chain | Variational | Classes = Classes(solvers, codes, weights) if several else solvers[0]
        record = run_fit(
            iter(solver),
            solvers[0].sides.machine,
            n_sweeps,
            validation_loss=None if held is None else _log_loss(solver, *held, self.n_jobs),
            patience=self.patience,
            burn_in=self._burn_in(n_sweeps) if self.solver == "mcmc" else 0,
            kept=solver.kept,
            callbacks=self.callbacks or (),
            told_as=frame.to_user,
            checkpoint=checkpoint,
            solver=None if isinstance(solver, Classes) else solver,
            verbose=bool(self.verbose),
        )
        posteriors = []
        for one in solvers:
            posterior = one.posterior()
            posterior.priors = group_priors(one, posterior)
            posteriors.append(frame.posterior_to_user(posterior))
        _pad(posteriors)
        if checkpoint is not None and not record.interrupted:
            checkpoint.remove()
        return LatentFit(posteriors, record, solver.trace, solvers[0].cutpoints.copy())


def _pad(posteriors: list[Posterior]) -> None:
    """Let all machines have as many factors: the further ones of a chain's average need not be as many each."""
    most = max(posterior.machine.n_factors for posterior in posteriors)
    for posterior in posteriors:
        V = posterior.machine.factors
        if V.shape[1] < most:
            posterior.machine.factors = np.pad(V, ((0, 0), (0, most - V.shape[1])))


def ordinal(n_classes: int) -> Callable[..., Ordinal]:
    """What makes the likelihood of so many ordered classes from codes, weights and threads."""
    return lambda codes, weights, n_threads: Ordinal(codes, n_classes, weights, n_threads)


def _log_loss(
    solver: Chain | Variational | Classes,
    design: Design,
    codes: NDArray[np.intp],
    weights: Floats | None,
    n_jobs: int | None,
) -> Callable[[FactorizationMachine], float]:
    """Mean log loss on these rows of what the solver tells, as if nothing about it were uncertain."""
    rows = np.arange(len(codes))

    def loss(machine: FactorizationMachine) -> float:
        if isinstance(solver, Classes):
            values = np.stack([one.predict(design, n_jobs) for one in solver.machines]).astype(np.float64)
            losses = np.logaddexp.reduce(values) - values[codes, rows]
        else:
            assert solver.rows is not None
            f = machine.predict(design, n_jobs)
            if isinstance(solver.rows.likelihood, Logistic):
                losses = np.logaddexp(0, np.where(codes == 1, -f, f).astype(np.float64))
            else:
                p = class_probabilities(solver.told_cutpoints, f, n_threads=count_threads(n_jobs))
                losses = -np.log(np.maximum(p[rows, codes].astype(np.float64), 1e-30))
        return float(np.average(losses, weights=weights))

    return loss
