"""Growing: new rows, and perhaps new columns, without the old rows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from fmkit.design import Design
from fmkit.estimators.folding import Folding, NewColumns
from fmkit.estimators.streaming import Streaming
from fmkit.machine import FactorizationMachine
from fmkit.posterior import less_means
from fmkit.solvers.centring import shifted
from fmkit.solvers.fold import take_in
from fmkit.solvers.knowledge import Knowledge
from fmkit.solvers.penalties import column_sums
from fmkit.threads import count_threads

Floats = NDArray[np.float32]

SWEEPS = 5  # over the new rows: on MovieLens latest-small 30 in place of 5 change the test error by .0002
# Of what rows told. With 0, 1, 3 and 8 of it, RMSE of later users and of all others on validation parts of the training
# rows, by VB: goodbooks .8392, .8387, .8387, .8389 and .8481, .8475, .8474, .8477; MovieLens latest-small .8484, .8482,
# .8485, .8491 and .8206, .8194, .8191, .8193.
UNTOLD = np.float32(3)
FIXED = np.float32(1e6)  # times its prior's precision, a dimension stays where it is


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


def _grows(estimator: Folding) -> bool:
    """Whether it has `partial_fit`: by scikit-learn's ways, what cannot go on has none."""
    if estimator.interaction != "fm":
        raise AttributeError(f"partial_fit is for interaction='fm', got interaction={estimator.interaction!r}")
    return True


class Growing(Folding, Streaming):
    """What regressors do with rows and columns that come after the fit."""

    @available_if(_grows)
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
        passes: int | None = None,
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
        passes : int, optional
            SGD: take steps over the rows, so often, in place of exact ones (docs/streams.md). The first call begins
            from nothing, all chunks have the same columns, and a model that was begun so goes on so, by default once
            over each chunk. `columns`, `like`, `all_columns` and `max_iter` are then of no use.

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
        if passes is not None or hasattr(self, "learners_"):
            if columns is not None or like is not None or all_columns:
                raise ValueError("steps over chunks know no columns=, like= or all_columns=: leave them out")
            return self._step_over(X, y, sample_weight, 1 if passes is None else passes)
        if not hasattr(self, "machine_"):
            if columns is not None:
                raise ValueError(
                    "columns says where the columns of X were in the model, but it is not fitted: leave it out"
                )
            return self.fit(X, y, sample_weight)  # type: ignore[no-any-return]
        self._check_plain("partial_fit to a fitted model")
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

    def _step_over(self, X: Any, y: Any, sample_weight: Any, passes: int) -> Self:
        """Steps over a chunk."""
        if passes < 1:
            raise ValueError(f"passes must be at least 1, got {passes}")
        X, y, weights = self._check_chunk(X, y, sample_weight, numeric=True)
        self._learn_chunk(X, [y.astype(np.float64)], weights, passes)
        (learner,) = self.learners_
        self.machine_, self.penalties_, self.posterior_ = learner.machine().copy(), learner.penalties(), None
        self.evidence_, self.reg_factors_, self.planned_ = None, self.reg_factors, self.n_iter_
        self.trace_ = list[dict[str, float]]()
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
        precision, centre = self.prior_of(of_new)
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
        prior, centre = self.prior_of(np.arange(n))
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
