"""Batches of sequences of like length, so that few steps are padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WINDOW = 8  # batches that are sorted by length together: few enough that no batch is of the same rows every epoch


def batches(order: Tensor, n_batches: int, lengths: Tensor | None) -> Sequence[Tensor]:
    """Rows in a random order as batches of as many rows, or one less.

    With lengths, the rows of every eight batches that follow each other are sorted by length first, and the batches
    then taken in an order that the random one says: so the same order always gives the same batches.

    Parameters
    ----------
    order : Tensor of shape (n_rows,), int64
    n_batches : int
    lengths : Tensor of shape (n_all,), int64, optional
        Of all rows, not of these alone.
    """
    drawn = order.tensor_split(n_batches)
    if lengths is None:
        return drawn
    made: list[Tensor] = []
    for first in range(0, n_batches, WINDOW):
        window = torch.cat(drawn[first : first + WINDOW])
        made += window[lengths[window].argsort(stable=True)].tensor_split(len(drawn[first : first + WINDOW]))
    firsts = torch.argsort(order[:n_batches])  # of a random order, a random order
    return [made[int(n)] for n in firsts]
