"""Nets for those who are not in Python: whether torch is there, and a saved one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmkit.errors import InputError


def check_torch() -> None:
    """Raise an InputError if there is no torch, which nets stand on."""
    try:
        import fmkit.deep  # noqa: F401
    except ImportError as error:
        raise InputError(f"nets need torch: pip install 'fmkit[deep]' ({error})") from None


def loaded_net(path: Path) -> Any:
    """The net of a model file.

    Raises
    ------
    InputError
        If it is none, or none that classifies.
    OSError
        If it cannot be read.
    """
    from fmkit import load

    model = load(path)
    if not hasattr(model, "net_") or not hasattr(model, "classes_"):
        raise InputError(f"the file holds a {type(model).__name__}, no net that classifies", path=path)
    return model
