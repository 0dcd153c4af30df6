"""What a net is made of, layer by layer: names, shapes and weights, measured while one row goes through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from .activations import ACTIVATIONS
from .cnn import CNNClassifier
from .convnet import Residual, Whitening
from .estimator import NetEstimator
from .layers import SparseLinear
from .localization import Localizer
from .mlp import MLPEstimator
from .ngrams import NgramBag
from .recurrent import RNN, Attention, Pooling
from .sequence_estimator import RNNEstimator
from .targets import Classifier

N_STEPS = 3  # of the sequence that is put through a net: shapes do not depend on it
STEPS = "steps"  # stands in their place


@dataclass
class Block:
    """A layer that shapes what goes through it, and what comes after it without doing so.

    Parameters
    ----------
    kind : {"input", "convolution", "pooling", "dense", "recurrent", "embedding"}
    name : list of str
        Lines.
    shape : tuple of int or str
        Height, width and channels; or "steps" and units; or units.
    n_weights : int
        Those of `after` among them.
    after : list of str
        Normalisation, activation, dropout.
    """

    kind: str
    name: list[str]
    shape: tuple[int | str, ...]
    n_weights: int = 0
    after: list[str] = field(default_factory=list)


@dataclass
class Skip:
    """What goes past some blocks and is added behind the last of them; numbers of blocks.

    Parameters
    ----------
    begin : int
        It leaves behind this block,
    end : int
        and is added behind this one.
    name : str
        Of what it goes through; "" if it goes on as it is.
    n_weights : int
    """

    begin: int
    end: int
    name: str = ""
    n_weights: int = 0


@dataclass
class Anatomy:
    """Blocks in their order, and what goes past some of them."""

    blocks: list[Block]
    skips: list[Skip] = field(default_factory=list)

    @property
    def n_weights(self) -> int:
        """Of all."""
        return sum(block.n_weights for block in self.blocks) + sum(skip.n_weights for skip in self.skips)


def anatomy(model: NetEstimator) -> Anatomy:
    """The blocks of a fitted estimator's net, with the shapes that a row has behind each.

    Parameters
    ----------
    model : fitted estimator of fmkit.deep

    Examples
    --------
    >>> from fmkit.deep import MLPClassifier
    >>> from fmkit.deep.shapes import anatomy
    >>> from sklearn.datasets import load_iris
    >>> model = MLPClassifier((8,), max_epochs=1).fit(*load_iris(return_X_y=True))
    >>> [(block.name, block.shape, block.n_weights) for block in anatomy(model).blocks]
    [(['row'], (4,), 0), (['dense'], (8,), 40), (['outputs'], (3,), 27)]
    """
    check_is_fitted(model)
    net: Any = model.net_.copy().eval()
    if isinstance(model, CNNClassifier):
        net.many_views = False  # a mirror image would go through it a second time
        measured = Anatomy([Block("input", ["picture"], model.picture_shape_)])
        batch: tuple[Tensor, ...] = (torch.zeros(1, *model.picture_shape_),)
    elif isinstance(model, RNNEstimator):
        measured, batch = _begin_sequence(model, net)
    else:
        assert isinstance(model, MLPEstimator)
        measured, batch = _begin_row(model, net)
    _watch(net, measured)
    with torch.inference_mode():
        net(*batch)
    last = measured.blocks[-1]
    last.name, last.kind = ["outputs"], "dense"
    if isinstance(model, Localizer) and model.task == "localize":
        last.after.append("softmax, box")
    elif isinstance(model, Classifier):
        last.after.append("logistic" if model.multilabel_ or model.n_outputs_ == 1 else "softmax")
    for skip in measured.skips:
        skip.end = len(measured.blocks) - 1 if skip.end < 0 else skip.end
    return measured


def _begin_row(model: MLPEstimator, net: Any) -> tuple[Anatomy, tuple[Tensor, ...]]:
    columns = model.encoder_
    measured = Anatomy([Block("input", ["row"], (model.n_features_in_,))])
    if columns.is_sparse:
        batch: tuple[Tensor, ...] = (torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
        batch = (*batch, torch.zeros(1))
    else:
        batch = (torch.zeros(1, columns.n_numbers),)
        if columns.levels:
            batch = (*batch, torch.zeros(1, len(columns.levels), dtype=torch.int64))
    if columns.levels or columns.knots:

        def started(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            width = inputs[0].shape[1]
            n_weights = net.levels.numel() if hasattr(net, "levels") else 0
            parts = [f"{columns.n_numbers} of numbers"] if columns.n_numbers else []
            parts += [f"{width - columns.n_numbers} of levels"] if columns.levels else []
            name = ["embeddings"] if columns.levels else ["knots"]
            measured.blocks.append(Block("embedding", name, (width,), n_weights, parts))

        net.first.register_forward_pre_hook(started)
    if net.machine is not None:
        n_weights = sum(weights.numel() for weights in net.machine.parameters())
        measured.skips.append(Skip(0, -1, "factorization machine", n_weights))
    return measured, batch


def _begin_sequence(model: RNNEstimator, net: RNN) -> tuple[Anatomy, tuple[Tensor, ...]]:
    lengths = torch.tensor([N_STEPS])
    if net.words is None:
        name = ["series"] if model.kind_ == "series" else ["spectra", "of sounds"]
        measured = Anatomy([Block("input", name, (STEPS, model.n_features_in_))])
        return measured, (torch.zeros(1, N_STEPS, model.n_features_in_), lengths)
    words = torch.zeros(1, N_STEPS, dtype=torch.int64)
    measured = Anatomy([Block("input", ["words"], (STEPS, 1))])
    if net.bag is None:
        return measured, (words, lengths)
    n_weights = net.bag.weight.numel() + net.bag.bias.numel()
    measured.skips.append(Skip(0, -1, "bag of n-grams, mean of both", n_weights))
    return measured, (words, lengths, words, lengths)


def _watch(module: nn.Module, measured: Anatomy) -> None:
    """Have the parts of a net tell of themselves when the row goes through them."""
    if isinstance(module, Residual):
        skip = Skip(0, 0)
        module.register_forward_pre_hook(partial(_left, measured, skip))
        module.convolutions.register_forward_hook(partial(_joined, measured, skip))
        shortcut = module.shortcut
        if isinstance(shortcut, nn.Conv2d):
            skip.name, skip.n_weights = _size(shortcut.kernel_size, shortcut.stride), _count(shortcut)
        _watch(module.convolutions, measured)
        _watch(module.after, measured)
    elif isinstance(module, Attention | nn.RNNBase) or not list(module.children()):
        if not isinstance(module, NgramBag):
            module.register_forward_hook(partial(_passed, measured))
    else:
        for part in module.children():
            _watch(part, measured)


def _left(measured: Anatomy, skip: Skip, _: nn.Module, inputs: Any) -> None:
    skip.begin = len(measured.blocks) - 1


def _joined(measured: Anatomy, skip: Skip, *_: Any) -> None:
    skip.end = len(measured.blocks) - 1
    measured.skips.append(skip)
    measured.blocks[-1].after.append("+ shortcut")


def _passed(measured: Anatomy, module: nn.Module, _: Any, out: Any) -> None:
    """Add a block, or what comes after the last one."""
    if isinstance(module, nn.RNNBase):
        measured.blocks += _layers(module, out[0].data.shape[-1])
        return
    kind, name = _named(module)
    if kind == "after":
        last = measured.blocks[-1]
        last.after += name
        last.n_weights += _count(module)
    elif kind:
        sizes = list(out.shape[1:])
        shape = (*sizes[1:], sizes[0]) if len(sizes) == 3 else (STEPS, sizes[1]) if len(sizes) == 2 else (sizes[0],)
        measured.blocks.append(Block(kind, name, shape, _count(module)))


def _layers(recurrent: nn.RNNBase, n_states: int) -> list[Block]:
    cell = {"GRU": "GRU", "LSTM": "LSTM", "RNN": "Elman"}[type(recurrent).__name__]
    name = [cell, "both ways" if recurrent.bidirectional else "forward"]
    blocks = [Block("recurrent", name, (STEPS, n_states)) for _ in range(recurrent.num_layers)]
    for layer, block in enumerate(blocks):
        ends = (f"_l{layer}", f"_l{layer}_reverse")
        block.n_weights = sum(w.numel() for key, w in recurrent.named_parameters() if key.endswith(ends))
    return blocks


def _named(module: nn.Module) -> tuple[str, list[str]]:
    """The kind of block that a module is, and its name; "after" if it changes no shape, "" if it does nothing."""
    if isinstance(module, Whitening | nn.Conv2d):
        name = "whitening" if isinstance(module, Whitening) else "convolution"
        return "convolution", [name, _size(module.kernel_size, module.stride)]
    if isinstance(module, nn.MaxPool2d):
        return "pooling", ["max pooling", f"{module.kernel_size} × {module.kernel_size}"]
    if isinstance(module, nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d):
        return "pooling", ["max pooling" if isinstance(module, nn.AdaptiveMaxPool2d) else "mean pooling", "of all"]
    if isinstance(module, Pooling):
        return "pooling", ["pooling", ", ".join(module.parts)]
    if isinstance(module, Attention):
        return "pooling", ["attention"]
    if isinstance(module, nn.Linear | SparseLinear):
        return "dense", ["dense"]
    if isinstance(module, nn.Embedding):
        return "embedding", ["embedding"]
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "after", ["batch norm"]
    if isinstance(module, nn.LayerNorm | nn.GroupNorm):
        return "after", ["layer norm"]
    if isinstance(module, nn.Dropout | nn.Dropout2d) and module.p:
        return "after", [f"dropout {module.p:g}"]
    if isinstance(module, nn.Flatten):
        return "after", ["flatten"]
    return "after", [name for name, kind in ACTIVATIONS.items() if isinstance(module, kind)]


def _size(kernel: Any, stride: Any) -> str:
    """ "3 × 3", and with a stride of 2 "3 × 3 / 2"."""
    return f"{kernel[0]} × {kernel[1]}" + (f" / {stride[0]}" if prod(stride) > 1 else "")


def _count(module: nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters())
