"""An uploaded picture file: its pages, each of which is worked on by itself, and what is made of all of them."""

from __future__ import annotations

import shlex
import shutil
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
        self._n_finished = 0

    def _files(self, n_finished: int) -> tuple[Path, Path]:
        """The picture and the mask that were made when so many pages had been finished, some of them again."""
        folder = self.made / f"made{n_finished}"
        out = beside(folder / self.path.name)
        if self.n_pages > 1 and out.suffix.lower() not in (".tif", ".tiff"):
            out = out.with_suffix(".tif")  # only TIFF holds several pages
        return out, folder / f"{self.path.stem}_mask.{'tif' if self.n_pages > 1 else 'png'}"

    @property
    def out(self) -> Path:
        """The file with the pages that are restored, and the others as they were."""
        return self._files(self._n_finished)[0]

    @property
    def mask(self) -> Path:
        """What was lost, white."""
        return self._files(self._n_finished)[1]

    def name(self, page: int) -> str:
        """Of a page, as the page shows it."""
        return self.path.name if self.n_pages == 1 else f"{self.path.name}, page {page + 1}"

    def part(self, name: str, page: int) -> Path:
        """A file of a page's own."""
        return self.made / f"{page + 1}_{name}"

    def read(self, page: int) -> Picture:
        """A page."""
        return read_picture(self.path, page if self.n_pages > 1 else None)

    def finish(
        self,
        page: int,
        picture: Picture,
        answer: NDArray[Any],
        lost: NDArray[np.bool_],
        quality: str,
        certainty: bool,
    ) -> None:
        """Write a page that was restored, with the pages that were restored before.

        Parameters
        ----------
        page : int
        picture : Picture
            As it was.
        answer : ndarray
            As it is now.
        lost : bool ndarray of shape (n_rows, n_columns)
        quality : str
        certainty : bool
            Whether it was asked for.
        """
        pages, answers, masks = [picture], [answer], [_white(lost)]
        if self.n_pages > 1:
            np.save(self.part("answer.npy", page), answer)
            self.part("lost.npy", page).replace(self.part("filled.npy", page))
            pages, answers, masks = self._all_pages({*self._wishes, page})
        n_finished = self._n_finished + 1
        out, mask = self._files(n_finished)
        out.parent.mkdir(exist_ok=True)
        write_pages(out, answers, pages)
        write_view(mask, masks)
        self._wishes[page], self._n_finished = (quality, certainty), n_finished
        shutil.rmtree(self._files(n_finished - 2)[0].parent, ignore_errors=True)  # the last ones may just be sent

    def _all_pages(self, done: set[int]) -> tuple[list[Picture], list[NDArray[Any]], list[NDArray[np.uint8]]]:
        """As they were, as they are now, and what was lost of each."""
        pages, answers, masks = read_pages(self.path), [], []
        for number, before in enumerate(pages):
            answers.append(np.load(self.part("answer.npy", number)) if number in done else before.pixels)
            nothing = np.zeros(before.pixels.shape[:2], bool)
            masks.append(_white(np.load(self.part("filled.npy", number)) if number in done else nothing))
        return pages, answers, masks

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
