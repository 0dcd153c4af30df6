"""Figures inside of a page: SVG whose text is text, in the page's colours by day and by night."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fmkit.plots.style import figure
from fmkit.report.page import Html, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b2321"
# A figure's colour: what the page has in its place, which is another one in the dark.
OF_PAGE = {INK: "--ink", "#000000": "--ink", "#ffffff": "--card", "#e6e6e6": "--band", "#d9d9d9": "--band"}
STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # letters stay letters: found, read aloud, small
    "svg.hashsalt": "fmkit",  # the same figure is the same file
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
# Fonts as wide as the one by which matplotlib left room, wherever the page is read.
FONTS = "'DejaVu Sans', Verdana, sans-serif"
RESOLUTION = 110  # of what is pixels inside


def drawn(draw: Callable[[Axes], object], told: str, width: float, height: float, caption: str = "") -> Html:
    """A figure of some inches into whose axes something draws.

    Parameters
    ----------
    draw : callable of Axes
    told : str
        What it shows, for those who do not see it.
    width, height : float
    caption : str, optional
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        made = figure(width, height)
        draw(made.subplots())
        return in_page(made, told, caption)


def whole(make: Callable[[], Figure | Axes], told: str, caption: str = "") -> Html:
    """As `drawn`, of what makes a figure of its own size."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        made: Any = make()
        return in_page(getattr(made, "figure", None) or made, told, caption)


def in_page(made: Figure, told: str, caption: str) -> Html:
    """The SVG of a figure as markup of a page; broad ones can be moved to and fro where the page is narrow."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    made.draw_without_rendering()  # of axes with an aspect the layout comes to rest in the second round only
    made.savefig(buffer, format="svg", metadata=nothing, dpi=RESOLUTION)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # several figures have the same
    svg = re.sub(r"font: ([^;\"]*?)(\d[\d.]*px) [^;\"]*", rf"font: \1\2 {FONTS}", svg)
    for colour, name in OF_PAGE.items():
        svg = re.sub(rf"(?<=[:\s]){colour}(?=[;\"])", f"var({name})", svg)
    width = made.get_size_inches()[0]
    least = min(width * 4.2, 38)  # rem, in which ten points of text are still read
    head = f'<svg role="img" aria-label="{shown(told)}" style="min-width:{least:.1f}rem;max-width:{width * 6:.1f}rem"'
    svg = re.sub(r"<svg ", head + " ", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", svg, count=1)
    told_below = f"<figcaption>{shown(caption)}</figcaption>" if caption else ""
    return Html(f'<figure><div class=scroll tabindex="0">{svg}</div>{told_below}</figure>')
