"""Nets as ONNX files, which run without Python: from what the user has to what `predict` answers."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fmkit.files import written_beside

from .columns import FAR
from .convnet import ConvNet
from .estimator import NetEstimator
from .pictures import PictureScale
from .targets import Classifier, Regressor


class Scaled(nn.Module):
    """Numbers in the user's units to standard ones, in float64: a mean may be large beside the spread."""

    def __init__(self, mean: NDArray[np.float64], spread: NDArray[np.float64]) -> None:
        super().__init__()
        self.mean, self.spread = nn.Buffer(torch.from_numpy(mean)), nn.Buffer(torch.from_numpy(spread))

    def forward(self, X: Tensor) -> Tensor:
        """Of (..., n_numbers)."""
        return ((X.double() - self.mean) / self.spread).float()


class Standardised(Scaled):
    """The same and drawn in, as `Columns` does."""

    def forward(self, X: Tensor) -> Tensor:
        """Of (n_rows, n_numbers)."""
        scaled = super().forward(X)
        return scaled / torch.sqrt(1 + torch.square(scaled / FAR))


class Probabilities(nn.Module):
    """Outputs to probabilities: softmax of classes, the logistic function of labels."""

    def __init__(self, *, multilabel: bool) -> None:
        super().__init__()
        self.multilabel = multilabel

    def forward(self, outputs: Tensor) -> Tensor:
        """(n_rows, n_classes), two of one output."""
        if self.multilabel:
            return torch.sigmoid(outputs)
        if outputs.shape[1] == 1:
            return torch.cat([torch.sigmoid(-outputs), torch.sigmoid(outputs)], dim=1)
        return torch.softmax(outputs, dim=1)


class Rescaled(nn.Module):
    """Outputs in standard units to the user's."""

    def __init__(self, mean: NDArray[np.float64], spread: NDArray[np.float64]) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.from_numpy(mean).float())
        self.spread = nn.Buffer(torch.from_numpy(spread).float())

    def forward(self, outputs: Tensor) -> Tensor:
        """(n_rows, n_targets)."""
        return outputs * self.spread + self.mean


class PictureNet(nn.Module):
    """A net over pictures as `fit` got them; boxes are an answer of their own, in pixels."""

    def __init__(self, net: ConvNet, scale: PictureScale, of_classes: nn.Module, *, has_boxes: bool) -> None:
        super().__init__()
        self.net, self.of_classes, self.has_boxes, self.has_channels = net, of_classes, has_boxes, scale.has_channels
        height, width, _ = scale.shape
        self.mean, self.spread = (nn.Buffer(torch.from_numpy(values).float()) for values in (scale.mean, scale.spread))
        self.extent = nn.Buffer(torch.tensor([width, height, width, height], dtype=torch.float32))

    def forward(self, X: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(n_pictures, n_classes) and, if there are boxes, (n_pictures, 4)."""
        pictures = X.float() if self.has_channels else X.float()[..., None]
        outputs: Tensor = self.net((pictures - self.mean) / self.spread)
        chances: Tensor = self.of_classes(outputs[:, :-4] if self.has_boxes else outputs)
        if not self.has_boxes:
            return chances
        return chances, torch.sigmoid(outputs[:, -4:]) * self.extent


def answers(model: NetEstimator) -> nn.Module:
    """Outputs of an estimator's net to what it answers: probabilities, or numbers in the user's units."""
    if isinstance(model, Classifier):
        return Probabilities(multilabel=model.multilabel_)
    assert isinstance(model, Regressor)
    return Rescaled(model.target_mean_, model.target_spread_)


def export(
    model: NetEstimator,
    module: nn.Module,
    inputs: dict[str, tuple[Tensor, list[str]]],
    path: str | PathLike[str],
    outputs: Sequence[str] = ("answer",),
    facts: dict[str, Any] | None = None,
) -> None:
    """Write a module as an ONNX file.

    Parameters
    ----------
    model : fitted estimator
        Whose kind, and whose classes if it has any, stand in the file's metadata.
    module : nn.Module
        From what the user has to the answers.
    inputs : dict of str to (Tensor, list of str)
        What it takes: an example, and the names of its first axes, whose sizes are free.
    path : str or path
    outputs : sequence of str
    facts : dict, optional
        What else the metadata tell: a JSON text each.

    Raises
    ------
    ImportError
        Without onnxscript, which torch needs for it.
    """
    try:
        import onnxscript  # noqa: F401 (torch's own error names no extra)
    except ImportError:
        raise ImportError("to_onnx needs onnxscript: pip install 'fmkit[onnx]'") from None
    # The registration of torchvision's operators, which no net here has, warns that it is not installed.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            tuple(example for example, _ in inputs.values()),
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(dict(enumerate(axes)) for _, axes in inputs.values()),
        )
    assert program is not None
    told = {"estimator": type(model).__name__, **(facts or {})}
    if isinstance(model, Classifier):
        told["classes"] = model.classes_.tolist()
    program.model.metadata_props.update({name: json.dumps(fact, default=str) for name, fact in told.items()})
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # the lines of code, with their folders, that each comes from
    with written_beside(Path(path)) as part:
        program.save(part)
