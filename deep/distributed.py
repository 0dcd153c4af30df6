"""Fits that the processes of `torchrun` share: each computes its part of every batch, and all take the same step.

A fit is shared where the script has called `torch.distributed.init_process_group()`, and not by the mere environment of
torchrun, which may start fits that have nothing to do with each other. All processes are given all rows, draw the same
orders, and put together what depends on more than a row: torch's DistributedDataParallel the gradients, and functions
of this module losses, the statistics of batch normalisation, and draws for the rows of a batch. So the result is that
of one process, but for rounding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from fmkit.errors import InputError
from fmkit.fitting import Callback
from fmkit.progress import Progress

_batch: ContextVar[Tensor | None] = ContextVar("batch", default=None)  # rows of the batch that is in work in parts


def n_processes() -> int:
    """How many processes share a fit: 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process is the one that shows what all do."""
    return n_processes() == 1 or dist.get_rank() == 0


def wrapped(net: nn.Module) -> nn.Module:
    """What to run a net by in training: with gradients that are means over the processes, and weights of the first."""
    return net if n_processes() == 1 else DistributedDataParallel(net)


@contextmanager
def part_of(rows: Tensor) -> Iterator[Tensor]:
    """This process's part of a batch's rows: every second one of two processes, for rows may be sorted by length."""
    n = n_processes()
    if n == 1:
        yield rows
        return
    if len(rows) < n:
        raise InputError(f"{n} processes share batches of {len(rows)} rows: set a batch_size of {n} at least")
    token = _batch.set(rows)
    try:
        yield own(rows)
    finally:
        _batch.reset(token)


def own(values: Tensor) -> Tensor:
    """Of values of every row of a batch, those of this process's part."""
    return values[dist.get_rank() :: dist.get_world_size()]


def whole(rows: Tensor) -> Tensor:
    """All rows of the batch that these are this process's part of."""
    batch = _batch.get()
    return rows if batch is None else batch


def drawn(n: int, draw: Callable[[int], Tensor]) -> Tensor:
    """Random values for n rows; of a batch in parts they are drawn for all of it, the same in every process."""
    batch = _batch.get()
    return draw(n) if batch is None else own(draw(len(batch)))


def is_shared() -> bool:
    """Whether a batch is in work in parts."""
    return _batch.get() is not None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Summed.forward(ctx, gradient)


def summed(values: Tensor) -> Tensor:
    """The sum of what the processes have computed for their parts of a batch; gradients go back to all of them."""
    return _Summed.apply(values) if is_shared() else values  # type: ignore[no-untyped-call]


def of_every_row(compute: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """A value a row, each process computing those of its part."""
    if n_processes() == 1:
        return compute(rows)
    values = torch.zeros(len(rows), device=rows.device)
    if len(part := own(rows)):
        own(values).copy_(compute(part))
    dist.all_reduce(values)
    return values


def told(value: Any) -> list[Any]:
    """What each of the processes has, in their order: for decisions that they must take alike."""
    if n_processes() == 1:
        return [value]
    values = [None] * n_processes()
    dist.all_gather_object(values, value)
    return values


def together(callbacks: Sequence[Callback]) -> Sequence[Callback]:
    """Callbacks one of which ends the fit in all processes, by returning True in any; a process may have none."""
    if n_processes() == 1:
        return callbacks

    def asked_everywhere(progress: Progress[Any]) -> bool:
        answers = [callback(progress) for callback in callbacks]
        return any(told(any(answers)))

    return [asked_everywhere]


def check_alike(parameters: dict[str, Any], *tensors: Tensor | None) -> None:
    """Refuse to share a fit whose parameters, or tensors on the processor, differ between the processes."""
    if n_processes() == 1:
        return
    data = [b"" if tensor is None else tensor.numpy().tobytes() for tensor in tensors]
    if len(set(told(sha256(b"".join([repr(parameters).encode(), *data])).hexdigest()))) > 1:
        raise InputError(
            "the processes of torch.distributed were given different rows or parameters: a fit is shared by all of "
            "them, give each the same; for fits of their own, leave init_process_group out"
        )


def take_from_first(net: nn.Module) -> None:
    """Give a net the first process's weights, where another machine has rounded otherwise."""
    if n_processes() > 1:
        for tensor in net.state_dict().values():
            dist.broadcast(tensor, 0)


def divided(n_threads: int) -> int:
    """A machine's threads, over its processes."""
    return max(1, n_threads // int(os.environ.get("LOCAL_WORLD_SIZE", 1))) if n_processes() > 1 else n_threads
