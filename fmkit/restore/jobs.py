"""What is wished for, what is to be made of each picture file, and what became of it."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fmkit.restore.album import Found, beside, place
from fmkit.restore.lost import parse_colour


@dataclass(frozen=True)
class Wishes:
    """What is to be done with every picture; the paths are of one file, or of folders."""

    mask: Path | None = None
    lost: str | None = None
    detect: str | None = None
    min_confidence: float | None = None
    """Of what looks damaged."""
    out: Path | None = None
    preview: Path | None = None
    """Only show what would be touched."""
    save_mask: Path | None = None
    compare: Path | None = None
    uncertainty: Path | None = None
    truth: Path | None = None
    method: str = "auto"
    quality: str = "balanced"
    denoise: bool = False
    keep_metadata: bool = True
    overwrite: bool = False
    yes: bool = False
    """Fill what looks damaged, if nothing says what is lost."""
    seed: int = 0
    jobs: int | None = None

    def check(self) -> None:
        """Refuse, before the first picture, what would fail with every one.

        Raises
        ------
        InputError
            If the colour is none.
        OSError
            If a mask or a truth is named that does not exist.
        """
        for path in filter(None, (self.mask, self.truth)):
            if not path.exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if self.lost and self.lost != "alpha":
            parse_colour(self.lost)


@dataclass(frozen=True)
class Job:
    """A picture and the files that are to be made of it."""

    picture: Found
    several: bool
    """Whether it is one of several, so that paths are folders and an answer that exists is left as it is."""
    out: Path
    views: dict[str, Path]
    """Where the preview, mask, comparison and uncertainty go, as far as they are wanted."""
    folders: frozenset[Path]
    """Those to be made if they are not there."""

    @classmethod
    def of(cls, picture: Found, wishes: Wishes, several: bool) -> "Job":
        """Name the files that the wishes name, or name the folders of.

        Raises
        ------
        InputError
            If a file is named where several are to be written.
        """
        wanted = {
            "restored": None if wishes.preview else wishes.out,
            "preview": wishes.preview,
            "mask": wishes.save_mask,
            "compare": None if wishes.preview else wishes.compare,
            "uncertainty": None if wishes.preview else wishes.uncertainty,
        }
        files = {word: place(picture, path, word, several) for word, path in wanted.items() if path}
        folders = frozenset(file.parent for word, file in files.items() if file != wanted[word])
        return cls(picture, several, files.pop("restored", beside(picture.path)), files, folders)


@dataclass
class Outcome:
    """What became of a picture."""

    picture: Path
    where: Path | None = None
    """The file that was written."""
    words: str = ""
    """Instead: why none was."""
    error: Exception | None = None
    shape: tuple[int, ...] = ()
    n_pages: int = 1
    n_lost: int = 0
    n_pixels: int = 0
    seconds: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    """PSNR and SSIM over the lost part and over all, against the truth."""

    @property
    def lost(self) -> float | None:
        """Part of the pixels that was lost."""
        return self.n_lost / self.n_pixels if self.n_pixels else None


@dataclass(frozen=True)
class Talk:
    """How to speak with whoever waits."""

    note: Callable[[str], object]
    progress: Callable[[int, int], object]
    ask: Callable[[str], bool] | None = None
    """Asks a question that is answered by yes or no; without, nobody can answer."""
