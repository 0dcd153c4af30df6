"""`fmkit recommend`: from a table of ratings, or a saved model, to top-N lists with their reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from fmkit.cli._reasons import in_words
from fmkit.cli._tables import FORMATS, print_table
from fmkit.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from fmkit.recommend import RatingsTable, Recommender

FILE = click.Path(path_type=Path)
SHORT = 30  # letters of a title inside a reason
ROLES = ("user", "item", "rating", "title")


@click.command()
@click.argument("ratings", nargs=-1, type=FILE)
@click.option("--user", "users", multiple=True, metavar="ID", help="A user to recommend to; may be repeated.")
@click.option("--all-users", is_flag=True, help="Write every user's list to --out.")
@click.option("--out", type=FILE, metavar="FILE", help="The .csv or .parquet file for --all-users.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), metavar="N", help="Items a list.")
@click.option("--items", "items_path", type=FILE, metavar="FILE", help="A table with the items' titles.")
@click.option("--columns", metavar="user=U,item=I,rating=R,title=T", help="Columns with unusual names.")
@click.option("--include-seen", is_flag=True, help="List items that the user rated already, too.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="On stdout.")
@click.option("--model", "model_path", type=FILE, metavar="FILE", help="Use a saved model instead of fitting one.")
@click.option("--save", "save_path", type=FILE, metavar="FILE", help="Keep the model in this file.")
@click.option("--solver", type=click.Choice(["als", "sgd"]), default="als", show_default=True, help="How to fit.")
@click.option("--factors", default=16, show_default=True, type=click.IntRange(0, 4096), help="Factors of an item.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of the random start.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Threads; by default every core, for SGD one.")
@click.option("--quiet", is_flag=True, help="No notes and no progress bars on stderr.")
def recommend(
    ratings: tuple[Path, ...],
    users: tuple[str, ...],
    all_users: bool,
    out: Path | None,
    top: int,
    items_path: Path | None,
    columns: str | None,
    include_seen: bool,
    form: str,
    model_path: Path | None,
    save_path: Path | None,
    solver: Literal["als", "sgd"],
    factors: int,
    seed: int,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Recommend items from RATINGS: tables (CSV, TSV, Parquet; also .gz) with a user, an item and a rating a row.

    Columns are found by their usual names. With --model nothing is fitted: the users and what they rated come from
    RATINGS or, without, from the model. Items are ranked by the predicted rating less two standard errors, so that
    those which few liked much do not come first.

    \b
    fmkit recommend ratings.csv --items movies.csv --user 7 --save movies.fmkit
    fmkit recommend --model movies.fmkit --items movies.csv --user 7 --user 12 --format json
    fmkit recommend --model movies.fmkit --all-users --out lists.parquet
    """
    _check_usage(bool(ratings or model_path), users, all_users, out, save_path)
    names = _named_columns(columns)

    def note(sentence: str) -> None:
        if not quiet:
            click.echo(f"fmkit: {sentence}", err=True)

    from fmkit.files import check_writable
    from fmkit.recommend.lists import check_lists_path

    if out:
        check_lists_path(out)
    if save_path:
        check_writable(save_path)
    for written in filter(None, (out, save_path)):
        for read in filter(None, (*ratings, items_path, model_path)):
            if written.exists() and read.exists() and written.samefile(read):
                raise InputError("this file would be overwritten, and it is read: choose another name", path=written)

    table = _read(ratings, names, note, quiet) if ratings else None

    from fmkit.recommend import Recommender, read_titles

    if model_path:
        recommender = _load(model_path)
        recommender.n_jobs = jobs
        if table is not None:
            recommender = _fold_in(recommender, table, note)
        titles = read_titles(items_path, recommender.items, names) if items_path else None
    elif table is not None:
        titles = read_titles(items_path, table.items, names) if items_path else None  # a wrong file is told at once
        recommender = Recommender(
            n_factors=factors, solver=solver, n_jobs=jobs, random_state=seed, verbose=int(not quiet)
        ).fit(table)

    if titles is not None and titles.null_count == len(titles):
        note(f"{items_path} names none of the items: are its ids written as in the ratings?")
    if save_path:
        from fmkit import save

        save(recommender, save_path)
    if users:
        _print_lists(recommender, users, top, include_seen, titles, form, note)
    if out:
        _write_lists(recommender, out, top, include_seen, titles, quiet)


def _check_usage(source: bool, users: tuple[str, ...], all_users: bool, out: Path | None, save: Path | None) -> None:
    if not source:
        raise click.UsageError("name a table of ratings, or a saved model with --model")
    if not (users or all_users or save):
        raise click.UsageError("say for whom with --user ID or --all-users, or keep the model with --save FILE")
    if all_users != bool(out):
        raise click.UsageError("--all-users and --out FILE belong together")
    for position, user in enumerate(users):
        if user in users[:position]:
            raise click.UsageError(f"--user {user} is given twice")
    context = click.get_current_context()
    for name in ("solver", "factors", "seed"):
        if context.params["model_path"] and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is for a fit, but with --model nothing is fitted")


def _named_columns(columns: str | None) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in columns.split(",")] if columns else []
    for role, equals, name in pairs:
        if role not in ROLES or not equals or not name:
            raise click.UsageError(
                f"--columns takes ROLE=COLUMN with the roles {', '.join(ROLES)}, got '{role}{equals}{name}'"
            )
    return {role: name for role, _, name in pairs}


def _read(paths: tuple[Path, ...], names: dict[str, str], note: Callable[[str], None], quiet: bool) -> RatingsTable:
    from tqdm import tqdm

    from fmkit.recommend import read_ratings

    with tqdm(desc="read", unit=" ratings", unit_scale=True, disable=True if quiet else None) as bar:
        table = read_ratings(paths, names, bar.update)
    if table.n_replaced:
        note(f"ratings left out because the same user rated the same item again, later: {table.n_replaced:,}")
    return table


def _load(path: Path) -> Recommender:
    from fmkit import load
    from fmkit.recommend import Recommender

    recommender = load(path)
    if not isinstance(recommender, Recommender):
        raise InputError(f"this model is a {type(recommender).__name__}, a recommender is needed", path=path)
    return recommender


def _fold_in(recommender: Recommender, table: RatingsTable, note: Callable[[str], None]) -> Recommender:
    folded = recommender.fold_in(table)
    if len(folded.ratings_) < len(table):
        note(f"ratings left out because the model does not know their items: {len(table) - len(folded.ratings_):,}")
    return folded


def _print_lists(
    recommender: Recommender,
    users: tuple[str, ...],
    top: int,
    include_seen: bool,
    titles: pa.Array | None,
    form: str,
    note: Callable[[str], None],
) -> None:
    for user, code in zip(users, recommender.users.encode(users), strict=True):
        if code < 0:
            note(f"user {user} is unknown: the list is what everyone likes best")

    def name_of(item: int) -> str:
        title = titles[item].as_py() if titles is not None else None
        name = str(recommender.items.ids[item] if title is None else title)
        return name if form != "table" or len(name) <= SHORT else name[: SHORT - 1].rstrip() + "…"

    columns = ["user", "rank", "item", *([] if titles is None else ["title"]), "predicted", "reason"]
    rows = []
    for user in users:
        lists = recommender.recommend([user], top, exclude_seen=not include_seen)
        if not len(lists):
            note(f"user {user} has rated every item: nothing is left to recommend")
        items = lists["item"].combine_chunks()
        reasons = recommender.explain(user, items)
        for row, code, reason in zip(lists.to_pylist(), recommender.items.encode(items), reasons, strict=True):
            title = [] if titles is None else [titles[code].as_py()]
            predicted = round(row["predicted"], 4)  # of a float32: more digits are noise
            rows.append([row["user"], row["rank"], row["item"], *title, predicted, in_words(reason, name_of)])
    if form == "table" and len(users) == 1:
        columns, rows = columns[1:], [row[1:] for row in rows]
    print_table(columns, rows, form)


def _write_lists(
    recommender: Recommender, out: Path, top: int, include_seen: bool, titles: pa.Array | None, quiet: bool
) -> None:
    from tqdm import tqdm

    from fmkit.recommend.lists import write_lists

    def batches() -> Iterator[Any]:
        with tqdm(desc="write", unit=" lists", unit_scale=True, disable=True if quiet else None) as bar:
            for batch in recommender.recommend_batches(None, top, exclude_seen=not include_seen):
                n_lists = int((batch["rank"].to_numpy() == 1).sum())
                if titles is not None:
                    codes = recommender.items.encode(batch["item"])
                    batch = batch.add_column(3, "title", titles.take(codes))
                yield batch
                bar.update(n_lists)

    write_lists(out, batches())
