"""Where a fit's arithmetic is done: in the package's own kernels, or in torch's on a GPU or on processors."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from fmkit.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICES = ("cpu", "torch-cpu", "cuda", "auto")
WORTH = 1e12  # operations of a fit from which a GPU pays
WORTH_PREDICTING = 1e9  # numbers that predictions read
WORTH_SEARCHING = 1e11  # products of a search for top-N lists


def find_device(name: str, work: float, worth: float) -> torch.device | None:
    """The torch device that a name asks for; None for the package's own kernels.

    Parameters
    ----------
    name : str
        "cpu": the kernels. "torch-cpu": torch on processors. "cuda", "cuda:1": a GPU. "auto": a GPU where there is one
        and the job is large enough to pay.
    work, worth : float
        Size of the job, and the size from which a GPU pays. torch is not even loaded for smaller ones.

    Raises
    ------
    InputError
        If there is no torch or no GPU to be had.
    """
    if name == "cpu" or (name == "auto" and work < worth):
        return None
    try:
        import torch
    except ImportError as error:
        if name == "auto":
            return None
        raise InputError(f"device={name!r} needs torch: pip install 'fmkit[deep]', or set device='cpu'") from error
    if name == "torch-cpu":
        return torch.device("cpu")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        n_found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(name.partition(":")[2] or 0) if name != "auto" else 0
    if n_found > number:
        return torch.device("cuda", number)
    if name == "auto":
        return None
    why = f"torch {torch.__version__} sees {n_found or 'none'}"
    if told:  # an old driver, say
        why += f" ({str(told[0].message).splitlines()[0].split('(')[0].strip()})"
    raise InputError(f"device={name!r} asks for a GPU, and {why}: set device='cpu', or 'auto' to take one where it is")


def check_device(name: str) -> None:
    """Refuse a name that `find_device` does not know."""
    if name not in DEVICES and not re.fullmatch(r"cuda:\d+", name):
        raise ValueError(f"device must be 'cpu', 'torch-cpu', 'cuda', 'cuda:1' (and so on) or 'auto', got {name!r}")


def fit_work(entries: int, n_columns: int, n_factors: int, n_sweeps: int) -> float:
    """Operations of a fit by ALS or MCMC: sums of products of every entry, and a system a column, each sweep."""
    return float(n_sweeps) * (entries * float(n_factors + 2) ** 2 + n_columns * float(n_factors + 1) ** 3 / 3)


def step_work(entries: int, n_factors: int, n_sweeps: int) -> float:
    """Operations of so many epochs of SGD that take as long as those of `fit_work`: fewer, but each reads memory."""
    return 100.0 * n_sweeps * entries * (n_factors + 2)


def free_memory(device: torch.device) -> int:
    """Bytes of a device that can be had now; of processors as many as anybody asks for."""
    import torch

    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 1 << 62
