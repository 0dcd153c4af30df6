"""Columns that come after the fit, folded in: each solved for its own rows, everything else as it is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d

from fmkit.design import Design, canonical_csr
from fmkit.estimators.common import FMEstimator
from fmkit.machine import FactorizationMachine
from fmkit.posterior import GroupPriors, Posterior, less_means
from fmkit.solvers.centring import shifted
from fmkit.solvers.fold import fold_columns
from fmkit.solvers.knowledge import Evidence, Knowledge
from fmkit.solvers.penalties import Penalties
from fmkit.threads import count_threads

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NewColumns:
    """Columns that `fold_in` found, not yet in a model: `with_columns` adds them.

    Parameters
    ----------
    linear : ndarray of shape (n_new,), float32
    factors : ndarray of shape (n_new, n_factors), float32
        Of a chain's machine with further factors, of these too.
    like : int
        The model's column whose prior they had.
    counts : ndarray of shape (n_new,), float32
        Rows of each, as they were weighted.
    linear_variance, factor_variance, covariance : ndarrays of shape (n_new,), (n_new, k), (n_new, k), float32, or None
        By MCMC and VB.
    noise_levels : ndarray of shape (n_new,), float32, or None
        By MCMC and VB: noise precision of each one's rows, as a multiple of what it is without it.
    """

    linear: Floats
    factors: Floats
    like: int
    counts: Floats
    linear_variance: Floats | None = None
    factor_variance: Floats | None = None
    covariance: Floats | None = None
    noise_levels: Floats | None = None


class Folding(FMEstimator):
    """What regressors know of their columns, and new ones found from it."""

    machine_: FactorizationMachine
    penalties_: Penalties | None
    posterior_: Posterior | None
    evidence_: Evidence | None

    def fold_in(
        self, X: Any, y: ArrayLike, codes: ArrayLike, *, like: int | str, sample_weight: ArrayLike | None = None
    ) -> NewColumns:
        """Columns of new users (items, ...) from a handful of rows each, everything else as it is.

        A new column's weight and factors are the exact solution of the one system that they have: ridge regression
        under the penalties of a column like them (ALS, SGD), or their Gaussian posterior under the prior of its group,
        all else being at its mean (MCMC, VB). In the latter its noise level, if such columns have one each, starts from
        its prior's mean 1 and is renewed in turn with the column until it moves by less than .5 %. Thousands at once
        take some microseconds each.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
            The rows without what is new: of a new user's ratings, the items (and whatever else is known).
        y : array-like of shape (n_rows,)
            Targets.
        codes : array-like of shape (n_rows,), integers
            Which of the new columns each row has (as a 1), from 0.
        like : int or str
            Position or name of a column of the model, any user's for new users: they get its prior.
        sample_weight : array-like of shape (n_rows,), optional

        Returns
        -------
        NewColumns

        Notes
        -----
        The further factors of a chain's machine (what users and items have in common beyond their means) have no prior
        of their own: a new column's have mean 0 and the mean square that they have in the group.

        Examples
        --------
        >>> from fmkit import FMRegressor
        >>> from scipy import sparse
        >>> from sklearn.preprocessing import OneHotEncoder
        >>> rows = [["ann", "tea"], ["ann", "milk"], ["bob", "tea"], ["bob", "rum"], ["cat", "rum"], ["cat", "milk"]]
        >>> encoder = OneHotEncoder(handle_unknown="ignore").fit(rows)
        >>> model = FMRegressor(2, reg_factors=0.1, random_state=0).fit(encoder.transform(rows), [5, 4, 1, 4, 5, 1])
        >>> known = encoder.transform([["dan", "tea"], ["dan", "rum"]])  # of dan's rows, the items
        >>> dan = model.fold_in(known, [5, 1], codes=[0, 0], like=0)  # a user like ann
        >>> grown = model.with_columns(dan)
        >>> grown.predict(sparse.hstack([known, [[1], [1]]])).round(1)
        array([4.9, 1.5], dtype=float32)
        """
        check_is_fitted(self)
        self._check_plain("fold_in")
        column = self._columns_like(like, 1)
        X = self._check_predict(X)
        matrix = X.to_csr() if isinstance(X, Design) else canonical_csr(X)
        if matrix.shape[1] != self.n_features_in_:
            raise ValueError(
                f"the model has {self.n_features_in_} columns, X has {matrix.shape[1]}: leave out the new ones"
            )
        targets = column_or_1d(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"), warn=True)
        code = np.asarray(codes)
        if targets.shape != (matrix.shape[0],) or code.shape != targets.shape:
            raise ValueError(f"y and codes must hold a value for each of {matrix.shape[0]} rows of X")
        if code.dtype.kind not in "iu" or code.min() < 0:
            raise ValueError("codes must be integers from 0: which of the new columns each row has")
        weights = np.ones(len(targets), np.float32)
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, targets, dtype=np.float64, ensure_non_negative=True)
            weights = weights.astype(np.float32)
        known, bias, means = self._known()
        omega, shape = weights, 0.0
        if self.posterior_ is not None:
            omega = weights / self.posterior_.noise_variance(matrix, self.n_jobs)
            priors = self._priors()
            shape = float(priors.noise_shape[priors.groups[column[0]]])
        rows = less_means(matrix, means) if means.any() else matrix
        counts = np.bincount(code, weights).astype(np.float32)
        y_less_bias = (targets - bias).astype(np.float32)
        code = code.astype(np.int32, copy=False)
        prior, bayesian = self.prior_of(column), self.posterior_ is not None
        of_rows = rows, y_less_bias, omega, code, counts
        new, levels = fold_columns(
            *of_rows, known.machine(), *prior, shape, count_threads(self.n_jobs), variances=bayesian
        )
        linear = (new.w - new.V @ (means @ known.V)).astype(np.float32) if means.any() else new.w
        if self.posterior_ is None:
            return NewColumns(linear, new.V, int(column[0]), counts)
        k = self.posterior_.factor_variance.shape[1]
        spreads = new.var_w, np.ascontiguousarray(new.var_v[:, :k]), np.ascontiguousarray(new.cov[:, :k])
        return NewColumns(linear, new.V, int(column[0]), counts, *spreads, levels)

    def with_columns(self, new: NewColumns, names: Sequence[str] | None = None) -> Self:
        """A model with columns of `fold_in` at the right end; this one stays as it is.

        Parameters
        ----------
        new : NewColumns
        names : sequence of str, optional
            Their names, if the model's columns have names.
        """
        check_is_fitted(self)
        self._check_plain("with_columns")
        n, n_new = self.machine_.n_features, len(new.linear)
        if new.factors.shape[1] != self.machine_.n_factors or (new.noise_levels is None) != (self.posterior_ is None):
            raise ValueError("these columns are of another model: fold them in here")
        named = hasattr(self, "feature_names_in_")
        if named != (names is not None) or (names is not None and len(names) != n_new):
            had = "have names" if named else "have no names"
            raise ValueError(
                f"names must hold a name for each of {n_new} new columns if the model's have names: they {had}"
            )
        model = copy.copy(self)
        model._place(np.append(np.arange(n), np.full(n_new, -1)), np.full(n_new, new.like), new)
        if names is not None:
            model.feature_names_in_ = np.append(self.feature_names_in_, np.asarray(names, object))
        return model

    def _place(self, place: NDArray[Any], like: NDArray[Any], new: NewColumns) -> None:
        """Columns at new places: where `place` has -1, new ones, each in the group of its column `like`."""
        old = place >= 0

        def placed(of_old: NDArray[Any], of_new: Any) -> NDArray[Any]:
            result = np.empty((len(place), *of_old.shape[1:]), of_old.dtype)
            result[old], result[~old] = of_old[place[old]], of_new
            return result

        def inherited(of_old: NDArray[Any]) -> NDArray[Any]:
            return placed(of_old, of_old[like])

        machine, posterior, evidence = self.machine_, self.posterior_, self.evidence_
        self.machine_ = FactorizationMachine(
            machine.bias, placed(machine.linear, new.linear), placed(machine.factors, new.factors)
        )
        if self.penalties_ is not None:
            self.penalties_ = Penalties(inherited(self.penalties_.linear), inherited(self.penalties_.factors))
        if evidence is not None:
            counts, means = placed(evidence.counts, new.counts), placed(evidence.means, 0)
            self.evidence_ = replace(evidence, counts=counts, groups=inherited(evidence.groups), means=means)
        if posterior is not None:
            priors, cov = self._priors(), posterior.covariance
            cov = cov if len(cov) else np.zeros_like(posterior.factor_variance)
            self.posterior_ = replace(
                posterior,
                machine=self.machine_,
                linear_variance=placed(posterior.linear_variance, new.linear_variance),
                factor_variance=placed(posterior.factor_variance, new.factor_variance),
                covariance=placed(cov, new.covariance),
                stands_for_row=placed(posterior.stands_for_row, False),
                noise_levels=placed(posterior.noise_levels, new.noise_levels),
                means=placed(posterior.means, 0),
                draws=[],
                priors=replace(priors, groups=inherited(priors.groups), units=inherited(priors.units)),
            )
        self.n_features_in_ = len(place)

    def _known(self) -> tuple[Knowledge, float, NDArray[np.float64]]:
        """Means and variances of the columns of x - means, the bias there, and the means."""
        posterior, n, k = self.posterior_, *self.machine_.factors.shape
        if posterior is not None:
            means = posterior.means
        else:
            means = np.zeros(n) if self.evidence_ is None else self.evidence_.means
        machine = shifted(self.machine_, -means) if means.any() else self.machine_
        w, V = np.ascontiguousarray(machine.linear), np.ascontiguousarray(machine.factors)
        if posterior is None:
            none = np.zeros((0, k), np.float32)
            return Knowledge(w, V, none[:, :0].ravel(), none, none), machine.bias, means
        var_v, cov = np.zeros((n, k), np.float32), np.zeros((n, k), np.float32)
        var_v[:, : posterior.factor_variance.shape[1]] = posterior.factor_variance
        if len(posterior.covariance):
            cov[:, : posterior.covariance.shape[1]] = posterior.covariance
        return Knowledge(w, V, posterior.linear_variance, var_v, cov), machine.bias, means

    def prior_of(self, like: NDArray[Any]) -> tuple[Floats, Floats]:
        """Precision and centre of the prior of each of these columns, factors first: of shape (n, k + 1)."""
        return column_priors(self.machine_, self.posterior_, self.penalties_, like)

    def _priors(self) -> GroupPriors:
        return told_priors(self.posterior_)

    def _columns_like(self, like: Any, n: int) -> NDArray[np.intp]:
        """Positions of n columns of the model: of one for all, or of one each."""
        positions = np.atleast_1d(np.asarray(like))
        if positions.dtype.kind in "UO":
            names = list(getattr(self, "feature_names_in_", []))
            wrong = [name for name in positions if name not in names]
            if wrong:
                raise ValueError(f"like must name a column of the model, {str(wrong[0])!r} is none")
            positions = np.array([names.index(name) for name in positions])
        n_old = self.machine_.n_features
        if positions.dtype.kind not in "iu" or positions.shape not in ((1,), (n,)):
            raise ValueError(f"like must be a column of the model, or one for each of {n} new columns, got {like!r}")
        if positions.min() < 0 or positions.max() >= n_old:
            raise ValueError(f"like must be one of the model's columns 0..{n_old - 1}, got {like!r}")
        return np.broadcast_to(positions, n).astype(np.intp)


def column_priors(
    machine: FactorizationMachine, posterior: Posterior | None, penalties: Penalties | None, like: NDArray[Any]
) -> tuple[Floats, Floats]:
    """Precision and centre of the prior of each of these columns, factors first: of shape (n, k + 1).

    Of ridge regressions the penalties, about 0.
    """
    n, k = len(like), machine.n_factors
    precision, centre = np.ones((n, k + 1), np.float32), np.zeros((n, k + 1), np.float32)
    if posterior is None:
        if penalties is None:
            raise ValueError("the model has neither penalties nor a posterior: fit it again")
        precision[:, :k], precision[:, k] = penalties.factors[like, None], penalties.linear[like]
        return precision, centre
    priors = told_priors(posterior)
    own, group, unit = priors.precision.shape[1] - 1, priors.groups[like], priors.units[like, None]
    precision[:, :own], centre[:, :own] = priors.precision[group, :own], priors.centre[group, :own]
    precision[:, k], centre[:, k] = priors.precision[group, own], priors.centre[group, own]
    precision, centre = precision * np.square(unit), centre / unit
    if k > own:  # of dimensions without a posterior: from the columns' mean squares
        more = machine.factors[:, own:]
        least = 1e-6 * float(np.mean(np.square(machine.factors))) + 1e-30
        for g in np.unique(group):
            squares = np.square(more[priors.groups == g]).mean(axis=0, dtype=np.float64)
            precision[group == g, own:k] = 1 / np.maximum(squares, least)
    return precision, centre


def told_priors(posterior: Posterior | None) -> GroupPriors:
    """The priors of a posterior; a ValueError if it has none."""
    if posterior is None or posterior.priors is None:
        raise ValueError("the model file does not tell the priors of its columns: fit the model again")
    return posterior.priors
