"""FMClassifier."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, logit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fmkit.design import Design, canonical_csr
from fmkit.estimators import state
from fmkit.estimators.common import Fit, FMEstimator
from fmkit.machine import FactorizationMachine

# What the standard deviation of the targets is to regression: logistic noise has one of pi / sqrt(3) = 1.8, and on
# ratings (4 stars or more, or fewer) it makes two thirds of the variance. 2.0 to 2.5 differ by less than .001 in AUC.
LOG_ODDS_SPREAD = 2.2


class FMClassifier(ClassifierMixin, FMEstimator):
    """Factorization machine for classification: the log odds of a class are a machine's value.

    Two classes take one machine; of more, each takes one that tells it from the rest, and the probabilities are scaled
    to a sum of 1.

    Parameters
    ----------
    n_factors, solver, max_iter, nonnegative, average, init_scale, learning_rate, fields, early_stopping, patience, validation_fraction, \
    n_jobs, random_state, verbose, warm_start, callbacks
        As those of `FMRegressor`, the log odds being taken for targets with a standard deviation of 2.2. ALS lowers the
        log loss through a quadratic bound that is renewed at every column's step.
    reg_linear, reg_factors : float or array-like of shape (n_fields,), default=3.0 and 0.9
        As those of `FMRegressor`, times 1/4, the greatest curvature of the log loss. reg_factors="auto" chooses for each
        machine.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    machines_ : list of FactorizationMachine
        One for the second of two classes, or one a class.
    reg_factors_ : list
        `reg_factors` of each machine, as given or as chosen.
    history_ : list of dict
        As that of `FMRegressor`, losses as mean log losses; of all machines, one after the other.
    n_iter_ : int
        Sweeps done, the most of any machine.
    n_features_in_, feature_names_in_
        As those of `FMRegressor`.

    Examples
    --------
    >>> from fmkit import FMClassifier
    >>> X = [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]]
    >>> FMClassifier(random_state=0, reg_factors=0.1).fit(X, ["no", "yes", "yes", "no"]).predict(X)
    array(['no', 'yes', 'yes', 'no'], dtype='<U3')
    """

    classes_: NDArray[Any]
    machines_: list[FactorizationMachine]

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X with labels y.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
            Labels: numbers, strings or booleans, of at least two classes.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows, not negative.

        Returns
        -------
        self
        """
        design, y, weights = self._check_fit(X, y, sample_weight, numeric=False)
        if self.solver not in ("als", "sgd"):
            raise ValueError(f"solver={self.solver!r} is for FMRegressor: FMClassifier takes 'als' or 'sgd'")
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"a classifier needs rows of at least two classes, y holds one class only: {classes[0]!r}")
        positions = [1] if len(classes) == 2 else list(range(len(classes)))
        same = np.array_equal(classes, getattr(self, "classes_", []))
        previous = self.machines_ if same else [None] * len(positions)
        rng = self._generator()
        fits: list[Fit] = []
        for position, before in zip(positions, previous, strict=True):
            is_class = (codes == position).astype(np.float32)
            share = np.average(is_class.astype(np.float64), weights=weights)
            fit = self._fit_machine(
                design,
                is_class,
                weights,
                offset=0.0,
                bias=float(logit(np.clip(share, 1e-9, 1 - 1e-9))),
                spread=LOG_ODDS_SPREAD,
                previous=before,
                rng=rng,
                # Who ends the fit of one class does not want to wait for the others; but each needs a machine.
                max_iter=1 if any(f.record.stopped for f in fits) else self.max_iter,
            )
            fits.append(fit)
        records = [fit.record for fit in fits]
        self.classes_, self.machines_ = classes, [fit.machine for fit in fits]
        self.reg_factors_ = [fit.reg_factors for fit in fits]
        self.history_ = [row for record in records for row in record.history]
        self.n_iter_ = max(len(record.history) for record in records)
        return self

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Log odds, float32: of the second of two classes, shape (n_rows,), or of every class, (n_rows, n_classes)."""
        X = self._check_predict(X)
        if not isinstance(X, Design):
            X = canonical_csr(X)
        odds = [machine.predict(X, self.n_jobs) for machine in self.machines_]
        return odds[0] if len(odds) == 1 else np.stack(odds, axis=1)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities of the classes, in the order of `classes_`: shape (n_rows, n_classes), float32."""
        odds = self.decision_function(X)
        if odds.ndim == 1:
            return np.stack([expit(-odds), expit(odds)], axis=1)
        return np.asarray(
            softmax(log_expit(odds), axis=1)
        )  # in logs, where no class is likely at all, the ratios still hold

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of every row, shape (n_rows,)."""
        odds = self.decision_function(X)
        return np.asarray(self.classes_[(odds > 0).astype(int) if odds.ndim == 1 else odds.argmax(axis=1)])

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        check_is_fitted(self)
        facts, arrays = state.pack(self, self.machines_)
        return {**facts, "classes": state.pack_labels(self.classes_)}, arrays

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        model, machines = state.unpack(cls(), facts, arrays)
        model.machines_ = machines
        model.classes_ = state.unpack_labels(facts["classes"], len(machines))
        return model
