"""`fmkit recommend`: from tables, or a saved model, to top-N lists with their reasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fmkit.cli._recommending import (
    FILE,
    Notes,
    Number,
    Tables,
    fitted,
    loaded,
    prints,
    takes_settings,
    takes_tables,
    with_items,
)
from fmkit.cli._tables import print_arrow

if TYPE_CHECKING:
    from fmkit.recommend import Recommender


def _limits(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, int] | None:
    limits = {}
    for one in given:
        name, _, n = one.rpartition("=")
        if not name or not n.isdigit() or int(n) < 1:
            raise click.UsageError(f"--at-most takes COLUMN=N with N at least 1, got '{one}'")
        limits[name] = int(n)
    return limits or None


def _risk(ctx: click.Context, param: click.Parameter, given: str | None) -> float | str | None:
    if given is None or given == "explore":
        return given
    try:
        return Number().convert(given, param, ctx)
    except click.BadParameter:
        raise click.UsageError(f"--risk takes a number or explore, got '{given}'") from None


OF_A_FIT = ("feedback", "quality", "factors", "sweeps", "seed", "users_path")


@click.command()
@click.argument("ratings", nargs=-1, type=FILE)
@click.option("--user", "users", multiple=True, metavar="ID", help="A user to recommend to; may be repeated.")
@click.option("--new-user", type=FILE, metavar="FILE", help="Ratings of people whom the fit does not see.")
@click.option("--all-users", is_flag=True, help="Write every user's list to --out.")
@click.option("--out", type=FILE, metavar="FILE", help="The .csv, .parquet or .ndjson file for --all-users.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), metavar="N", help="Items a list.")
@takes_tables
@click.option(
    "--context", multiple=True, metavar="NAME[=VALUE]", help="A column of the context, and the one asked for."
)
@click.option("--filter", "condition", metavar="TEXT", help="Only items like \"year >= 1990 and 'Comedy' in genres\".")
@click.option(
    "--at-most",
    multiple=True,
    callback=_limits,
    metavar="COLUMN=N",
    help="No more than N items of a kind in a list.",
)
@click.option("--diversity", default=0.0, type=Number(0, 1), metavar="X", help="0 to 1: how unlike items are.")
@click.option("--pin", multiple=True, metavar="ID", help="An item that stands first in every list.")
@click.option("--risk", callback=_risk, metavar="X", help="Standard deviations taken off ratings (2), or explore.")
@click.option("--include-seen", is_flag=True, help="List items that the user has already, too.")
@click.option("--why/--no-why", default=None, help="Reasons; by default on stdout alone.")
@click.option("--model", "model_path", type=FILE, metavar="FILE", help="Use a saved model instead of fitting one.")
@click.option("--save", "save_path", type=FILE, metavar="FILE", help="Keep the model in this file.")
@click.option(
    "--quality",
    type=click.Choice(["fast", "balanced", "best"]),
    help="How well it is fitted; by default fast for lists on stdout, balanced for files.",
)
@takes_settings
@prints
def recommend(ratings: tuple[Path, ...], **options: Any) -> None:
    """Recommend items from RATINGS: tables (CSV, TSV, Parquet; also .gz, folders, - for stdin) of ratings or clicks.

    Columns are found by their usual names. Ratings are ranked by the rating expected less two standard deviations, so
    that items which few liked much do not come first. With --model nothing is fitted; RATINGS beside it are today's
    rows, which the model takes in.

    \b
    fmkit recommend ratings.csv --items movies.csv --user 7 --save movies.fmkit
    fmkit recommend --model movies.fmkit --user 7 --user 12 --filter "year > 2000" --format json
    fmkit recommend --model movies.fmkit --new-user mine.csv
    fmkit recommend ratings.parquet --all-users --out lists.parquet
    """
    _check_usage(bool(ratings), options)
    _check_writable(options)
    notes = Notes(options["quiet"])
    tables = Tables.of(ratings, options)
    out, save_path = options["out"], options["save_path"]
    tables.check_apart(out, save_path)
    asked, wishes = tables.asked, _wishes(options)
    _check_names(tables, options)

    recommender = _recommender(tables, notes, options)
    if save_path:
        from fmkit import save

        save(recommender, save_path)
    if options["users"]:
        _print_known(recommender, wishes, asked, notes, options)
    if options["new_user"]:
        _print_new(recommender, tables.new_users, wishes, asked, options)
    if out:
        _write_lists(recommender, wishes, asked, options)


def _check_usage(source: bool, options: dict[str, Any]) -> None:
    users, whom = options["users"], ("users", "new_user", "all_users", "save_path")
    if not source and not options["model_path"]:
        raise click.UsageError("name a table of ratings, or a saved model with --model")
    if not any(options[name] for name in whom):
        raise click.UsageError(
            "say for whom with --user ID, --new-user FILE or --all-users, or keep it with --save FILE"
        )
    if options["all_users"] != bool(options["out"]):
        raise click.UsageError("--all-users and --out FILE belong together")
    for option, ids in (("--user", users), ("--pin", options["pin"])):
        for position, one in enumerate(ids):
            if one in ids[:position]:
                raise click.UsageError(f"{option} {one} is given twice")
    context = click.get_current_context()
    for name in OF_A_FIT:
        if options["model_path"] and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = name.removesuffix("_path")
            raise click.UsageError(f"--{option} is for a fit, but with --model nothing is fitted")


def _check_writable(options: dict[str, Any]) -> None:
    """Raise, before hours of work, what would be raised after them."""
    if options["out"]:
        from fmkit.recommend.lists import check_lists_path

        check_lists_path(options["out"])
    if options["save_path"]:
        from fmkit.files import check_writable

        check_writable(options["save_path"])


def _check_names(tables: Tables, options: dict[str, Any]) -> None:
    """Raise, before the fit, what a filter or a limit that names no column would raise after it."""
    if options["model_path"]:
        return
    from fmkit.recommend.filters import check_filter, no_column

    names = tables.item_columns()
    if options["condition"] is not None:
        check_filter(options["condition"], names)
    for name in options["at_most"] or ():
        if name not in names:
            raise no_column("at_most", name, names)


def _wishes(options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Recommender.recommend`."""
    return {
        "n": options["top"],
        "exclude_seen": not options["include_seen"],
        "filter": options["condition"],
        "diversity": options["diversity"],
        "at_most": options["at_most"],
        "pinned": list(options["pin"]) or None,
        "risk": options["risk"],
        "random_state": options["seed"],
    }


def _recommender(tables: Tables, notes: Notes, options: dict[str, Any]) -> Recommender:
    if not options["model_path"]:
        kept = options["save_path"] or options["out"]
        quality = options["quality"] or ("balanced" if kept else "fast")
        recommender = fitted(tables, notes, {**options, "quality": quality})
        if not kept and options["quality"] is None and recommender.feedback_ == "explicit":
            notes("this was a fast fit for a first look: --quality balanced is more accurate")
        return recommender
    recommender = loaded(options["model_path"])
    recommender.n_jobs = options["jobs"]
    if tables.ratings:
        recommender.partial_fit(tables.ratings)
        notes(recommender.told_[-1])
    if tables.items:
        with_items(recommender, tables.items, notes)
    return recommender


def _print_known(
    recommender: Recommender, wishes: dict[str, Any], asked: Any, notes: Notes, options: dict[str, Any]
) -> None:
    users = options["users"]
    for user, code in zip(users, recommender.users_.ids.encode(list(users)), strict=True):
        if code < 0:
            notes(f"user {user} is unknown: the list is what everyone likes best")
    lists = recommender.recommend(list(users), context=asked, explain=options["why"] is not False, **wishes)
    listed = {str(user) for user in lists.column("user").to_pylist()}
    for user in users:
        if user not in listed:
            notes(f"nothing is left to recommend to user {user}")
    alone = len(users) == 1 and options["form"] == "table"
    print_arrow(lists.drop_columns(["user"]) if alone else lists, options["form"], digits=4)


def _print_new(
    recommender: Recommender, path: Path | None, wishes: dict[str, Any], asked: Any, options: dict[str, Any]
) -> None:
    from fmkit.recommend.columns import usual_column
    from fmkit.recommend.tables import TableFile, read_whole

    assert path is not None
    people: Any = path
    names, user = TableFile.open(path).names, recommender.columns_.user
    if user not in names and usual_column(names, "user") is None:
        item = recommender.columns_.item or usual_column(names, "item")
        table = read_whole(path, [item] if item in names else [])  # of one person, who needs no name
        people = table.append_column(user or "user", [["new"] * len(table)])
    lists = recommender.recommend_for(people, context=asked, explain=options["why"] is not False, **wishes)
    print_arrow(lists, options["form"], digits=4)


def _write_lists(recommender: Recommender, wishes: dict[str, Any], asked: Any, options: dict[str, Any]) -> None:
    from tqdm import tqdm

    from fmkit.recommend.lists import write_lists

    def batches() -> Iterator[Any]:
        with tqdm(desc="write", unit=" lists", unit_scale=True, disable=True if options["quiet"] else None) as bar:
            for batch in recommender.recommend_batches(context=asked, explain=bool(options["why"]), **wishes):
                yield batch
                bar.update(int((batch["rank"].to_numpy() == 1).sum()))

    write_lists(options["out"], batches())
