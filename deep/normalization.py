"""Batch normalisation, over the whole batch also where processes share it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fmkit.errors import InputError

from .distributed import is_shared, summed


class _OverTheBatch(_BatchNorm):
    """What says what is wrong with a batch of one, and knows of parts."""

    def forward(self, x: Tensor) -> Tensor:
        """Standardised units, or channels."""
        if self.training and is_shared():
            return self._over_all_parts(x)
        if self.training and x.numel() == x.shape[1]:
            raise InputError("batch_norm needs two rows a batch to train: set batch_norm=False, or a larger batch_size")
        return super().forward(x)

    def _over_all_parts(self, x: Tensor) -> Tensor:
        """As torch's SyncBatchNorm, which is for GPUs alone: mean and variance from sums over all processes' rows."""
        over, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        values = x.float()  # as torch computes it by autocast
        n = summed(values.new_tensor(x.numel() / x.shape[1]))
        mean = summed(values.sum(over)) / n
        centred = values - mean.view(shape)
        variance = summed(centred.square().sum(over)) / n
        with torch.no_grad():
            assert self.momentum is not None
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
            self.num_batches_tracked += 1
        standard = centred * (variance + self.eps).rsqrt().view(shape)
        return (standard * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)


class BatchNorm(_OverTheBatch, nn.BatchNorm1d):
    """Of dense units."""


class BatchNorm2d(_OverTheBatch, nn.BatchNorm2d):
    """Of channels."""
