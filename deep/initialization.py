"""How the weights of a layer are drawn before the first step."""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn

INITS = ("he", "xavier", "lecun", "orthogonal", "constant-variance")


def initialize(weight: Tensor, init: str = "he", init_std: float = 0.01) -> None:
    """Draw a layer's weights in place, from torch's generator.

    ===================  =======================================================================================
    init                 weights
    ===================  =======================================================================================
    "he"                 normal, variance 2 / fan_in: ReLU, which lets half through, keeps the variance of a layer
    "xavier"             normal, variance 2 / (fan_in + fan_out): tanh keeps that of values and of gradients
    "lecun"              normal, variance 1 / fan_in
    "orthogonal"         rows (or columns, of which there are fewer) that are orthogonal and of length 1
    "constant-variance"  normal, variance init_std² whatever the layer's size, as before 2010: in a deep net, signals
                         and gradients die away from layer to layer, or explode
    ===================  =======================================================================================

    Parameters
    ----------
    weight : Tensor of shape (n_out, n_in) or (n_out, n_in, height, width)
        fan_in and fan_out count the weights of one unit, and of one input.
    init : str, default="he"
    init_std : float, default=0.01
        Of "constant-variance".

    References
    ----------
    Y. LeCun et al., "Efficient BackProp", 1998; X. Glorot and Y. Bengio, "Understanding the difficulty of training deep
    feedforward neural networks", AISTATS 2010; A. Saxe et al., "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", ICLR 2014; K. He et al., "Delving deep into rectifiers", ICCV 2015.
    """
    if init == "orthogonal":
        nn.init.orthogonal_(weight)
        return
    fan_in = weight[0].numel()
    fan_out = weight.numel() // weight.shape[1]
    std = {
        "he": sqrt(2 / fan_in),
        "xavier": sqrt(2 / (fan_in + fan_out)),
        "lecun": sqrt(1 / fan_in),
        "constant-variance": init_std,
    }[init]
    nn.init.normal_(weight, std=std)
