"""FMRegressor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from fmkit.estimators import state
from fmkit.estimators.growing import Growing
from fmkit.estimators.placement import values_of
from fmkit.estimators.streaming import BATCH_ROWS
from fmkit.estimators.targets import for_loss
from fmkit.posterior import Posterior
from fmkit.solvers.diagnostics import Diagnostics, diagnose_bound, diagnose_chain
from fmkit.solvers.losses import FAR
from fmkit.solvers.penalties import Penalties


class FMRegressor(RegressorMixin, Growing):
    """Factorization machine for regression: y(x) = bias + <w, x> + sum_{i<j} <v_i, v_j> x_i x_j.

    Parameters
    ----------
    n_factors : int, default=16
        Length k of a column's vector of factors; 0 fits a linear model.
    solver : {"als", "mcmc", "sgd", "vb"}, default="als"
        Alternating least squares by fields: exact steps, nothing to tune, the same result for any number of threads.
        "mcmc", a Gibbs sampler, and "vb", variational Bayes, are the most accurate on ratings (docs/solvers.md has
        figures): penalties are learned, erratic users count less, and predictions come with standard deviations and
        intervals. "sgd" takes AdaGrad steps on ALS's objective, many times as fast where every row has one column of
        each of two one-hot fields and no more, a user's id and an item's (`fmkit.solvers.sgd_grid`).
    interaction : {"fm", "ffm", "fwfm", "anova3"}, default="fm"
        SGD: how columns interact. "fm" as above. "ffm", field-aware: a column has a vector of factors for each field
        that it meets, so that what it is to users need not be what it is to days; as many times the memory, and more
        to overfit with. "fwfm", field-weighted: the plain machine with a learned weight for each pair of fields. Fields
        are the labels of `fields` or, without these, those that are found. "anova3": triples of columns, too, by
        factors of their own. `machine_` is then one of `fmkit.interactions`; `fold_in`, `partial_fit` to a fitted
        model and recommenders are for "fm".
    loss : {"squared", "absolute", "huber", "poisson"}, default="squared"
        SGD: what a row costs, of its target y and the machine's value f. "absolute", `|y - f|`, fits medians; "huber",
        the squared error up to `huber_width` and from there on a line, means that no outlier moves far; "poisson" fits
        means of counts, which are exp(f): y must not be negative, `predict` gives means, and `machine_` their
        logarithms. All but "squared" go by single rows on two one-hot fields, too, and are not for `fold_in`,
        `partial_fit` to a fitted model and recommenders.
    huber_width : float, default=1.0
        Where Huber's line begins, in standard deviations of the targets as their quartiles tell it. It is set before
        the fit, and so are the scales of learning rates and penalties: scikit-learn's `epsilon`, in standard deviations
        of the errors, would move them all while the machine learns. Of targets that are mostly noise, both are the
        same.
    optimizer : {"adagrad", "sgd", "ftrl", "adam"}, default="adagrad"
        SGD: how steps are made. "adagrad" shortens those of each column by the slopes it has met. "ftrl",
        FTRL-proximal, does, too, and takes `l1_linear` and `l1_factors`: weights, and vectors of factors, that the
        data do not ask for are exactly zero. "sgd" and "adam" have the learning rate times epoch**-0.75 in each epoch
        (1, 2, ...). docs/solvers.md compares them. All but "adagrad" are for interaction="fm".
    max_iter : int, optional
        Sweeps (epochs of SGD) at most; by default 30 of ALS and SGD, on two rating sets the error of held-out ratings
        moved by less than 0.001 after 20; 500 of MCMC, 100 of VB, and 1,000 and 300 with hierarchical relation
        blocks.
    reg_linear : float or array-like of shape (n_fields,), default=3.0
        Ridge penalty of weights, for all fields or one a field, told for targets of unit variance and columns whose
        entries have unit mean square. It is a ratio of variances, noise over prior, so it does not depend on the number
        of rows: a column with many is shrunk little by itself, one with few much.
    reg_factors : float, array-like of shape (n_fields,) or "auto", default=0.9
        Ridge penalty of factors, as a multiple of the one that holds down all that pure noise would show as
        interactions. It grows with the rows a column has (`fmkit.solvers.penalties.noise_levels`), so that the same
        default serves two fields and twenty, 100 rows and 10 million. Chosen on validation parts of two rating sets,
        where 0.7 to 1.1 were within 0.7 % of the best error for 8 and 16 factors. "auto", for ALS, sets 5 % of the rows
        aside (at least 1,000, but no more than a fifth) and goes down a path from 1.8 by the square root of 2 while
        machines fitted to the other rows get better on these; then all rows are fitted with the winner. It takes two to
        four times as long, and pays where interactions are stronger or weaker than in ratings by stars.
    l1_linear, l1_factors : float or array-like of shape (n_fields,), default=0.0
        FTRL: lasso penalties beside the ridge ones, l `|w|` of each weight and l `|v|` of the length of each vector of
        factors, so that vectors become zero as a whole; for all fields or one a field, in the units of `reg_linear`.
    nonnegative : bool, default=False
        ALS: let no factor fall below zero, so that factors are read as parts that add up; the start's are taken without
        their signs. Weights and the bias are free. For designs without relation blocks (`fmkit.solvers.nonnegative`);
        `fold_in` and `partial_fit` do not keep to it.
    average : bool, default=False
        ALS: the result is the average of the last half of the sweeps, 60 if `max_iter` is None, with noise in the
        factors between them, without which sweeps would agree (`fmkit.solvers.shaking`). Penalties of factors count two
        thirds, the noise does the rest. The error of held-out ratings falls by 0.3 to 0.6 %; `train_loss` is that of
        single sweeps.
    noise_fields : "auto", array-like of int or None, default="auto"
        MCMC and VB: the fields (by number, relation blocks after them) whose levels have a noise precision of their
        own. "auto" takes those with five rows a level or more on average, users and items mostly; None gives all rows
        the same. On MovieLens latest-small it lowers the test RMSE from .846 to .833 (16 factors).
    burn_in : int, optional
        MCMC: sweeps before draws are averaged; by default a fifth of `max_iter`.
    keep_draws : int, default=0
        MCMC: draws to keep with the model, evenly thinned, each of a machine's size. Predictions are the average of all
        draws without them; ten or more give `return_std` and `predict_interval` without an assumption of independence.
    init_scale : float, optional
        Standard deviation of the first factors, for targets of unit variance and columns as above; by default 0.1, of
        VB 1, which prunes dimensions that start small.
    learning_rate : float or "auto", default="auto"
        SGD: length of a column's first step, for targets of unit variance; later ones shrink by themselves. "auto"
        tries rates from 0.1 on, by powers of 2, in five epochs over up to 16,000 rows, and takes the one that does best
        on 4,000 others; the same data and `random_state` give the same rate. If a fit diverges, it goes on from the
        epoch before with a tenth of the rate, once, and a ConvergenceWarning says so.
    fields : array-like of shape (n_features,), optional
        A label a column: columns with the same label share a prior (MCMC, VB) and a regularisation. By default what
        belongs together is found: one-hot fields each by itself, bags of words, all numbers.
    early_stopping : bool, default=False
        Set `validation_fraction` of the rows aside, keep the machine that is best there, and stop after `patience`
        sweeps that make it no better, by 0.01 % at least. By MCMC it is the average of the draws so far that must get
        better, so the burn-in is never cut short; by MCMC and VB the posterior of all sweeps done is kept.
    patience : int, default=3
        Sweeps.
    validation_fraction : float, default=0.1
        Share of the rows, in (0, 1).
    n_jobs : int, optional
        Threads; -1 for every core. None takes every core where the result does not depend on it (ALS, prediction, SGD
        on two one-hot fields) and one for SGD on other designs, whose threads share the machine without locks: no two
        such fits are alike.
    device : {"cpu", "torch-cpu", "cuda", "auto"}, default="cpu"
        ALS, MCMC and SGD by "adagrad", and predictions: where they are worked out. "cpu" by the package's own kernels;
        "cuda" (or "cuda:1", ...) on a GPU, to the same result but for rounding, of designs without relation blocks; SGD
        with batches of rows in place of single ones; "auto" there
        if a GPU is found and the job is large enough to pay (docs/gpu.md has figures); "torch-cpu" by the code of the
        GPU on processors, slower than "cpu". The last three take torch (`pip install 'fmkit[deep]'`).
    random_state : int, RandomState instance or None, default=None
        Draws the first factors, the part set aside, and SGD's orders of the rows.
    verbose : int, default=0
        1 shows a progress bar and, by MCMC and VB, says whether the fit was long enough.
    warm_start : bool, default=False
        Start from the machine of the last fit, if it has as many columns and factors.
    callbacks : list of callable, optional
        Each is called with the `fmkit.progress.Progress` of every sweep; one that returns True ends the fit.
    checkpoint : str or path, optional
        A file from which a fit that did not come to its end (its process was killed, Ctrl-C was pressed) goes on, bit
        for bit, when `fit` is called once more with the same parameters and data; of these, `n_jobs`, `verbose` and
        `callbacks` may differ. The file of another fit is refused. It is removed when the fit has ended. Not for SGD.
    checkpoint_sweeps : int, optional
        Write the checkpoint after so many sweeps each; None goes by `checkpoint_minutes`.
    checkpoint_minutes : float, default=10.0
        Minutes between checkpoints, without `checkpoint_sweeps`.

    Attributes
    ----------
    machine_ : FactorizationMachine, or fmkit.interactions.machine.InteractionMachine
        The fitted machine.
    penalties_ : fmkit.solvers.penalties.Penalties, or None
        Of ALS and SGD: ridge penalties of every column, in the units of y; columns with an entry in every row being
        centred.
    posterior_ : fmkit.posterior.Posterior, or None
        Of MCMC and VB: variances beside the machine, which is the posterior mean, and the noise.
    planned_ : int
        Sweeps at most: `max_iter`, or as many as usual.
    trace_ : list of dict
        Of MCMC and VB: what the fit is watched by, a row a sweep; `diagnostics` reads it.
    reg_factors_ : float or array-like
        `reg_factors`, as given or as chosen.
    learning_rate_ : float or "auto"
        `learning_rate`, as given or as found by SGD.
    history_ : list of dict
        `sweep`, `train_loss`, `validation_loss` and `seconds` of every sweep, losses as mean squared errors, absolute
        errors, twice Huber's loss (squared errors within its width) or Poisson deviances.
    n_iter_ : int
        Sweeps done.
    stream_ : fmkit.streams.encoder.Encoder
        After `fit_stream` alone: turns ids and numbers into columns.
    n_features_in_ : int
        Columns of X; after `fit_stream`, of the machine.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X had names of type str.

    References
    ----------
    S. Rendle, "Factorization Machines", ICDM 2010; S. Rendle, "Factorization Machines with libFM", TIST 2012. The
    joint steps of a column's weight and factors, field by field, and noise levels a user are this package's
    (`fmkit.solvers`).

    Examples
    --------
    >>> from fmkit import FMRegressor
    >>> from fmkit.datasets import load_movielens_small
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> X, y = load_movielens_small(return_X_y=True)
    >>> X = OneHotEncoder().fit_transform(X)
    >>> model = FMRegressor(random_state=0).fit(X[1:], y[1:])
    >>> model.predict(X[:1]).round(1)
    array([4.6], dtype=float32)
    """

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X with targets y.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
            float32 is kept; sparse matrices of any format, with 32- or 64-bit indices.
        y : array-like of shape (n_rows,)
            Targets.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows, not negative; a weight of 2 counts as two equal rows.

        Returns
        -------
        self
        """
        design, y, weights = self._check_fit(X, y, sample_weight, numeric=True)
        targets = for_loss(self.loss, self.huber_width, y.astype(np.float64), weights)
        fit = self._fit_machine(
            design,
            targets.y,
            weights,
            offset=targets.offset,
            bias=targets.bias,
            spread=targets.spread,
            previous=getattr(self, "machine_", None),
            rng=self._generator(),
            max_iter=self.max_iter,
            loss=targets.loss,
        )
        self.machine_, self.history_, self.n_iter_ = fit.machine, fit.record.history, len(fit.record.history)
        self.penalties_, self.posterior_, self.trace_ = fit.penalties, fit.posterior, fit.trace
        self.evidence_, self.reg_factors_, self.planned_ = fit.evidence, fit.reg_factors, fit.planned
        self.learning_rate_ = fit.learning_rate
        if self.verbose and self.posterior_ is not None:
            print(self.diagnostics(), file=sys.stderr)
        return self

    def fit_stream(
        self,
        reader: Any,
        *,
        target: str | None = None,
        ids: Sequence[str] | None = None,
        numbers: Sequence[str] | None = None,
        sample_weight: str | None = None,
        n_hash: int | None = 2**21,
        passes: int = 1,
        batch_rows: int = BATCH_ROWS,
        validation: Literal["progressive"] | None = "progressive",
        checkpoint: str | PathLike[str] | None = None,
    ) -> Self:
        """Fit to rows as they are read, by steps of SGD, in bounded memory (docs/streams.md).

        Batches are read and encoded by a thread while earlier ones are learned. `predict` then takes what `fit_stream`
        reads, tables without the target as well.

        Parameters
        ----------
        reader : path, sequence of paths, or iterable of tables
            Files of CSV, TSV or Parquet (by their content), or of libFM, LIBSVM, svmlight (`.libfm`, `.libsvm`, `.svm`,
            `.svmlight`) or libffm (`.libffm`, `.ffm`), gzipped too. Tables are Arrow's record batches, or any data
            frames; a function that makes an iterator of them can be called again. What is in a batch does not depend on
            how the rows were cut.
        target : str
            Column of the target; None for sparse text alone.
        ids, numbers : sequence of str, optional
            Columns that are ids, a field each, and columns of numbers, which are taken in units of their mean and
            standard deviation in the first batch. Where neither is given, all other columns: decimals are numbers,
            all else is ids. A gap is no entry.
        sample_weight : str, optional
            Column of the rows' weights, not negative.
        n_hash : int or None, default=2**21
            Buckets of all ids together: memory is bounded, some ids share a bucket. None for a column an id, in the
            order in which they come.
        passes : int, default=1
            Over all rows.
        batch_rows : int, default=32_768
            Rows that are predicted, then learned, at a time.
        validation : "progressive" or None, default="progressive"
            Predict each batch of the first pass before it is learned: `history_` has its mean squared error as
            `validation_loss`, and that of all rows so far as `running_loss`.
        checkpoint : str or path, optional
            A file from which the same call goes on, bit for bit, after it was cut short; written as often as
            `checkpoint_sweeps` (batches) and `checkpoint_minutes` say. Rows learned are read and passed over.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If a file or a batch is not as it should be: a sentence with the line, or the row.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from fmkit import FMRegressor
        >>> stars = [5.0, 4.0, 2.0] * 50
        >>> ratings = pa.table({"user": ["ann", "ann", "bob"] * 50, "film": [1, 2, 2] * 50, "stars": stars})
        >>> model = FMRegressor(2, solver="sgd", random_state=0)
        >>> model.fit_stream(ratings.to_batches(max_chunksize=60), target="stars", ids=["user", "film"], passes=20)
        FMRegressor(n_factors=2, random_state=0, solver='sgd')
        >>> model.predict({"user": ["ann", "bob"], "film": [2, 2]}).round()
        array([4., 2.], dtype=float32)
        """
        how: dict[str, Any] = {"target": target, "ids": ids, "numbers": numbers, "sample_weight": sample_weight}
        how |= {"n_hash": n_hash, "passes": passes, "batch_rows": batch_rows, "validation": validation}
        stream, record = self._fit_stream(reader, **how, checkpoint=checkpoint)
        self.machine_, self.history_, self.n_iter_ = stream.learner.machine().copy(), record.history, stream.batches
        self.penalties_, self.posterior_, self.trace_ = stream.learner.penalties(), None, []
        self.evidence_, self.reg_factors_, self.planned_ = None, self.reg_factors, max(stream.batches, 1)
        return self

    def predict(self, X: Any, return_std: bool = False) -> NDArray[np.float32] | tuple[Any, Any]:
        """Predictions for rows X; by MCMC and VB the posterior mean.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
        return_std : bool, default=False
            By MCMC and VB only: give the standard deviation of a target, too: of what is not known of the machine, and
            of the noise that the row's user (item, ...) has.

        Returns
        -------
        y : ndarray of shape (n_rows,), float32
        std : ndarray of shape (n_rows,), float32
            If `return_std`.
        """
        X = self._check_predict(X)
        y = values_of(self.machine_, X, self)
        if self.loss == "poisson":
            y = np.exp(np.minimum(y, FAR))
        if not return_std:
            return y
        posterior = self._posterior("return_std")
        return y, np.sqrt(posterior.variance(X, self.n_jobs) + posterior.noise_variance(X, self.n_jobs))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """An interval a row in which the target lies with a given probability, by MCMC and VB.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
        coverage : float, default=0.9
            Probability, in (0, 1).

        Returns
        -------
        low, high : ndarrays of shape (n_rows,), float32
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be a probability between 0 and 1, got {coverage}")
        self._posterior("predict_interval")
        y, std = self.predict(X, return_std=True)
        width = np.float32(ndtri((1 + coverage) / 2)) * std
        return y - width, y + width

    def diagnostics(self) -> Diagnostics:
        """Whether the fit was long enough, by MCMC and VB.

        Of a chain after its burn-in: split R-hat and effective sample size of the loss, of the noise's precision and
        shapes, and of the priors' precisions by group of columns; a sentence says whether the chain is too short, and
        what to ask for. Of VB: whether the bound of the log evidence still rises.

        Returns
        -------
        Diagnostics
            `sentence` (its `str`, too), `settled`, and `rows` of `name`, `mean`, `sd`, `r_hat`, `size`.

        Examples
        --------
        >>> import numpy as np
        >>> from fmkit import FMRegressor
        >>> X = np.eye(4)[np.arange(80) % 4]
        >>> y = np.random.default_rng(0).standard_normal(80)
        >>> model = FMRegressor(0, solver="mcmc", max_iter=5, random_state=0).fit(X, y)
        >>> print(model.diagnostics())
        the chain is too short: 4 sweeps after a burn-in of 1 tell nothing of it; ask for max_iter=250
        """
        self._posterior("diagnostics")
        if self.solver == "vb":
            return diagnose_bound(self.trace_)
        share = 0.2 if self.burn_in is None else None
        return diagnose_chain(self.trace_, self._burn_in(self.planned_), self.planned_, share)

    def _posterior(self, wanted_for: str) -> Posterior:
        check_is_fitted(self)
        if self.posterior_ is None:
            raise ValueError(f"{wanted_for} needs a posterior: fit with solver='mcmc' or solver='vb'")
        return self.posterior_

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        check_is_fitted(self)
        facts, arrays = state.pack(self, [self.machine_])
        if self.penalties_ is not None:
            arrays |= {"penalties.linear": self.penalties_.linear, "penalties.factors": self.penalties_.factors}
        arrays |= state.pack_posterior(self.posterior_) | state.pack_evidence(self.evidence_)
        return {**facts, "trace": self.trace_, "planned": self.planned_}, arrays

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        model, (machine,) = state.unpack(cls(), facts, arrays)
        model.machine_, model.penalties_ = machine, None
        model.posterior_ = state.unpack_posterior(arrays, machine, model.n_factors)
        model.trace_ = list(facts.get("trace", []))
        model.planned_ = int(facts.get("planned", max(len(model.trace_), 1)))
        model.evidence_ = state.unpack_evidence(arrays, machine)
        if model.posterior_ is None:
            model.penalties_ = Penalties(arrays["penalties.linear"], arrays["penalties.factors"])
            for penalty in (model.penalties_.linear, model.penalties_.factors):
                if penalty.dtype.str != "<f4" or penalty.shape != machine.linear.shape or not (penalty >= 0).all():
                    raise ValueError("its penalties do not fit its machine")
        return model
