"""`fmkit report`: a model file as a page for somebody who was not there."""

from __future__ import annotations

from pathlib import Path

import click

from fmkit.cli._plots import check_matplotlib
from fmkit.cli._recommending import FILE, Notes


@click.command()
@click.argument("model", type=FILE)
@click.option("--out", type=FILE, required=True, metavar="FILE", help="The .html file to write.")
@click.option("--data", type=FILE, metavar="FILE", help="Judge the model by these rows, none of its own.")
@click.option("--target", metavar="COLUMN", help="The column of targets, where --data is a table.")
@click.option("--user", "users", multiple=True, metavar="ID", help="Whose list is shown; may be repeated.")
@click.option("--title", metavar="TEXT", help="By default the name of the file.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@click.option("--quiet", is_flag=True, help="No notes on stderr.")
def report(
    model: Path,
    out: Path,
    data: Path | None,
    target: str | None,
    users: tuple[str, ...],
    title: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write what MODEL is, and what it is worth, as one HTML file: data, fit, quality, examples, settings.

    MODEL is any file that fmkit saved. The page holds its pictures itself, runs no script and needs no network.

    With --data, the model is judged, beside baselines: by ratings or clicks with the columns of the fit, by a table
    with --target or a file of libFM, by labelled folders, or, of a restorer, by a clean picture that is damaged on
    purpose.

    \b
    fmkit report movies.fmkit --data tomorrow.csv --out report.html
    fmkit report people.fmkit --data others.csv --target income --out people.html
    fmkit report movies.fmkit --user 7 --user 12 --out report.html
    """
    from fmkit.errors import InputError
    from fmkit.files import check_writable, written_beside

    if out.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"--out writes .html files, {out.name} is none")
    check_matplotlib()
    check_writable(out)
    for read in filter(None, (model, data)):
        if out.exists() and read.exists() and out.samefile(read):
            raise InputError("this would overwrite what is read: choose another name", path=out)
    if out.is_file() and not overwrite:
        raise InputError("this file exists: choose another name, or replace it with --overwrite", path=out)
    from fmkit.report import report as page_of

    html = page_of(model, data=data, target=target, users=users, title=title)
    with written_beside(out) as part:
        part.write_text(html, encoding="utf-8")
    Notes(quiet)(f"{out}: {len(html) / 1000:,.0f} kB")
