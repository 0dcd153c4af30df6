"""What every report tells of its model: where it comes from, and how it was set."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from fmkit import __version__
from fmkit.report.page import Html, Section, paragraph, table

LEAD = "Whoever wants to fit the same model again needs these, and the same data."


def settings(model: Any, header: dict[str, Any], path: Path) -> Section:
    """All parameters beside their defaults, and the versions that wrote and read the file."""
    parts: list[Html] = []
    for name, step in model.steps if hasattr(model, "steps") else [("", model)]:
        usual = {key: one.default for key, one in inspect.signature(type(step)).parameters.items()}
        rows = []
        for key, value in step.get_params(deep=False).items():
            told = np.asarray(value).shape if _is_long(value) else value
            plain = not _is_long(value) and value == usual.get(key)
            rows.append([key, f"an array of {told}" if _is_long(value) else repr(told), "default" if plain else "set"])
        parts += [paragraph(f"{name}: {type(step).__name__}")] if name else []
        rows.sort(key=lambda row: row[2] == "default")  # what somebody chose goes first
        parts.append(table(["parameter", "value", ""], rows))
    parts.append(
        paragraph(
            f"The file {path.name} has {path.stat().st_size:,} bytes; fmkit {header['fmkit']} wrote it, "
            f"fmkit {__version__} read it for this report.",
            "quiet",
        )
    )
    return Section("Settings", LEAD, tuple(parts))


def _is_long(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and np.size(value) > 20
