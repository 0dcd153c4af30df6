"""Files that a page sends: into the session's folder, under a plain name, and no larger than they may be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request

from fmkit.app.sessions import Session
from fmkit.errors import InputError

MOST_BYTES = 700 << 20  # 50 megapixels of three floats have 600 MB
LEAST_FREE = 1 << 30  # bytes of the disk that are left to others
MOST_LETTERS = 150
MOST_TOLD = 16 << 20  # bytes of JSON: 200,000 points of strokes have some 3 MB


def plain_name(name: str) -> str:
    """The name, if it is that of a file and nothing else.

    Raises
    ------
    InputError
        If it leads out of the folder, is hidden or cannot be shown.

    Examples
    --------
    >>> from fmkit.app.uploads import plain_name
    >>> plain_name("holiday 1.jpg")
    'holiday 1.jpg'
    """
    odd = "/" in name or "\\" in name or name.startswith(".") or not name.isprintable() or not name.strip()
    if odd or len(name.encode(errors="replace")) > MOST_LETTERS:
        shown = name if len(name) <= 40 else name[:39] + "…"
        raise InputError(f"{shown!r} is no plain file name of at most {MOST_LETTERS} letters: rename the file")
    return name


async def received(request: Request, session: Session) -> Path:
    """The file of a request's body, in a folder of its own; its name is the query's."""
    name = plain_name(unquote(request.query_params.get("name", "")))
    told = request.headers.get("content-length", "")
    check_bytes(int(told) if told.isdigit() else 0, name)
    if shutil.disk_usage(session.folder).free - int(told or 0) < LEAST_FREE:
        raise InputError("the disk of the temporary folder is full: make room, or set TMPDIR to another", path=name)
    folder = session.new_folder()
    try:
        n_bytes = 0
        with (folder / name).open("wb") as file:
            async for chunk in request.stream():
                n_bytes += len(chunk)
                check_bytes(n_bytes, name)
                file.write(chunk)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder / name


def check_bytes(n_bytes: int, name: str) -> None:
    """Refuse what is larger than any picture that is taken."""
    if n_bytes > MOST_BYTES:
        raise InputError(f"files of at most {MOST_BYTES >> 20} MB are taken, this one is larger", path=name)


async def told_in(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_TOLD:
            raise InputError("this is more than the page ever asks: reload it")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise InputError("this is not what the page asks: reload it")
    return told
