"""Where an estimator's work is done: by the package's own kernels, or on a device of torch's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design, canonical_csr
from fmkit.streams.coded import Coded
from fmkit.tensors.device import WORTH, WORTH_PREDICTING, find_device, fit_work, step_work
from fmkit.threads import count_threads

if TYPE_CHECKING:
    import torch

    from fmkit.estimators.parameters import FMParameters


def place_fit(estimator: FMParameters, design: Design, n_sweeps: int) -> torch.device | None:
    """Where the steps of a fit are made; None for the package's own kernels."""
    name, solver = estimator.device, estimator.solver
    if name == "cpu" or not estimator._has_device():
        return None
    if solver == "sgd":
        return find_device(name, step_work(design.n_entries, estimator.n_factors, n_sweeps), WORTH)
    if design.blocks:
        if name == "auto":
            return None
        raise ValueError(
            f"device={name!r} is for designs without relation blocks: set device='cpu', or write the blocks out, "
            "Design.from_matrix(X.to_csr())"
        )
    return find_device(name, fit_work(design.n_entries, design.n_features, estimator.n_factors, n_sweeps), WORTH)


def values_of(machine: Any, X: Any, estimator: FMParameters) -> NDArray[np.float32]:
    """A machine's values of rows, on the estimator's device if it is large enough a job."""
    if isinstance(X, Coded):  # rows of a stream
        return X.values_of(machine)
    device = None
    if estimator.device != "cpu" and machine.interaction == "fm":
        X = X if isinstance(X, Design) else canonical_csr(X)
        entries = X.n_entries if isinstance(X, Design) else X.nnz
        device = find_device(estimator.device, float(entries) * (estimator.n_factors + 1), WORTH_PREDICTING)
    if device is None:
        return np.asarray(machine.predict(X, estimator.n_jobs))
    from fmkit.tensors.prediction import predict  # loads torch

    return predict(machine, X, device, count_threads(estimator.n_jobs))
