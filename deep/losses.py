"""Losses, a value a row, of what a net puts out and of targets."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]


def log_loss(smoothing: float = 0.0) -> Loss:
    """Of logits (n, n_classes) and class numbers (n,): minus the log of the class's probability by softmax.

    With smoothing, that share of a row's probability is asked for of all classes alike (C. Szegedy et al., CVPR 2016).
    """
    return partial(functional.cross_entropy, reduction="none", label_smoothing=smoothing)


def binary_log_loss(smoothing: float = 0.0) -> Loss:
    """Of log odds (n, n_labels) and labels 0 and 1 of that shape: the log loss, summed over the labels of a row."""
    return partial(_binary_log_loss, smoothing=smoothing)


def _binary_log_loss(outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    targets = targets * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").sum(dim=1)


def squared_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of values (n, n_targets) and targets of that shape: the mean square of a row's errors."""
    return torch.square(outputs - targets).mean(dim=1)
