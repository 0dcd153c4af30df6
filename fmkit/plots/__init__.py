"""Figures of data, fits and what they are worth, by matplotlib (`pip install 'fmkit[plots]'`).

Every function draws into `ax`, a matplotlib Axes, or into those of a new figure if none is given, and returns it. No
window is opened and pyplot is not touched: `ax.figure.savefig("ratings.png")` writes the picture, and a notebook shows
`ax.figure`. A plot of several panels puts them into the one ax that it was given, whose `child_axes` they are.

Colours are those of Okabe and Ito, amounts are shown by cividis: told apart by colour-blind readers. What a colour
tells, a marker, a hatch or a kind of line tells as well.

`fmkit.deep.plots`, `fmkit.deep.convnet_plots` and `fmkit.deep.network_plots` have more figures, of nets.
"""

from fmkit.plots.at_a_glance import ratings
from fmkit.plots.chains import traces
from fmkit.plots.curves import training
from fmkit.plots.honesty import calibration, intervals
from fmkit.plots.map_of_items import item_map
from fmkit.plots.models import comparison
from fmkit.plots.sheet import contact_sheet
from fmkit.plots.unsure import certainty
from fmkit.plots.waterfall import reasons

__all__ = [
    "calibration",
    "certainty",
    "comparison",
    "contact_sheet",
    "intervals",
    "item_map",
    "ratings",
    "reasons",
    "traces",
    "training",
]
