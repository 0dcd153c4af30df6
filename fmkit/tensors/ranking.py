"""The steps of the implicit solver on a torch device: vectors of rows from their seen pairs, all rows by batches.

See `fmkit.ranking.squares` for the equations. Rows of few pairs have systems of as many unknowns as any other: a batch
of small ones side by side wants nothing but to be alike.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fmkit.ranking.pairs import Pairs
from fmkit.tensors.device import free_memory
from fmkit.tensors.entries import Entries
from fmkit.tensors.systems import products, rounded_operands, solve

Vectors = NDArray[np.float32]


class TensorPairs:
    """Seen pairs of a side on a device, ready to be summed by row.

    Parameters
    ----------
    pairs : Pairs of shape (n_rows, n_others)
    rows : ndarray of shape (n_pairs,), int32, or (0,)
        The row of `base` in `solve` that each pair has; (0,) if row e has that of e.
    n_factors : int
    device : torch.device
    """

    def __init__(self, pairs: Pairs, rows: NDArray[np.int32], n_factors: int, device: torch.device) -> None:
        self.device, self.k, self.n = device, n_factors, pairs.n_queries
        self.width = -(-(n_factors + 1) // 4) * 4
        resident = 20 * len(pairs) < free_memory(device) // 2
        self.entries = Entries(pairs.before, self.width, device, resident)
        self.entries.put("source", pairs.items, pairs.n_items)
        if len(rows):
            self.entries.put("rows", rows, 0)
        if len(pairs.weights):
            self.entries.put("weight", pairs.weights, 0)
        self.entries.settle()

    def sent(self, array: NDArray[np.float32]) -> torch.Tensor:
        """An array on the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _table(self, Z: Vectors) -> torch.Tensor:
        """Rows [z, 1], and one of zeros for what is not there."""
        table = torch.zeros(len(Z) + 1, self.width, device=self.device)
        table[:-1, : self.k], table[:-1, self.k] = self.sent(Z), 1
        return table

    def solve(
        self, Z: Vectors, base: Vectors, unseen: Vectors, times: Vectors, penalty: Vectors, pull: Vectors
    ) -> Vectors:
        """The vectors t of all rows: (sum c z z' + times unseen + penalty I) t = sum c (1 - <b, z>) z + pull.

        Parameters as of `fmkit.ranking.squares.solve_rows`.
        """
        k, table = self.k, self._table(Z)
        out = torch.zeros(self.n, k, device=self.device)
        G0, times_, penalty_ = self.sent(unseen), self.sent(times), self.sent(penalty)
        pulls = self.sent(pull) if len(pull) else None
        bases = self.sent(base) if len(base) else None
        for batch, parts in self.entries.on_device():
            at, shape = batch.levels, (len(batch.levels), batch.length)
            A = table.index_select(0, parts["source"]).view(*shape, self.width)
            if bases is not None and "rows" in parts:
                known = bases.index_select(0, parts["rows"]).view(*shape, k)
                A[..., k] -= (known * A[..., :k]).sum(dim=2)  # a row of padding has z = 0
            elif bases is not None:
                A[..., k] -= torch.bmm(A[..., :k], bases[at, :, None])[..., 0]
            if "weight" in parts:
                A *= parts["weight"].view(*shape, 1).sqrt()
            with rounded_operands(self.device):
                G = products(A)
            S = G[:, :k, :k] + times_[at, None, None] * G0
            S.diagonal(dim1=1, dim2=2).add_(penalty_[at, None])
            right = G[:, :k, k] if pulls is None else G[:, :k, k] + pulls[at]
            out[at] = solve(S, right, None)
        return out.cpu().numpy()

    def seen_loss(self, Z: Vectors, P: Vectors) -> float:
        """sum c (1 - <p, z>)^2 over the seen pairs, rows having the vectors P."""
        k, table, vectors = self.k, self._table(Z), self.sent(P)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch, parts in self.entries.on_device():
            A = table.index_select(0, parts["source"]).view(len(batch.levels), batch.length, self.width)
            error = A[..., k] - torch.bmm(A[..., :k], vectors[batch.levels, :, None])[..., 0]
            square = error.square()
            if "weight" in parts:
                square *= parts["weight"].view(square.shape)
            total += square.sum(dtype=torch.float64)
        return float(total)
