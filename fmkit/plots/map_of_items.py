"""What a fit learned of items as a map: who likes one likes what is near."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.plots.style import COLOURS, MANY, MARKERS, QUIET, axes_of, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS = 6  # that have a colour of their own
USUAL = ("genres", "genre", "categories", "category", "tags", "kind", "type", "author", "authors", "language")
LETTERS = 28  # of a title
NEIGHBOURS = 30  # that t-SNE keeps near, about

AROUND = (  # a dot: points right and up, and how a name is anchored there
    ((0, 5), "center", "bottom"),
    ((0, -5), "center", "top"),
    ((6, 0), "left", "center"),
    ((-6, 0), "right", "center"),
)


def item_map(
    recommender: Any,
    *,
    n: int = 400,
    labels: int = 30,
    by: str | None = None,
    random_state: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """The best-known items on a map of what the fit learned of them, with names, and coloured by genre or the like.

    Near each other is what the same people like: the directions of factors, by which `similar_items` goes too, laid
    into a plane by t-SNE, which keeps neighbours together; what is far apart may be so by chance. Axes have no
    meaning. Of sets such as "Comedy|Crime", the rarest of the six most usual ones gives the colour.

    Parameters
    ----------
    recommender : fitted Recommender
    n : int, default=400
        Items with the most ratings, or clicks.
    labels : int, default=30
        Names at most: the best known first, as far as they do not run into each other.
    by : str, optional
        The column of the table of items that gives colours; by default genres, or what is called alike. Without a
        table all are of one colour.
    random_state : int, default=0
        Of t-SNE: another one turns the map.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> from fmkit import plots
    >>> from fmkit.recommend import Recommender
    >>> table = {"user": [1, 1, 2, 2, 3, 3, 4], "item": [1, 2, 2, 3, 1, 4, 3], "rating": [5, 1, 1, 4, 5, 2, 4]}
    >>> films = {"item": [1, 2, 3, 4], "title": ["Up", "Jaws", "Heat", "Big"], "genre": ["Comedy", "Drama"] * 2}
    >>> ax = plots.item_map(Recommender(random_state=0).fit(table, items=films))
    >>> sorted(text.get_text() for text in ax.get_legend().get_texts())
    ['Comedy', 'Drama']
    """
    from fmkit.recommend.accounts import names_of_items

    if not hasattr(recommender, "items_"):
        raise InputError(f"item_map takes a fitted Recommender, this {type(recommender).__name__} is none: fit one")
    if n < 2:
        raise InputError(f"n must be at least 2 items, got {n}")
    counts = np.bincount(recommender.interactions_.item_codes, minlength=len(recommender.items_))
    shown = np.argsort(-counts, kind="stable")[: min(n, int((counts > 0).sum()))]
    if len(shown) < 3:
        raise InputError(f"a map needs three items or more, the fit has {len(shown)}")
    places = _places(recommender.model_.item_factors[shown], random_state)
    ax = axes_of(ax, 9.5, 7.5)
    size = 12 + 60 * counts[shown] / counts[shown].max()
    column, groups, names = _groups(recommender.items_.table, shown, by)
    for number in (-1, *range(len(names))):
        some = groups == number
        if not some.any():
            continue
        ax.scatter(
            places[some, 0],
            places[some, 1],
            s=size[some],
            color=QUIET if number < 0 else COLOURS[number],
            marker=MARKERS[max(number, 0)],
            alpha=0.45 if number < 0 and names else 0.75,
            linewidths=0,
            label=("others" if names else None) if number < 0 else short(names[number], 24),
            rasterized=len(shown) > MANY,
        )
    ax.margins(0.06)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color("0.85")
    title = f"the {len(shown):,} items that most people know; near each other: liked by the same people"
    ax.set_title(title, loc="left", fontsize="medium")
    if names:
        legend = ax.legend(title=short(column), loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        for handle in legend.legend_handles:
            handle.set_sizes([40])  # type: ignore[union-attr]
    _write_names(ax, places, [names_of_items(recommender)[code] for code in shown], labels)
    return ax


def _places(factors: NDArray[Any], random_state: int) -> NDArray[np.float64]:
    """t-SNE of directions, from where their two main axes put them."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    vectors = factors.astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    centred = vectors - vectors.mean(axis=0)
    U, s, _ = np.linalg.svd(centred, full_matrices=False)
    start = np.zeros((len(vectors), 2))
    start[:, : min(2, len(s))] = (U * s)[:, :2]
    if len(vectors) <= 10 or not s[0]:  # too few to have neighbours
        return start
    start *= 1e-4 / max(start[:, 0].std(), 1e-12)
    near = min(NEIGHBOURS, (len(vectors) - 1) / 3)
    with threadpool_limits(1):  # a pass takes less than threads wait for each other where a core has other work
        flat: NDArray[Any] = TSNE(2, perplexity=near, init=start, random_state=random_state).fit_transform(vectors)
    return flat.astype(np.float64)


def _groups(table: Any, shown: NDArray[Any], by: str | None) -> tuple[str, NDArray[np.int64], list[str]]:
    """The column, the group of each item, -1 for none of the most usual ones, and what these are called."""
    import pyarrow as pa

    names = [] if table is None else table.column_names
    if by is not None and by not in names:
        told = f"there are {', '.join(map(repr, names))}" if names else "the fit had no table of items"
        raise InputError(f"there is no column {by!r} to colour items by: {told}")
    column = by or next((name for usual in USUAL for name in names if name.lower() == usual), None)
    if column is None:
        return "", np.full(len(shown), -1), []
    values = table.column(column).take(pa.array(shown)).to_pylist()
    sets = [_members(value) for value in values]
    members, n = np.unique([one for members in sets for one in members] or [""], return_counts=True)
    order = np.argsort(-n, kind="stable")[:GROUPS]
    usual = {str(members[j]): (place, int(n[j])) for place, j in enumerate(order) if members[j]}
    groups = [
        min(((usual[one][1], usual[one][0]) for one in members if one in usual), default=(0, -1))[1] for members in sets
    ]
    return column, np.array(groups), list(usual)


def _members(value: Any) -> list[str]:
    """Of a set, be it a list or a text with bars."""
    if value is None:
        return []
    parts = value if isinstance(value, list) else str(value).split("|")
    return [str(part).strip() for part in parts if part is not None and str(part).strip()]


def _write_names(ax: Axes, places: NDArray[np.float64], names: list[str], most: int) -> None:
    """Names above, below or beside their dots, where nothing is written yet."""
    from matplotlib.patheffects import withStroke

    ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # so that sizes are those of the layout
    written: list[Any] = []
    frame = ax.get_window_extent()
    for place, name in zip(places, names, strict=True):
        if len(written) >= most:
            return
        for offset, across, up in AROUND:
            text = ax.annotate(
                short(name, LETTERS), place, offset, textcoords="offset points", ha=across, va=up, fontsize=7.5
            )
            box = text.get_window_extent().padded(1)
            inside = frame.containsx(box.x0) and frame.containsx(box.x1)
            inside = inside and frame.containsy(box.y0) and frame.containsy(box.y1)
            if inside and not any(box.overlaps(other) for other in written):
                text.set_path_effects([withStroke(linewidth=2, foreground="white")])
                written.append(box)
                break
            text.remove()
