"""FMClassifier."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, log_ndtr, logit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fmkit.design import Design, canonical_csr
from fmkit.estimators import state
from fmkit.estimators.common import BAYESIAN, Fit, FMEstimator
from fmkit.estimators.latent import LatentFitter
from fmkit.estimators.placement import values_of
from fmkit.estimators.streaming import BATCH_ROWS, Streaming
from fmkit.machine import FactorizationMachine
from fmkit.modelfile import pack_labels, unpack_labels
from fmkit.posterior import Posterior
from fmkit.solvers.classes import softmax_probabilities
from fmkit.solvers.logistic import Logistic
from fmkit.solvers.ordinal import Probit
from fmkit.streams.coded import Coded

# What the standard deviation of the targets is to regression: logistic noise has one of pi / sqrt(3) = 1.8, and on
# ratings (4 stars or more, or fewer) it makes two thirds of the variance. 2.0 to 2.5 differ by less than .001 in AUC.
LOG_ODDS_SPREAD = 2.2


def _steps(estimator: FMClassifier) -> bool:
    """Whether it has `partial_fit`: by scikit-learn's ways, what cannot go on has none."""
    if (estimator.solver, estimator.interaction) != ("sgd", "fm"):
        raise AttributeError("partial_fit is for solver='sgd' and interaction='fm'")
    return True


class FMClassifier(ClassifierMixin, LatentFitter, Streaming):
    """Factorization machine for classification: the log odds of a class are a machine's value.

    Two classes take one machine. Of more, each takes one: by ALS and SGD one that tells it from the rest, and the
    probabilities are scaled to a sum of 1; by MCMC and VB all are fitted together, as a softmax. By these,
    probabilities take into account what is not known of the machine, and so do the log odds.

    Parameters
    ----------
    n_factors, solver, interaction, optimizer, max_iter, nonnegative, average, init_scale, learning_rate, fields, \
    early_stopping, patience, validation_fraction, n_jobs, device, random_state, verbose, warm_start, callbacks
        As those of `FMRegressor`, the log odds being taken for targets with a standard deviation of 2.2. ALS lowers the
        log loss through a quadratic bound that is renewed at every column's step.
    reg_linear, reg_factors : float or array-like of shape (n_fields,), default=3.0 and 0.9
        As those of `FMRegressor`, times 1/4, the greatest curvature of the log loss. reg_factors="auto" chooses for
        each machine.
    l1_linear, l1_factors : float or array-like of shape (n_fields,), default=0.0
        As those of `FMRegressor`, of `optimizer="ftrl"`.
    likelihood : {"auto", "probit", "logistic"}, default="auto"
        Of two classes by MCMC and VB: what turns a machine's value f into a probability. The logistic function, or the
        normal distribution's: the class is then the sign of f plus a normal noise, which may differ by user and item
        (`noise_fields`). "auto" is logistic: on five validation parts of MovieLens latest-small (4 stars or more, 8
        factors) both have an AUC of .8041 by MCMC, and log losses of .5362 and .5359 (probit); by VB the AUC is .7959
        where that of the probit is .7912.
    noise_fields : "auto", array-like of int or None, default="auto"
        As that of `FMRegressor`, with likelihood="probit"; but "auto" is none: a label of two classes says little of
        its noise, and a level a user changes nothing there (AUC .8040, log loss .5358).
    burn_in, keep_draws, checkpoint, checkpoint_sweeps, checkpoint_minutes
        As those of `FMRegressor`. Checkpoints are of two classes, by MCMC and VB.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    machines_ : list of FactorizationMachine
        One for the second of two classes, or one a class.
    reg_factors_ : list
        `reg_factors` of each machine, as given or as chosen.
    learning_rate_ : list
        `learning_rate` of each machine, as given or as found.
    history_ : list of dict
        As that of `FMRegressor`, losses as mean log losses; of all machines, one after the other.
    n_iter_ : int
        Sweeps done, the most of any machine.
    likelihood_ : {"probit", "logistic"}
        Of two classes, which one it was; always "logistic" by ALS and SGD, and of several classes.
    posterior_ : list of fmkit.posterior.Posterior, or None
        By MCMC and VB, one a machine.
    trace_ : list of dict
        What MCMC and VB are watched by, a row a sweep.
    n_features_in_, feature_names_in_, stream_
        As those of `FMRegressor`.

    Examples
    --------
    >>> from fmkit import FMClassifier
    >>> X = [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]]
    >>> FMClassifier(random_state=0, reg_factors=0.1).fit(X, ["no", "yes", "yes", "no"]).predict(X)
    array(['no', 'yes', 'yes', 'no'], dtype='<U3')
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FMEstimator._parameter_constraints,
        "likelihood": [StrOptions({"auto", "probit", "logistic"})],
    }

    classes_: NDArray[Any]
    machines_: list[FactorizationMachine]
    learning_rate_: list[float | str]
    posterior_: list[Posterior] | None

    def __init__(
        self,
        n_factors: int = 16,
        *,
        solver: str = "als",
        interaction: str = "fm",
        optimizer: str = "adagrad",
        max_iter: int | None = None,
        reg_linear: float | ArrayLike = 3.0,
        reg_factors: float | ArrayLike | Literal["auto"] = 0.9,
        l1_linear: float | ArrayLike = 0.0,
        l1_factors: float | ArrayLike = 0.0,
        nonnegative: bool = False,
        average: bool = False,
        likelihood: str = "auto",
        noise_fields: Literal["auto"] | ArrayLike | None = "auto",
        burn_in: int | None = None,
        keep_draws: int = 0,
        init_scale: float | None = None,
        learning_rate: float | Literal["auto"] = "auto",
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
            interaction=interaction,
            optimizer=optimizer,
            max_iter=max_iter,
            reg_linear=reg_linear,
            reg_factors=reg_factors,
            l1_linear=l1_linear,
            l1_factors=l1_factors,
            nonnegative=nonnegative,
            average=average,
            noise_fields=noise_fields,
            burn_in=burn_in,
            keep_draws=keep_draws,
            init_scale=init_scale,
            learning_rate=learning_rate,
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
        self.likelihood = likelihood

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
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"a classifier needs rows of at least two classes, y holds one class only: {classes[0]!r}")
        kind = self._likelihood(len(classes))
        positions = [1] if len(classes) == 2 else list(range(len(classes)))
        same = np.array_equal(classes, getattr(self, "classes_", []))
        previous = self.machines_ if same else [None] * len(positions)
        rng = self._generator()
        if self.solver in BAYESIAN:
            make = Probit if kind == "probit" else Logistic
            known = [machine for machine in previous if machine is not None]
            latent = self._fit_latent(design, codes, weights, make, len(classes), known, rng)
            self.classes_, self.likelihood_, self.posterior_ = classes, kind, latent.posteriors
            self.machines_ = [posterior.machine for posterior in latent.posteriors]
            self.reg_factors_ = [self.reg_factors] * len(self.machines_)
            self.learning_rate_ = [self.learning_rate for _ in self.machines_]
            self.history_, self.trace_, self.n_iter_ = latent.record.history, latent.trace, len(latent.record.history)
            return self
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
        self.learning_rate_ = [fit.learning_rate for fit in fits]
        self.likelihood_, self.posterior_, self.trace_ = kind, None, []
        self.history_ = [row for record in records for row in record.history]
        self.n_iter_ = max(len(record.history) for record in records)
        return self

    def fit_stream(
        self,
        reader: Any,
        *,
        target: str | None = None,
        classes: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
        numbers: Sequence[str] | None = None,
        sample_weight: str | None = None,
        n_hash: int | None = 2**21,
        passes: int = 1,
        batch_rows: int = BATCH_ROWS,
        validation: Literal["progressive"] | None = "progressive",
        checkpoint: str | PathLike[str] | None = None,
    ) -> Self:
        """Fit to rows of two classes as they are read, by steps of SGD, in bounded memory (docs/streams.md).

        Parameters
        ----------
        reader, target, ids, numbers, sample_weight, n_hash, passes, batch_rows, validation, checkpoint
            As those of `FMRegressor.fit_stream`; losses are mean log losses.
        classes : sequence of two labels, optional
            By default those of the first batch.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If a file or a batch is not as it should be, a label never seen before above all: a sentence with the line,
            or the row.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from fmkit import FMClassifier
        >>> clicked = ["yes", "no", "no"] * 50
        >>> clicks = pa.table({"user": ["ann", "ann", "bob"] * 50, "ad": [1, 2, 2] * 50, "clicked": clicked})
        >>> model = FMClassifier(2, solver="sgd", random_state=0)
        >>> model = model.fit_stream(clicks.to_batches(), target="clicked", ids=["user", "ad"], passes=20)
        >>> model.predict({"user": ["ann", "bob"], "ad": [1, 2]})
        array(['yes', 'no'], dtype='<U3')
        """
        labels: list[Any] = []
        if classes is not None:
            labels = np.unique(np.asarray(classes)).tolist()
            if len(labels) != 2:
                raise ValueError(f"a stream is of two classes, classes holds {len(labels)}: fit takes more")
        how: dict[str, Any] = {"target": target, "ids": ids, "numbers": numbers, "sample_weight": sample_weight}
        how |= {"n_hash": n_hash, "passes": passes, "batch_rows": batch_rows, "validation": validation}
        kind = self._likelihood(2)
        stream, record = self._fit_stream(reader, **how, checkpoint=checkpoint, labels=labels)
        assert stream.classes is not None
        self.classes_, self.likelihood_, self.n_iter_ = stream.classes, kind, stream.batches
        self._take_machines([stream.learner], record.history)
        return self

    @available_if(_steps)
    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
        passes: int = 1,
    ) -> Self:
        """Take steps of SGD over a chunk of rows; the first call begins from nothing, or from a fit to a matrix.

        Parameters
        ----------
        X : sparse or dense matrix of shape (n_rows, n_features), or Design
            The same columns in every chunk.
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), optional
        classes : array-like of shape (n_classes,), optional
            All labels that will come; by default those of the first chunk.
        passes : int, default=1
            Over the chunk.

        Returns
        -------
        self

        Examples
        --------
        >>> from fmkit import FMClassifier
        >>> X = [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]]
        >>> model = FMClassifier(solver="sgd", random_state=0, reg_factors=0.1)
        >>> for chunk in range(100):
        ...     model = model.partial_fit(X, ["no", "yes", "yes", "no"])
        >>> model.predict(X)
        array(['no', 'yes', 'yes', 'no'], dtype='<U3')
        """
        if passes < 1:
            raise ValueError(f"passes must be at least 1, got {passes}")
        X, y, weights = self._check_chunk(X, y, sample_weight, numeric=False)
        check_classification_targets(y)
        if hasattr(self, "machines_"):
            known = self.classes_
            if classes is not None and not np.array_equal(np.unique(classes), known):
                raise ValueError(f"classes must be those of before, {known.tolist()}")
        else:
            known = np.unique(y if classes is None else classes)
            if len(known) < 2:
                raise ValueError(
                    f"a classifier needs two classes, y holds one class only, {known.tolist()[0]!r}: name classes="
                )
        new = np.setdiff1d(y, known)
        if len(new):
            raise ValueError(
                f"the label {new.tolist()[0]!r} was never seen before: it is to be one of {known.tolist()}"
            )
        codes = np.searchsorted(known, y)
        positions = [1] if len(known) == 2 else range(len(known))
        kind = self._likelihood(len(known))
        self._learn_chunk(X, [(codes == position).astype(np.float64) for position in positions], weights, passes)
        self.classes_, self.likelihood_ = known, kind
        self._take_machines(self.learners_, self.history_)
        return self

    def _take_machines(self, learners: list[Any], history: list[dict[str, Any]]) -> None:
        self.machines_, self.history_ = [learner.machine().copy() for learner in learners], history
        self.reg_factors_ = [self.reg_factors] * len(learners)
        self.posterior_, self.trace_ = None, []

    def _likelihood(self, n_classes: int) -> str:
        """The likelihood of that many classes."""
        if self.likelihood == "probit" and (self.solver not in BAYESIAN or n_classes > 2):
            what = f"solver={self.solver!r}" if self.solver not in BAYESIAN else f"{n_classes} classes"
            raise ValueError(f"likelihood='probit' is for two classes by 'mcmc' or 'vb': for {what} leave it 'auto'")
        return "probit" if self.likelihood == "probit" else "logistic"

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Log odds, float32: of the second of two classes, shape (n_rows,), or of every class, (n_rows, n_classes).

        Of several classes by MCMC and VB they are logarithms of the probabilities.
        """
        X = self._check_predict(X)
        if not isinstance(X, Design | Coded):
            X = canonical_csr(X)
        if self.posterior_ is not None:
            return self._latent_odds(X, self.posterior_)
        odds = [values_of(machine, X, self) for machine in self.machines_]
        return odds[0] if len(odds) == 1 else np.stack(odds, axis=1)

    def _latent_odds(self, X: Any, posteriors: list[Posterior]) -> NDArray[np.float32]:
        """`decision_function` with what is not known of the machines taken into account."""
        means = np.stack([values_of(posterior.machine, X, self) for posterior in posteriors])
        variances = np.stack([posterior.variance(X, self.n_jobs) for posterior in posteriors])
        if len(posteriors) > 1:
            with np.errstate(divide="ignore"):
                return np.log(softmax_probabilities(means, variances))
        if self.likelihood_ == "logistic":  # MacKay's approximation of the mean of the logistic function
            return np.asarray(means[0] / np.sqrt(1 + np.float32(np.pi / 8) * variances[0]))
        z = means[0] / np.sqrt(variances[0] + posteriors[0].noise_variance(X, self.n_jobs))
        return np.asarray(log_ndtr(z) - log_ndtr(-z))

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities of the classes, in the order of `classes_`: shape (n_rows, n_classes), float32."""
        odds = self.decision_function(X)
        if odds.ndim == 2 and self.posterior_ is not None:
            return np.exp(odds)
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
        facts |= {"classes": pack_labels(self.classes_), "trace": self.trace_, "likelihood": self.likelihood_}
        for c, posterior in enumerate(self.posterior_ or []):
            arrays |= state.pack_posterior(posterior, f"posterior.{c}")
        return facts, arrays

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        model, machines = state.unpack(cls(), facts, arrays)
        model.machines_ = machines
        model.classes_ = unpack_labels(facts["classes"], len(machines))
        found = [
            state.unpack_posterior(arrays, machine, model.n_factors, f"posterior.{c}")
            for c, machine in enumerate(machines)
        ]
        posteriors = [posterior for posterior in found if posterior is not None]
        if len(posteriors) not in (0, len(machines)):
            raise ValueError("its posteriors are not those of its machines")
        model.posterior_, model.trace_ = posteriors or None, list(facts.get("trace", []))
        model.likelihood_ = facts.get("likelihood", "logistic")
        if model.likelihood_ not in ("probit", "logistic"):
            raise ValueError(f"its likelihood is {model.likelihood_!r}")
        return model
