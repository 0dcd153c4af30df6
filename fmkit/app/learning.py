"""Fits that the page asks for: of which tables, and as which words of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

from fmkit.app.apart import Tell
from fmkit.cli._sentences import in_options
from fmkit.errors import InputError

ROLES = ("user", "item", "rating", "time")


@dataclass(frozen=True)
class Task:
    """What is to be learned from which tables.

    Parameters
    ----------
    ratings : Path
    items : Path, or None
    columns : dict of role to column
        Of the ratings.
    feedback : {"auto", "explicit", "implicit"}
    quality : {"fast", "balanced", "best"}
    """

    ratings: Path
    items: Path | None
    columns: dict[str, str]
    feedback: str
    quality: str

    @classmethod
    def of(cls, tables: Mapping[str, Path], columns: Any, quality: Any, feedback: Any) -> Self:
        """From what a page asks.

        Raises
        ------
        InputError
            If there is no table, or what is asked is nothing that the page sends.
        """
        from fmkit.recommend.defaults import Feedback, Quality

        if "ratings" not in tables:
            raise InputError("there is no table of ratings yet: drop one")
        if quality not in get_args(Quality):
            raise InputError(f"quality must be one of {', '.join(get_args(Quality))}, got {quality!r}")
        if feedback not in get_args(Feedback):
            raise InputError(f"feedback must be one of {', '.join(get_args(Feedback))}, got {feedback!r}")
        if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns.values()):
            raise InputError("the columns are not as the page sends them: reload the page")
        found = {role: columns[role] for role in ROLES if columns.get(role)}
        if columns.get("rating") == "":  # somebody chose none
            feedback = "implicit"
        return cls(tables["ratings"], tables.get("items"), found, feedback, quality)

    def unfitted(self) -> Any:
        """The recommender."""
        from fmkit.recommend import Recommender

        return Recommender(feedback=self.feedback, quality=self.quality)  # type: ignore[arg-type]

    def given(self) -> dict[str, Any]:
        """Arguments of `Recommender.fit` and `compare` beside the ratings."""
        return self.columns | ({} if self.items is None else {"items": self.items})

    def words(self) -> list[str]:
        """Of the command line: the table, and the options that say how it is read and fitted."""
        from fmkit.recommend.columns import usual_column
        from fmkit.recommend.tables import TableFile

        names = TableFile.open(self.ratings).names
        unusual = [f"{role}={name}" for role, name in self.columns.items() if usual_column(names, role) != name]
        words = [self.ratings.name if not self.ratings.name.startswith("-") else f"./{self.ratings.name}"]
        if self.items is not None:
            words += ["--items", self.items.name]
        if unusual:
            words += ["--columns", ",".join(unusual)]
        if self.feedback != "auto":
            words += ["--feedback", self.feedback]
        return [*words, "--quality", self.quality]


def on_the_page(sentence: str) -> str:
    """A sentence for whoever calls from Python, for whoever is at the page."""
    return in_options(sentence.replace("feedback='implicit'", "'Lists of what people choose'"))


def fit_into(out: Path, task: Task, tell: Tell) -> None:
    """Fit and save a recommender; tell what it found."""
    from fmkit import save

    recommender = task.unfitted().fit(task.ratings, **task.given())
    save(recommender, out)
    tell([on_the_page(told) for told in recommender.told_])
