"""A fit in a process of its own, so that it ends when somebody stops it or the tab is closed."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fmkit.cli._sentences import in_options, sentence_of
from fmkit.errors import InputError

KILLED = "the fit was ended from outside: perhaps the memory did not suffice"


def fit_into(out: Path, ratings: Path, given: Mapping[str, Any], quality: str, pipe: Connection) -> None:
    """Fit and save a recommender; send what it found, or the sentence of what went wrong."""
    from fmkit import save
    from fmkit.recommend import Recommender

    try:
        recommender = Recommender(quality=quality).fit(ratings, **given)  # type: ignore[arg-type]
        save(recommender, out)
        pipe.send((True, [in_options(told) for told in recommender.told_]))
    except (InputError, OSError, MemoryError) as error:
        pipe.send((False, [sentence_of(error)]))


class Learning:
    """A fit that goes on.

    Parameters
    ----------
    out : Path
        The model file to be written.
    ratings : Path
    given : mapping
        Arguments of `Recommender.fit` beside the ratings.
    quality : str
    done : callable of (whether it went well, sentences)
        Called from a thread, unless the fit was ended.
    """

    def __init__(
        self,
        out: Path,
        ratings: Path,
        given: Mapping[str, Any],
        quality: str,
        done: Callable[[bool, list[str]], object],
    ) -> None:
        self.started, self.ended = time.monotonic(), False
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=fit_into, args=(out, ratings, given, quality, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._done = done
        threading.Thread(target=self._wait, daemon=True).start()

    def end(self) -> None:
        """Stop it at once."""
        self.ended = True
        self._process.kill()

    def _wait(self) -> None:
        try:
            well, told = self._pipe.recv()
        except EOFError:
            well, told = False, [KILLED]
        self._process.join()
        if not self.ended:
            self._done(well, told)
