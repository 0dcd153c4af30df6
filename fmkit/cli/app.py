"""`fmkit app`: a page of this computer's own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from fmkit.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="By default a free one.")
@click.option("--no-browser", is_flag=True, help="Open no browser; the address is printed.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another lets others in, with a password.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Its first line is asked for by the browser.",
)
def app(port: int, no_browser: bool, host: str, password_file: Path | None) -> None:
    """Open a page to restore pictures, to get recommendations and to ask nets, until Ctrl-C.

    It is served to this computer alone, and loads nothing from elsewhere. What is uploaded goes to a temporary folder,
    which is removed when the tab is closed.

    \b
    fmkit app
    fmkit app --port 8000 --no-browser
    """
    if host not in LOOPBACK and password_file is None:
        raise click.UsageError(f"--host {host} lets others in: give a password with --password-file FILE")
    password = None if password_file is None else password_in(password_file)
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise InputError(f"the page needs {' and '.join(missing)}: pip install 'fmkit[app]'")

    from fmkit.app.server import serve

    def ready(address: str) -> None:
        click.echo(f"fmkit: the page is at {address} until Ctrl-C", err=True)
        if not no_browser:
            import webbrowser

            webbrowser.open(address)

    serve(host, port, password, ready)


def password_in(path: Path) -> str:
    """The first line of a file.

    Raises
    ------
    InputError
        If it is empty or too short to keep anybody out.
    OSError
        If it cannot be read.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or len(lines[0]) < 8:
        raise InputError("the first line is the password, of at least 8 letters", path=path)
    return lines[0]
