"""The server: pages, sessions and their rooms; errors that a person can mend as their sentences."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyvips
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fmkit.app import classify_room, contrasts_room, recommend_room, restore_room
from fmkit.app.guard import Guard
from fmkit.app.pictures import MOST_MEGAPIXELS
from fmkit.app.restoring import MENDABLE, Queue, warm_up
from fmkit.app.sessions import Sessions
from fmkit.app.uploads import MOST_BYTES
from fmkit.cli._sentences import sentence_of

ROOMS = (restore_room, recommend_room, classify_room, contrasts_room)
PAGE = Path(__file__).parent / "page"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TICK = 0.1  # seconds between two looks at what has changed


def application(
    hosts: Collection[str] | None = LOOPBACK, password: str | None = None, grace: float = 15.0
) -> Starlette:
    """The page, to be served.

    Parameters
    ----------
    hosts : collection of str, or None
        Names that it may be called by; None for any.
    password : str, optional
        That the browser asks for.
    grace : float, default=15
        Seconds after which the work of a closed tab ends.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="fmkit-app-", ignore_cleanup_errors=True) as folder:
            app.state.queue, app.state.sessions = Queue(), Sessions(Path(folder), grace)
            sweeping = asyncio.create_task(_sweep(app.state.sessions))
            yield
            sweeping.cancel()
            app.state.sessions.close()
            app.state.queue.close()

    handlers: dict[Any, Any] = dict.fromkeys(MENDABLE, _told)
    routes = [
        Route("/", _page),
        Route("/session", _begin, methods=["POST"]),
        Route("/s/{session}/events", _events),
        Mount("/s/{session}", routes=[route for room in ROOMS for route in room.ROUTES]),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    guard = Middleware(Guard, hosts=hosts, password=password)
    app = Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=lifespan)
    app.state.ending = lambda: False
    return app


def server_of(app: Starlette) -> uvicorn.Server:
    """A server that does not wait, when it ends, for pages that watch."""
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2, server_header=False)
    server = uvicorn.Server(config)
    app.state.ending = lambda: server.should_exit
    return server


def serve(host: str, port: int, password: str | None, ready: Callable[[str], object]) -> None:
    """Serve until Ctrl-C.

    Parameters
    ----------
    host : str
    port : int
        0 for a free one.
    password : str or None
    ready : callable
        Called with the address once it answers.
    """
    server = server_of(application(LOOPBACK if host in LOOPBACK else None, password))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}/"

        pyvips.block_untrusted_set(True)  # no reader of libvips but those for what comes from anywhere
        pyvips.cache_set_max(0)  # or pictures that are done with would stay in memory

        def tell() -> None:
            while not (server.started or server.should_exit):
                time.sleep(0.02)
            ready(address)
            warm_up()

        threading.Thread(target=tell, daemon=True).start()
        server.run([listening])


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(min(1.0, sessions.grace))
        sessions.sweep()


async def _page(request: Request) -> Response:
    return FileResponse(PAGE / "index.html")


async def _begin(request: Request) -> Response:
    token = request.app.state.sessions.begin()
    return JSONResponse({"session": token, "most_bytes": MOST_BYTES, "most_megapixels": MOST_MEGAPIXELS})


async def _events(request: Request) -> Response:
    """What has changed, as it changes; while this is read, the session lives."""
    session = request.app.state.sessions.of(request.path_params["session"])

    async def changes() -> AsyncIterator[str]:
        session.watchers += 1
        try:
            last, quiet = "", 0
            while not (session.closed or request.app.state.ending() or await request.is_disconnected()):
                now = json.dumps({name: room.facts() for name, room in list(session.rooms.items())})
                quiet += 1
                if now != last or quiet > 30:  # a line now and then, or a closed tab would not be noticed
                    yield f"data: {now}\n\n"
                    last, quiet = now, 0
                await asyncio.sleep(TICK)
        finally:
            session.watchers -= 1
            session.left_at = time.monotonic()

    return StreamingResponse(changes(), media_type="text/event-stream")


async def _told(request: Request, error: Exception) -> Response:
    """A sentence, without the folder that the file lies in."""
    sentence = sentence_of(error)
    sessions = request.app.state.sessions
    session = sessions.peek(str(request.path_params.get("session", "")))
    if session is not None:
        sentence = session.told(sentence)
    return JSONResponse({"error": sentence}, 400)
