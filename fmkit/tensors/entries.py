"""The entries of a side's levels as batches of matrices: levels of about equal length side by side, padded.

A level's sums of products are those of one small matrix, a row an entry. A batched product wants matrices of one
length, so a level is padded to the next of LENGTHS, a fifth more on average, and the levels of a length are cut into
batches that fit the budget. Padding points to a row of zeros, so that it adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

# 1, 2, 3, 4, 6, 8, 12, 16, ...: no level is padded by more than half, those of 16 entries or more by a quarter at most
LENGTHS = np.unique([0, 1, 2, 3, 4, 6, 8, 12, *(steps << shift for shift in range(2, 29) for steps in (4, 5, 6, 7))])
BUDGETS = {"cuda": 1 << 26, "cpu": 1 << 21}  # numbers of a batch: 256 MB, and what caches hold


@dataclass
class Batch:
    """Levels whose entries are padded to one length.

    Parameters
    ----------
    levels : Tensor of shape (m,), int64
        On the device.
    length : int
    first, last : int
        Their padded entries among those of all batches.
    """

    levels: torch.Tensor
    length: int
    first: int
    last: int


@dataclass
class Entries:
    """A side's entries, sorted by level, as `Batches` of padded arrays on a device.

    Parameters
    ----------
    ptr : ndarray of shape (n_levels + 1,), int64
        The entries of level j are ptr[j]:ptr[j + 1].
    width : int
        Numbers that are made of an entry.
    device : torch.device
    resident : bool
        Whether the arrays stay on the device. Else they stay where they are, in pinned memory, and each batch's part
        travels when its turn comes, the next one's while this one is worked on.

    Attributes
    ----------
    batches : list of Batch
    arrays : dict of Tensor
        What `put` got, padded, of shape (n_padded,).
    """

    ptr: NDArray[np.int64]
    width: int
    device: torch.device
    resident: bool = True
    batches: list[Batch] = field(default_factory=list)
    arrays: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = np.diff(self.ptr)
        padded = LENGTHS[np.searchsorted(LENGTHS, counts)]
        order = np.argsort(padded, kind="stable")
        starts = np.concatenate([[0], np.cumsum(padded[order])])
        budget = BUDGETS[self.device.type]
        levels = torch.from_numpy(order).to(self.device)
        lengths, how_many = np.unique(padded, return_counts=True)
        bounds = np.concatenate([[0], np.cumsum(how_many)]).tolist()
        for length, a, b in zip(lengths.tolist(), bounds, bounds[1:], strict=False):
            most = max(1, budget // (self.width * max(length, self.width)))
            for i in range(a, b, most):
                j = min(i + most, b)
                self.batches.append(Batch(levels[i:j], length, int(starts[i]), int(starts[j])))
        shift = np.empty(len(counts), np.int64)
        shift[order] = starts[:-1] - self.ptr[:-1][order]
        self._place = torch.from_numpy(np.repeat(shift, counts) + np.arange(self.ptr[-1]))
        if self.resident:
            self._place = self._place.to(self.device)
        self.n_padded = int(starts[-1])

    def put(self, name: str, values: NDArray[np.int32] | NDArray[np.float32], padding: float) -> None:
        """Hold an array of all entries under a name, in place of one that it had."""
        given = torch.from_numpy(np.ascontiguousarray(values))
        if self.resident:
            given = given.to(self.device)
        on_gpu = self.device.type == "cuda"
        array = torch.full(
            (self.n_padded,), padding, dtype=given.dtype, device=given.device, pin_memory=on_gpu and not self.resident
        )
        array[self._place] = given
        self.arrays[name] = array

    def settle(self) -> None:
        """Forget where entries go: nothing more will be put, and places are the bulk of what is kept."""
        del self._place

    def on_device(self) -> Iterator[tuple[Batch, dict[str, torch.Tensor]]]:
        """Each batch with its parts of the arrays, of shape (m * length,), on the device."""
        if self.resident or self.device.type != "cuda":
            for batch in self.batches:
                yield batch, {name: array[batch.first : batch.last] for name, array in self.arrays.items()}
            return
        beside = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        sent = self._send(self.batches[:1], beside)
        for number, batch in enumerate(self.batches):
            torch.cuda.current_stream(self.device).wait_stream(beside)
            parts = sent
            sent = self._send(self.batches[number + 1 : number + 2], beside)
            for part in parts.values():
                part.record_stream(torch.cuda.current_stream(self.device))
            yield batch, parts

    def _send(self, batches: Sequence[Batch], stream: torch.cuda.Stream) -> dict[str, torch.Tensor]:
        with torch.cuda.stream(stream):
            return {
                name: array[batch.first : batch.last].to(self.device, non_blocking=True)
                for batch in batches
                for name, array in self.arrays.items()
            }
