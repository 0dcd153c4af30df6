"""Figures that commands draw into files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

DRAWN = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Raise, before hours of work, what `write_figure` would raise after them."""
    if path.suffix not in DRAWN:
        raise click.UsageError(f"--plot draws {', '.join(DRAWN)} files, {path.name} is none")
    from fmkit.files import check_writable

    check_writable(path)


def write_figure(figure: Any, path: Path, **how: Any) -> None:
    """Write a matplotlib Figure; `how` is of its `savefig`."""
    from fmkit.files import written_beside

    with written_beside(path) as part:
        figure.savefig(part, **how)
