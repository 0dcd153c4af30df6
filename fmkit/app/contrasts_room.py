"""What the contrasts ask the server for."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fmkit.app.contrasting import MOST_EPOCHS, MOST_NETS, Contrasting, parameters_of
from fmkit.app.sessions import Session
from fmkit.app.uploads import told_in
from fmkit.cli._nets import check_torch
from fmkit.errors import InputError


class ContrastsRoom:
    """The nets of a session that are contrasted.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.contrasting: Contrasting | None = None
        self.version = 0
        session.at_end(self.stop)

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        return {"version": self.version, **({} if self.contrasting is None else self.contrasting.facts())}

    def run(self, nets: Any, epochs: Any) -> None:
        """Begin anew."""
        if not isinstance(nets, list) or not 1 <= len(nets) <= MOST_NETS or not all(isinstance(n, dict) for n in nets):
            raise InputError(f"from 1 to {MOST_NETS} nets are contrasted: reload the page")
        if isinstance(epochs, bool) or not isinstance(epochs, int) or not 1 <= epochs <= MOST_EPOCHS:
            raise InputError(f"epochs must be a number from 1 to {MOST_EPOCHS}, got {epochs!r}")
        check_torch()
        for wishes in nets:
            parameters_of(wishes)
        self.stop()
        self.contrasting = Contrasting(nets, epochs)
        self.version += 1  # from now on the page looks at the nets
        if self.session.closed:
            self.stop()

    def stop(self) -> None:
        """End all fits."""
        if self.contrasting is not None:
            self.contrasting.end()


def room(request: Request) -> ContrastsRoom:
    """The room of the session that a request names."""
    session: Session = request.app.state.sessions.of(request.path_params["session"])
    return session.room("contrasts", lambda: ContrastsRoom(session))


async def run(request: Request) -> Response:
    """Train nets beside each other."""
    here, told = room(request), await told_in(request)
    await run_in_threadpool(here.run, told.get("nets"), told.get("epochs"))
    return JSONResponse(here.facts())


async def stop(request: Request) -> Response:
    """End their training."""
    here = room(request)
    here.stop()
    return JSONResponse(here.facts())


ROUTES = [
    Route("/contrasts", run, methods=["POST"]),
    Route("/contrasts/stop", stop, methods=["POST"]),
]
