"""FMOrdinal."""

from __future__ import annotations

from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fmkit.design import Design, canonical_csr
from fmkit.estimators import state
from fmkit.estimators.common import FMEstimator
from fmkit.estimators.latent import LatentFitter, ordinal
from fmkit.estimators.placement import values_of
from fmkit.machine import FactorizationMachine
from fmkit.modelfile import pack_labels, unpack_labels
from fmkit.posterior import Posterior
from fmkit.solvers.ordinal import class_moments, class_probabilities
from fmkit.threads import count_threads


class FMOrdinal(ClassifierMixin, LatentFitter):
    """Factorization machine for ordered classes, as ratings are: cutpoints part a machine's value plus a normal noise.

    The ordered probit model P(y <= c) = Phi((cutpoint_c - f(x)) / sigma), with the cutpoints fitted along and a noise
    sigma that may differ by user and item: that from 4 to 5 stars may be further than from 3 to 4, and further for one
    user than for another.

    Parameters
    ----------
    n_factors : int, default=16
        As that of `FMRegressor`.
    solver : {"mcmc", "vb"}, default="mcmc"
        A Gibbs sampler, whose draws are averaged, or variational Bayes, in whose bound the cutpoints are a point:
        about a tenth of the sweeps.
    max_iter : int, optional
        Sweeps; by default 1,000 of MCMC, 60 of VB; twice and three times as many with hierarchical relation blocks.
    noise_fields, burn_in, keep_draws
        As those of `FMRegressor`.
    init_scale : float, optional
        Standard deviation of the first factors, that of the noise being 1; by default .1 for MCMC, 1 for VB.
    fields, early_stopping, patience, validation_fraction, n_jobs, device, random_state, verbose, warm_start, \
    callbacks, checkpoint, checkpoint_sweeps, checkpoint_minutes
        As those of `FMRegressor`, losses being mean log losses.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted: numbers by size, strings as Python sorts them.
    cutpoints_ : ndarray of shape (n_classes - 1,), float64
        Between the classes, ascending, in units of the noise.
    machine_ : FactorizationMachine
        The posterior mean.
    posterior_ : fmkit.posterior.Posterior
    history_ : list of dict
        `sweep`, `train_loss`, `validation_loss` and `seconds` of every sweep, losses as mean log losses.
    trace_ : list of dict
        What the fit is watched by, a row a sweep.
    n_iter_ : int
        Sweeps done.
    n_features_in_, feature_names_in_
        As those of `FMRegressor`.

    References
    ----------
    M. K. Cowles, "Accelerating Monte Carlo Markov chain convergence for cumulative-link generalized linear models",
    Statistics and Computing 6, 1996.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit import FMOrdinal
    >>> X = np.eye(3)[np.arange(60) % 3]
    >>> stars = np.tile([1, 3, 5, 1, 4, 5], 10)
    >>> model = FMOrdinal(2, max_iter=100, random_state=0).fit(X, stars)
    >>> model.predict(np.eye(3))[[0, 2]]
    array([1, 5])
    >>> model.predict_mean(np.eye(3))[[0, 2]].round()
    array([1., 5.], dtype=float32)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FMEstimator._parameter_constraints,
        "solver": [StrOptions({"mcmc", "vb"})],
    }

    # RMSE of 8 factors on two validation parts of MovieLens latest-small: .8274 with 500 sweeps from .3, .8269 from .1,
    # .8264 with 1,000 of these.
    _usual_sweeps: ClassVar[dict[str, int]] = {"mcmc": 1000, "vb": 60}
    _usual_scales: ClassVar[dict[str, float]] = {"mcmc": 0.1, "vb": 1.0}

    classes_: NDArray[Any]
    cutpoints_: NDArray[np.float64]
    machine_: FactorizationMachine
    posterior_: Posterior

    def __init__(
        self,
        n_factors: int = 16,
        *,
        solver: str = "mcmc",
        max_iter: int | None = None,
        noise_fields: Literal["auto"] | ArrayLike | None = "auto",
        burn_in: int | None = None,
        keep_draws: int = 0,
        init_scale: float | None = None,
        fields: ArrayLike | None = None,
        early_stopping: bool = False,
        patience: int = 3,
        validation_fraction: float = 0.1,
        n_jobs: int | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
        callbacks: list[Any] | None = None,
        checkpoint: str | PathLike[str] | None = None,
        checkpoint_sweeps: int | None = None,
        checkpoint_minutes: float = 10.0,
    ) -> None:
        super().__init__(
            n_factors,
            solver=solver,
            max_iter=max_iter,
            noise_fields=noise_fields,
            burn_in=burn_in,
            keep_draws=keep_draws,
            init_scale=init_scale,
            fields=fields,
            early_stopping=early_stopping,
            patience=patience,
            validation_fraction=validation_fraction,
            n_jobs=n_jobs,
            device=device,
            random_state=random_state,
            verbose=verbose,
            warm_start=warm_start,
            callbacks=callbacks,
            checkpoint=checkpoint,
            checkpoint_sweeps=checkpoint_sweeps,
            checkpoint_minutes=checkpoint_minutes,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # where the classes are in no order, as those of scikit-learn's checks
        return tags

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X with labels y, in the order in which they sort.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
            Labels of at least two classes: numbers, or strings or booleans that sort.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows, not negative.

        Returns
        -------
        self
        """
        design, y, weights = self._check_fit(X, y, sample_weight, numeric=False)
        _check_labels(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"an order needs rows of at least two classes, y holds one class only: {classes[0]!r}")
        previous = [self.machine_] if hasattr(self, "machine_") else []
        fit = self._fit_latent(design, codes, weights, ordinal(len(classes)), len(classes), previous, self._generator())
        self.classes_, self.cutpoints_, (self.posterior_,) = classes, fit.cutpoints, fit.posteriors
        self.machine_, self.history_, self.trace_ = self.posterior_.machine, fit.record.history, fit.trace
        self.n_iter_, self.reg_factors_ = len(self.history_), self.reg_factors
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of every row, shape (n_rows,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities of the classes, in the order of `classes_`: shape (n_rows, n_classes), float32."""
        return class_probabilities(self._checked_cutpoints(), *self._values(X), count_threads(self.n_jobs))

    def predict_mean(self, X: Any, return_std: bool = False) -> NDArray[np.float32] | tuple[Any, Any]:
        """The expected label of every row, of labels that are numbers: what has the least squared error.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
        return_std : bool, default=False
            Give the standard deviation of the label, too.

        Returns
        -------
        mean : ndarray of shape (n_rows,), float32
        std : ndarray of shape (n_rows,), float32
            If `return_std`.
        """
        cutpoints = self._checked_cutpoints()
        if self.classes_.dtype.kind not in "biuf":
            raise ValueError(f"labels that are no numbers have no mean, {self.classes_[0]!r} for one: take predict")
        mean, variance = class_moments(
            cutpoints, self.classes_.astype(np.float64), *self._values(X), count_threads(self.n_jobs)
        )
        return (mean, np.sqrt(variance)) if return_std else mean

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Share of the rows whose most probable class is theirs.

        Half stars are classes here, too, which scikit-learn's own accuracy refuses.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), optional
        """
        weights = None if sample_weight is None else np.asarray(sample_weight)
        return float(np.average(self.predict(X) == np.asarray(y), weights=weights))

    def _checked_cutpoints(self) -> NDArray[np.float64]:
        check_is_fitted(self)
        return self.cutpoints_

    def _values(self, X: Any) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """The machine's value, its variance, and the precision of the noise of every row."""
        X = self._check_predict(X)
        if not isinstance(X, Design):
            X = canonical_csr(X)
        posterior = self.posterior_
        variance, noise = posterior.variance(X, self.n_jobs), posterior.noise_variance(X, self.n_jobs)
        return values_of(posterior.machine, X, self), variance, np.float32(1) / noise

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        check_is_fitted(self)
        facts, arrays = state.pack(self, [self.machine_])
        facts |= {"classes": pack_labels(self.classes_), "trace": self.trace_}
        return facts, {**arrays, "cutpoints": self.cutpoints_, **state.pack_posterior(self.posterior_)}

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        model, (machine,) = state.unpack(cls(), facts, arrays)
        cutpoints = arrays["cutpoints"]
        if cutpoints.dtype.str != "<f8" or cutpoints.ndim != 1 or not len(cutpoints):
            raise ValueError("its cutpoints are of a wrong type or shape")
        if not np.isfinite(cutpoints).all() or (np.diff(cutpoints) < 0).any():
            raise ValueError("its cutpoints do not ascend")
        n_classes = len(cutpoints) + 1
        model.classes_ = unpack_labels(facts["classes"], 1 if n_classes == 2 else n_classes)
        posterior = state.unpack_posterior(arrays, machine, model.n_factors)
        if posterior is None:
            raise ValueError("its posterior is missing")
        model.cutpoints_, model.machine_, model.posterior_ = cutpoints, machine, posterior
        model.trace_ = list(facts.get("trace", []))
        return model


def _check_labels(y: NDArray[Any]) -> None:
    """Half stars are classes, which scikit-learn's check takes for targets of a regression: few enough may pass."""
    if y.dtype.kind == "f" and len(np.unique(y)) <= max(2, min(100, len(y) // 2)):
        return
    check_classification_targets(y)
