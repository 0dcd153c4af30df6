"""Ratings, or clicks, at a glance: how they fall, on whom they fall, how full the table is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmkit.plots.style import COLOURS, SEQUENTIAL, axes_of, panels, tidied

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fmkit.recommend.interactions import Interactions

MOST_VALUES = 21  # ratings that have a bar each; of more, as many ranges
BLOCKS = 60  # of users, and of items, at most


def ratings(
    interactions: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How often each rating was given, how much falls on few items and users, and how full the table of pairs is.

    Three panels. Of clicks, the first one counts how many items users have.

    Parameters
    ----------
    interactions : DataFrame, pyarrow.Table, mapping of columns, path, sequence of paths, or fitted Recommender
        As of `Recommender.fit`: a row a rating, or a click.
    user, item, rating : str, optional
        Columns, by default those of a usual name.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes
        Its `child_axes` are the panels.

    Raises
    ------
    InputError
        If the table is not as it should be.

    Examples
    --------
    >>> from fmkit import plots
    >>> table = {"user": ["ann", "ann", "bob", "bob"], "item": [1, 2, 2, 3], "rating": [5, 1, 4, 4]}
    >>> counts, popularity, density = plots.ratings(table).child_axes
    >>> counts.get_title(loc="left")
    '4 ratings, 3.5 on average'
    """
    from fmkit.recommend.interactions import Columns, Interactions

    if hasattr(interactions, "interactions_"):
        came = interactions.interactions_
    elif isinstance(interactions, Interactions):
        came = interactions
    else:
        came = Interactions.of(interactions, Columns(user=user, item=item, rating=rating))
    ax = axes_of(ax, 12.5, 3.7)
    for draw, panel in zip((draw_counts, draw_popularity, draw_density), panels(ax, 1, 3, (0.65, 0.95)), strict=True):
        draw(panel, came)
    return ax


def draw_counts(ax: Axes, came: Interactions) -> None:
    """How often each rating was given; of clicks, how many items users have."""
    if came.ratings is None:
        _draw_activity(ax, np.bincount(came.user_codes))
    else:
        _draw_values(ax, came.ratings)


def _draw_values(ax: Axes, values: NDArray[Any]) -> None:
    distinct, n = np.unique(values, return_counts=True)
    if len(distinct) <= MOST_VALUES:
        width = 0.8 * float(np.diff(distinct).min()) if len(distinct) > 1 else 0.8
        ax.bar(distinct, n, width, color=COLOURS[0])
        if len(distinct) <= 11:
            ax.set_xticks(distinct, [f"{value:g}" for value in distinct])
    else:
        ax.hist(values, bins=MOST_VALUES, color=COLOURS[0], edgecolor="white", linewidth=0.5)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set(xlabel="rating", ylabel="ratings")
    ax.set_title(f"{len(values):,} ratings, {values.mean():.3g} on average", loc="left", fontsize="medium")
    tidied(ax)


def _draw_activity(ax: Axes, of_users: NDArray[Any]) -> None:
    from matplotlib.ticker import LogLocator

    there = of_users[of_users > 0]
    edges = np.unique(np.rint(np.geomspace(1, there.max() + 1, 25))) - 0.5
    ax.hist(there, bins=edges.tolist(), color=COLOURS[0], edgecolor="white", linewidth=0.5)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set(xlabel="items that a user has", ylabel="users")
    title = f"{there.sum():,} clicks; half of the users have {np.median(there):,.0f} or fewer"
    ax.set_title(title, loc="left", fontsize="medium")
    tidied(ax)


def draw_popularity(ax: Axes, came: Interactions) -> None:
    """What share of the rows falls on the most popular items, on the most active users."""
    noun = "clicks" if came.ratings is None else "ratings"
    of_items, of_users = np.bincount(came.item_codes), np.bincount(came.user_codes)
    for name, counts, colour, line in (("items", of_items, COLOURS[0], "-"), ("users", of_users, COLOURS[1], "--")):
        there = np.sort(counts[counts > 0])[::-1]
        shares = np.append(0, np.cumsum(there)) / there.sum()
        ax.plot(np.linspace(0, 1, len(shares)), shares, line, color=colour, label=f"{len(there):,} {name}", linewidth=2)
        if name == "items":
            tenth = float(np.interp(0.1, np.linspace(0, 1, len(shares)), shares))
            ax.plot(0.1, tenth, "o", color=colour)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="most popular items, most active users", ylabel=f"share of the {noun}")
    ax.set_title(f"a tenth of the items has {tenth:.0%} of the {noun}", loc="left", fontsize="medium")
    ax.legend(frameon=False, loc="lower right")
    tidied(ax)


def draw_density(ax: Axes, came: Interactions) -> None:
    """Blocks of users by blocks of items, both ordered by how much they have."""
    from matplotlib.colors import LogNorm

    places: list[NDArray[Any]] = []
    edges: list[NDArray[Any]] = []
    for codes in (came.user_codes, came.item_codes):
        counts = np.bincount(codes)
        rank = np.empty(len(counts), np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        n = int((counts > 0).sum())
        edges.append(np.rint(np.linspace(0, n, min(BLOCKS, n) + 1)))
        places.append(rank[codes])
    filled, _, _ = np.histogram2d(places[0], places[1], bins=edges)
    shares = filled / np.outer(np.diff(edges[0]), np.diff(edges[1]))
    there = np.ma.masked_equal(shares, 0)
    norm = LogNorm(min(float(there.min()), 0.5), 1)
    image = ax.pcolormesh(edges[1], edges[0], there, cmap=SEQUENTIAL, norm=norm, rasterized=True)
    ax.set_facecolor(image.get_cmap()(0.0))  # where nothing is
    ax.invert_yaxis()
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    ax.locator_params(nbins=5)
    ax.set(xlabel="items, most popular first", ylabel="users, most active first")
    users, items = int(edges[0][-1]), int(edges[1][-1])
    share = filled.sum() / (users * items)
    ax.set_title(f"{100 * share:.2g}% of {users:,} × {items:,} pairs are there", loc="left", fontsize="medium")
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.045, 1)), label="share of pairs that are there")
    bar.ax.yaxis.set_major_formatter(lambda x, _: f"{100 * x:.3g}%")
    bar.ax.minorticks_off()
