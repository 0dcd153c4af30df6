"""A factorization machine as a layer of a net: the wide half of a DeepFM.

H. Guo et al., "DeepFM: a factorization-machine based neural network for CTR prediction", IJCAI 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .columns import Columns

if TYPE_CHECKING:
    from fmkit.machine import FactorizationMachine


class FactorizationLayer(nn.Module):
    """A machine an output: bias + <w, x> + 1/2 sum_f [ (sum_j v_jf x_j)² - sum_j v_jf² x_j² ].

    Parameters
    ----------
    columns : Columns
        Of the table; the machines have a column for each number, and for each level.
    n_factors : int
    n_outputs : int
    """

    def __init__(self, columns: Columns, n_factors: int, n_outputs: int) -> None:
        super().__init__()
        self.shape = (n_outputs, 1 + n_factors)  # of a column: its weight and its factors, for every output
        width = n_outputs * (1 + n_factors)
        self.numbers = nn.Parameter(torch.zeros(columns.n_numbers, width))
        self.levels = nn.Parameter(torch.zeros(columns.n_levels, width))
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def start_from(self, machines: list[FactorizationMachine], offset: float = 0.0, spread: float = 1.0) -> None:
        """Take over fitted machines, one an output, of outputs that are (value - offset) / spread."""
        n_numbers = len(self.numbers)
        bias = np.array([(m.bias - offset) / spread for m in machines])
        weights = [np.column_stack([m.linear / spread, m.factors / np.sqrt(spread)]) for m in machines]
        stacked = torch.from_numpy(np.hstack(weights).astype(np.float32))
        with torch.no_grad():
            self.bias.copy_(torch.from_numpy(bias))
            self.numbers.copy_(stacked[:n_numbers])
            self.levels.copy_(stacked[n_numbers:])

    def table(self, numbers: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of rows of a table: the machines' values (n, n_outputs), and the factors of a row's levels side by side."""
        of_numbers = self.numbers.reshape(-1, *self.shape)
        linear = numbers @ of_numbers[..., 0]
        first, second = of_numbers[..., 1:], of_numbers[..., 1:].square()
        sums = (numbers @ first.flatten(1)).reshape(-1, *first.shape[1:])
        squares = (numbers.square() @ second.flatten(1)).reshape(-1, *first.shape[1:])
        embedded = numbers[:, :0]
        if codes is not None:
            found = embed(self.levels, codes).reshape(*codes.shape, *self.shape)
            factors = found[..., 1:]
            linear = linear + found[..., 0].sum(dim=1)
            sums, squares = sums + factors.sum(dim=1), squares + factors.square().sum(dim=1)
            embedded = factors.flatten(1)
        return self.bias + linear + (sums.square() - squares).sum(dim=2) / 2, embedded

    def sparse(self, indices: Tensor, begins: Tensor, values: Tensor) -> Tensor:
        """Of rows of a sparse matrix: the machines' values."""

        def added_up(table: Tensor, values: Tensor) -> Tensor:
            bags: Tensor = functional.embedding_bag(indices, table, begins, mode="sum", per_sample_weights=values)
            return bags.reshape(-1, *self.shape)

        sums, squares = added_up(self.numbers, values), added_up(self.numbers.square(), values.square())
        return self.bias + sums[..., 0] + (sums.square() - squares)[..., 1:].sum(dim=2) / 2


def embed(levels: Tensor, codes: Tensor) -> Tensor:
    """The vectors of level numbers that count from 1; zeros for 0, a level that is not known."""
    return functional.embedding(functional.relu(codes - 1), levels) * (codes > 0).unsqueeze(2)
