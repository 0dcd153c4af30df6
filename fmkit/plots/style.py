"""What all figures share: colours that everybody tells apart, axes of a figure of their own, panels, short names.

No state of pyplot is touched, so that a figure opens no window and none stays in memory; matplotlib is imported where
the first one is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmkit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of Okabe and Ito ("Color universal design", 2008): told apart by all, whatever eyes they have.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # so that a print in grey tells them apart, too
QUIET = "#8c8c8c"  # of what is no data: a diagonal, all the others
SEQUENTIAL = "cividis"  # of amounts; it is the same to the colour-blind, and brighter is more
MANY = 1000  # points of which more are pixels in a drawing of lines (SVG, PDF)


def figure(width: float, height: float) -> Figure:
    """An empty one, in inches, that no window shows."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("figures need matplotlib: pip install 'fmkit[plots]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def axes_of(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure of some inches."""
    if ax is None:
        made: Axes = figure(width, height).subplots()
        return made
    if not hasattr(ax, "inset_axes"):
        raise InputError(f"ax must be one matplotlib Axes, as figure.subplots() gives, got {type(ax).__name__}")
    return ax


def panels(ax: Axes, n_rows: int, n_columns: int, gap: tuple[float, float] = (0.65, 0.8)) -> list[Axes]:
    """Axes inside of axes, row by row, which are then `ax.child_axes`.

    Parameters
    ----------
    ax : Axes
        Becomes their frame, and shows nothing itself.
    n_rows, n_columns : int
    gap : (float, float)
        Inches between rows, and between columns, whatever the size of the figure: what is written there has a size of
        its own.
    """
    ax.set_axis_off()
    made = []
    for row in range(n_rows):
        for column in range(n_columns):
            child: Axes = ax.inset_axes((0.0, 0.0, 1.0, 1.0))
            child.set_axes_locator(_Place(ax, (row, n_rows), (column, n_columns), gap))
            made.append(child)
    return made


class _Place:
    """Where a panel lies, asked whenever the figure is drawn."""

    def __init__(self, frame: Axes, row: tuple[int, int], column: tuple[int, int], gap: tuple[float, float]) -> None:
        self.frame, self.row, self.column, self.gap = frame, row, column, gap

    def __call__(self, ax: Any, renderer: Any) -> Any:
        from matplotlib.transforms import Bbox

        whole, figure = self.frame.get_position(), self.frame.get_figure(root=False)
        inches = figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi  # type: ignore[union-attr]
        left, width = _part(whole.x0, whole.width, self.column, self.gap[1] / inches[0])
        n, n_rows = self.row
        bottom, height = _part(whole.y0, whole.height, (n_rows - 1 - n, n_rows), self.gap[0] / inches[1])
        return Bbox.from_bounds(left, bottom, width, height)


def _part(start: float, length: float, place: tuple[int, int], gap: float) -> tuple[float, float]:
    n, of = place
    gap = min(gap, 0.5 * length / of)  # where there is no room, panels are small, and not inside out
    size = (length - (of - 1) * gap) / of
    return start + n * (size + gap), size


def tidied(ax: Axes) -> Axes:
    """Without the frame's upper and right sides."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def short(text: Any, length: int = 40) -> str:
    """A name as figures write it: in one line, cut off with an ellipsis, its dollars no formula."""
    words = " ".join(str(text).split())
    cut = words if len(words) <= length else words[: length - 1].rstrip() + "…"
    return cut.replace("$", r"\$")
