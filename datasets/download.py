"""A file from the network to the cache, from where an earlier download of it ended."""

from __future__ import annotations

import os
from pathlib import Path

from fmkit.errors import InputError

PART = 2**20  # bytes at once


def cache() -> Path:
    """The folder of what was downloaded: `$FMKIT_CACHE`, or `~/.cache/fmkit`."""
    return Path(os.environ.get("FMKIT_CACHE", "~/.cache/fmkit")).expanduser()


def download(url: str, place: Path, title: str) -> Path:
    """Download a file, if it is not there.

    Parameters
    ----------
    url : str
    place : Path
        The file; `place.part` until all of it is there.
    title : str
        Of the data set, for messages.

    Returns
    -------
    Path
        `place`.

    Raises
    ------
    InputError
        If there is no network, or the download is cut off; the next call goes on from there.
    """
    import http.client
    import urllib.error
    import urllib.request  # loads ssl

    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    begun = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={begun}-"} if begun else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            goes_on = answer.status == 206  # else the server sends all of it
            with part.open("ab" if goes_on else "wb") as file:
                while some := answer.read(PART):
                    file.write(some)
            length = answer.headers.get("Content-Length")
    except (OSError, http.client.HTTPException) as error:
        if begun and isinstance(error, urllib.error.HTTPError) and error.code == 416:
            part.unlink()  # nothing comes after what there is: it is no beginning of this file
            return download(url, place, title)
        raise InputError(
            f"{title} cannot be downloaded from {url} ({getattr(error, 'reason', error)}): get it where there is "
            f"a network and give its path, or call again, it goes on where it ended",
            path=place,
        ) from None
    if length is not None and part.stat().st_size < int(length) + (begun if goes_on else 0):
        raise InputError("the download was cut off: call again, it goes on where it ended", path=part)
    return part.replace(place)
