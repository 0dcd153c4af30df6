"""Optimizers by name, with the penalties L1 and L2 on weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# The highest rate of a schedule, where none is given. That of AdamW was the best of .001 to .03 on validation parts of
# digits, Fashion-MNIST and adult.
LEARNING_RATES = {"sgd": 0.1, "adamw": 0.005, "adagrad": 0.02, "rmsprop": 0.002, "lbfgs": 1.0}


@dataclass(frozen=True)
class OptimizerSettings:
    """What is chosen of an optimizer.

    Parameters
    ----------
    name : {"sgd", "adamw", "adagrad", "rmsprop", "lbfgs"}
    momentum : float
        Of SGD.
    nesterov : bool
        Of SGD: look ahead along the momentum.
    l1, l2 : float
        Penalties l1 |w| and l2 w² / 2 on weights; not on biases and the scales of normalisation.
    """

    name: str = "adamw"
    momentum: float = 0.9
    nesterov: bool = True
    l1: float = 0.0
    l2: float = 0.01


class Optimizer:
    """A step of torch's optimizer on the loss, and then of the penalties, whatever the optimizer.

    L2 shrinks weights by rate * l2 of themselves, L1 by rate * l1, down to zero and not beyond: apart from the
    gradient, so that no optimizer scales them (Loshchilov and Hutter's AdamW; the proximal step of ISTA), and by L1
    weights become exactly zero. L-BFGS, whose line search compares losses, has both in the loss.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019; I. Sutskever et al., "On the
    importance of initialization and momentum in deep learning", ICML 2013; J. Duchi et al., "Adaptive subgradient
    methods", JMLR 2011; T. Tieleman and G. Hinton, "RMSProp", 2012; J. Nocedal, "Updating quasi-Newton matrices with
    limited storage", 1980.
    """

    def __init__(self, settings: OptimizerSettings, net: nn.Module, rate: float) -> None:
        self.parameters = parameters = [p for p in net.parameters() if p.requires_grad]
        self.weights: list[Tensor] = [p for p in parameters if p.ndim > 1]
        self.settings = settings
        self.in_loss = settings.name == "lbfgs"
        if self.in_loss:
            self.torch: torch.optim.Optimizer = torch.optim.LBFGS(parameters, rate, line_search_fn="strong_wolfe")
            return
        if settings.name == "adamw":
            self.torch = torch.optim.Adam(parameters, rate, fused=parameters[0].device.type in ("cpu", "cuda"))
        elif settings.name == "sgd":
            nesterov = settings.nesterov and settings.momentum > 0
            self.torch = torch.optim.SGD(parameters, rate, settings.momentum, nesterov=nesterov, fused=True)
        elif settings.name == "adagrad":
            self.torch = torch.optim.Adagrad(parameters, rate)
        else:
            self.torch = torch.optim.RMSprop(parameters, rate)

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.torch.param_groups[0]["lr"])

    @rate.setter
    def rate(self, rate: float) -> None:
        for group in self.torch.param_groups:
            group["lr"] = rate

    def step(self, loss: Callable[[], Tensor], grad_clip: float | None = None) -> Tensor:
        """Lower the loss, a function that runs the net; returns what it was, without penalties.

        Gradients whose norm, of all parameters together, is above `grad_clip` are scaled down to it.
        """
        first: list[Tensor] = []

        def closure() -> float:
            self.torch.zero_grad()
            value = loss()
            first.append(value.detach())
            if self.in_loss:
                value = value + self._penalty(self.weights)
            value.backward()  # type: ignore[no-untyped-call]
            if grad_clip is not None:
                nn.utils.clip_grad_norm_(self.parameters, grad_clip)
            return value.detach()  # type: ignore[return-value]

        self.torch.step(closure)
        if not self.in_loss:
            self._shrink()
        return first[0]

    def _shrink(self) -> None:
        l1, l2 = self.settings.l1, self.settings.l2
        with torch.no_grad():
            if l2:
                torch._foreach_mul_(self.weights, 1 - self.rate * l2)
            if l1:
                for weight in self.weights:
                    weight.copy_(nn.functional.softshrink(weight, self.rate * l1))

    def _penalty(self, weights: Iterable[Tensor]) -> Tensor:
        l1, l2 = self.settings.l1, self.settings.l2
        return torch.stack([l1 * w.abs().sum() + l2 / 2 * w.square().sum() for w in weights]).sum()
