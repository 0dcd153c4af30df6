"""One progress bar over pictures of unequal size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


class PicturesBar:
    """How far the pictures are, by the size of their files, with the time left.

    Parameters
    ----------
    pictures : sequence of Path
    quiet : bool
        Show nothing; nor is anything shown where stderr is no terminal.
    """

    def __init__(self, pictures: Sequence[Path], quiet: bool) -> None:
        self.sizes = [path.stat().st_size if path.is_file() else 0 for path in pictures]
        self.quiet = quiet
        self.current, self.name = -1, ""
        self.bar: Any = None

    def begin(self, picture: Path) -> None:
        """Go on to the next picture."""
        self.current += 1
        self.name = picture.name
        self.show(0, 1)

    def show(self, done: int, total: int) -> None:
        """Show how much of the picture is done."""
        if self.bar is None:
            if not done:
                return  # a question or an error may come first
            from tqdm import tqdm

            self.bar = tqdm(
                total=max(sum(self.sizes), 1),
                initial=sum(self.sizes[: self.current]),  # those took no time
                desc=self._description(),
                disable=True if self.quiet else None,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left",
            )
        self.bar.set_description_str(self._description(), refresh=False)
        self.bar.update(int(sum(self.sizes[: self.current]) + self.sizes[self.current] * done / total) - self.bar.n)

    def _description(self) -> str:
        n_pictures = len(self.sizes)
        return f"{self.current + 1}/{n_pictures} {self.name}" if n_pictures > 1 else "restore"

    def clear(self) -> None:
        """Leave the line to somebody else."""
        if self.bar is not None:
            self.bar.clear()

    def say(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        self.clear()
        click.echo(line, err=True)

    def close(self) -> None:
        """Leave the last state of the bar where it is."""
        if self.bar is not None:
            self.bar.close()
