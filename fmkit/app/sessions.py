"""Whose work is whose: a session for each tab, with a folder that goes when the tab does."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fmkit.errors import InputError

R = TypeVar("R")
GONE = "the work of this page has ended, for its tab was closed or fmkit app was started anew: reload the page"
MOST = 64  # sessions; each may hold some gigabytes of uploads


class Session:
    """The work of a tab.

    Parameters
    ----------
    folder : Path
        All that it uploads, and that is made of it, lies here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rooms: dict[str, Any] = {}
        self.watchers = 0
        self.left_at = time.monotonic()
        self.closed = False
        self._endings: list[Callable[[], None]] = []

    def room(self, name: str, make: Callable[[], R]) -> R:
        """The room of a name, made when it is first entered."""
        if name not in self.rooms:
            self.rooms[name] = make()
        found: R = self.rooms[name]
        return found

    def at_end(self, ending: Callable[[], None]) -> None:
        """Call this when the tab is closed."""
        self._endings.append(ending)

    def close(self) -> None:
        """End the jobs and remove the files."""
        self.closed = True
        for ending in self._endings:
            ending()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_folder(self) -> Path:
        """An empty folder of a name that nobody chose."""
        return Path(tempfile.mkdtemp(dir=self.folder, prefix=""))

    def told(self, sentence: str) -> str:
        """A sentence without the folder of the session, whose files the user knows by their names alone."""
        parts = sentence.split(f"{self.folder}/")
        return parts[0] + "".join(part.partition("/")[2] for part in parts[1:])


class Sessions:
    """All of them, by tokens that cannot be guessed.

    Parameters
    ----------
    folder : Path
    grace : float
        Seconds without a tab that watches, such as that of a page that is loaded anew, after which a session ends.
    """

    def __init__(self, folder: Path, grace: float = 15.0) -> None:
        self.folder, self.grace = folder, grace
        self._by_token: dict[str, Session] = {}

    def begin(self) -> str:
        """The token of a new session."""
        if len(self._by_token) >= MOST:
            raise InputError(f"{MOST} pages are open, which is the most: close one")
        token = secrets.token_urlsafe(24)
        self._by_token[token] = Session(Path(tempfile.mkdtemp(dir=self.folder, prefix="")))
        return token

    def of(self, token: str) -> Session:
        """The session of a token; an InputError if it has ended."""
        session = self._by_token.get(token)
        if session is None:
            raise InputError(GONE)
        return session

    def peek(self, token: str) -> Session | None:
        """The session of a token, if it has not ended."""
        return self._by_token.get(token)

    def sweep(self) -> None:
        """Close those that nobody watches any more."""
        now = time.monotonic()
        for token, session in list(self._by_token.items()):
            if not session.watchers and now - session.left_at > self.grace:
                del self._by_token[token]
                session.close()

    def close(self) -> None:
        """Close all."""
        for session in self._by_token.values():
            session.close()
        self._by_token.clear()
