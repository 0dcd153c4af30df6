"""A reason in a few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmkit.recommend import Reason

WORTH_SAYING = 0.05  # of a rating: less would be told as 0.0


def in_words(reason: Reason, name_of: Callable[[int], str]) -> str:
    """The larger of the item's appeal and its match with the user first, each only where it adds something.

    Parameters
    ----------
    reason : Reason
    name_of : callable
        Gives the name of an item's code.
    """
    parts = []
    if reason.match >= WORTH_SAYING:
        usual = reason.ratings.mean()
        gave = [
            f"{'only ' * bool(rating < usual)}{rating:g} to {name_of(int(item))}"
            for item, rating in ((reason.rated[i], reason.ratings[i]) for i in reason.strongest(2))
        ]
        parts.append((reason.match, f"you gave {', '.join(gave)}"))
    if reason.appeal >= WORTH_SAYING:
        parts.append((reason.appeal, f"liked by everyone, {reason.appeal:+.1f}"))
    if not parts:
        return "nothing speaks for it but the average rating"
    return "; ".join(words for _, words in sorted(parts, reverse=True))
