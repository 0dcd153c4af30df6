"""What a net of pictures sees: channels and feature maps layer by layer, its filters, and where its answer comes from.

All return a matplotlib Figure; none opens a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from fmkit.errors import InputError
from fmkit.plots.style import COLOURS, figure

from .cnn import CNNClassifier
from .convnet import Residual

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MAPS = 12  # of a layer that are shown
SHOWN = (nn.Conv2d, nn.MaxPool2d, Residual)  # layers whose outputs are shown


def feature_maps(model: CNNClassifier, picture: ArrayLike) -> list[tuple[str, NDArray[np.float32]]]:
    """What goes through a net of a picture: its channels, and the feature maps of every convolution and pooling.

    Parameters
    ----------
    model : fitted CNNClassifier
    picture : array-like of shape (height, width[, n_channels])
        As the pictures of the fit.

    Returns
    -------
    list of (str, ndarray of shape (n_maps, height, width))
        "input" in standard units, then "convolution", "pooling" or "residual" each.

    Examples
    --------
    >>> from fmkit.deep import CNNClassifier
    >>> from fmkit.deep.convnet_plots import feature_maps
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> model = CNNClassifier(["conv 8", "pool"], max_epochs=1).fit(digits.images, digits.target)
    >>> [(name, maps.shape) for name, maps in feature_maps(model, digits.images[0])]
    [('input', (1, 8, 8)), ('convolution', (8, 8, 8)), ('pooling', (8, 4, 4))]
    """
    out = _prepared(model, picture)
    steps: list[tuple[str, NDArray[np.float32]]] = [("input", out[0].detach().numpy())]
    with torch.inference_mode():
        layers: Any = model.net_.layers
        for layer in layers:
            out = layer(out)
            if isinstance(layer, SHOWN):
                kinds = {nn.MaxPool2d: "pooling", Residual: "residual"}
                steps.append((kinds.get(type(layer), "convolution"), out[0].numpy()))
    return steps


def plot_feature_maps(model: CNNClassifier, picture: ArrayLike) -> Figure:
    """From a picture to its class: its channels, the first feature maps of every convolution and pooling, the answer.

    Parameters
    ----------
    model : fitted CNNClassifier
    picture : array-like of shape (height, width[, n_channels])
        As the pictures of the fit.
    """
    steps = feature_maps(model, picture)
    width = min(MOST_MAPS, max(len(maps) for _, maps in steps))
    made = figure(0.8 * width + 1.6, 0.95 * len(steps) + 2.2)
    parts: Any = made.subfigures(2, 1, height_ratios=(0.95 * len(steps), 1.9))
    maps_part, answer = parts
    axes = maps_part.subplots(len(steps), width, squeeze=False)
    for row, (name, maps) in zip(axes, steps, strict=True):
        for ax, one in zip(row, maps[:width], strict=False):
            ax.imshow(one, cmap="gray" if name == "input" else "viridis")
        for ax in row:
            ax.set(xticks=[], yticks=[])
            ax.axis("on" if ax.images else "off")
        shape = "" if name == "input" else "\n" + " x ".join(map(str, maps.shape))
        row[0].set_ylabel(name + shape, rotation=0, ha="right", va="center")
    if len(steps[0][1]) == 3:
        for ax, colour in zip(axes[0], ("red", "green", "blue"), strict=False):
            ax.set_title(colour, fontsize=8)
    _draw_answer(answer.subplots(), model, picture)
    return made


def plot_filters(model: CNNClassifier) -> Figure:
    """The filters of the first convolution: of three channels in colour, else a channel each in grey.

    Parameters
    ----------
    model : fitted CNNClassifier
    """
    layers: Any = model.net_.layers
    first = next((layer for layer in layers if isinstance(layer, nn.Conv2d)), None)
    if first is None:
        raise InputError("the net has no convolution whose filters could be shown")
    filters = first.weight.detach().numpy().transpose(0, 2, 3, 1)
    columns = min(12, len(filters))
    made = figure(0.7 * columns + 0.4, 0.7 * -(-len(filters) // columns) + 0.4)
    axes = made.subplots(-(-len(filters) // columns), columns, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, one in zip(axes, filters, strict=False):
        largest = max(float(np.abs(one).max()), 1e-12)
        shown = 0.5 + one / (2 * largest)
        ax.imshow(shown if shown.shape[2] == 3 else shown.mean(axis=2), cmap="gray", vmin=0, vmax=1)
    return made


def grad_cam(model: CNNClassifier, picture: ArrayLike, label: Any = None) -> NDArray[np.float32]:
    """Where in a picture the evidence for a class is (Grad-CAM).

    The maps of the last layer that still has places, weighted by the mean gradient of the class's output by each,
    summed, and cut off below 0.

    Parameters
    ----------
    model : fitted CNNClassifier
    picture : array-like of shape (height, width[, n_channels])
    label : optional
        One of `classes_`; by default the class that the net takes it for.

    Returns
    -------
    ndarray of shape (height, width), float32
        From 0 to 1.

    Raises
    ------
    InputError
        If there is no such class, or no layer has places.

    References
    ----------
    R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV 2017.
    """
    classes = model.classes_.tolist()
    if label is None:
        label = model.predict(np.asarray(picture)[None])[0]
    if label not in classes:
        raise InputError(f"label must be one of {', '.join(map(str, classes))}, got {label}")
    net: Any = model.net_
    out, maps = _prepared(model, picture), None
    for layer in net.layers:
        out = layer(out)
        if out.ndim == 4 and min(out.shape[2:]) > 1:
            maps = out
    if maps is None:
        raise InputError("the net has no layer with places, by which evidence could be shown")
    values = out[0]
    sign = 1 if len(values) > 1 or classes.index(label) == 1 else -1  # one output tells of two classes
    evidence = sign * values[classes.index(label) if len(values) > 1 else 0]
    (slopes,) = torch.autograd.grad(evidence, maps)
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    seen = torch.relu((weights * maps.detach()).sum(dim=1, keepdim=True))
    size = model.encoder_.shape[:2]
    seen = nn.functional.interpolate(seen, size=size, mode="bilinear", align_corners=False)[0, 0]
    return np.asarray((seen / seen.max().clamp(min=1e-12)).numpy(), np.float32)


def plot_grad_cam(model: CNNClassifier, pictures: ArrayLike) -> Figure:
    """Pictures, and over each where the evidence for its class is.

    Parameters
    ----------
    model : fitted CNNClassifier
    pictures : array-like of shape (n, height, width[, n_channels])
    """
    pictures = np.asarray(pictures)
    labels, chances = model.predict(pictures), model.predict_proba(pictures).max(axis=1)
    made = figure(1.6 * len(pictures), 3.6)
    axes = made.subplots(2, len(pictures), squeeze=False)
    for column, picture in enumerate(pictures):
        shown = _shown(picture)
        for ax in axes[:, column]:
            ax.imshow(shown, cmap="gray")
            ax.axis("off")
        axes[1, column].imshow(grad_cam(model, picture, labels[column]), cmap="inferno", alpha=0.6, vmin=0, vmax=1)
        axes[0, column].set_title(f"{labels[column]} ({chances[column]:.2f})", fontsize=9)
    return made


def _prepared(model: CNNClassifier, picture: ArrayLike) -> Tensor:
    """A picture as the first layer takes it, (1, n_channels, height, width); gradients go through."""
    rows = model._read(np.asarray(picture)[None], reset=False)
    (x,) = model.encoder_.inputs(rows, torch.float32).batch(torch.zeros(1, dtype=torch.int64))
    return x.permute(0, 3, 1, 2).requires_grad_()


def _draw_answer(ax: Any, model: CNNClassifier, picture: ArrayLike) -> None:
    chances = model.predict_proba(np.asarray(picture)[None])[0]
    best = np.argsort(-chances, kind="stable")[:10]
    ax.bar(range(len(best)), chances[best], color=[COLOURS[0], *["0.7"] * (len(best) - 1)])
    ax.set_xticks(range(len(best)), [str(model.classes_[code]) for code in best])
    ax.set(ylabel="probability", ylim=(0, 1))
    ax.spines[["top", "right"]].set_visible(False)


def _shown(picture: NDArray[Any]) -> NDArray[Any]:
    picture = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    return picture if picture.dtype == np.uint8 else np.clip(picture / max(float(np.max(picture)), 1e-12), 0, 1)
