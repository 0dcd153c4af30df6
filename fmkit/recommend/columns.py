"""Which column of a table holds the users, the items, the ratings and the titles."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from fmkit.errors import InputError

# Names as published rating tables use them, the plainest first, without case, spaces and punctuation.
NAMES = {
    "user": "user userid uid username member memberid customer customerid reader readerid reviewer reviewerid "
    "listener listenerid visitor visitorid player playerid account accountid profile profileid person personid",
    "item": "item itemid iid movie movieid film filmid book bookid isbn isbn13 asin parentasin product productid "
    "song songid track trackid artist artistid album albumid game gameid anime animeid joke jokeid recipe recipeid "
    "business businessid article articleid show showid",
    "rating": "rating ratings score scores stars star value overall grade mark userrating bookrating movierating "
    "reviewscore reviewoverall preference",
    "time": "timestamp time date datetime when ratedat createdat unixtime reviewtime unixreviewtime ratingtimestamp "
    "ratedate ratingdate reviewdate eventtime eventdate eventtimestamp playedat watchedat orderdate purchasedate",
    "title": "title name itemtitle itemname movietitle moviename filmtitle booktitle bookname producttitle productname "
    "songtitle songname tracktitle trackname artistname albumtitle gametitle animetitle originaltitle label",
}


def find_columns(
    present: Sequence[str], roles: Sequence[str], given: Mapping[str, str] | None = None, *, path: str | Path
) -> list[str]:
    """The column of each role: the one given, or the first whose name is among the role's usual names.

    Parameters
    ----------
    present : sequence of str
        Columns of the table.
    roles : sequence of {"user", "item", "rating", "title"}
    given : mapping of role to column name, optional
        Exact names, which go before the usual ones.
    path : str or Path
        The table, for the message.

    Raises
    ------
    InputError
        If a role has no column, or shares it with another; the message tells the names looked for and those that exist.
    """
    given = given or {}
    found = []
    for role in roles:
        if role in given:
            if given[role] not in present:
                raise InputError(
                    f"there is no column '{given[role]}' for {role}, the table has {_listed(present)}", path=path
                )
            found.append(given[role])
            continue
        usual = usual_column(present, role)
        if usual is None:
            raise InputError(
                f"no column for {role} was found: looked for {', '.join(NAMES[role].split()[:8])} and the like, "
                f"the table has {_listed(present)}: name one ({role}=COLUMN), or add a header line",
                path=path,
            )
        found.append(usual)
    for column in found:
        if present.count(column) > 1:
            raise InputError(f"the table has {present.count(column)} columns named '{column}'", path=path)
    for (role, column), (other, again) in itertools.combinations(zip(roles, found, strict=True), 2):
        if column == again:
            raise InputError(f"column '{column}' cannot hold both {role} and {other}", path=path)
    return found


def usual_column(present: Sequence[str], role: str) -> str | None:
    """The column of the plainest of a role's usual names; None if there is none."""
    plain = {}
    for name in reversed(present):  # of two columns whose names come to the same, the left one counts
        plain["".join(letter for letter in name.casefold() if letter.isalnum())] = name
    return next((plain[name] for name in NAMES[role].split() if name in plain), None)


def _listed(names: Sequence[str]) -> str:
    shown = [name if len(name) <= 40 else name[:39] + "…" for name in names[:12]]
    return ", ".join(repr(name) for name in shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
