"""How sure a restoration is of each pixel that it filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fmkit.errors import InputError
from fmkit.plots.style import axes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As in `fmkit restore --std`: told apart by the colour-blind, too, and it has no grey, as the middle of cividis has.
HEAT = "inferno"


def certainty(picture: ArrayLike, std: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """A restored picture in grey, and over it, in colour, how unsure each filled pixel is.

    Parameters
    ----------
    picture, std : array-like of shape (n_rows, n_columns[, n_channels])
        As `restore_image(..., return_std=True)` gives them. What has a standard deviation of 0 was known. Of several
        channels the root of their mean square is shown; colours end at what 99.5% of the filled pixels do not exceed.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit import plots
    >>> picture, std = np.full((20, 30), 128, np.uint8), np.zeros((20, 30))
    >>> std[5:8] = 3
    >>> ax = plots.certainty(picture, std)
    >>> int(ax.images[1].get_array().count())  # filled pixels
    90
    """
    from fmkit.restore.views import displayed

    pixels, spread = np.asarray(picture), np.asarray(std, np.float64)
    if pixels.ndim not in (2, 3) or pixels.shape[:2] != spread.shape[:2]:
        raise InputError(f"picture and std must be of one size, got {pixels.shape} and {spread.shape}")
    if not np.isfinite(spread).all() or spread.min() < 0:
        raise InputError("std must be finite and not negative")
    values = np.sqrt(np.square(spread.reshape(*spread.shape[:2], -1)).mean(axis=2))
    filled = values > 0
    shown = pixels[..., :3] if pixels.ndim == 3 and pixels.shape[2] >= 3 else pixels
    grey = 110 + 0.55 * displayed(shown).mean(axis=2)  # pale, so that no grey is taken for a colour
    height, width = values.shape
    ax = axes_of(ax, min(8.5, 1.6 + 6.4 * max(width / height, 0.5)), 1 + 6.4 * min(height / width, 1.3))
    ax.imshow(grey, cmap="gray", vmin=0, vmax=255)
    top = float(np.quantile(values[filled], 0.995)) if filled.any() else 1.0
    image: Any = ax.imshow(np.ma.masked_where(~filled, values), cmap=HEAT, vmin=0, vmax=top, interpolation="none")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    if filled.any():
        title = f"{filled.mean():.1%} was filled, half of it sure to ±{np.median(values[filled]):.2g} or better"
    else:
        title = "nothing was filled"
    ax.set_title(title, loc="left", fontsize="medium")
    units = "of 255" if pixels.dtype == np.uint8 else "in the picture's units"
    ax.figure.colorbar(image, ax=ax, label=f"standard deviation, {units}", shrink=0.8, extend="max")
    return ax
