"""Growing: rows and columns that come after the fit."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from fmkit.design import Design, canonical_csr
from fmkit.estimators.common import FMEstimator
from fmkit.machine import FactorizationMachine
from fmkit.posterior import Posterior, less_means
from fmkit.solvers.centring import shifted
from fmkit.solvers.fold import fold_columns, take_in
from fmkit.solvers.knowledge import Evidence, Knowledge
from fmkit.solvers.penalties import Penalties, column_sums
from fmkit.threads import count_threads

Floats = NDArray[np.float32]

SWEEPS = 5  # over the new rows: on MovieLens latest-small 30 in place of 5 change the test error by .0002
# Of what rows told. Test RMSE of later users with 0, 1, 3 and 8 of it on MovieLens latest-small: VB .8328, .8303, .8289
# and .8283; MCMC .8321, .8294, .8283 and .8281.
UNTOLD = np.float32(3)
FIXED = np.float32(1e6)  # times its prior's precision, a dimension stays where it is


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


def grown_columns(n_levels: Sequence[int], more_levels: Sequence[int]) -> NDArray[np.int64]:
    """Where the columns of a design of codes were before its variables got more levels, for `partial_fit`.

    Parameters
    ----------
    n_levels, more_levels : sequence of int
        Levels of each variable of `Design.from_codes` before and now.

    Returns
    -------
    ndarray of shape (sum of more_levels,), int64
        The old position of each column, -1 for a new one.

    Examples
    --------
    >>> grown_columns([2, 3], [3, 4])
    array([ 0,  1, -1,  2,  3,  4, -1])
    """
    if len(n_levels) != len(more_levels):
        raise ValueError(
            f"more_levels must hold a number for each of {len(n_levels)} variables, got {len(more_levels)}"
        )
    parts, first = [], 0
    for position, (n, more) in enumerate(zip(n_levels, more_levels, strict=True)):
        if more < n:
            raise ValueError(f"variable {position} had {n} levels, it cannot have {more} now: keep those without rows")
        parts.append(np.append(np.arange(first, first + n), np.full(more - n, -1)))
        first += n
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


class Growing(FMEstimator):
    """What regressors do with rows and columns that come after the fit."""

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
        X : Design, or sparse or dense matrix of shape (n_rows, n_features_in_)
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
        prior, bayesian = self._prior(column), self.posterior_ is not None
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

    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        columns: ArrayLike | None = None,
        like: int | str | ArrayLike | None = None,
        all_columns: bool = False,
        max_iter: int = SWEEPS,
    ) -> Self:
        """Go on with new rows, and perhaps new columns; the first call is `fit`.

        Only columns that the rows touch are solved, in a few sweeps; the bias stays. What is known of an old one stands
        in for the rows it had: by MCMC and VB its posterior, mean and variance of each dimension, is its prior now
        (streaming VB); by ALS and SGD its mean is, with its penalty and the precision its rows gave each dimension (of
        factors, about). Given that, each step is exact; what is lost of the old rows is how a column's dimensions
        depend on each other, and what would have followed in untouched columns. New columns start from their prior's
        mean. The noise levels of new users (items, ...) are found, all other noise stays. Draws that were kept are
        dropped.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_columns)
            The new rows alone; relation blocks are written out.
        y : array-like of shape (n_rows,)
            Targets.
        sample_weight : array-like of shape (n_rows,), optional
        columns : array-like of shape (n_columns,), integers, optional
            Asks for new columns: where each column of X was in the model, -1 for a new one (`grown_columns` tells, for
            designs of codes). By default X has the model's columns.
        like : int or str, or array-like of shape (n_new,), optional
            Column of the model (by its old position or its name) whose prior the new ones get; by default, each gets
            that of the next old column to its left in X, or the first to its right.
        all_columns : bool, default=False
            X and y are all rows, old and new: every column is solved for them, from where it is, under the prior of its
            group, and the bias moves. More sweeps come closer to a fit from scratch.
        max_iter : int, default=5
            Sweeps.

        Returns
        -------
        self

        Examples
        --------
        >>> from fmkit import Design, FMRegressor
        >>> from fmkit.estimators.growing import grown_columns
        >>> ratings = Design.from_codes([[0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2, 0]])
        >>> model = FMRegressor(2, solver="vb", random_state=0).fit(ratings, [5, 4, 4, 1, 1, 5])
        >>> later = Design.from_codes([[3, 3, 0], [0, 1, 3]], [4, 4])  # a fourth user, a fourth item
        >>> model.partial_fit(later, [4, 4, 2], columns=grown_columns([3, 3], [4, 4])).n_features_in_
        8
        """
        if max_iter < 1:
            raise ValueError(f"max_iter must be at least 1, got {max_iter}")
        if not hasattr(self, "machine_"):
            if columns is not None:
                raise ValueError(
                    "columns says where the columns of X were in the model, but it is not fitted: leave it out"
                )
            return self.fit(X, y, sample_weight)  # type: ignore[no-any-return]
        model = copy.copy(self)  # so that an error leaves this one as it was
        model.fields = None  # labels are of the model's columns; the rows' fields are found
        if columns is None:
            if isinstance(X, Design):
                if X.n_features != self.n_features_in_:
                    raise ValueError(
                        f"X has {X.n_features} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                        "features as input: say with columns=... where its columns were"
                    )
            else:
                validate_data(model, X, reset=False, skip_check_array=True)
        design, y, weights = model._check_fit(X, y, sample_weight, numeric=True)
        fresh = np.zeros(design.n_features, bool)
        if columns is None:
            model.__dict__.pop("feature_names_in_", None)
            model.__dict__ |= {name: v for name, v in self.__dict__.items() if name == "feature_names_in_"}
        else:
            fresh = model._grow(columns, like, design.n_features)
        model._take_in(design, y.astype(np.float64), weights, np.ones_like(fresh) if all_columns else fresh, max_iter)
        model.fields = self.fields
        self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(model.__dict__)
        return self

    def _grow(self, columns: ArrayLike, like: Any, n_columns: int) -> NDArray[np.bool_]:
        """Put new columns, at their prior's mean, where `columns` has -1; returns which these are."""
        n = self.machine_.n_features
        place = np.asarray(columns)
        if place.shape != (n_columns,) or place.dtype.kind not in "iu":
            raise ValueError(f"columns must hold an integer for each of {n_columns} columns of X, got {place.shape}")
        old, new = np.flatnonzero(place >= 0), np.flatnonzero(place < 0)
        if not np.array_equal(np.sort(place[old]), np.arange(n)):
            raise ValueError(f"columns must hold each of the model's columns 0..{n - 1} once, and -1 for new ones")
        if not len(new) and np.array_equal(place, np.arange(n)):
            return place < 0
        if like is None:
            nearest = old[np.maximum(np.searchsorted(old, new) - 1, 0)]
            of_new = place[nearest]
        else:
            of_new = self._columns_like(like, len(new))
        precision, centre = self._prior(of_new)
        V, w = np.ascontiguousarray(centre[:, :-1]), centre[:, -1]
        _, _, means = self._known()
        linear = (w - V @ (means @ self.machine_.factors)).astype(np.float32)
        spreads: tuple[Floats, ...] = ()
        if self.posterior_ is not None:
            k = self.posterior_.factor_variance.shape[1]
            zero, one = np.zeros((len(new), k), np.float32), np.ones(len(new), np.float32)
            variance = np.asarray(1 / precision, np.float32)
            spreads = (variance[:, -1], variance[:, :k], zero, one)
        self._place(place, of_new, NewColumns(linear, V, -1, np.zeros(len(new), np.float32), *spreads))
        return place < 0

    def _take_in(
        self,
        design: Design,
        y: NDArray[np.float64],
        weights: Floats | None,
        fresh: NDArray[np.bool_],
        sweeps: int,
    ) -> None:
        """Solve for rows: the fresh columns under the prior of their group, the others under what is known of them."""
        known, bias, means = self._known()
        omega = np.ones(design.n_rows, np.float32) if weights is None else weights
        counts, posterior = omega, self.posterior_
        if means.any():
            design = Design.from_matrix(less_means(design.to_csr(), means))
        elif design.blocks:
            design = Design.from_matrix(design.to_csr())
        n = design.n_features
        prior, centre = self._prior(np.arange(n))
        shapes, levels = np.zeros(n, np.float32), np.ones(n, np.float32)
        if posterior is not None:
            omega = omega / posterior.noise_variance(design, self.n_jobs)
            priors = self._priors()
            shapes, levels = priors.noise_shape[priors.groups], posterior.noise_levels.copy()
        told = self._precision_told(prior)
        precision = np.where(fresh[:, None], prior, told + self._precision_untold(told, prior))
        centre = np.where(fresh[:, None], centre, np.column_stack([known.V, known.w]))
        shapes = np.where(fresh, shapes, np.float32(0))
        before = known
        known = Knowledge(*(array.copy() for array in (known.w, known.V, known.var_w, known.var_v, known.cov)))
        targets = (y - bias).astype(np.float32)
        move = take_in(
            design,
            targets,
            omega,
            counts,
            known,
            precision,
            centre,
            shapes,
            levels,
            sweeps,
            count_threads(self.n_jobs),
            every=bool(fresh.all()),
        )
        self.machine_ = shifted(FactorizationMachine(bias + move, known.w, known.V), means)
        if posterior is not None:
            k = posterior.factor_variance.shape[1]
            now = np.column_stack([known.var_v, known.var_w])
            touched = ~fresh & (known.w != before.w)  # to what was told of them, what the rows tell is added
            more = np.maximum(1 / now[touched] - precision[touched], 0)
            now[touched] = 1 / (told[touched] + more)
            self.posterior_ = replace(
                posterior,
                machine=self.machine_,
                linear_variance=np.ascontiguousarray(now[:, -1]),
                factor_variance=np.ascontiguousarray(now[:, :k]),
                covariance=np.ascontiguousarray(known.cov[:, :k]),
                noise_levels=levels,
                draws=[],
            )
        elif self.evidence_ is not None:
            of_rows = column_sums(design, weights)[0].astype(np.float32)
            self.evidence_ = replace(
                self.evidence_, counts=of_rows + np.where(fresh, np.float32(0), self.evidence_.counts)
            )

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

    def _prior(self, like: NDArray[Any]) -> tuple[Floats, Floats]:
        """Precision and centre of the prior of each of these columns, factors first: of shape (n, k + 1)."""
        n, k = len(like), self.machine_.n_factors
        precision, centre = np.ones((n, k + 1), np.float32), np.zeros((n, k + 1), np.float32)
        if self.posterior_ is None:
            if self.penalties_ is None:
                raise ValueError("the model has neither penalties nor a posterior: fit it again")
            precision[:, :k], precision[:, k] = self.penalties_.factors[like, None], self.penalties_.linear[like]
            return precision, centre
        priors = self._priors()
        own, group, unit = priors.precision.shape[1] - 1, priors.groups[like], priors.units[like, None]
        precision[:, :own], centre[:, :own] = priors.precision[group, :own], priors.centre[group, :own]
        precision[:, k], centre[:, k] = priors.precision[group, own], priors.centre[group, own]
        precision, centre = precision * np.square(unit), centre / unit
        if k > own:  # of dimensions without a posterior: from the columns' mean squares
            more = self.machine_.factors[:, own:]
            least = 1e-6 * float(np.mean(np.square(self.machine_.factors))) + 1e-30
            for g in np.unique(group):
                squares = np.square(more[priors.groups == g]).mean(axis=0, dtype=np.float64)
                precision[group == g, own:k] = 1 / np.maximum(squares, least)
        return precision, centre

    def _precision_told(self, prior: Floats) -> Floats:
        """What is known of each column by now, as the precision of each dimension, given that of the prior."""
        if self.posterior_ is None:
            if self.evidence_ is None:
                raise ValueError("the model file does not tell what its rows said of each column: fit the model again")
            return prior + self.evidence_.precision()
        own = self.posterior_.factor_variance.shape[1]
        precision = FIXED * prior
        precision[:, :own] = 1 / np.maximum(self.posterior_.factor_variance, 1e-6 / prior[:, :own])
        precision[:, -1] = 1 / np.maximum(self.posterior_.linear_variance, 1e-6 / prior[:, -1])
        return precision

    def _precision_untold(self, told: Floats, prior: Floats) -> Floats:
        """What a dimension's variance does not tell of it: given the others, it is known better than by itself."""
        untold = np.zeros_like(told)
        if self.posterior_ is not None and len(self.posterior_.covariance):
            own = self.posterior_.factor_variance.shape[1]
            untold[:, :own] = UNTOLD * np.maximum(told[:, :own] - prior[:, :own], 0)
        return untold

    def _priors(self) -> Any:
        if self.posterior_ is None or self.posterior_.priors is None:
            raise ValueError("the model file does not tell the priors of its columns: fit the model again")
        return self.posterior_.priors

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
