"""What classifiers share, and what regressors do: targets as tensors, losses, and outputs as answers."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_y, column_or_1d
from torch import Tensor

from fmkit.errors import InputError

from .estimator import NetEstimator
from .losses import Loss, binary_log_loss, log_loss, squared_loss


class Classifier(ClassifierMixin, NetEstimator):
    """One class a row, of two or more; or any number of labels, where y is a table of 0 and 1."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    classes_: NDArray[Any]
    multilabel_: bool
    class_weight: Any
    label_smoothing: float

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def partial_fit(
        self, X: Any, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on these rows, at a constant learning rate.

        The first call makes the net, and learns scales and levels from its rows; later ones go on, with the optimizer's
        memory, and with the net of a `fit` too. Calls with the same rows are the epochs of a fit with
        schedule="constant", bit for bit.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`.
        classes : array-like of shape (n_classes,), optional
            All labels that will come, in the first call; by default those of its y.

        Returns
        -------
        self
        """
        return self._partial_fit(X, y, sample_weight, classes)

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Log odds of the second of two classes, (n_rows,); else the net's outputs, (n_rows, n_classes or n_labels)."""
        values = self._outputs(X)
        return values[:, 0] if self.n_outputs_ == 1 and not self.multilabel_ else values

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probabilities of classes, or of labels, shape (n_rows, n_classes); float64 where X is, else float32."""
        values = self._outputs(X)
        if self.multilabel_:
            return np.asarray(expit(values))
        if self.n_outputs_ == 1:
            return np.hstack([expit(-values), expit(values)])
        return np.asarray(softmax(values, axis=1))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of every row, (n_rows,); of labels, the table of 0 and 1."""
        values = self.decision_function(X)
        if self.multilabel_:
            return (values > 0).astype(int)
        return np.asarray(self.classes_[(values > 0).astype(int) if values.ndim == 1 else values.argmax(axis=1)])

    def _check_targets(self, y: Any) -> NDArray[Any]:
        check_classification_targets(y)
        if type_of_target(y) == "multilabel-indicator":
            return np.asarray(y.toarray() if hasattr(y, "toarray") else y)
        return np.asarray(_check_y(column_or_1d(y, warn=True), estimator=self))

    def _learn_targets(self, y: NDArray[Any], weights: NDArray[np.float64], classes: ArrayLike | None) -> None:
        self.multilabel_ = y.ndim == 2
        if self.multilabel_:
            self.classes_, self.n_outputs_ = np.arange(y.shape[1]), y.shape[1]
            return
        self.classes_ = np.unique(y if classes is None else np.asarray(classes))
        if len(self.classes_) < 2:
            (only,) = self.classes_.tolist()
            raise InputError(f"a classifier needs rows of at least two classes, y holds one class only: {only!r}")
        self.n_outputs_ = 1 if len(self.classes_) == 2 else len(self.classes_)

    def _fits_targets(self, y: NDArray[Any]) -> bool:
        if self.multilabel_:
            return y.ndim == 2 and y.shape[1] == self.n_outputs_
        return y.ndim == 1 and bool(np.isin(y, self.classes_).all())

    def _encode_targets(self, y: NDArray[Any]) -> Tensor:
        if self.multilabel_:
            return torch.from_numpy(y.astype(np.float32))
        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        return torch.from_numpy(codes.astype(np.float32)[:, None] if self.n_outputs_ == 1 else codes)

    def _class_weights(self, y: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[np.float64] | None:
        if self.class_weight is None:
            return None
        weights = np.ones(len(y))
        weights[chosen] = compute_sample_weight(self.class_weight, y[chosen])
        return weights

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        return y if y.ndim == 1 else None

    def _loss(self) -> Loss:
        binary = self.multilabel_ or self.n_outputs_ == 1
        return (binary_log_loss if binary else log_loss)(self.label_smoothing)


class Regressor(RegressorMixin, NetEstimator):
    """One number a row, or several; the net learns them in standard units."""

    target_mean_: NDArray[np.float64]
    target_spread_: NDArray[np.float64]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on these rows, at a constant learning rate.

        The first call makes the net, and learns scales and levels from its rows; later ones go on, with the optimizer's
        memory, and with the net of a `fit` too. Calls with the same rows are the epochs of a fit with
        schedule="constant", bit for bit.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`.

        Returns
        -------
        self
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predictions, (n_rows,), or (n_rows, n_targets) if y was; float64 where X is, else float32."""
        values = self._outputs(X)
        values = (values * self.target_spread_ + self.target_mean_).astype(values.dtype)
        return values[:, 0] if self.one_target_ else values

    def _check_targets(self, y: Any) -> NDArray[Any]:
        y = _check_y(y, multi_output=True, y_numeric=True, estimator=self)
        return np.asarray(column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y, np.float64)

    def _learn_targets(self, y: NDArray[Any], weights: NDArray[np.float64], classes: ArrayLike | None) -> None:
        self.one_target_ = y.ndim == 1
        columns = y.reshape(len(y), -1)
        self.n_outputs_ = columns.shape[1]
        self.target_mean_ = np.average(columns, axis=0, weights=weights)
        spread = np.sqrt(np.average(np.square(columns - self.target_mean_), axis=0, weights=weights))
        self.target_spread_ = np.where(spread > 1e-12 * np.abs(self.target_mean_), spread, 1.0)

    def _fits_targets(self, y: NDArray[Any]) -> bool:
        return y.reshape(len(y), -1).shape[1] == self.n_outputs_

    def _encode_targets(self, y: NDArray[Any]) -> Tensor:
        standard = (y.reshape(len(y), -1) - self.target_mean_) / self.target_spread_
        return torch.from_numpy(standard.astype(np.float32))

    def _loss(self) -> Loss:
        return squared_loss
