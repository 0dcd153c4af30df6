"""What the Restore room asks the server for."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from fmkit.app.restoring import Queue, Work
from fmkit.app.sessions import Session
from fmkit.app.sheets import Sheets
from fmkit.app.uploads import received, told_in
from fmkit.errors import InputError

MOST_PICTURES = 100


class RestoreRoom:
    """A session's pictures, by their numbers.

    Parameters
    ----------
    session : Session
    queue : Queue
    """

    def __init__(self, session: Session, queue: Queue) -> None:
        self.session, self.queue = session, queue
        self.works: dict[int, Work] = {}
        self._last = 0
        session.at_end(self.stop)

    def facts(self) -> list[dict[str, Any]]:
        """What the page shows of each."""
        return [work.facts() for work in list(self.works.values())]

    def add(self, path: Path) -> list[dict[str, Any]]:
        """Take the pages of a file up; what the page shows of each."""
        try:
            sheets = Sheets(path)
            if len(self.works) + sheets.n_pages > MOST_PICTURES:
                raise InputError(f"{MOST_PICTURES} pictures are the most of a page: remove some")
            first, self._last = self._last + 1, self._last + sheets.n_pages
            works = [Work(first + page, sheets, page, self.queue, self.session.told) for page in range(sheets.n_pages)]
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if self.session.closed:
            raise InputError("the page was closed")
        self.works |= {work.number: work for work in works}
        return [work.facts() for work in works]

    def work(self, request: Request) -> Work:
        """The picture that a request names."""
        work = self.works.get(request.path_params["number"])
        if work is None:
            raise InputError("this picture is no longer here: drop it on the page again")
        return work

    def stop(self) -> None:
        """End all jobs."""
        for work in self.works.values():
            work.stop()


def room(request: Request) -> RestoreRoom:
    """The room of the session that a request names."""
    state = request.app.state
    session: Session = state.sessions.of(request.path_params["session"])
    return session.room("restore", lambda: RestoreRoom(session, state.queue))


async def upload(request: Request) -> Response:
    """Take a picture up."""
    here = room(request)
    path = await received(request, here.session)
    return JSONResponse(await run_in_threadpool(here.add, path))


async def example(request: Request) -> Response:
    """Take the shipped painting up, with damage drawn on it."""
    here = room(request)
    path = await run_in_threadpool(scratched_painting, here.session.new_folder())
    return JSONResponse(await run_in_threadpool(here.add, path))


def scratched_painting(folder: Path) -> Path:
    """Write The Harvesters, scratched."""
    from fmkit.datasets.damage import make_damage
    from fmkit.datasets.pictures import FOLDER
    from fmkit.restore.lost import paint
    from fmkit.restore.picture_file import read_picture, write_picture

    picture = read_picture(FOLDER / "harvesters.jpg")
    lost = make_damage(picture.pixels.shape[:2], "scratches", share=0.005, size=2, random_state=1)
    path = folder / "harvesters.png"
    write_picture(path, paint(picture, lost, "#f4efe2", path).pixels, picture)
    return path


async def ask(request: Request) -> Response:
    """Find, restore, stop or remove."""
    here = room(request)
    work, action = here.work(request), request.path_params["action"]
    told = await told_in(request) if action in ("find", "restore") else {}
    if action == "find":
        await run_in_threadpool(work.find, *map(told.get, ("kind", "at", "min_confidence")))
    elif action == "stop":
        work.stop()
    elif action == "remove":
        work.stop()
        del here.works[work.number]
    elif action == "restore":
        wishes = told.get("strokes"), told.get("quality"), told.get("certainty")
        await run_in_threadpool(work.restore, *wishes)
    else:
        raise InputError(f"{action!r} is nothing that can be done with a picture")
    return JSONResponse(work.facts())


async def look(request: Request) -> Response:
    """A view of a picture, or a file that was made of it."""
    work, name = room(request).work(request), request.path_params["view"]
    if name == "preview":
        preview = await run_in_threadpool(work.preview)
        return Response(preview, 200 if preview else 204, media_type="image/jpeg")
    if name == "found":
        return Response(await run_in_threadpool(work.found_png), media_type="image/png")
    files = {"view": work.view}
    if work.state == "done":
        files |= {"after": work.after, "certainty": work.overlay, "restored": work.sheets.out, "mask": work.sheets.mask}
    path = files.get(name)
    if path is None or not path.is_file():
        raise InputError("this is not there yet: restore the picture first")
    told = {}
    if name in ("restored", "mask"):
        told["content-disposition"] = f"attachment; filename*=UTF-8''{quote(path.name)}"
    return FileResponse(path, headers=told)


ROUTES = [
    Route("/pictures", upload, methods=["PUT"]),
    Route("/pictures/example", example, methods=["POST"]),
    Route("/pictures/{number:int}/{action}", ask, methods=["POST"]),
    Route("/pictures/{number:int}/{view}", look, methods=["GET"]),
]
