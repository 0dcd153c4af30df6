"""What the Recommend room asks the server for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from fmkit.app.apart import Apart
from fmkit.app.judging import Trial, judge
from fmkit.app.learning import ROLES, Task, fit_into
from fmkit.app.sessions import Session
from fmkit.app.uploads import received, told_in
from fmkit.errors import InputError

if TYPE_CHECKING:
    from fmkit.app.recommending import Asked

NO_MODEL = "there is no model yet: learn one from a table of ratings, or load one"
WISHES = ("columns", "quality", "feedback")  # for a fit


class RecommendRoom:
    """A session's tables and model.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.tables: dict[str, Path] = {}
        self.learning: Apart | None = None
        self.asked: Asked | None = None
        self.model_file: Path | None = None
        self.version, self.error, self.told = 0, "", list[str]()
        self.judging: Apart | None = None
        self.judged: dict[str, Any] | None = None
        self.n_judged, self.judging_error = 0, ""
        session.at_end(self.stop)
        session.at_end(self.stop_judging)

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        return {
            "learning": seconds_of(self.learning),
            "error": self.error,
            "told": self.told,
            "version": self.version,
            "model": None if self.asked is None else self.asked.facts(),
            "judging": seconds_of(self.judging),
            "judging_error": self.judging_error,
            "judged": self.n_judged,
        }

    def take_table(self, path: Path, role: str) -> dict[str, Any]:
        """Read a table's header and find its columns."""
        from fmkit.recommend.columns import usual_column
        from fmkit.recommend.tables import TableFile

        if role not in ("ratings", "items"):
            raise InputError(f"{role!r} is no table that is asked for")
        names = TableFile.open(path).names
        self.tables[role], self.error = path, ""
        found = {one: usual_column(names, one) for one in (ROLES if role == "ratings" else ("item", "title"))}
        return {"name": path.name, "columns": names, "found": found}

    def learn(self, columns: Any, quality: Any, feedback: Any) -> None:
        """Begin a fit of the tables."""
        if self.learning is not None:
            raise InputError("a model is being learned: wait, or stop it")
        task = Task.of(self.tables, columns, quality, feedback)
        out = self.session.new_folder() / f"{task.ratings.name.partition('.')[0]}.fmkit"
        self.error, self.told = "", []

        def told(notes: Any) -> None:
            found.extend(notes)

        def done(sentence: str) -> None:
            try:
                self.error = self.session.told(sentence)
                if not sentence:
                    self.load(out)
                    self.told = found
            finally:
                self.learning = None

        found: list[str] = []
        self.learning = Apart(fit_into, (out, task), told, done)

    def judge(self, columns: Any, quality: Any, feedback: Any, how: Any, test: Any, top: Any) -> None:
        """Begin to fit a part of the table, and to judge by the other."""
        if self.judging is not None:
            raise InputError("a recommender is being judged: wait, or stop it")
        trial = Trial.of(Task.of(self.tables, columns, quality, feedback), how, test, top)
        self.judging_error = ""

        def told(found: Any) -> None:
            self.judged = found
            self.n_judged += 1

        def done(sentence: str) -> None:
            self.judging_error, self.judging = self.session.told(sentence), None

        self.judging = Apart(judge, (trial,), told, done)

    def load(self, path: Path) -> None:
        """Take a model file up."""
        from fmkit.app.recommending import Asked
        from fmkit.cli._recommending import loaded

        asked = Asked(loaded(path))
        asked.listed(None, {str(one["code"]): asked.usual for one in asked.to_rate(0, 1)})  # or the first would wait
        self.asked = asked
        self.model_file, self.error, self.told = path, "", []
        self.version += 1

    def stop(self) -> None:
        """End a fit."""
        if self.learning is not None:
            self.learning.end()
            self.learning = None

    def stop_judging(self) -> None:
        """End what is judged."""
        if self.judging is not None:
            self.judging.end()
            self.judging = None

    def model(self) -> Asked:
        """The model, if there is one."""
        if self.asked is None:
            raise InputError(NO_MODEL)
        return self.asked


def seconds_of(work: Apart | None) -> int | None:
    """How long it goes on."""
    return None if work is None else int(time.monotonic() - work.started)


def room(request: Request) -> RecommendRoom:
    """The room of the session that a request names."""
    session: Session = request.app.state.sessions.of(request.path_params["session"])
    return session.room("recommend", lambda: RecommendRoom(session))


async def table(request: Request) -> Response:
    """Take a table up."""
    here = room(request)
    path = await received(request, here.session)
    return JSONResponse(await run_in_threadpool(here.take_table, path, request.query_params.get("role", "")))


async def example(request: Request) -> Response:
    """Take the shipped ratings up."""
    from fmkit.datasets.ratings import HERE

    here = room(request)
    told = {}
    for role, name in (("ratings", "ratings.csv.gz"), ("items", "movies.csv.gz")):
        told[role] = await run_in_threadpool(here.take_table, HERE / "movielens_small" / name, role)
    return JSONResponse(told)


async def learn(request: Request) -> Response:
    """Begin a fit."""
    here, told = room(request), await told_in(request)
    await run_in_threadpool(here.learn, *(told.get(name) for name in WISHES))
    return JSONResponse(here.facts())


async def stop(request: Request) -> Response:
    """End a fit."""
    here = room(request)
    here.stop()
    return JSONResponse(here.facts())


async def begin_judging(request: Request) -> Response:
    """Begin to judge."""
    here, told = room(request), await told_in(request)
    await run_in_threadpool(here.judge, *(told.get(name) for name in (*WISHES, "how", "test", "top")))
    return JSONResponse(here.facts())


async def stop_judging(request: Request) -> Response:
    """End what is judged."""
    here = room(request)
    here.stop_judging()
    return JSONResponse(here.facts())


async def evaluation(request: Request) -> Response:
    """What was found when it was judged last."""
    found = room(request).judged
    if found is None:
        raise InputError("nothing was judged yet: press Evaluate")
    return JSONResponse(found)


async def put_model(request: Request) -> Response:
    """Load a model file."""
    here = room(request)
    path = await received(request, here.session)
    await run_in_threadpool(here.load, path)
    return JSONResponse(here.facts())


async def get_model(request: Request) -> Response:
    """Save the model as a file."""
    path = room(request).model_file
    if path is None:
        raise InputError(NO_MODEL)
    disposition = f"attachment; filename*=UTF-8''{quote(path.name)}"
    return FileResponse(path, headers={"content-disposition": disposition})


async def people(request: Request) -> Response:
    """Search for users."""
    return JSONResponse(await run_in_threadpool(room(request).model().people, request.query_params.get("q", "")))


async def to_rate(request: Request) -> Response:
    """Items for a newcomer to rate."""
    page = request.query_params.get("page", "0")
    if not (page.isdigit() and len(page) < 6):
        raise InputError(f"page must be a number, got {page!r}")
    return JSONResponse(await run_in_threadpool(room(request).model().to_rate, int(page)))


async def lists(request: Request) -> Response:
    """A list for a user or a newcomer."""
    model, told = room(request).model(), await told_in(request)
    wishes = [told.get(name) for name in ("user", "rated")]
    others = {name: told[name] for name in ("n", "diversity", "risk") if name in told}
    return JSONResponse(await run_in_threadpool(model.listed, *wishes, **others))


async def similar(request: Request) -> Response:
    """What is like an item."""
    return JSONResponse(await run_in_threadpool(room(request).model().similar, request.path_params["item"]))


ROUTES = [
    Route("/tables", table, methods=["PUT"]),
    Route("/tables/example", example, methods=["POST"]),
    Route("/learn", learn, methods=["POST"]),
    Route("/learn/stop", stop, methods=["POST"]),
    Route("/evaluation", begin_judging, methods=["POST"]),
    Route("/evaluation/stop", stop_judging, methods=["POST"]),
    Route("/evaluation", evaluation, methods=["GET"]),
    Route("/model", put_model, methods=["PUT"]),
    Route("/model", get_model, methods=["GET"]),
    Route("/people", people),
    Route("/to-rate", to_rate),
    Route("/lists", lists, methods=["POST"]),
    Route("/similar/{item:int}", similar),
]
