"""Who may ask the server: pages of its own, by the names that it is called by, with the password if there is one."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Collection

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # Nothing but what this server sends is loaded, and no other page may frame this one.
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """Refuses names of other hosts (whose pages were turned to this address), other origins, and strangers.

    Parameters
    ----------
    app : ASGI application
    hosts : collection of str, or None
        Names, without ports, that the server may be called by; None for any.
    password : str, optional
        Asked for by the browser; the user's name does not matter.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, password: str | None = None) -> None:
        self.app, self.hosts, self.password = app, hosts, password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI asks for it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        answer = self._refusal(HTTPConnection(scope))
        await (answer or self.app)(scope, receive, send_with_headers)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        host = request.headers.get("host", "")
        if self.hosts is not None and host.rpartition(":")[0].strip("[]") not in self.hosts:
            return PlainTextResponse("this server is called by another name", 421)
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("pages of other servers may not ask this one", 403)
        if self.password is not None and not self._knows_password(request.headers.get("authorization", "")):
            return PlainTextResponse("a password is needed", 401, {"www-authenticate": 'Basic realm="fmkit"'})
        return None

    def _knows_password(self, told: str) -> bool:
        assert self.password is not None
        kind, _, coded = told.partition(" ")
        try:
            given = base64.b64decode(coded, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
        return kind.lower() == "basic" and secrets.compare_digest(given, self.password.encode())
