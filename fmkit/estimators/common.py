"""What the estimators share: parameters, the way from X and y to a Design, and the fit of one machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from fmkit.blocks import find_blocks
from fmkit.checkpoint import Checkpoint, digest
from fmkit.design import Design
from fmkit.estimators.descent import Descent
from fmkit.estimators.frame import Frame, group_priors
from fmkit.estimators.parameters import FMParameters
from fmkit.estimators.placement import place_fit
from fmkit.estimators.regularisation import choose
from fmkit.fitting import FitRecord, run_fit
from fmkit.machine import FactorizationMachine
from fmkit.memory import estimate_memory
from fmkit.posterior import Posterior
from fmkit.progress import Progress
from fmkit.solvers.als import Als
from fmkit.solvers.groups import entries_a_row
from fmkit.solvers.knowledge import Evidence
from fmkit.solvers.likelihood import Likelihood
from fmkit.solvers.losses import Loss
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties, column_units, scaled_penalties
from fmkit.solvers.shaking import weaker
from fmkit.solvers.vb import Variational
from fmkit.threads import count_threads

if TYPE_CHECKING:
    import torch

BAYESIAN = ("mcmc", "vb")
AVERAGED_SWEEPS = 60  # of ALS, the last half of which is averaged: with 30, RMSE .8472 in place of .8454
SWEEPS = {"als": 30, "mcmc": 500, "sgd": 30, "vb": 100}
# Times as many with hierarchical blocks: on MovieLens with rated sets and 16 factors the RMSE falls by .001 (MCMC) and
# .005 (VB), with 8 by nothing and .001.
HIERARCHICAL = {"mcmc": 2, "vb": 3}
START = {"als": 0.1, "mcmc": 0.1, "sgd": 0.1, "vb": 1.0}  # from small factors, VB prunes most dimensions


@dataclass
class Fit:
    """What the fit of one machine leaves behind, in the user's units.

    Parameters
    ----------
    machine : FactorizationMachine, or InteractionMachine
    record : FitRecord
    penalties : Penalties, or None
        Of ALS and SGD.
    posterior : Posterior, or None
        Of MCMC and VB.
    trace : list of dict
        What MCMC and VB are watched by, a row a sweep.
    evidence : Evidence, or None
        Of ALS and SGD, what later rows need to know of these.
    reg_factors : float or array-like
        As it was given, or chosen.
    planned : int
        Sweeps at most, given or as usual.
    learning_rate : float or "auto"
        As it was given, or found.
    """

    machine: Any
    record: FitRecord[Any]
    penalties: Penalties | None
    posterior: Posterior | None
    trace: list[dict[str, float]]
    evidence: Evidence | None
    reg_factors: float | ArrayLike
    planned: int
    learning_rate: float | str


class FMEstimator(FMParameters):
    """What regression and classification share beside parameters: the way to a Design, and one fit of one machine."""

    history_: list[dict[str, Any]]
    n_iter_: int

    def _check_fit(
        self, X: Any, y: Any, sample_weight: Any, numeric: bool
    ) -> tuple[Design, NDArray[Any], NDArray[np.float32] | None]:
        """Design, targets, and positive weights (None if all are 1) of the rows that count."""
        self._validate_params()
        for name in ("stream_", "learners_"):  # of other ways to fit
            self.__dict__.pop(name, None)
        self._check_solver()
        if isinstance(X, Design):
            if self.fields is not None:
                raise ValueError("a Design has its fields already: leave fields=None")
            if y is None:
                raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
            design, y = X, column_or_1d(y, warn=True)
            if numeric:
                y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
            if len(y) != design.n_rows or not len(y):
                raise ValueError(f"y must hold a target for each of {design.n_rows} rows, at least one; got {len(y)}")
            self.n_features_in_ = design.n_features
            self.__dict__.pop("feature_names_in_", None)
        else:
            X, y = validate_data(self, X, y, accept_sparse=True, accept_large_sparse=True, y_numeric=numeric)
            design = Design.from_matrix(X, self.fields)
        if sample_weight is None:
            return design, y, None
        weights = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
        if not 1e-20 < weights.max() < 1e20:
            raise ValueError(f"the largest sample_weight must lie between 1e-20 and 1e20, got {weights.max():g}")
        weights = weights.astype(np.float32)
        keep = weights > 0  # a row without weight is no row: neither for the fields nor for the part set aside
        if not keep.all():
            design, y, weights = design.select(keep), y[keep], weights[keep]
        return design, y, None if (weights == 1).all() else weights

    def _fit_machine(
        self,
        design: Design,
        y: NDArray[np.float32],
        weights: NDArray[np.float32] | None,
        offset: float,
        bias: float,
        spread: float,
        previous: FactorizationMachine | None,
        rng: np.random.Generator,
        max_iter: int | None,
        loss: Loss | None = None,
    ) -> Fit:
        """Fit one machine to y, which lacks `offset`, from the previous one on or from a random start."""
        bayesian = self.solver in BAYESIAN
        usual = AVERAGED_SWEEPS if self.average else SWEEPS[self.solver]
        n_sweeps = self._or_usual(max_iter, usual, design)
        checkpoint = self._open_checkpoint()
        data = ""
        if checkpoint is not None:
            checkpoint.continue_generator(rng)
            data = digest(design, y, weights, offset, bias, spread)
        reg_factors: Any = self.reg_factors
        if isinstance(reg_factors, str):
            reg_factors = choose(self, design, y, weights, offset, bias, spread, rng)
        device = place_fit(self, design, n_sweeps)
        if not (device or self.solver == "sgd" or self.nonnegative):
            design = find_blocks(design)
        if bayesian:
            design, frame = Frame.of_priors(design, weights, offset, spread)
            y = y / np.float32(spread)
        else:
            design, frame = Frame.of_ridge(design, weights, offset)
            if self.nonnegative and design.blocks:
                raise ValueError("nonnegative=True is for designs without relation blocks: use Design.from_matrix")
        if self.verbose and self.solver != "sgd":
            peak = estimate_memory(
                design,
                solver=self.solver,
                n_factors=self.n_factors,
                average=self.average,
                weighted=weights is not None,
                n_jobs=self.n_jobs,
            )
            print(f"the fit will take about {peak / 1e6:,.0f} MB beyond its input", file=sys.stderr)
        loss = loss or Loss("logistic" if is_classifier(self) else "squared")
        logistic = loss.name == "logistic"
        validation_loss = None
        if self.early_stopping:
            aside = self._set_aside(design.n_rows, rng)
            held_weights = None if weights is None else weights[aside]
            validation_loss = mean_loss(design.select(aside), y[aside], held_weights, loss, self.n_jobs)
            design, y, weights = design.select(~aside), y[~aside], None if weights is None else weights[~aside]

        units = column_units(design, weights)
        if self.interaction != "fm":
            return self._fit_interactions(
                Descent(self, design, y, weights, spread, loss),
                frame,
                bias,
                previous,
                rng,
                n_sweeps,
                units,
                validation_loss,
            )
        scale: Any = START[self.solver] if self.init_scale is None else self.init_scale
        scale = np.float32(scale) if bayesian else np.float32(scale * np.sqrt(spread)) / units[:, None]
        start = self._start(design, frame, previous, rng, bias, scale)
        if self.nonnegative:
            start.factors = np.abs(start.factors)
        if checkpoint is not None:
            checkpoint.identify(self._told_parameters() | {"max_iter": n_sweeps}, data, digest(start))
        n_threads = count_threads(self.n_jobs)
        penalties, bayes, rate = (
            None,
            None,
            self.learning_rate if isinstance(self.learning_rate, str) else float(self.learning_rate),
        )
        sweeps: Chain | Variational | Als | Iterator[Progress[FactorizationMachine]]
        if bayesian:
            sweeps = bayes = self._bayesian_solver(design, y, weights, start, rng, n_sweeps, n_threads, device=device)
        elif self.solver == "als":
            curvature = loss.curvature(spread, 0.0)
            penalties = scaled_penalties(design, weights, units, self.reg_linear, reg_factors, curvature, spread)
            told = weaker(penalties) if self.average else penalties
            objective = Objective(design, y, weights, told, logistic)
            sweeps = Als(objective, start, n_threads, self.nonnegative, device)
            if self.average:
                sweeps.average(spread, n_sweeps // 2, int(rng.integers(1, 2**63)))
        else:
            descent = Descent(self, design, y, weights, spread, loss, device)
            penalties, rate = descent.penalties(), descent.rate(start)
            sweeps = descent.epochs(penalties, start, rate, rng)
        kept = None if bayes is None else bayes.kept
        if isinstance(sweeps, Als) and sweeps.shaking and validation_loss is None:
            kept = sweeps.shaking.kept
        record = run_fit(
            iter(sweeps),
            start,
            n_sweeps,
            validation_loss=validation_loss,
            patience=self.patience,
            burn_in=n_sweeps // 2 if self.average else self._burn_in(n_sweeps) if self.solver == "mcmc" else 0,
            kept=kept,
            loss_unit=frame.spread**2 if loss.name == "squared" else 1.0,
            callbacks=self.callbacks or (),
            told_as=frame.to_user,
            checkpoint=checkpoint,
            solver=None if isinstance(sweeps, Iterator) else sweeps,
            verbose=bool(self.verbose),
        )
        if self.average and record.machine is start:
            assert isinstance(sweeps, Als)
            record.machine = sweeps.machine
        if bayes is None:
            squared = loss.name == "squared"
            evidence = Evidence.of_fit(design, weights, record.machine, frame.means) if squared else None
            machine = frame.to_user(record.machine)
            fit = Fit(machine, record, penalties, None, [], evidence, reg_factors, n_sweeps, rate)
        else:
            posterior = bayes.posterior()
            posterior.priors = group_priors(bayes, posterior)
            posterior = frame.posterior_to_user(posterior)
            fit = Fit(posterior.machine, record, None, posterior, bayes.trace, None, reg_factors, n_sweeps, rate)
        if checkpoint is not None and not record.interrupted:
            checkpoint.remove()
        return fit

    def _fit_interactions(
        self,
        descent: Descent,
        frame: Frame,
        bias: float,
        previous: Any,
        rng: np.random.Generator,
        n_sweeps: int,
        units: NDArray[np.float32],
        validation_loss: Callable[[Any], float] | None,
    ) -> Fit:
        """The rest of the fit of a machine that is no plain one: what was taken off its columns stays beside it."""
        from fmkit.interactions.solver import MACHINES  # loads their kernels

        scale = START["sgd"] if self.init_scale is None else self.init_scale
        start = MACHINES[self.interaction].begin(
            descent.design, self.n_factors, bias, scale, descent.spread, units, rng
        )
        if self.warm_start and start.like(previous):
            start = previous.moved(-frame.offset, np.zeros_like(frame.means))
        penalties, rate = descent.penalties(), descent.rate(start)
        record: FitRecord[Any] = run_fit(
            descent.epochs(penalties, start, rate, rng),
            start,
            n_sweeps,
            validation_loss=validation_loss,
            patience=self.patience,
            callbacks=self.callbacks or (),
            told_as=lambda machine: machine.moved(frame.offset, frame.means),
            verbose=bool(self.verbose),
        )
        machine = record.machine.moved(frame.offset, frame.means)
        return Fit(machine, record, penalties, None, [], None, self.reg_factors, n_sweeps, rate)

    def _check_plain(self, wanted: str) -> None:
        """Refuse what is solved for in the equation of a plain machine."""
        if hasattr(self, "stream_"):
            raise ValueError(f"{wanted} is for a fit to matrices, this model was fitted by fit_stream")
        machine = getattr(self, "machine_", None)
        if machine is not None and machine.interaction != "fm":
            raise ValueError(
                f"{wanted} is for interaction='fm', this model was fitted with interaction={machine.interaction!r}"
            )
        if self.loss != "squared":
            raise ValueError(f"{wanted} is for loss='squared', this model was fitted with loss={self.loss!r}")

    def _set_aside(self, n_rows: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """The rows that early stopping goes by."""
        aside = np.zeros(n_rows, bool)
        aside[rng.permutation(n_rows)[: max(1, round(self.validation_fraction * n_rows))]] = True
        if aside.all():
            raise ValueError("early stopping needs at least two rows: one to fit, one to set aside")
        return aside

    def _start(
        self,
        design: Design,
        frame: Frame,
        previous: FactorizationMachine | None,
        rng: np.random.Generator,
        bias: float,
        scale: Any,
    ) -> FactorizationMachine:
        """The previous machine, in the solver's units, or one of random factors with standard deviations of `scale`."""
        fits = isinstance(previous, FactorizationMachine) and previous.n_features == design.n_features
        if self.warm_start and previous is not None and fits:
            start = frame.to_solver(previous)
            start.factors = np.ascontiguousarray(start.factors[:, : self.n_factors])
            if start.n_factors == self.n_factors:
                return start
        factors = rng.standard_normal((design.n_features, self.n_factors), dtype=np.float32)
        if self.solver == "vb":  # where a row has many of a group, their sum starts as wide
            factors /= np.sqrt(entries_a_row(design)).astype(np.float32)[:, None]
        factors *= scale
        return FactorizationMachine(bias, np.zeros(design.n_features, np.float32), factors)

    def _open_checkpoint(self) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        if self.solver == "sgd":
            raise ValueError("checkpoints are written by 'als', 'mcmc' and 'vb': for solver='sgd' set checkpoint=None")
        if is_classifier(self) and self.solver == "als":  # one machine a class, and one file for all
            raise ValueError(
                "checkpoints of classes are written by 'mcmc' and 'vb': for solver='als' set checkpoint=None"
            )
        return Checkpoint(self.checkpoint, self.checkpoint_sweeps, self.checkpoint_minutes)

    def _or_usual(self, max_iter: int | None, usual: int, design: Design) -> int:
        """The sweeps asked for, or as many as usual: hierarchical blocks take more."""
        if max_iter is not None:
            return max_iter
        return usual * HIERARCHICAL.get(self.solver, 1) if any(b.hierarchical for b in design.blocks) else usual

    def _burn_in(self, n_sweeps: int) -> int:
        return n_sweeps // 5 if self.burn_in is None else min(self.burn_in, n_sweeps - 1)

    def _bayesian_solver(
        self,
        design: Design,
        y: NDArray[np.float32],
        weights: NDArray[np.float32] | None,
        start: FactorizationMachine,
        rng: np.random.Generator,
        n_sweeps: int,
        n_threads: int,
        likelihood: Likelihood | None = None,
        device: torch.device | None = None,
    ) -> Chain | Variational:
        chosen = self.noise_fields
        levels = None if isinstance(chosen, str) else [] if chosen is None else np.asarray(chosen, int).tolist()
        if self.solver == "vb":
            return Variational(
                design, y, weights, start, noise_fields=levels, n_threads=n_threads, likelihood=likelihood
            )
        return Chain(
            design,
            y,
            weights,
            start,
            noise_fields=levels,
            burn_in=self._burn_in(n_sweeps),
            n_sweeps=n_sweeps,
            keep_draws=self.keep_draws,
            seed=int(rng.integers(1, 2**63)),
            n_threads=n_threads,
            tell_mean=self.early_stopping or bool(self.callbacks),
            likelihood=likelihood,
            device=device,
        )

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(check_random_state(self.random_state).randint(2**31))

    def _check_predict(self, X: Any) -> Any:
        check_is_fitted(self)
        if hasattr(self, "stream_"):
            return self.stream_.read(X)
        if isinstance(X, Design):
            return X
        return validate_data(self, X, reset=False, accept_sparse=True, accept_large_sparse=True)


def mean_loss(
    design: Design, y: NDArray[np.float32], weights: NDArray[np.float32] | None, loss: Loss, n_jobs: int | None
) -> Callable[[FactorizationMachine], float]:
    """The mean loss of a machine on these rows, as a function of the machine."""

    def of_machine(machine: FactorizationMachine) -> float:
        losses = loss.each(machine.predict(design, n_jobs), y)
        return float(np.average(losses.astype(np.float64), weights=weights))

    return of_machine
