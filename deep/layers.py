"""Layers that nets are built of, and the stack of dense ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fmkit.errors import InputError

from .activations import ACTIVATIONS
from .dropout import Dropout
from .initialization import initialize
from .normalization import BatchNorm


@dataclass(frozen=True)
class LayerSettings:
    """What the layers of a net have in common.

    Parameters
    ----------
    activation, init : str
    init_std : float
    dropout : float
        Share of units that are left out, at random, in every step (N. Srivastava et al., JMLR 2014).
    batch_norm : bool
        Between a layer and its activation (S. Ioffe and C. Szegedy, ICML 2015).
    layer_norm : bool
        In the same place (J. Ba et al., 2016).
    """

    activation: str = "relu"
    init: str = "he"
    init_std: float = 0.01
    dropout: float = 0.0
    batch_norm: bool = False
    layer_norm: bool = False

    def __post_init__(self) -> None:
        if self.batch_norm and self.layer_norm:
            raise InputError("a layer is normalised by batch_norm or by layer_norm: set one of them to False")

    def drawn(self, layer: nn.Module) -> nn.Module:
        """A layer with its weights drawn, and biases of zero."""
        assert isinstance(layer.weight, Tensor)
        initialize(layer.weight, self.init, self.init_std)
        if isinstance(layer.bias, Tensor):
            nn.init.zeros_(layer.bias)
        return layer

    def after(self, width: int) -> list[nn.Module]:
        """What comes after a dense layer: normalisation, activation, dropout."""
        modules: list[nn.Module] = []
        if self.batch_norm:
            modules.append(BatchNorm(width))
        if self.layer_norm:
            modules.append(nn.LayerNorm(width))
        modules.append(ACTIVATIONS[self.activation]())
        if self.dropout:
            modules.append(Dropout(self.dropout))
        return modules


class SparseLinear(nn.Module):
    """A dense layer of sparse rows: the weights of their entries, times the values, added up."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, indices: Tensor, begins: Tensor, values: Tensor) -> Tensor:
        """Units, from the entries' columns, where each row's begin, and values."""
        columns = self.weight.t().contiguous()
        return functional.embedding_bag(indices, columns, begins, mode="sum", per_sample_weights=values) + self.bias


def dense_stack(widths: Sequence[int], n_outputs: int, settings: LayerSettings) -> nn.Sequential:
    """Hidden layers on top of units that have not been activated, and the outputs.

    Parameters
    ----------
    widths : sequence of int
        Of the units that come in, and of the hidden layers above them.
    n_outputs : int
    settings : LayerSettings
    """
    modules: list[nn.Module] = []
    for width, above in zip(widths, [*widths[1:], n_outputs], strict=True):
        modules += [*settings.after(width), settings.drawn(nn.Linear(width, above))]
    return nn.Sequential(*modules)
