"""Why something is recommended: a score as steps from what all scores have in common to what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fmkit.errors import InputError
from fmkit.plots.style import COLOURS, axes_of, short, tidied

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UP, DOWN, WHOLE = COLOURS[0], COLOURS[3], "0.45"


def reasons(recommender: Any, user: Any, item: Any, *, n: int = 4, ax: Axes | None = None) -> Axes:
    """Why a user gets an item: what each part adds to the score, or takes off, from top to bottom.

    Parameters
    ----------
    recommender : fitted Recommender
    user : id, or mapping of item to rating
        Of the fit; or what somebody gave whom the fit never saw.
    item : id
    n : int, default=4
        Past ratings, or things that the user has, that are shown one by one; the others are summed up.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes
        Its bars are the parts, the last one the score. Of ratings, that is the rating expected, be it beyond the scale.

    Examples
    --------
    >>> from fmkit import plots
    >>> from fmkit.recommend import Recommender
    >>> table = {"user": ["ann", "ann", "bob", "bob", "cat"], "item": [1, 2, 2, 3, 1], "rating": [5, 1, 1, 4, 5]}
    >>> ax = plots.reasons(Recommender(random_state=0).fit(table), "ann", 3)
    >>> [label.get_text() for label in ax.get_yticklabels()][::len(ax.get_yticklabels()) - 1]
    ['what all scores have in common', 'rating expected']
    """
    from fmkit.recommend.accounts import accounts, names_of_items
    from fmkit.recommend.explaining import known_codes
    from fmkit.recommend.rating_model import RatingModel

    if not hasattr(recommender, "items_"):
        raise InputError(f"reasons takes a fitted Recommender, this {type(recommender).__name__} is none: fit one")
    if n < 1:
        raise InputError(f"n must be at least 1, got {n}")
    items = known_codes(recommender.items_, [item], "item")
    if isinstance(user, Mapping):
        code, (people, own) = -1, recommender.newcomer(user)
    else:
        code = int(known_codes(recommender.users_, [user], "user")[0])
        people, own = recommender.model_.find(np.array([code])), recommender.history_.of(code)
    model = recommender.model_
    of_ratings = isinstance(model, RatingModel)
    asked = model.asked(people)
    scores = model.scores(asked, items).astype(float)
    names = names_of_items(recommender)
    (parts,) = accounts(recommender, people, code, own, items, scores, names, n)
    steps = np.array([value for _, value in parts])
    total = float(scores[0])

    last = "rating expected" if of_ratings else "score"
    if isinstance(model, RatingModel) and not model.scale.lowest <= total <= model.scale.highest:
        last = f"sum, told as {min(max(total, model.scale.lowest), model.scale.highest):g}"  # no rating is beyond

    ax = axes_of(ax, 7.8, 1.5 + 0.36 * (len(parts) + 1))
    ends = np.cumsum(steps)
    starts = ends - steps
    places = np.arange(len(parts) + 1)
    first = of_ratings  # the mean is no step, but where the steps begin
    colours = [WHOLE if first and not i else UP if step >= 0 else DOWN for i, step in enumerate(steps)]
    ax.barh(places[:-1], steps, left=starts, color=colours, height=0.62)
    ax.barh(places[-1], total, color=WHOLE, height=0.62)
    for i, end in enumerate(ends):
        ax.plot([end, end], [i - 0.31, i + 1.31], color="0.6", linewidth=0.8, zorder=0)
    levels = np.concatenate([ends, [0.0] if not first else [total], [total]])
    low, high = float(levels.min()), float(levels.max())
    room = max(high - low, 1e-3)
    if first and low > 0.4 * high:  # bars from 0 would leave no room for what they are about
        ax.set_xlim(low - 0.25 * room, high + 0.22 * room)
    else:
        ax.set_xlim(min(low, 0) - 0.12 * room * (low < 0), high + 0.22 * room)
    for i, (start, step) in enumerate(zip(starts, steps, strict=True)):
        told = f"{step:.2f}" if first and not i else f"{step:+.2f}".replace("-", "−")
        _write(ax, told, max(start, start + step), i)
    _write(ax, f"{total:.2f}".replace("-", "−"), max(total, 0.0), len(parts), bold=True)
    ax.set_yticks(places, [short(name, 52) for name, _ in parts] + [last])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("rating" if of_ratings else "score")
    whom = "somebody new" if isinstance(user, Mapping) else f"user {short(user, 24)}"
    ax.set_title(f"{short(names[items[0]], 48)}, for {whom}", loc="left", fontsize="medium")
    return tidied(ax)


def _write(ax: Axes, text: str, x: float, y: float, bold: bool = False) -> None:
    weight = "bold" if bold else "normal"
    ax.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize="small", weight=weight)
