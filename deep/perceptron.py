"""The multilayer perceptron as a torch module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .columns import Columns
from .factorization import FactorizationLayer, embed
from .layers import LayerSettings, SparseLinear, dense_stack
from .training import Net

EMBEDDING_STD = 0.1  # of the first embeddings; their columns are scaled by what follows


class MLP(Net):
    """A multilayer perceptron over a table's columns, with a factorization machine beside it if asked for.

    Numbers and the embeddings of levels are the units of the lowest layer; of a sparse matrix, its columns. With a
    machine, levels are embedded by its factors, and its values are added to the outputs (DeepFM).
    """

    def __init__(
        self,
        columns: Columns,
        hidden_layer_sizes: Sequence[int],
        n_outputs: int,
        settings: LayerSettings,
        embedding_size: int,
        n_factors: int | None,
    ) -> None:
        super().__init__()
        self.is_sparse = columns.is_sparse
        first, *others = [*hidden_layer_sizes, n_outputs]
        width = columns.n_numbers
        self.machine = None if n_factors is None else FactorizationLayer(columns, n_factors, n_outputs)
        if n_factors is not None:
            width += len(columns.levels) * n_outputs * n_factors
        elif columns.levels:
            width += len(columns.levels) * embedding_size
            self.levels = nn.Parameter(EMBEDDING_STD * torch.randn(columns.n_levels, embedding_size))
        self.first = settings.drawn((SparseLinear if columns.is_sparse else nn.Linear)(width, first))
        self.rest = dense_stack([first, *others[:-1]], n_outputs, settings) if others else nn.Identity()
        if self.machine is not None:
            nn.init.zeros_(self.last.weight)  # the net begins as the machine

    @property
    def last(self) -> nn.Linear | SparseLinear:
        """The layer of the outputs."""
        layer = self.rest[-1] if isinstance(self.rest, nn.Sequential) else self.first
        assert isinstance(layer, nn.Linear | SparseLinear)
        return layer

    def forward(self, *batch: Tensor) -> Tensor:
        """Outputs, (n_rows, n_outputs), of a batch of `TableRows` or `SparseRows`."""
        if self.is_sparse:
            hidden, values = self.first(*batch), None if self.machine is None else self.machine.sparse(*batch)
        elif self.machine is not None:
            values, embedded = self.machine.table(*batch)
            hidden = self.first(torch.cat([batch[0], embedded], dim=1))
        else:
            numbers, *codes = batch
            units = [numbers, *(embed(self.levels, some).flatten(1) for some in codes)]
            hidden, values = self.first(torch.cat(units, dim=1) if codes else numbers), None
        outputs: Tensor = self.rest(hidden)
        return outputs if values is None else outputs + values
