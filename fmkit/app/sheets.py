"""An uploaded picture file: its pages, each of which is worked on by itself, and what is made of all of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.app.pictures import check_pixels
from fmkit.restore.album import beside
from fmkit.restore.picture_file import Picture, read_pages, read_picture, write_pages, write_view

MADE = ".made"  # a folder that no upload can be called


class Sheets:
    """The file.

    Parameters
    ----------
    path : Path
        Alone in its folder; what is made lies beside it.

    Raises
    ------
    InputError
        If it is no picture, or too large.
    """

    def __init__(self, path: Path) -> None:
        self.n_pages = check_pixels(path, "fmkit restore")
        self.path, self.made = path, path.parent / MADE
        self.made.mkdir()
        self._wishes: dict[int, tuple[str, bool]] = {}  # quality, and whether certainty was asked for, by page

    @property
    def out(self) -> Path:
        """The file with the pages that are restored, and the others as they were."""
        path = beside(self.made / self.path.name)
        is_tiff = path.suffix.lower() in (".tif", ".tiff")
        return path if self.n_pages == 1 or is_tiff else path.with_suffix(".tif")  # only TIFF holds several pages

    @property
    def mask(self) -> Path:
        """What was lost, white."""
        return self.made / f"{self.path.stem}_mask.{'tif' if self.n_pages > 1 else 'png'}"

    def name(self, page: int) -> str:
        """Of a page, as the page shows it."""
        return self.path.name if self.n_pages == 1 else f"{self.path.name}, page {page + 1}"

    def part(self, name: str, page: int) -> Path:
        """A file of a page's own."""
        return self.made / f"{page + 1}_{name}"

    def read(self, page: int) -> Picture:
        """A page."""
        return read_picture(self.path, page if self.n_pages > 1 else None)

    def finish(self, page: int, picture: Picture, answer: NDArray[Any], lost: NDArray[np.bool_], *wishes: Any) -> None:
        """Write a page that was restored, with the pages that were restored before.

        Parameters
        ----------
        page : int
        picture : Picture
            As it was.
        answer : ndarray
            As it is now.
        lost : bool ndarray of shape (n_rows, n_columns)
        wishes : quality, and whether certainty was asked for
        """
        wished = (str(wishes[0]), bool(wishes[1]))
        if self.n_pages == 1:
            write_pages(self.out, [answer], [picture])
            write_view(self.mask, [_white(lost)])
            self._wishes[page] = wished
            return
        np.save(self.part("answer.npy", page), answer)
        self.part("lost.npy", page).replace(self.part("filled.npy", page))
        self._wishes[page] = wished
        pages, answers, masks = read_pages(self.path), [], []
        for number, before in enumerate(pages):
            done = number in self._wishes
            answers.append(np.load(self.part("answer.npy", number)) if done else before.pixels)
            nothing = np.zeros(before.pixels.shape[:2], bool)
            masks.append(_white(np.load(self.part("filled.npy", number)) if done else nothing))
        write_pages(self.out, answers, pages)
        write_view(self.mask, masks)

    def command(self) -> str:
        """The command line that makes the same file of the uploaded one and the mask."""
        wishes = list(self._wishes.values())  # a copy: another page may just be finished
        qualities = {quality for quality, _ in wishes}
        if len(qualities) > 1:
            return "# pages were restored in different qualities: with one for all, a command repeats it"
        name = self.path.name if not self.path.name.startswith("-") else f"./{self.path.name}"
        words = ["fmkit", "restore", name, "--mask", self.mask.name, "--quality", *qualities]
        if any(certainty for _, certainty in wishes):
            words += ["--uncertainty", f"{self.path.stem}_uncertainty.png"]
        return shlex.join([*words, "--out", self.out.name])


def _white(lost: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return lost.astype(np.uint8) * np.uint8(255)
