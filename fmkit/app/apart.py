"""Work in a process of its own that tells how it goes, so that it ends when somebody stops it or the tab is closed."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from fmkit.cli._sentences import sentence_of
from fmkit.errors import InputError

KILLED = "it was ended from outside: perhaps the memory did not suffice"
Tell = Callable[[Any], object]
Work = Callable[..., object]


def do(work: Work, arguments: tuple[Any, ...], pipe: Connection) -> None:
    """Do it; send what it tells, and at its end an empty sentence, or that of what went wrong."""
    try:
        work(*arguments, lambda fact: pipe.send((fact, None)))
        sentence = ""
    except (InputError, ImportError, OSError, MemoryError) as error:
        sentence = sentence_of(error)
    pipe.send((None, sentence))


class Apart:
    """Work that goes on.

    Parameters
    ----------
    work : function of a module
        Called with the arguments and, last, a callable that tells a fact.
    arguments : tuple
    told : callable
        Called with every fact, from a thread.
    done : callable
        Called at the end with a sentence of what went wrong, empty if nothing did, unless it was ended.
    """

    def __init__(self, work: Work, arguments: tuple[Any, ...], told: Tell, done: Callable[[str], object]) -> None:
        self.started, self.ended = time.monotonic(), False
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=do, args=(work, arguments, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._told, self._done = told, done
        threading.Thread(target=self._wait, daemon=True).start()

    def end(self) -> None:
        """Stop it at once."""
        self.ended = True
        self._process.kill()

    def _wait(self) -> None:
        sentence = None
        while sentence is None:
            try:
                fact, sentence = self._pipe.recv()
            except (EOFError, OSError):
                fact, sentence = None, KILLED
            if sentence is None and not self.ended:
                self._told(fact)
        self._process.join()
        if not self.ended:
            self._done(sentence)
