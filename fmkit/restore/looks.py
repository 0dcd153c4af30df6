"""What a filling looks like so far, shown now and then while it is worked on."""

from collections.abc import Callable
from time import monotonic

import numpy as np
from numpy.typing import NDArray

OFTEN = 1.0  # seconds: in work that takes longer, a look between is worth its cost

Planes = NDArray[np.float32]


class Look:
    """Called with the planes so far, it shows them.

    Parameters
    ----------
    show : callable of (planes), optional
        Without, nothing is shown, and no look is ever due.
    """

    def __init__(self, show: Callable[[Planes], object] | None = None) -> None:
        self._show = show
        self._shown = [monotonic()]  # one clock for all that this look is seen through

    @property
    def due(self) -> bool:
        """Whether nothing was shown for a while."""
        return self._show is not None and monotonic() - self._shown[0] > OFTEN

    def __call__(self, planes: Planes) -> None:
        """Show planes, which may go on changing."""
        if self._show is not None:
            self._show(planes)
            self._shown[0] = monotonic()

    def through(self, change: Callable[[Planes], Planes]) -> "Look":
        """A look at other planes, which `change` makes these planes of."""
        if self._show is None:
            return self
        show, other = self._show, Look()
        other._show, other._shown = lambda planes: show(change(planes)), self._shown
        return other
