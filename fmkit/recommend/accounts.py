"""A score as a few parts in words that add up to it: what the page, figures and reports show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmkit.recommend.explanations import ranking_parts
from fmkit.recommend.ranking_model import RankingModel
from fmkit.recommend.rating_model import RatingModel
from fmkit.recommend.reasons import reasons

if TYPE_CHECKING:
    from fmkit.recommend.recommender import Recommender

STRONGEST = 4  # past ratings that are told one by one
SMALL = 5e-4  # would be told as 0.00

Account = list[tuple[str, float]]


def names_of_items(recommender: Recommender) -> list[str]:
    """Titles by code, ids where there is none."""
    items = recommender.items_
    titles = [None] * len(items) if items.titles is None else items.titles.to_pylist()
    return [str(id_ if title is None else title) for id_, title in zip(items.ids.ids.to_pylist(), titles, strict=True)]


def accounts(
    recommender: Recommender,
    people: Any,
    code: int,
    own: Any,
    items: Any,
    scores: Any,
    names: list[str],
    strongest: int = STRONGEST,
) -> list[Account]:
    """The scores of some items for one person.

    Parameters
    ----------
    recommender : Recommender
        Fitted.
    people : of its model, one
    code : int
        Of a user of the fit; -1 for a newcomer.
    own : Ratings
        What the person rated or has.
    items : ndarray of codes
    scores : ndarray of float
        As the lists have them.
    names : list of str
        Of the items, by code.
    strongest : int, default=4
        Past ratings, or things had, that are told one by one; the others are summed up.

    Returns
    -------
    list of list of (str, float)
        Of each item its parts, what all scores have in common first; their sum is its score.
    """
    model, counts = recommender.model_, recommender.history_.item_counts[items]
    if isinstance(model, RankingModel):
        found = ranking_parts(model, people, code, items, names + recommender.users_.feature_names)
        rows = []
        for i, n_having in enumerate(counts):
            by_item = "liked by all" if n_having else "what is known of the item, which nobody has"
            words = {"item": by_item, "user": "everything else known of you"}
            row = [(words.get(name, name.replace("has ", "you have ", 1)), float(values[i])) for name, values in found]
            rows.append(_largest(row, "other things you have", strongest))
        return rows
    assert isinstance(model, RatingModel)
    told = []
    for reason, score, n_raters in zip(reasons(model, people, own, items), scores, counts, strict=True):
        gave = [
            (f"you gave {rating:g} to {names[item]}", float(value))
            for item, rating, value in zip(reason.rated, reason.ratings, reason.influences, strict=True)
        ]
        parts: Account = [("what all scores have in common", reason.bias), ("you, whatever the item", reason.level)]
        by_item = "the item, whoever rates it" if n_raters else "what is known of the item, which nobody rated"
        parts.append((by_item, reason.appeal))
        parts += _largest(gave, "your other ratings", strongest)
        parts.append(("what else is known of you", reason.rest))
        parts.append(("not sure of it", float(score) - reason.score))
        told.append([part for i, part in enumerate(parts) if i == 0 or abs(part[1]) > SMALL])
    return told


def _largest(parts: Account, others: str, strongest: int) -> Account:
    """The parts that matter most, the largest first, and the sum of the others."""
    ordered = sorted(parts, key=lambda part: -abs(part[1]))
    rest = sum(value for _, value in ordered[strongest:])
    kept = sorted(ordered[:strongest], key=lambda part: -part[1])
    return [*kept, (others, rest)] if ordered[strongest:] else kept
