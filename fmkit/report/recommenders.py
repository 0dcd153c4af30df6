"""The parts of a report on a recommender."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fmkit import plots
from fmkit.plots import at_a_glance
from fmkit.recommend.accounts import names_of_items
from fmkit.recommend.rating_model import RatingModel
from fmkit.report.figures import drawn, whole
from fmkit.report.page import Html, Section, beside, bullets, heading, lines, paragraph, table

if TYPE_CHECKING:
    from fmkit.recommend import Recommender

N_USERS = 3  # whose lists are shown where none is asked for
LISTED = 5
LETTERS = 80  # of a title in a table
ALIKE = 5  # items with what is like them


def about(recommender: Recommender) -> str:
    """In two sentences."""
    fitted, what = recommender.fitted_, "ratings" if _of_ratings(recommender) else "clicks"
    task = "foretells how people would rate what they do not know, and lists for each what suits best"
    if not _of_ratings(recommender):
        task = "lists for each person what is likely to be chosen next"
    return (
        f"This model {task}. It was fitted on {_day(fitted['when'])} to {fitted['rows']:,} {what} of "
        f"{fitted['items']:,} items by {fitted['users']:,} users, in {fitted['seconds']:.3g} seconds."
    )


def data(recommender: Recommender) -> Section:
    """What it was fitted to."""
    came = recommender.interactions_
    noun = "clicks" if came.ratings is None else "ratings"
    parts = [
        drawn(lambda ax: at_a_glance.draw_counts(ax, came), f"How the {noun} fall", 4.6, 3.5),
        drawn(lambda ax: at_a_glance.draw_popularity(ax, came), f"What share of the {noun} few items have", 4.6, 3.5),
        drawn(lambda ax: at_a_glance.draw_density(ax, came), "Which pairs of users and items are there", 4.8, 3.5),
    ]
    told = [
        f"{one.column} of the {side}: {one.kind} ({one.why})"
        for side, features in recommender.features_.items()
        for one in features
    ]
    features = [paragraph("Beside ids, the model knows of:"), bullets(told)] if told else []
    lead = (
        f"These {noun} are all that the model has learned from: how they fall, how much of them few popular items "
        "have, and how full the table of all pairs of users and items is. Where it is empty the model must guess."
    )
    return Section("The data", lead, (beside(parts), *features))


def fit(recommender: Recommender) -> Section:
    """What was chosen, and what trials a ranker made."""
    body = [bullets(recommender.told_)]
    ranker = getattr(recommender.model_, "ranker", None)
    trials = [] if ranker is None else ranker.history_
    if trials:
        keys = list(dict.fromkeys(key for row in trials for key in row))
        rows = [["" if row.get(key) is None else row[key] for key in keys] for row in trials]
        body += [paragraph("Trials on the part set aside:"), table(keys, rows)]
    else:
        body.append(paragraph("The file keeps no curve of the training.", "quiet"))
    return Section("The fit", "What fmkit found in the tables, and what it chose by that.", tuple(body))


def examples(recommender: Recommender, users: Sequence[Any]) -> Section:
    """Lists with their reasons, and one score taken apart."""
    if not len(users):
        users = _some_users(recommender)
    listed = recommender.recommend(list(users), LISTED, explain=True)
    names = dict(zip(recommender.items_.ids.ids.to_pylist(), names_of_items(recommender), strict=True))
    body: list[Html] = []
    counts = np.bincount(recommender.interactions_.user_codes, minlength=len(recommender.users_))
    noun = "rating" if _of_ratings(recommender) else "click"
    for user, code in zip(users, recommender.users_.ids.encode(list(users)), strict=True):
        rows = [row for row in listed.to_pylist() if str(row["user"]) == str(user)]
        n = int(counts[code])
        body.append(heading(f"User {user}, {n:,} {noun}{'s' * (n != 1)}"))
        if not rows:
            body.append(paragraph("Nothing is left to recommend."))
            continue
        value = "predicted" if "predicted" in rows[0] else "score"
        head = ["", "item", {"predicted": "rating expected"}.get(value, value), "why"]
        told_of = ([one["rank"], _cut(names[one["item"]]), round(one[value], 3), one["reason"]] for one in rows)
        body.append(table(head, told_of))
        item = rows[0]["item"]
        told = f"Why user {user} gets {names[item]}: a score as a sum of parts"
        body.append(
            whole(
                lambda user=user, item=item: plots.reasons(recommender, user, item, n=3),  # type: ignore[misc]
                told,
                "From top to bottom: each bar is what one thing adds to the score, or takes off.",
            )
        )
    lead = (
        "Lists for a few people, best first, without what they have already, and why: "
        "the score of the first item is taken apart, and the parts add up to it. Nothing is left over."
    )
    if _of_ratings(recommender):
        lead += " Lists go by the rating expected less two standard deviations of what is not known."
    return Section("Examples", lead, tuple(body))


def alike(recommender: Recommender) -> Section:
    """What is like the best-known items."""
    counts = np.bincount(recommender.interactions_.item_codes, minlength=len(recommender.items_))
    best = np.argsort(-counts, kind="stable")[: min(ALIKE, int((counts > 0).sum()))]
    names = names_of_items(recommender)
    found = recommender.similar_items(recommender.items_.ids.decode(best.astype(np.int32)), 4)
    codes = recommender.items_.ids.encode(found["item"]), recommender.items_.ids.encode(found["similar"])
    rows = []
    for code in best:
        near = [names[other] for one, other in zip(*codes, strict=True) if one == code]
        rows.append([_cut(names[code]), lines(map(_cut, near))])
    return Section(
        "What is alike",
        "The best-known items, and what the same people like who like them, the nearest first.",
        (table(["item", "alike"], rows),),
    )


def map_of_items(recommender: Recommender) -> Section | None:
    """The map, where there are items enough for one."""
    if len(np.unique(recommender.interactions_.item_codes)) < 3:
        return None
    figure = drawn(lambda ax: plots.item_map(recommender, n=300, ax=ax), "The best-known items as a map", 9, 7.2)
    lead = (
        "Each mark is an item; the larger, the more people know it. What is near each other is liked by the same "
        "people. Directions mean nothing, and what is far apart may be so by chance."
    )
    return Section("A map of the items", lead, (figure,))


def _some_users(recommender: Recommender) -> list[Any]:
    """Of few, of usual, and of many interactions."""
    counts = np.bincount(recommender.interactions_.user_codes, minlength=len(recommender.users_))
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    places = np.unique(np.rint(np.linspace(0.15, 0.85, N_USERS) * (len(order) - 1)).astype(int))
    ids: list[Any] = recommender.users_.ids.decode(order[places].astype(np.int32)).to_pylist()
    return ids


def _cut(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1].rstrip()}…"


def _day(when: str) -> str:
    """A time of the fit without its seconds."""
    return f"{when[:16].replace('T', ' at ')} UTC"


def _of_ratings(recommender: Recommender) -> bool:
    return isinstance(recommender.model_, RatingModel)
