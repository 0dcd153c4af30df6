"""Pictures to be restored and their jobs, one after the other: whoever comes later waits in the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from fmkit.app.pictures import as_jpeg, certainty_png, mask_png, view_of, write_jpeg
from fmkit.app.sheets import Sheets
from fmkit.app.strokes import painted, pixel_at
from fmkit.cli._sentences import sentence_of
from fmkit.errors import InputError
from fmkit.restore import find_damage, restore_image
from fmkit.restore.detect import Kind, check_wishes
from fmkit.restore.lost import lost_by_pixel
from fmkit.restore.settings import QUALITIES

State = Literal["new", "finding", "waiting", "running", "done", "stopped", "failed"]
MENDABLE = (InputError, OSError, MemoryError)
PREVIEW_SIDE = 1600  # pixels of what is shown while it sharpens
NOTHING_LOST = "nothing is painted: paint over what is lost, or press Find damage"


class Stopped(Exception):
    """Somebody pressed Stop, or closed the tab."""


def warm_up() -> None:
    """Compile, or load, what the first picture would wait for."""
    some = np.random.default_rng(0).integers(0, 255, (48, 48, 3)).astype(np.uint8)
    lost = np.zeros(some.shape[:2], bool)
    lost[20:22] = True
    restore_image(some, lost, quality="fast")


class Queue:
    """Two threads for all sessions: one restores, with all cores, one finds damage meanwhile."""

    def __init__(self) -> None:
        self.restoring = ThreadPoolExecutor(1, "restore")
        self.finding = ThreadPoolExecutor(1, "find")
        self.viewing = threading.Lock()  # of many uploads at once, one is unpacked at a time

    def close(self) -> None:
        """Drop what waits."""
        self.restoring.shutdown(wait=False, cancel_futures=True)
        self.finding.shutdown(wait=False, cancel_futures=True)


class Work:
    """A picture on the page, and what becomes of it.

    Parameters
    ----------
    number : int
        By which the page calls it.
    sheets : Sheets
        The uploaded file.
    page : int
        Of the file, from 0.
    queue : Queue
    told : callable
        A sentence as the page may show it.
    """

    def __init__(self, number: int, sheets: Sheets, page: int, queue: Queue, told: Callable[[str], str]) -> None:
        self.number, self.sheets, self.page, self.queue, self.told = number, sheets, page, queue, told
        with queue.viewing:
            picture = sheets.read(page)
            self.shape = picture.pixels.shape[:2]
            self.kind = f"{picture.pixels.dtype.itemsize * 8} bits a channel"
            write_jpeg(self.view, view_of(picture.pixels))
        self.n_states, self._state = 0, "new"
        self.error = ""
        self.quality, self.certainty = "balanced", False
        self.share, self.started, self.seconds = 0.0, 0.0, 0.0
        self.top, self.n_lost, self.n_finds, self.n_found, self.n_places = 0.0, 0, 0, 0, 0
        self.n_previews, self._so_far = 0, None
        self._stop, self._beginning = threading.Event(), threading.Lock()  # of two requests at once, one begins a job
        self._job: Future[None] | None = None

    _so_far: NDArray[Any] | None
    _state: State

    @property
    def state(self) -> State:
        """What is done with it. Changes are counted, so that a page that learns of two in the wrong order can tell."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        self.n_states += 1

    @property
    def view(self) -> Path:
        """The picture as the page shows it."""
        return self.sheets.part("view.jpeg", self.page)

    @property
    def after(self) -> Path:
        """The restored picture as the page shows it."""
        return self.sheets.part("after.jpeg", self.page)

    @property
    def overlay(self) -> Path:
        """How sure each filled pixel is, as colours."""
        return self.sheets.part("certainty.png", self.page)

    @property
    def found(self) -> list[Path]:
        """The masks that `find_damage` made."""
        return [self.sheets.part(f"found{k + 1}.npy", self.page) for k in range(self.n_finds)]

    @property
    def _lost(self) -> Path:
        return self.sheets.part("lost.npy", self.page)

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        running = self.state == "running"
        seconds = time.monotonic() - self.started if running else self.seconds
        left = seconds * (1 - self.share) / self.share if running and self.share > 0.02 else None
        return {
            "number": self.number,
            "name": self.sheets.name(self.page),
            "width": self.shape[1],
            "height": self.shape[0],
            "kind": self.kind,
            "n_states": self.n_states,
            "state": self.state,
            "error": self.error,
            # Coarse while it runs: each change is sent, and drawn by a core that could fill.
            "share": round(self.share, 2),
            "seconds": int(seconds) if running else round(seconds, 1),
            "left": None if left is None else round(left),
            "previews": self.n_previews,
            "found": {"number": self.n_finds, "pixels": self.n_found, "places": self.n_places}
            if self.n_finds
            else None,
            "lost": self.n_lost,
            "quality": self.quality,
            "certainty": self.top if self.state == "done" and self.certainty else None,
            "command": self.sheets.command() if self.state == "done" else "",
            "files": [self.sheets.out.name, self.sheets.mask.name] if self.state == "done" else [],
        }

    def find(self, kind: Any = "auto", at: Any = None, min_confidence: Any = None) -> None:
        """Look for damage of a kind or, if a pixel is named, for its colour, in the background.

        Parameters
        ----------
        kind : str
        at : [x, y], optional
            In pixels of the picture.
        min_confidence : float, optional
            As of `find_damage`.
        """
        check_wishes(kind, min_confidence)
        pixel = None if at is None else pixel_at(at, self.shape)
        with self._beginning:
            self._check_free()
            self._stop.clear()
            self.state, self.error, self.share = "finding", "", 0.0
            self._job = self.queue.finding.submit(self._guarded, lambda: self._find(kind, min_confidence, pixel))

    def restore(self, strokes: Any, quality: Any, certainty: Any) -> None:
        """Wait in the queue to be restored.

        Raises
        ------
        InputError
            If nothing is lost, or everything.
        """
        if quality not in list(QUALITIES):
            raise InputError(f"quality must be one of {', '.join(QUALITIES)}, got {quality!r}")
        with self._beginning:
            self._check_free()
            lost = painted(strokes, self.shape, [np.load(path, mmap_mode="r") for path in self.found])
            if not lost.any():
                raise InputError(NOTHING_LOST)
            if lost.all():
                raise InputError("every pixel is lost, and nothing is known to fill them from", path=self.sheets.path)
            np.save(self._lost, lost)
            self.n_lost, self.quality, self.certainty = int(lost.sum()), quality, bool(certainty)
            self.state, self.error, self.share, self.n_previews = "waiting", "", 0.0, 0
            self._stop.clear()
            self._job = self.queue.restoring.submit(self._guarded, self._restore)

    def stop(self) -> None:
        """End the job, whether it runs or waits."""
        self._stop.set()
        if self._job is not None and self._job.cancel():
            self.state = "stopped"

    def preview(self) -> bytes | None:
        """A JPEG of the picture as far as it is filled, or None."""
        so_far = self._so_far
        return None if so_far is None else as_jpeg(view_of(so_far, PREVIEW_SIDE))

    def found_png(self) -> bytes:
        """What `find_damage` found, for the page."""
        if not self.found:
            raise InputError("nothing was looked for yet: press Find damage", path=self.sheets.path)
        return mask_png(np.load(self.found[-1]))

    def _check_free(self) -> None:
        if self.state in ("finding", "waiting", "running"):
            raise InputError("this picture is being worked on: wait, or stop it", path=self.sheets.path)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do it; what goes wrong is told on the page."""
        try:
            work()
        except Stopped:
            self.state = "stopped"
        except MENDABLE as error:
            self.state, self.error = "failed", self.told(sentence_of(error))
        except Exception:
            self.state, self.error = "failed", "fmkit made a mistake here: its terminal tells more"
            raise
        finally:
            self._so_far = None

    def _find(self, kind: Kind, min_confidence: float | None, pixel: tuple[int, int] | None) -> None:
        def progress(done: int, total: int) -> None:
            if self._stop.is_set():
                raise Stopped
            self.share = done / total

        picture = self.sheets.read(self.page)
        if pixel is None:
            damage = find_damage(picture.colours, kind, min_confidence=min_confidence, progress=progress).mask
        else:
            damage = lost_by_pixel(picture, *pixel)
        np.save(self.sheets.part(f"found{self.n_finds + 1}.npy", self.page), damage)
        self.n_found, self.n_places = int(damage.sum()), int(label(damage, np.ones((3, 3)))[1])
        self.n_finds += 1  # the last of all: from now on the page takes it up
        self.state = "new"

    def _restore(self) -> None:
        self.started, self.state = time.monotonic(), "running"
        picture, lost = self.sheets.read(self.page), np.load(self._lost)

        def progress(done: int, total: int) -> None:
            if self._stop.is_set():
                raise Stopped
            self.share = done / total

        def preview(so_far: NDArray[Any]) -> None:
            if self._stop.is_set():
                raise Stopped
            self._so_far = so_far
            self.n_previews += 1

        answer: Any = restore_image(
            picture.pixels, lost, quality=self.quality, return_std=self.certainty, progress=progress, preview=preview
        )  # type: ignore[call-overload]
        if self.certainty:
            answer, std = answer
            png, self.top = certainty_png(std, lost)
            self.overlay.write_bytes(png)
        self.sheets.finish(self.page, picture, answer, lost, self.quality, self.certainty)
        write_jpeg(self.after, view_of(answer))
        self.seconds, self.share, self.state = time.monotonic() - self.started, 1.0, "done"
