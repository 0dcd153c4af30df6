"""What the commands around the recommender have in common: tables in, a fit or a model, notes."""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from fmkit.cli._sentences import ROLES, in_options
from fmkit.cli._tables import FORMATS
from fmkit.errors import InputError

if TYPE_CHECKING:
    from fmkit.recommend import Recommender

FILE = click.Path(path_type=Path)
STDIN = Path("-")
TABLES = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.bz2", ".csv.zst")  # of a folder

Command = Callable[..., Any]


class Number(click.FloatRange):
    """A number, within bounds where there are any; nan and infinity, which Python takes for some, are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click asks for it."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number that is finite.", param, ctx)
        return number


def takes_tables(command: Command) -> Command:
    """Options that say what is read."""
    for option in (
        click.option("--users", "users_path", type=FILE, metavar="FILE", help="What is known of users: a table, or -."),
        click.option(
            "--items",
            "items_path",
            type=FILE,
            metavar="FILE",
            help="What is known of items: titles, features; a table, or -.",
        ),
        click.option(
            "--columns",
            callback=lambda _, __, given: role_pairs(given, "--columns", ROLES),
            metavar="user=U,item=I,...",
            help=f"Columns with unusual names: {', '.join(ROLES)}.",
        ),
    ):
        command = option(command)
    return command


def takes_settings(command: Command) -> Command:
    """Options that say how it is fitted."""
    for option in (
        click.option(
            "--feedback",
            type=click.Choice(["auto", "explicit", "implicit"]),
            default="auto",
            show_default=True,
            help="Ratings, or views and purchases.",
        ),
        click.option("--factors", type=click.IntRange(1, 4096), metavar="N", help="Factors; by default as fits."),
        click.option("--sweeps", type=click.IntRange(min=1), metavar="N", help="Sweeps; by default as fits."),
        click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of all draws."),
        click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Threads; by default every core."),
    ):
        command = option(command)
    return command


takes_quality = click.option(
    "--quality",
    type=click.Choice(["fast", "balanced", "best"]),
    default="balanced",
    show_default=True,
    help="How well it is fitted.",
)


def prints(command: Command) -> Command:
    """Options that say what is printed."""
    command = click.option("--quiet", is_flag=True, help="No notes and no progress bars on stderr.")(command)
    formats = click.Choice(FORMATS)
    return click.option("--format", "form", type=formats, default="table", show_default=True, help="On stdout.")(
        command
    )


@dataclass
class Notes:
    """Sentences on stderr, unless they are not wanted."""

    quiet: bool

    def __call__(self, sentence: str) -> None:
        if not self.quiet:
            click.echo(f"fmkit: {in_options(sentence)}", err=True)


@dataclass(frozen=True)
class Tables:
    """What a command reads.

    Parameters
    ----------
    ratings : list of Path
    users, items : Path, or None
    new_users : Path, or None
        Ratings of people whom the fit does not see.
    columns : dict of role to column
    context : dict of column to value, or to None
        The columns of the context; a value is the one that lists are asked for.
    """

    ratings: list[Path]
    users: Path | None
    items: Path | None
    new_users: Path | None
    columns: dict[str, str]
    context: dict[str, str | None]

    @classmethod
    def of(cls, ratings: Sequence[Path], options: Mapping[str, Any]) -> Self:
        """From a command's arguments and options; contexts are NAME or NAME=VALUE."""
        pairs = [one.partition("=") for one in options.get("context", ())]
        context = {name: value if equals else None for name, equals, value in pairs}
        others: list[Path | None] = [options.get(name) for name in ("users_path", "items_path", "new_user")]
        if [*ratings, *others].count(STDIN) > 1:
            raise click.UsageError("- is what comes on stdin, which is read once: give the other tables as files")
        whole = expanded(ratings)
        users, items, new_users = (None if path is None else from_stdin(path) for path in others)
        for option, table in (("--users", users), ("--items", items)):
            if table and table.exists() and any(one.exists() and table.samefile(one) for one in whole):
                mend = f"{option} takes a table with a row for each {option[2:-1]}, not that of ratings"
                raise InputError(mend, path=table)
        return cls(whole, users, items, new_users, options["columns"], context)

    @property
    def asked(self) -> dict[str, str] | None:
        """The context that lists are for."""
        told = {name: value for name, value in self.context.items() if value is not None}
        if told and len(told) < len(self.context):
            missing = next(name for name in self.context if name not in told)
            raise click.UsageError(f"--context {missing} needs a value as well: --context {missing}=VALUE")
        return told or None

    def given(self) -> dict[str, Any]:
        """Arguments of `Recommender.fit` beside the interactions, as far as there are any."""
        names: dict[str, Any] = {role: name for role, name in self.columns.items() if role != "title"}
        tables = {"users": self.users, "items": self._items(), "context": list(self.context) or None}
        return names | {name: table for name, table in tables.items() if table is not None}

    def _items(self) -> Any:
        """The table of items, whose titles may stand in a column of an unusual name."""
        title = self.columns.get("title")
        if self.items is None or title is None:
            return self.items
        from fmkit.recommend.columns import find_columns
        from fmkit.recommend.tables import TableFile, read_whole

        names = TableFile.open(self.items).names
        given = {role: name for role, name in self.columns.items() if role == "title" or name in names}
        item, _ = find_columns(names, ("item", "title"), given, path=self.items)
        table = read_whole(self.items, [item])
        return table.rename_columns(["title" if name == title else name for name in names])

    def item_columns(self) -> list[str]:
        """Names of the columns of the table of items, as far as they are known before anything is read."""
        from fmkit.recommend.tables import TableFile

        title = self.columns.get("title")
        if self.items is None:
            return [self.columns.get("item", "item")]
        return ["title" if name == title else name for name in TableFile.open(self.items).names]

    def check_apart(self, *written: Path | None) -> None:
        """Raise if a file is written that is read."""
        read = [*self.ratings, *filter(None, (self.users, self.items, self.new_users))]
        for out in filter(None, written):
            if out.exists() and any(path.exists() and out.samefile(path) for path in read):
                raise InputError("this file would be overwritten, and it is read: choose another name", path=out)


def unfitted(options: Mapping[str, Any], **others: Any) -> Recommender:
    """A recommender of a command's settings."""
    from fmkit.recommend import Recommender

    return Recommender(
        feedback=options["feedback"],
        quality=options.get("quality", "balanced"),
        n_factors=options["factors"],
        max_iter=options["sweeps"],
        n_jobs=options["jobs"],
        random_state=options["seed"],
        **others,
    )


def fitted(tables: Tables, notes: Notes, options: Mapping[str, Any]) -> Recommender:
    """A recommender of the tables; what it found and chose goes to stderr."""
    recommender = unfitted(options, verbose=int(not notes.quiet and sys.stderr.isatty()))
    recommender.fit(tables.ratings, **tables.given())
    for told in recommender.told_:
        notes(told)
    return recommender


def loaded(path: Path) -> Recommender:
    """A recommender from a model file."""
    from fmkit import load
    from fmkit.recommend import Recommender

    recommender = load(path)
    if not isinstance(recommender, Recommender):
        raise InputError(f"this model is a {type(recommender).__name__}, a recommender is needed", path=path)
    return recommender


def with_items(recommender: Recommender, path: Path, notes: Notes) -> None:
    """Let a loaded recommender name and filter its items by a table that its fit did not have."""
    import pyarrow.compute as pc

    from fmkit.recommend.entities import Entities

    known = recommender.items_
    told = Entities.of(known.ids, path, "item", recommender.columns_.item)
    assert told.table is not None
    known_too = len(told.table) - len(known)  # ids that only the table has follow
    described = int(pc.sum(pc.is_valid(told.table.column(0).slice(0, len(known)))).as_py() or 0)
    if described < len(known) / 2:
        notes(f"{path} tells of {described:,} of the {len(known):,} items, and of {known_too:,} others: is it theirs?")
    recommender.items_ = replace(known, table=told.table.slice(0, len(known)), id_column=told.id_column)


def expanded(paths: Sequence[Path]) -> list[Path]:
    """Folders as the tables in them, and - as what comes on stdin."""
    found: list[Path] = []
    for path in paths:
        if path == STDIN:
            found.append(from_stdin(path))
        elif path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.name.endswith(TABLES) and file.is_file())
            if not inside:
                raise InputError(f"the folder holds no table ({', '.join(TABLES[:4])})", path=path)
            found += inside
        else:
            found.append(path)
    return found


def role_pairs(given: str | None, option: str, allowed: Sequence[str]) -> dict[str, str]:
    """ROLE=COLUMN,... as a mapping."""
    pairs = [pair.partition("=") for pair in given.split(",")] if given else []
    for role, equals, name in pairs:
        if role not in allowed or not equals or not name:
            raise click.UsageError(
                f"{option} takes ROLE=COLUMN with the roles {', '.join(allowed)}, got '{role}{equals}{name}'"
            )
    return {role: name for role, _, name in pairs}


def from_stdin(path: Path) -> Path:
    """The path or, of -, that of what comes on stdin, gone with the process: tables are read more than once."""
    import atexit

    if path != STDIN:
        return path
    with tempfile.NamedTemporaryFile(prefix="fmkit-", suffix=".table", delete=False) as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    spooled = Path(file.name)
    atexit.register(spooled.unlink, missing_ok=True)
    return spooled
