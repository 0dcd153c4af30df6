"""Finished pages of a long TIFF, kept in hidden files until all are done, so that a second start goes on."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.files import written_beside

Arrays = list[NDArray[Any]]


@dataclass(frozen=True)
class KeptPages:
    """The files beside an answer that hold its finished pages.

    Parameters
    ----------
    out : Path
        Where the answer goes.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from fmkit.restore.kept_pages import KeptPages
    >>> folder = tempfile.TemporaryDirectory()
    >>> kept = KeptPages(Path(folder.name, "scan_restored.tif"))
    >>> kept.keep(0, "what it was made of", [np.arange(3)])
    >>> kept.taken_up(0, "what it was made of"), kept.taken_up(0, "something else")
    ([array([0, 1, 2])], None)
    >>> kept.forget()
    >>> folder.cleanup()
    """

    out: Path

    def taken_up(self, page: int, key: str) -> Arrays | None:
        """What was kept of a page, or None if it was made of something else."""
        try:
            with np.load(self._path(page)) as arrays:
                if str(arrays["key"]) == key:
                    return [arrays[f"arr_{i}"] for i in range(len(arrays.files) - 1)]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # none, or one that is damaged
            pass
        return None

    def keep(self, page: int, key: str, arrays: Arrays) -> None:
        """Write what was made of a page."""
        with written_beside(self._path(page)) as part, part.open("wb") as file:
            np.savez(file, *arrays, key=np.array(key))

    def forget(self) -> None:
        """Remove all files of the answer."""
        for path in hidden_beside(self.out, ".page"):
            path.unlink(missing_ok=True)

    def _path(self, page: int) -> Path:
        return self.out.with_name(f".{self.out.name}.{page + 1}.page")


def hidden_beside(out: Path, ending: str) -> list[Path]:
    """The hidden files beside an answer that are named after it and end so."""
    return [
        path for path in out.parent.iterdir() if path.name.startswith(f".{out.name}.") and path.name.endswith(ending)
    ]
