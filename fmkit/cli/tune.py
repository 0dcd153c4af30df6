"""`fmkit tune`: better settings within so many minutes, and the model that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fmkit.cli._recommending import FILE, Notes, Number, Tables, prints, takes_settings, takes_tables, unfitted
from fmkit.cli._tables import print_arrow
from fmkit.cli.evaluate import RULES


@click.command()
@click.argument("ratings", nargs=-1, required=True, type=FILE)
@click.option("--minutes", default=10.0, show_default=True, type=Number(0, min_open=True), help="To search.")
@click.option("--save", "save_path", required=True, type=FILE, metavar="FILE", help="Keep the model in this file.")
@click.option(
    "--state", type=FILE, metavar="FILE", help="Keep finished trials here: a search that was cut off goes on."
)
@click.option("--split", "how", type=click.Choice(RULES), help="How the part that chooses is set aside.")
@click.option("--metric", metavar="NAME", help="What is made better; by default rmse, and ndcg@10 of clicks.")
@click.option("--context", multiple=True, metavar="NAME", help="A column of the context.")
@takes_tables
@takes_settings
@prints
def tune(ratings: tuple[Path, ...], **options: Any) -> None:
    """Search for better settings on a part of RATINGS set aside, and fit the best to all of them.

    What was tried is printed. Ctrl-C ends the search, and the best so far is fitted and kept.

    \b
    fmkit tune ratings.csv --items movies.csv --minutes 10 --save movies.fmkit
    fmkit tune ratings.csv --minutes 60 --state trials.jsonl --save movies.fmkit
    """
    notes = Notes(options["quiet"])
    tables = Tables.of(ratings, options)
    tables.check_apart(options["save_path"], options["state"])

    from fmkit.files import check_writable

    check_writable(options["save_path"])

    from fmkit import save
    from fmkit.recommend import tune as search

    how = {name: options[name] for name in ("minutes", "state", "how", "metric")}
    how |= {"n_jobs": options["jobs"], "random_state": options["seed"], "verbose": int(not notes.quiet)}
    result = search(unfitted(options), tables.ratings, **tables.given(), **how)
    save(result.recommender_, options["save_path"])
    print_arrow(result.trail, options["form"])
    for sentence in result.notes:
        notes(sentence)
    best = ", ".join(f"{name}={value!r}" for name, value in result.best.items()) or "the settings as given"
    notes(f"the best, {best}, is in {options['save_path']}")
