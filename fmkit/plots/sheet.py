"""Restorations on a contact sheet: a row a picture, damaged, restored, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.plots.style import axes_of, panels, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL = 3.0  # inches


def contact_sheet(
    columns: Mapping[str, Any],
    *,
    truth: Any = None,
    lost: Any = None,
    names: Sequence[str] | None = None,
    crop: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Pictures beside each other, a column a stage, with the PSNR of each where the truth is known.

    Parameters
    ----------
    columns : mapping of str to pictures
        Such as {"damaged": damaged, "restored": restored}: of each column a picture, or a list of them, one a row.
        Pictures are arrays as `restore_image` takes them, or files.
    truth : picture or list of pictures, optional
        A last column; under each other picture stands its PSNR.
    lost : mask or list of masks, optional
        True where a pixel was lost: PSNR is that of the lost pixels, and crops are where most was lost.
    names : sequence of str, optional
        Of the rows.
    crop : int, optional
        Show a square of so many pixels a side, the same of the whole row: around the middle, or where most was lost.
    ax : matplotlib Axes, optional

    Returns
    -------
    ax : matplotlib Axes
        Its `child_axes` are the pictures, row by row.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit import plots
    >>> from fmkit.restore import restore_image
    >>> ramp = np.add.outer(np.arange(32.0), np.arange(32.0))
    >>> lost = np.zeros((32, 32), bool)
    >>> lost[15:17] = True
    >>> damaged = np.where(lost, 0, ramp)
    >>> stages = {"damaged": damaged, "restored": restore_image(damaged, lost)}
    >>> [cell.get_title() for cell in plots.contact_sheet(stages, truth=ramp).child_axes]
    ['damaged', 'restored', 'truth']
    """
    from fmkit.restore.score import psnr
    from fmkit.restore.views import displayed, scale_of

    stages = {name: _pictures(given) for name, given in columns.items()}
    if not stages:
        raise InputError("there is no column of pictures: give {'damaged': picture, 'restored': picture}")
    truths = [] if truth is None else _pictures(truth)
    masks = [] if lost is None else [np.asarray(mask, bool) for mask in _pictures(lost)]
    whole: dict[str, list[NDArray[Any]]] = {**stages, "truth": truths} if truths else stages
    n_rows = len(next(iter(stages.values())))
    for name, pictures in (whole | {"lost": masks} if masks else whole).items():
        if len(pictures) != n_rows:
            raise InputError(f"columns must have a picture a row, {name!r} has {len(pictures)} and not {n_rows}")
    if names is not None and len(names) != n_rows:
        raise InputError(f"names must be one a row, got {len(names)} for {n_rows} rows")
    first = next(iter(stages.values()))
    shape = (crop, crop) if crop else first[0].shape[:2]
    tall = CELL * min(shape[0] / shape[1], 1.6)
    ax = axes_of(ax, CELL * len(whole) + 0.4, (tall + 0.36) * n_rows + 0.2)
    cells = iter(panels(ax, n_rows, len(whole), (0.34, 0.1)))
    for row in range(n_rows):
        height, width = first[row].shape[:2]
        mask = masks[row] if masks else None
        for name, pictures in (whole | {"lost": masks} if masks else whole).items():
            picture = pictures[row]
            if picture.shape[:2] != (height, width):
                told = " and ".join("x".join(map(str, one[:2])) for one in (first[row].shape, picture.shape))
                raise InputError(f"pictures of a row must be of one size, row {row + 1} has {told}, in {name!r}")
        part = _part((height, width), mask, crop)
        for name, pictures in whole.items():
            picture, cell = pictures[row], next(cells)
            scale = scale_of(truths[row] if truths else picture)
            cell.imshow(displayed(_colours(picture), scale)[part], interpolation="nearest" if crop else "antialiased")
            cell.set(xticks=[], yticks=[], anchor="N")
            cell.spines[:].set_visible(False)
            if not row:
                cell.set_title(short(name), fontsize="medium")
            if truths and name != "truth":
                told = f"{psnr(_colours(truths[row]), _colours(picture), mask):.1f} dB"
                cell.set_xlabel(told + " in the lost pixels" * (mask is not None), fontsize="small", labelpad=3)
        if names is not None:
            ax.child_axes[row * len(whole)].set_ylabel(short(names[row], 24))
    return ax


def _pictures(given: Any) -> list[NDArray[Any]]:
    """One or several, from arrays or files."""
    from fmkit.restore.picture_file import read_picture

    several = given if isinstance(given, list | tuple) and (not len(given) or not np.isscalar(given[0])) else [given]
    pictures = []
    for one in several:
        picture = read_picture(one).colours if isinstance(one, str | Path) else np.asarray(one)
        if picture.ndim not in (2, 3) or not picture.size:
            raise InputError(f"a picture must be of shape (height, width[, channels]), got {picture.shape}")
        pictures.append(picture)
    return pictures


def _colours(picture: NDArray[Any]) -> NDArray[Any]:
    """Grey, or the three of colour; alpha, and what no screen shows, left out."""
    if picture.ndim == 2:
        return picture
    return picture[..., :3] if picture.shape[2] >= 3 else picture[..., :1]


def _part(shape: tuple[int, int], lost: NDArray[np.bool_] | None, side: int | None) -> tuple[slice, slice]:
    """All of it, or the square where most was lost."""
    if side is None:
        return slice(None), slice(None)
    tall, wide = min(side, shape[0]), min(side, shape[1])
    top, left = (shape[0] - tall) // 2, (shape[1] - wide) // 2
    if lost is not None:
        sums = np.pad(np.cumsum(np.cumsum(lost.reshape(*shape, -1).any(axis=2), axis=0), axis=1), ((1, 0), (1, 0)))
        inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
        top, left = (int(place) for place in np.unravel_index(int(inside.argmax()), inside.shape))
    return slice(top, top + tall), slice(left, left + wide)
