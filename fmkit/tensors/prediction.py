"""Predictions of a factorization machine on a torch device, rows by blocks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from fmkit.design import Design
from fmkit.machine import FactorizationMachine, condensed, row_arrays

NUMBERS = {"cuda": 1 << 27, "cpu": 1 << 21}  # of the factors of a block of rows


def predict(
    machine: FactorizationMachine, X: Design | sparse.csr_array, device: torch.device, n_threads: int
) -> NDArray[np.float32]:
    """The machine's value of every row of a design, of shape (n_rows,), as `FactorizationMachine.predict` has it.

    A row's pairs come to half of (square of the sum of its factors - sum of their squares), so that a row is a sum of
    rows of one table.

    Parameters
    ----------
    machine : FactorizationMachine
    X : Design, or canonical csr_array of shape (n_rows, n_features)
    device : torch.device
    n_threads : int
        Of what is left to processors: the rows of relation blocks' tables.
    """
    if X.shape[1] != machine.n_features:
        raise ValueError(f"the machine has {machine.n_features} features, the design has {X.shape[1]} columns")
    if isinstance(X, Design) and X.blocks:
        X, machine = condensed(X, machine, n_threads)
    k, n = machine.n_factors, X.shape[0]
    V, w = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (machine.factors, machine.linear))
    table = torch.cat([V, w[:, None]], dim=1)
    half = V.square().sum(dim=1, keepdim=True) / 2
    out = np.empty(n, np.float32)
    fields = X.fields if isinstance(X, Design) else ()
    whole = bool(fields) and all(field.rows is None and field.values is None for field in fields)
    if whole:
        table[:, k:] -= half
        codes = [torch.from_numpy(np.ascontiguousarray(field.codes)) for field in fields]
        columns = [torch.from_numpy(field.columns).to(device) for field in fields]
    step = max(1, NUMBERS[device.type] // (k + 1))
    for first in range(0, n, step):
        last = min(first + step, n)
        if whole:
            sums = torch.zeros(last - first, k + 1, device=device)
            for of_field, of_level in zip(codes, columns, strict=True):
                sums += table.index_select(0, of_level[of_field[first:last].to(device).long()])
            made = sums[:, :k].square().sum(dim=1) / 2 + sums[:, k] + machine.bias
        else:
            indptr, chosen, values = (torch.from_numpy(a).to(device) for a in row_arrays(X, first, last))
            sums = _row_sums(indptr, chosen, values, table)
            of_own = _row_sums(indptr, chosen, values.square(), half)[:, 0]
            made = sums[:, :k].square().sum(dim=1) / 2 + sums[:, k] + machine.bias - of_own
        out[first:last] = made.cpu().numpy()
    return out


def _row_sums(indptr: torch.Tensor, columns: torch.Tensor, values: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """The sums of each row's values times their columns' rows of a table."""
    return torch.nn.functional.embedding_bag(
        columns.long(), table, indptr, mode="sum", per_sample_weights=values, include_last_offset=True
    )
