"""Localisation: a class and a box a picture, by one net."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from fmkit.errors import InputError

from .losses import Loss
from .targets import Classifier

BOX_WEIGHT = 20.0  # of the boxes' loss beside that of the classes, whose values are some twenty times as large
FOUND = 0.5  # share of its union with the true box that a box must have in common with it


def iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of boxes, a pair a row.

    Parameters
    ----------
    a, b : array-like of shape (n, 4)
        Left, top, right and bottom.

    Returns
    -------
    ndarray of shape (n,)
        From 0, where they do not meet, to 1.

    Examples
    --------
    >>> from fmkit.deep.localization import iou
    >>> iou([[0, 0, 2, 2]], [[1, 0, 3, 2]]).round(3).tolist()
    [0.333]
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    common = _areas(np.concatenate([np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], axis=1))
    union = _areas(a) + _areas(b) - common
    return np.asarray(common / np.where(union > 0, union, 1.0))


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1))


class Localizer(Classifier):
    """A classifier that, with task="localize", learns a box beside the class; targets are then (classes, boxes).

    Inside, such targets are one array with the fields "class" and "box", so that rows are chosen from both at once.
    """

    task: Literal["classify", "localize"]
    picture_shape_: tuple[int, int, int]

    def predict_boxes(self, X: Any) -> NDArray[np.float32]:
        """The box of what is in every picture, by task="localize".

        Parameters
        ----------
        X : as of `fit`

        Returns
        -------
        ndarray of shape (n, 4)
            Left, top, right and bottom in pixels.
        """
        if self.task != "localize":
            raise InputError("boxes are predicted by task='localize' alone: fit with it, to classes and boxes")
        corners = 1 / (1 + np.exp(-super()._outputs(X)[:, -4:]))
        return np.asarray(corners * self._extent(), np.float32)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Share of the rows whose class is right and, by task="localize", whose box is too: half of it, by `iou`."""
        if self.task != "localize":
            return float(super().score(X, y, sample_weight))
        y = self._check_targets(y)
        right = (self.predict(X) == y["class"]) & (iou(self.predict_boxes(X), y["box"]) >= FOUND)
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        return float(np.average(right, weights=weights))

    def _extent(self) -> NDArray[np.float64]:
        height, width, _ = self.picture_shape_
        return np.array([width, height, width, height], np.float64)

    def _n_values(self) -> int:
        """Outputs of the net: those of the classes, and four of the box."""
        return self.n_outputs_ + (4 if self.task == "localize" else 0)

    def _outputs(self, X: Any) -> NDArray[Any]:
        values = super()._outputs(X)
        return values[:, : self.n_outputs_]

    def _check_targets(self, y: Any) -> NDArray[Any]:
        if self.task != "localize":
            return super()._check_targets(y)
        if not isinstance(y, tuple | list) or len(y) != 2:
            raise InputError("task='localize' needs y of two parts, (classes, boxes): an array of each")
        classes, boxes = super()._check_targets(y[0]), np.asarray(y[1], np.float64)
        if classes.ndim != 1 or boxes.shape != (len(classes), 4):
            raise InputError(
                f"y must be classes of shape (n,) and boxes of shape (n, 4), got {classes.shape} and {boxes.shape}"
            )
        fits = (boxes[:, :2] < boxes[:, 2:]).all(axis=1) & (boxes >= 0).all(axis=1)
        fits &= (boxes <= self._extent()).all(axis=1)
        if not fits.all():
            row = int(np.argmin(fits))
            raise InputError(
                f"row {row}: the box {boxes[row].tolist()} is not left, top, right and bottom of a part of the picture"
            )
        result = np.empty(len(classes), [("class", classes.dtype), ("box", np.float64, 4)])
        result["class"], result["box"] = classes, boxes
        return result

    def _learn_targets(self, y: NDArray[Any], weights: NDArray[np.float64], classes: ArrayLike | None) -> None:
        super()._learn_targets(_classes(y), weights, classes)

    def _fits_targets(self, y: NDArray[Any]) -> bool:
        return super()._fits_targets(_classes(y))

    def _class_weights(self, y: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[np.float64] | None:
        return super()._class_weights(_classes(y), chosen)

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        return super()._strata(_classes(y))

    def _encode_targets(self, y: NDArray[Any]) -> Tensor:
        codes = super()._encode_targets(_classes(y))
        if self.task != "localize":
            return codes
        boxes = torch.from_numpy((y["box"] / self._extent()).astype(np.float32))
        return torch.cat([codes.float().reshape(len(codes), -1), boxes], dim=1)

    def _loss(self) -> Loss:
        loss = super()._loss()
        return partial(_with_boxes, loss=loss, binary=self.n_outputs_ == 1) if self.task == "localize" else loss


def _classes(y: NDArray[Any]) -> NDArray[Any]:
    return y["class"] if y.dtype.names else y


def _with_boxes(outputs: Tensor, targets: Tensor, loss: Loss, binary: bool) -> Tensor:
    """The classes' loss, and the mean square of what the corners, as shares of the sides, are off."""
    classes = targets[:, :1] if binary else targets[:, 0].long()
    off = functional.mse_loss(torch.sigmoid(outputs[:, -4:]), targets[:, 1:], reduction="none").mean(dim=1)
    return loss(outputs[:, :-4], classes) + BOX_WEIGHT * off
