"""Figures that commands draw into files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from fmkit.errors import InputError

DRAWN = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Raise, before hours of work, what `write_figure` would raise after them."""
    if path.suffix not in DRAWN:
        raise click.UsageError(f"--plot draws {', '.join(DRAWN)} files, {path.name} is none")
    check_matplotlib()
    from fmkit.files import check_writable

    check_writable(path)


def check_matplotlib() -> None:
    """Raise before the work if there is nothing to draw with."""
    if find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib: pip install 'fmkit[plots]'")


def write_figure(figure: Any, path: Path, **how: Any) -> None:
    """Write a matplotlib Figure; `how` is of its `savefig`."""
    from fmkit.files import written_beside

    with written_beside(path) as part:
        figure.savefig(part, **how)
