"""Work in a process of its own, so that it ends when somebody stops it or the tab is closed."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from fmkit.cli._sentences import sentence_of
from fmkit.errors import InputError

KILLED = "the work was ended from outside: perhaps the memory did not suffice"


def send(work: Callable[..., Any], given: tuple[Any, ...], pipe: Connection) -> None:
    """Do the work; send what it returns, or the sentence of what went wrong."""
    try:
        pipe.send((True, work(*given)))
    except (InputError, OSError, MemoryError) as error:
        pipe.send((False, sentence_of(error)))


class Apart:
    """Work that goes on.

    Parameters
    ----------
    work : callable
        A function of a module; what it takes and returns is pickled.
    given : tuple
        Its arguments.
    done : callable of (whether it went well, what it returned or a sentence)
        Called from a thread, unless the work was ended.
    """

    def __init__(self, work: Callable[..., Any], given: tuple[Any, ...], done: Callable[[bool, Any], object]) -> None:
        self.started, self.ended = time.monotonic(), False
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=send, args=(work, given, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._done = done
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def seconds(self) -> int:
        """How long it goes on."""
        return int(time.monotonic() - self.started)

    def end(self) -> None:
        """Stop it at once."""
        self.ended = True
        self._process.kill()

    def _wait(self) -> None:
        try:
            well, told = self._pipe.recv()
        except EOFError:
            well, told = False, KILLED
        self._process.join()
        if not self.ended:
            self._done(well, told)
