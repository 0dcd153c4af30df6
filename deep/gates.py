"""What the gates of a recurrence let through, a step at a time: the recurrence once more, in the papers' equations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fmkit.errors import InputError

Trace = dict[str, Tensor]


def gru_step(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, c: Tensor) -> Trace:
    """A step of a gated recurrent unit (K. Cho et al., EMNLP 2014), as torch computes it.

        r = σ(W_r x + b_r + U_r h + c_r)           reset: how much of the state the candidate sees
        z = σ(W_z x + b_z + U_z h + c_z)           update: how much of the state is carried
        n = tanh(W_n x + b_n + r (U_n h + c_n))    the candidate
        h' = (1 - z) n + z h

    Parameters
    ----------
    x, h : Tensors of shape (n_inputs,) and (n_units,)
    W, U : Tensors of shape (3 n_units, n_inputs) and (3 n_units, n_units)
    b, c : Tensors of shape (3 n_units,)

    Returns
    -------
    dict
        reset, update and state, (n_units,) each.
    """
    (xr, xz, xn), (hr, hz, hn) = (W @ x + b).chunk(3), (U @ h + c).chunk(3)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return {"reset": r, "update": z, "state": (1 - z) * n + z * h}


def lstm_step(x: Tensor, h: Tensor, cell: Tensor, W: Tensor, U: Tensor, b: Tensor, c: Tensor) -> Trace:
    """A step of long short-term memory (S. Hochreiter and J. Schmidhuber, 1997; forget gates by F. Gers et al., 2000).

        i, f, o = σ(W x + b + U h + c)    input, forget and output: what is written, carried and shown
        g = tanh(W_g x + b_g + U_g h + c_g)
        cell' = f cell + i g
        h' = o tanh(cell')

    Parameters and what is returned as of `gru_step`, with four blocks of weights, in the order i, f, g, o.
    """
    i, f, g, o = (W @ x + b + U @ h + c).chunk(4)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    cell = f * cell + i * g
    return {"input": i, "forget": f, "output": o, "cell": cell, "state": o * torch.tanh(cell)}


def trace(recurrent: nn.RNNBase, inputs: Tensor) -> Trace:
    """Gates and states of one sequence.

    Parameters
    ----------
    recurrent : GRU or LSTM
    inputs : Tensor of shape (length, n_inputs)

    Returns
    -------
    dict of str to Tensor of shape (n_layers, n_directions, length, n_units)
        "reset", "update" and "state", or "input", "forget", "output", "cell" and "state"; of the backward direction
        too, a step stands where its input does.

    Raises
    ------
    InputError
        If the recurrence has no gates.
    """
    if isinstance(recurrent, nn.RNN):
        raise InputError("cell='tanh' has no gates: fit with cell='gru' or cell='lstm'")
    layers = []
    for layer in range(recurrent.num_layers):
        ways = [_direction(recurrent, inputs, f"_l{layer}")]
        if recurrent.bidirectional:
            backward = _direction(recurrent, inputs.flip(0), f"_l{layer}_reverse")
            ways.append({name: steps.flip(0) for name, steps in backward.items()})
        layers.append(ways)
        inputs = torch.cat([way["state"] for way in ways], dim=1)
    return {name: torch.stack([torch.stack([way[name] for way in ways]) for ways in layers]) for name in layers[0][0]}


def _direction(recurrent: nn.RNNBase, inputs: Tensor, suffix: str) -> Trace:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights: list[Tensor] = [getattr(recurrent, name + suffix) for name in names]
    h = cell = inputs.new_zeros(recurrent.hidden_size)
    steps = []
    for x in inputs:
        if isinstance(recurrent, nn.LSTM):
            step = lstm_step(x, h, cell, *weights)
            cell = step["cell"]
        else:
            step = gru_step(x, h, *weights)
        h = step["state"]
        steps.append(step)
    gates = ("input", "forget", "output", "cell") if isinstance(recurrent, nn.LSTM) else ("reset", "update")
    empty = inputs.new_empty(0, recurrent.hidden_size)
    return {name: torch.stack([step[name] for step in steps]) if steps else empty for name in (*gates, "state")}
