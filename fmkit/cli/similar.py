"""`fmkit similar`: items, or users, whose factors point the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fmkit.cli._recommending import (
    FILE,
    Notes,
    Tables,
    fitted,
    loaded,
    prints,
    takes_quality,
    takes_settings,
    takes_tables,
)
from fmkit.cli._tables import print_arrow


@click.command()
@click.argument("ratings", nargs=-1, type=FILE)
@click.option("--item", "items", multiple=True, metavar="ID", help="An item; may be repeated.")
@click.option("--user", "users", multiple=True, metavar="ID", help="Or a user; may be repeated.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), metavar="N", help="Of each.")
@click.option("--model", "model_path", type=FILE, metavar="FILE", help="Use a saved model instead of fitting one.")
@takes_quality
@takes_tables
@takes_settings
@prints
def similar(ratings: tuple[Path, ...], **options: Any) -> None:
    """What is similar, by a model of RATINGS or a saved one.

    \b
    fmkit similar --model movies.fmkit --item 1
    fmkit similar ratings.csv --items movies.csv --user 7 --top 5
    """
    if bool(ratings) == bool(options["model_path"]):
        raise click.UsageError("name tables of ratings, or a saved model with --model")
    if bool(options["items"]) == bool(options["users"]):
        raise click.UsageError("say to what with --item ID, or to whom with --user ID")
    notes = Notes(options["quiet"])
    if options["model_path"]:
        recommender = loaded(options["model_path"])
    else:
        recommender = fitted(Tables.of(ratings, options), notes, options)
    if options["items"]:
        found = recommender.similar_items(list(options["items"]), options["top"])
    else:
        found = recommender.similar_users(list(options["users"]), options["top"])
    print_arrow(found, options["form"], digits=4)
