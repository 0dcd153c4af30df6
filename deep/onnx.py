"""Nets as ONNX files, which run without Python: from what the user has to what `predict` answers."""

from __future__ import annotations

import logging
import warnings
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fmkit.files import written_beside

from .columns import FAR


class Standardised(nn.Module):
    """Numbers in the user's units to standard ones, drawn in, as `Columns` does."""

    def __init__(self, centre: NDArray[np.float64], spread: NDArray[np.float64]) -> None:
        super().__init__()
        self.centre = nn.Buffer(torch.from_numpy(centre).float())
        self.spread = nn.Buffer(torch.from_numpy(spread).float())

    def forward(self, X: Tensor) -> Tensor:
        """Of (n_rows, n_numbers)."""
        scaled = (X - self.centre) / self.spread
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


def export(module: nn.Module, example: Tensor, path: str | PathLike[str]) -> None:
    """Write a module of one input "X" and one output "answer" as an ONNX file, for any number of rows.

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
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["X"],
            output_names=["answer"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        )
    assert program is not None
    with written_beside(Path(path)) as part:
        program.save(part)
