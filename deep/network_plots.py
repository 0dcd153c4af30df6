"""A net as a drawing, from what comes in to what comes out: blocks as large as what goes through them."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from fmkit.plots.style import COLOURS, figure

from .estimator import NetEstimator
from .shapes import Anatomy, Block, Skip, anatomy
from .targets import Classifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# All lengths are inches: a unit of the axes is one.
TALLEST = 1.9
MOST_UNITS = 10  # of a column that are all drawn; of more, four at either end
PITCH, RADIUS = 0.2, 0.07  # from unit to unit, and of one
STEP, BAR = 0.34, 0.14  # from step to step of a sequence, of which the first two and the last are drawn; width of one
SLANT = (0.3, 0.24)  # right and up, of an inch that goes back
FONT, TITLE = 8.0, 11.0  # points
LINE = 0.15  # from line to line
GAP, PLUS = 0.36, 0.08  # between what is drawn; radius of the sign of a sum
LONGEST = 24  # letters of a class's name
EDGE, FLOW = "0.25", "0.45"
FILLS = {
    "input": "#dcdcdc",
    "convolution": "#9fcbea",
    "pooling": "#f7cb9c",
    "dense": "#a6dbc9",
    "recurrent": "#e2c0d6",
    "embedding": "#f3e7a6",
}


def plot_network(model: NetEstimator) -> Figure:
    """The layers of a net from the input to the classes, each as large as what comes out of it.

    Pictures and feature maps are boxes: height and width are those of a map, by their roots, and the more channels, the
    thicker. Sequences are columns, a step each, with arrows the ways that they are read; vectors are columns of
    units. Under each block stand its name, the shape measured behind it, its weights, and what follows before the next
    one, such as an activation. What goes past blocks and is added behind them, as the shortcut of a residual block or a
    factorization machine, is drawn above.

    Parameters
    ----------
    model : fitted estimator of fmkit.deep

    Returns
    -------
    matplotlib.figure.Figure
        Which opens no window.

    Examples
    --------
    >>> from fmkit.deep import MLPClassifier
    >>> from fmkit.deep.network_plots import plot_network
    >>> from sklearn.datasets import load_iris
    >>> model = MLPClassifier((8,), max_epochs=1).fit(*load_iris(return_X_y=True))
    >>> plot_network(model).get_suptitle()
    'MLPClassifier: 67 weights'
    """
    net = anatomy(model)
    made = figure(1, 1)
    made.set_layout_engine("none")  # all places are its own
    ax = made.add_axes((0, 0, 1, 1))
    ax.axis("off")
    names = _names_of_outputs(model)
    largest: Any = max((max(block.shape[:2]) for block in net.blocks if len(block.shape) == 3), default=1)
    sizes = [_size(block.shape, largest) for block in net.blocks]
    lefts, right = _places(net, [width for width, _ in sizes])
    tops = [max(height for _, height in sizes[skip.begin + 1 : skip.end + 1]) / 2 + 0.3 for skip in net.skips]
    below = -max(height for _, height in sizes) / 2 - 0.2
    bottom = below - LINE * max(len(_lines(block)) for block in net.blocks) - 0.1
    top = max([max(height for _, height in sizes) / 2, *(y + 2.6 * LINE for y in tops)]) + 0.5
    title = f"{type(model).__name__}: {net.n_weights:,} weights"
    right = max(right + max(map(_text_width, names)) + 0.1, _text_width(title) * TITLE / FONT + 0.3)
    made.set_size_inches(right, top - bottom)
    made.suptitle(title, fontsize=TITLE)
    ax.set(xlim=(0, right), ylim=(bottom, top))

    joints = {skip.end for skip in net.skips if skip.end < len(net.blocks) - 1}
    for n, (block, x, (width, _)) in enumerate(zip(net.blocks, lefts, sizes, strict=True)):
        if n:
            _flow(ax, net.blocks[n - 1 : n + 1], lefts[n - 1] + sizes[n - 1][0], x, n - 1 in joints)
        _draw(ax, block, x, largest)
        for number, (text, style) in enumerate(_lines(block)):
            ax.text(x + width / 2, below - LINE * number, text, ha="center", va="top", fontsize=FONT, **style)
    for skip, y in zip(net.skips, tops, strict=True):
        _draw_skip(ax, skip, y, net, lefts, sizes)
    x = lefts[-1] + sizes[-1][0] + 0.08
    for place, y in _shown(len(names)):
        if place is not None:
            ax.text(x, y, names[place], va="center", fontsize=FONT)
    return made


def _size(shape: tuple[Any, ...], largest: int) -> tuple[float, float]:
    """Width and height of a drawn block."""
    if len(shape) == 3:
        thickness, tall, deep = _box(shape, largest)
        return thickness + SLANT[0] * deep, tall + SLANT[1] * deep
    if len(shape) == 2:
        return 3 * STEP + BAR, _bar(shape[1])
    return 2 * RADIUS, PITCH * (len(_shown(shape[0])) - 1) + 2 * RADIUS


def _box(shape: tuple[int, int, int], largest: int) -> tuple[float, float, float]:
    height, width, n_channels = shape
    return 0.06 + 0.045 * sqrt(n_channels), TALLEST * sqrt(height / largest), TALLEST * sqrt(width / largest)


def _bar(n_units: int) -> float:
    return min(TALLEST, 0.25 + 0.09 * sqrt(n_units))


def _places(net: Anatomy, widths: list[float]) -> tuple[list[float], float]:
    """Left edges of the blocks, so that no two texts meet, and where the last one ends."""
    lefts, edge, room = [], 0.15, 0.15  # room: up to where the last block is drawn, and where its text ends
    for n, (block, width) in enumerate(zip(net.blocks, widths, strict=True)):
        text = max(_text_width(line, **style) for line, style in _lines(block)) + 0.12
        joined = any(skip.end == n - 1 for skip in net.skips)
        left = max(edge + GAP * (2 if joined else 1) * (n > 0), room + (text - width) / 2)
        lefts.append(left)
        edge, room = left + width, left + (width + text) / 2
    return lefts, max(edge + 0.1, room)


def _lines(block: Block) -> list[tuple[str, dict[str, Any]]]:
    """What stands under a block."""
    shape = " × ".join(f"{size:,}" if isinstance(size, int) else size for size in block.shape)
    if len(block.shape) == 1:
        shape += " columns" if block.kind == "input" else " unit" if block.shape == (1,) else " units"
    lines = [(name, {"weight": "bold"}) for name in block.name]
    lines += [(shape, {}), (f"{block.n_weights:,} weights", {})] if block.n_weights else [(shape, {})]
    return lines + [(name, {"color": FLOW, "style": "italic"}) for name in block.after]


def _text_width(text: str, **style: Any) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(**{name: value for name, value in style.items() if name != "color"})
    return float(TextPath((0, 0), text, size=FONT, prop=font).get_extents().width) / 72


def _shown(n: int) -> list[tuple[int | None, float]]:
    """Units of a column that are drawn, with their heights; None where dots stand for the others."""
    numbers: list[int | None] = list(range(n))
    if n > MOST_UNITS:
        numbers = [*range(4), None, *range(n - 4, n)]
    return [(number, PITCH * ((len(numbers) - 1) / 2 - place)) for place, number in enumerate(numbers)]


def _draw(ax: Any, block: Block, x: float, largest: int) -> None:
    from matplotlib.patches import Circle, Polygon, Rectangle

    fill: dict[str, Any] = {"facecolor": FILLS[block.kind], "edgecolor": EDGE, "linewidth": 0.8}
    shape: Any = block.shape
    if len(shape) == 3:
        thickness, tall, deep = _box(shape, largest)
        right, up = SLANT[0] * deep, SLANT[1] * deep
        low, high, end = -(tall + up) / 2, (tall - up) / 2, x + thickness
        faces = [
            ([(x, low), (end, low), (end, high), (x, high)], 0.0),
            ([(x, high), (end, high), (end + right, high + up), (x + right, high + up)], 0.5),
            ([(end, low), (end + right, low + up), (end + right, high + up), (end, high)], -0.12),
        ]
        for corners, light in faces:
            ax.add_patch(Polygon(corners, **fill))
            ax.add_patch(Polygon(corners, facecolor="white" if light > 0 else "black", alpha=abs(light), linewidth=0))
            ax.add_patch(Polygon(corners, **{**fill, "facecolor": "none"}))
    elif len(shape) == 2:
        height = _bar(shape[1])
        for place in (0, 1, 3):
            ax.add_patch(Rectangle((x + STEP * place, -height / 2), BAR, height, **fill))
        _dots(ax, [(x + 2 * STEP + BAR / 2 + shift, 0.0) for shift in (-0.05, 0, 0.05)])
        if block.kind == "recurrent":
            _draw_ways(ax, x, height, both="both ways" in block.name)
    else:
        for number, y in _shown(shape[0]):
            if number is None:
                _dots(ax, [(x + RADIUS, y + shift) for shift in (-0.05, 0, 0.05)])
            else:
                ax.add_patch(Circle((x + RADIUS, y), RADIUS, zorder=3, **fill))


def _dots(ax: Any, places: list[tuple[float, float]]) -> None:
    ax.scatter(*zip(*places, strict=True), s=2.5, color=EDGE, zorder=3)


def _draw_ways(ax: Any, x: float, height: float, *, both: bool) -> None:
    """Arrows from step to step: forward above, and back below."""
    for begin, end in ((0, 1), (1, 3)):
        here, there = x + STEP * begin + BAR, x + STEP * end
        _arrow(ax, (here, height / 4), (there, height / 4), COLOURS[0])
        if both:
            _arrow(ax, (there, -height / 4), (here, -height / 4), COLOURS[3])


def _arrow(ax: Any, begin: tuple[float, float], end: tuple[float, float], colour: str = FLOW) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    ax.annotate("", end, begin, arrowprops=style, zorder=2)


def _flow(ax: Any, blocks: list[Block], begin: float, end: float, joined: bool) -> None:
    """From a block to the next: a line a pair of units where both are vectors, else an arrow."""
    before, block = blocks
    if block.kind == "dense" and len(before.shape) == 1 and not joined:
        from matplotlib.collections import LineCollection

        ends = [[y for number, y in _shown(int(b.shape[0])) if number is not None] for b in blocks]
        lines = [[(begin - RADIUS, y), (end + RADIUS, z)] for y in ends[0] for z in ends[1]]
        ax.add_collection(LineCollection(lines, colors=FLOW, linewidths=0.4, alpha=0.6, zorder=1))
        return
    begin += 0.04
    if joined:
        _arrow(ax, (begin, 0), (begin + GAP - PLUS - 0.04, 0))
        begin += GAP + PLUS - 0.04
    _arrow(ax, (begin, 0), (end - 0.04, 0))


def _draw_skip(
    ax: Any, skip: Skip, y: float, net: Anatomy, lefts: list[float], sizes: list[tuple[float, float]]
) -> None:
    """A line that leaves behind a block, and goes into a plus: in the flow, or on top of the outputs."""
    from matplotlib.patches import Circle

    joints = {other.end for other in net.skips}
    begin = lefts[skip.begin] + sizes[skip.begin][0] + (GAP + PLUS + 0.06 if skip.begin in joints else 0.1)
    end, low = lefts[skip.end] + sizes[skip.end][0] + GAP, 0.0
    if skip.end == len(net.blocks) - 1:
        end, low = lefts[-1] + RADIUS, sizes[-1][1] / 2 + PLUS + 0.03
    ax.plot([begin, begin, end], [0, y, y], color=FLOW, linewidth=0.9, solid_joinstyle="round", zorder=1)
    _arrow(ax, (end, y), (end, low + PLUS))
    ax.add_patch(Circle((end, low), PLUS, facecolor="white", edgecolor=FLOW, linewidth=0.9, zorder=3))
    ax.plot([end - PLUS / 2, end + PLUS / 2], [low, low], color=FLOW, linewidth=0.9, zorder=4)
    ax.plot([end, end], [low - PLUS / 2, low + PLUS / 2], color=FLOW, linewidth=0.9, zorder=4)
    if skip.name:
        text = f"{skip.name}\n{skip.n_weights:,} weights"
        middle = max((begin + end) / 2, _text_width(skip.name) / 2 + 0.1)
        ax.text(middle, y + 0.04, text, ha="center", va="bottom", fontsize=FONT, linespacing=1.2)


def _names_of_outputs(model: Any) -> list[str]:
    """What the units of the last layer stand for."""
    if not isinstance(model, Classifier):
        return ["target"] if model.n_outputs_ == 1 else [f"target {n}" for n in range(1, model.n_outputs_ + 1)]
    names = [str(label) for label in model.classes_]
    if model.n_outputs_ == 1 and not model.multilabel_:
        names = [f"{names[1]}, else {names[0]}"]
    if getattr(model, "task", "classify") == "localize":
        names += ["left", "top", "right", "bottom"]
    return [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
