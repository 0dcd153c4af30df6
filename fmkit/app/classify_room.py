"""What the Classify room asks the server for: a net of drawn digits, or one's own, and what it says of a row."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from fmkit.app import nets
from fmkit.app.apart import Apart
from fmkit.app.digits import drawn_digit, train_digits
from fmkit.app.rows import row_of, typed_row
from fmkit.app.sessions import Session
from fmkit.app.uploads import received, told_in
from fmkit.cli._nets import check_torch, loaded_net
from fmkit.cli._sentences import sentence_of
from fmkit.errors import InputError

NO_NET = {
    "digits": "the net of the digits is not there yet: wait until it is trained, or press Train again",
    "rows": "the net that reads rows is not there yet: wait until it is trained, or press Train again",
    "own": "there is no net of yours yet: drop a model file that fmkit classify --save wrote",
}
NOTHING_ASKED = "there is no row yet that the net was asked about"
# torch's threads are the whole process's, and a few milliseconds are soon waited for.
ASKING = threading.Lock()


class Net:
    """A net on the page, and the last row that it was asked about.

    Parameters
    ----------
    path : Path
        Its model file.
    """

    def __init__(self, path: Path) -> None:
        check_torch()
        with ASKING:
            try:
                self.model = loaded_net(path)
            except RuntimeError as error:  # torch's, of sizes that no memory has
                raise InputError(f"the file is damaged: {error}", path=path) from None
        self.path, self.facts = path, nets.facts_of(self.model, path)
        self.picture: NDArray[Any] | None = None

    def ask(self, X: Any) -> dict[str, Any]:
        """The answer to the first row of X, and what there is to see of it.

        Raises
        ------
        InputError
            If the net takes no such rows.
        """
        with ASKING:
            told = nets.answer(self.model, X)
            if self.facts["kind"] == "pictures":
                self.picture = X[0]
                with suppress(InputError):  # of a net of dense layers alone, which has no places
                    seen = nets.evidence(self.model, self.picture, told["best"])
                    told |= {"evidence": seen, **nets.journey(self.model, self.picture)}
            elif self.facts["gates"]:
                n_steps, words = nets.steps_of(self.model, X[0])
                short = n_steps <= nets.MOST_STEPS
                told |= {"n_steps": n_steps, "words": words, "traces": nets.gates(self.model, X) if short else []}
        return told

    def evidence(self, code: int) -> dict[str, Any]:
        """That for another class, in the last picture."""
        if self.picture is None:
            raise InputError(NOTHING_ASKED)
        if not 0 <= code < len(self.model.classes_):
            raise InputError(f"there is no class of the number {code}")
        with ASKING:
            return nets.evidence(self.model, self.picture, code)


class ClassifyRoom:
    """A session's nets, by "digits", "rows" and "own".

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.missing = "" if find_spec("torch") else "nets need torch: pip install 'fmkit[deep]'"
        self.nets: dict[str, Net] = {}
        self.training: Apart | None = None
        self.epoch: dict[str, Any] | None = None
        self.tested: dict[str, Any] = {}
        self.error = ""
        session.at_end(self.stop)

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        training = self.training
        return {
            "missing": self.missing,
            "training": None if training is None else int(time.monotonic() - training.started),
            "epoch": self.epoch,
            "tested": self.tested,
            "error": self.error,
            "nets": {which: net.facts for which, net in self.nets.items()},
        }

    def train(self) -> None:
        """Begin with the nets of the digits, unless they are there or being trained."""
        if self.training is not None or "rows" in self.nets or self.missing:
            return
        self.error, self.epoch = "", None

        def told(fact: dict[str, Any]) -> None:
            if "epoch" in fact:
                self.epoch = fact
                return
            self.tested[fact["net"]] = {name: fact[name] for name in ("tested", "rows")}
            try:
                self.take(fact["net"], Path(fact["path"]))
            except (InputError, OSError) as error:
                self.error = self.session.told(sentence_of(error))

        def done(sentence: str) -> None:
            self.error, self.training = self.session.told(sentence) or self.error, None

        self.training = Apart(train_digits, (str(self.session.new_folder()),), told, done)
        threading.Thread(target=check_torch, daemon=True).start()  # loads it meanwhile: it takes seconds
        if self.session.closed:
            self.stop()

    def take(self, which: str, path: Path) -> None:
        """Take a model file up."""
        self.nets[which] = Net(path)

    def net(self, which: str) -> Net:
        """One of the two, if it is there."""
        if which not in NO_NET:
            raise InputError(f"{which!r} is no net of this page")
        if which not in self.nets:
            raise InputError(NO_NET[which])
        return self.nets[which]

    def stop(self) -> None:
        """End the training."""
        if self.training is not None:
            self.training.end()
            self.training = None


def room(request: Request) -> ClassifyRoom:
    """The room of the session that a request names."""
    session: Session = request.app.state.sessions.of(request.path_params["session"])
    return session.room("classify", lambda: ClassifyRoom(session))


async def train(request: Request) -> Response:
    """Train the nets of the digits."""
    here = room(request)
    await run_in_threadpool(here.train)
    return JSONResponse(here.facts())


async def stop(request: Request) -> Response:
    """End the training."""
    here = room(request)
    here.stop()
    return JSONResponse(here.facts())


async def put_net(request: Request) -> Response:
    """Take an own model file up."""
    here = room(request)
    path = await received(request, here.session)
    await run_in_threadpool(here.take, "own", path)
    return JSONResponse(here.facts())


async def get_net(request: Request) -> Response:
    """Give a net as a file."""
    path = room(request).net(request.path_params["which"]).path
    return FileResponse(path, headers={"content-disposition": f"attachment; filename*=UTF-8''{quote(path.name)}"})


async def draw(request: Request) -> Response:
    """Ask the nets of the digits about a drawing."""
    here, told = room(request), await told_in(request)
    net, reader = here.net("digits"), here.nets.get("rows")

    def asked() -> dict[str, Any]:
        X = drawn_digit(told.get("strokes"))[None]
        if reader is None:
            return net.ask(X)
        words = [f"row {number}" for number in range(1, X.shape[1] + 1)]
        return {**net.ask(X), "read": {**reader.ask(X), "words": words}}

    return JSONResponse(await run_in_threadpool(asked))


async def type_in(request: Request) -> Response:
    """Ask the own net about what was typed."""
    here, told = room(request), await told_in(request)
    net = here.net("own")

    def asked() -> dict[str, Any]:
        return {"rows": 1, **net.ask(typed_row(net.model, net.facts, told.get("text"), here.session.new_folder))}

    return JSONResponse(await run_in_threadpool(asked))


async def put_row(request: Request) -> Response:
    """Ask the own net about the first row of a file."""
    here = room(request)
    net = here.net("own")
    path = await received(request, here.session)

    def asked() -> dict[str, Any]:
        X, n_rows = row_of(net.model, net.facts, path)
        return {"rows": n_rows, **net.ask(X)}

    return JSONResponse(await run_in_threadpool(asked))


async def evidence(request: Request) -> Response:
    """Where the evidence for a class is."""
    net = room(request).net(request.path_params["which"])
    return JSONResponse(await run_in_threadpool(net.evidence, request.path_params["code"]))


ROUTES = [
    Route("/nets/train", train, methods=["POST"]),
    Route("/nets/stop", stop, methods=["POST"]),
    Route("/nets/own", put_net, methods=["PUT"]),
    Route("/nets/{which}/file", get_net, methods=["GET"]),
    Route("/nets/digits/draw", draw, methods=["POST"]),
    Route("/nets/own/text", type_in, methods=["POST"]),
    Route("/nets/own/row", put_row, methods=["PUT"]),
    Route("/nets/{which}/evidence/{code:int}", evidence, methods=["GET"]),
]
