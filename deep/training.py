"""The training loop: one for all nets, whatever a row is.

The loop knows rows by number alone. What it trains on are `Examples`: inputs that give the tensors of some rows, and
targets. So pictures may stay bytes until a batch is made of them, and sequences be padded to the longest of a batch.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from math import ceil, isfinite
from time import perf_counter
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from fmkit.errors import InputError
from fmkit.progress import Progress

from .activations import saturation
from .buckets import batches
from .compilation import compiled, told_without_compiler
from .distributed import of_every_row, part_of, summed, told, wrapped
from .losses import Loss
from .optimizers import Optimizer, OptimizerSettings
from .schedules import SCHEDULES

AT_ONCE = 512  # rows that are predicted at once: on a CPU, more are no faster a row
WATCHED = 256  # rows that saturation is measured on


class Inputs(Protocol):
    """What nets learn from: rows that become tensors a batch at a time."""

    def __len__(self) -> int:
        """Number of rows."""

    def batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        """What the net takes, for rows (int64, on the device of `to`); on that device."""

    def to(self, device: torch.device) -> Self:
        """The same, so that batches are on a device."""


class Net(nn.Module):
    """A network as the fit loop knows it: a machine that can be copied."""

    def copy(self) -> Self:
        """One that shares no memory with this."""
        return copy.deepcopy(self)

    def augmented(self, batch: tuple[Tensor, ...], targets: Tensor, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Rows of a training step, and their targets, as the step is to see them: of most nets, as they are."""
        return batch, targets


@dataclass
class Examples:
    """Rows to learn from.

    Parameters
    ----------
    inputs : Inputs
    targets : Tensor of shape (n_rows, ...)
        Whatever the loss compares outputs with.
    weights : Tensor of shape (n_rows,), optional
        Of the rows, with a mean of 1 over those that are trained on.
    """

    inputs: Inputs
    targets: Tensor
    weights: Tensor | None = None

    def to(self, device: torch.device) -> Examples:
        """The same on a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Examples(self.inputs.to(device), self.targets.to(device), weights)

    def mean_loss(self, net: Net, run: nn.Module, loss: Loss, rows: Tensor) -> Tensor:
        """The mean loss of rows in a training step, weighted, by what runs the net."""
        with part_of(rows) as part:
            batch, targets = net.augmented(self.inputs.batch(part), self.targets.index_select(0, part), part)
            losses = loss(run(*batch), targets)
            losses = losses if self.weights is None else losses * self.weights.index_select(0, part)
            return summed(losses.sum()) / len(rows)


@dataclass(frozen=True)
class TrainingSettings:
    """How long to train, on how many rows at once, and how.

    Parameters
    ----------
    optimizer : OptimizerSettings
    learning_rate : float
        The highest of the schedule.
    schedule : str
    batch_size : int
        Rows at most; all batches of an epoch have the same number, or one less.
    max_epochs : int, optional
    max_time : float, optional
        Seconds; the schedule comes to its end with whichever of the two does.
    ema : float
        Decay of an exponential moving average of the weights, which is then the result; 0 for none.
    grad_clip : float, optional
    amp : bool
        Compute in bfloat16 where torch holds it safe.
    compile : bool
        Run the steps by `torch.compile`.
    saturation : bool
        Tell it, of every layer, after every epoch.
    """

    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    learning_rate: float = 0.005
    schedule: str = "onecycle"
    batch_size: int = 32
    max_epochs: int | None = 20
    max_time: float | None = None
    ema: float = 0.0
    grad_clip: float | None = None
    amp: bool = False
    compile: bool = False
    saturation: bool = False


class Training:
    """A net in training.

    Parameters
    ----------
    net : Net
        Trained in place, on its device.
    loss : callable
        Of outputs and targets, a value a row.
    settings : TrainingSettings
    rng : Generator
        Draws the order of the rows, and a seed an epoch for dropout and augmentation.

    Attributes
    ----------
    machine : Net
        The result so far: the net, or the moving average of it.
    """

    def __init__(self, net: Net, loss: Loss, settings: TrainingSettings, rng: np.random.Generator) -> None:
        self.net, self.loss, self.settings, self.rng = net, loss, settings, rng
        self.device = next(net.parameters()).device
        self._run = compiled(net) if settings.compile else wrapped(net)  # which may change its weights
        self.machine = net.copy() if settings.ema else net
        self._begin(settings.learning_rate)

    def _begin(self, rate: float) -> None:
        self.rate = rate
        self.optimizer = Optimizer(self.settings.optimizer, self.net, rate)
        self.n_epochs = self.n_steps = 0
        self.done = 0.0  # the share of the training that is done
        self.started = perf_counter()

    def epochs(self, examples: Examples, rows: Tensor) -> Iterator[Progress[Net]]:
        """Train on rows until `max_epochs` or `max_time`: a Progress an epoch.

        Parameters
        ----------
        examples : Examples
            On the net's device.
        rows : Tensor of int64
            Those to train on.

        Raises
        ------
        InputError
            If the loss becomes infinite or NaN once more after the training has begun again at half the rate.
        """
        beginning = copy.deepcopy(self.net.state_dict())
        halved = False
        while self.done < 1:
            loss = self.epoch(examples, rows)
            if isfinite(loss):
                seconds, facts = perf_counter() - self.started, self._facts(examples, rows)
                yield Progress(self.n_epochs, loss, seconds, self.machine, facts=facts)
            elif halved:
                raise InputError(
                    f"the loss is not finite in epoch {self.n_epochs}, at half the learning rate too: lower "
                    f"learning_rate (it was {self.rate:g}), or set grad_clip=1.0"
                )
            else:
                halved = True
                warnings.warn(
                    f"the loss is not finite in epoch {self.n_epochs}: the training begins again at half the "
                    f"learning rate, {self.rate / 2:g}",
                    stacklevel=2,
                )
                self.net.load_state_dict(beginning)
                self.machine.load_state_dict(beginning)
                self._begin(self.rate / 2)

    def epoch(self, examples: Examples, rows: Tensor) -> float:
        """Pass over all rows once, in batches of a new order; returns the mean loss, met on the way."""
        schedule = SCHEDULES[self.settings.schedule]
        n_batches = ceil(len(rows) / self.settings.batch_size)
        order = rows[torch.from_numpy(self.rng.permutation(len(rows)))]
        total, n_seen = torch.zeros((), device=self.device), 0
        self.net.train()
        with seeded(int(self.rng.integers(2**63)), self.device):
            for batch in batches(order, n_batches, getattr(examples.inputs, "lengths", None)):
                self.optimizer.rate = self.rate * schedule(self.done)
                total += self.step(examples, batch) * len(batch)
                n_seen += len(batch)
                self.done = self._share(n_batches)
                if self.done >= 1:  # the time is up
                    break
        self.n_epochs += 1
        return float(total) / n_seen

    def step(self, examples: Examples, rows: Tensor) -> Tensor:
        """One step of the optimizer on a batch; returns its mean loss."""

        def loss() -> Tensor:
            with self._precision():
                return examples.mean_loss(self.net, self._run, self.loss, rows)

        with told_without_compiler() if self.settings.compile else nullcontext():
            value = self.optimizer.step(loss, self.settings.grad_clip)
        self.n_steps += 1
        if self.settings.ema:
            self._average()
        return value

    def _share(self, n_batches: int) -> float:
        limits = self.settings
        by_steps = self.n_steps / (limits.max_epochs * n_batches) if limits.max_epochs else 0.0
        if not limits.max_time:
            return by_steps
        by_time: float = told((perf_counter() - self.started) / limits.max_time)[0]
        return max(by_steps, by_time)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.settings.amp else nullcontext()

    def _average(self) -> None:
        """Move the average towards the net; in the first steps more, so that it forgets the random start."""
        decay = min(self.settings.ema, self.n_steps / (self.n_steps + 9))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.machine.parameters()), list(self.net.parameters()), 1 - decay)
            for average, buffer in zip(self.machine.buffers(), self.net.buffers(), strict=True):
                average.copy_(buffer)

    def _facts(self, examples: Examples, rows: Tensor) -> dict[str, object]:
        facts: dict[str, object] = {"learning_rate": self.optimizer.rate}
        if self.settings.saturation:
            batch = examples.inputs.batch(rows[:WATCHED])
            facts["saturation"] = saturation(self.machine.eval(), batch)
        return facts


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's generators of the processor and the device begin at a seed, and are afterwards as they were before."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng([device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.manual_seed(seed)
        yield


def outputs(net: Net, inputs: Inputs, rows: Tensor) -> Tensor:
    """What a net puts out for rows, without dropout, a part of them at a time."""
    net.eval()
    with torch.inference_mode():
        return torch.cat([net(*inputs.batch(some)) for some in rows.tensor_split(ceil(len(rows) / AT_ONCE))])


def validation_loss(net: Net, examples: Examples, loss: Loss, rows: Tensor) -> float:
    """The mean loss of rows that are not trained on, weighted."""
    weights = None if examples.weights is None else examples.weights[rows].double().cpu().numpy()
    losses = of_every_row(lambda part: loss(outputs(net, examples.inputs, part), examples.targets[part]), rows)
    return float(np.average(losses.double().cpu().numpy(), weights=weights))
