"""Activations by name, and how many of their units no longer learn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "logistic": nn.Sigmoid,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
FLAT = 0.05  # a slope under which a unit passes hardly any gradient on


def saturation(net: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, float]:
    """The share of units whose activation has a slope under 0.05, |f'(z)| < 0.05, by layer.

    Parameters
    ----------
    net : Module
        In the state that it is to be watched in; its activations are found by their classes.
    batch : tuple of Tensor
        What the net takes.

    Returns
    -------
    dict of str to float
        Of every activation, by its name in the net, from the input on.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    Examples
    --------
    >>> import torch
    >>> from fmkit.deep.activations import saturation
    >>> saturation(torch.nn.Sequential(torch.nn.Tanh()), (torch.tensor([[0.0, 1.0, 3.0, -9.0]]),))
    {'0': 0.5}
    """
    shares: dict[str, float] = {}

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            z = inputs[0].detach().clone().requires_grad_()
            with torch.enable_grad():  # forward, not a call, which would come here again
                (slope,) = torch.autograd.grad(module.forward(z).sum(), z)
            shares[name] = float((slope.abs() < FLAT).float().mean())

        return hook

    kinds = tuple(ACTIVATIONS.values())
    watched = [(name, module) for name, module in net.named_modules() if isinstance(module, kinds)]
    handles = [module.register_forward_hook(watch(name)) for name, module in watched]
    try:
        with torch.no_grad():
            net(*batch)
    finally:
        for handle in handles:
            handle.remove()
    return shares
