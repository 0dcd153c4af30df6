"""`find_damage`: a picture in, out comes which of its pixels are damaged, and how sure that is."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fmkit.errors import InputError
from fmkit.restore.defects import thin_things
from fmkit.restore.evidence import adjusted, probability, share_of_damage, shares_beside, shares_linked
from fmkit.restore.overlays import holes, lettering

Kind = Literal["auto", "scratches", "dust", "white", "text"]
Mask = NDArray[np.bool_]
Confidence = NDArray[np.float32]

_TILE, _MARGIN = 1024, 96  # pixels: bounds the memory of a large picture; the margin holds every window of a thing
_LARGE = 900  # pixels of the shorter side: what is larger is looked at in half the size as well, for larger damage
_SURE = {"auto": 0.95, "scratches": 0.8, "dust": 0.8, "white": 0.5, "text": 0.5}
_RIM = 2  # pixels around a thing: its soft rim and what JPEG made of that; half of it in smaller copies


class Damage(NamedTuple):
    """What `find_damage` found."""

    mask: NDArray[np.bool_]
    """Shape (n_rows, n_columns), True where the picture is lost, as `restore_image` takes it."""
    confidence: NDArray[np.float32]
    """Shape (n_rows, n_columns): the probability, 0 to 1, that what is there is damage; 0 outside of the mask."""


def find_damage(picture: ArrayLike, kind: Kind = "auto") -> Damage:
    """Find scratches, dust, holes and lettering in a picture.

    Parameters
    ----------
    picture : array-like of shape (n_rows, n_columns) or (n_rows, n_columns, n_channels)
        Integers or floats. Of 2 or 4 channels the last is alpha, which is ignored. uint8 and uint16 are taken to span
        their whole range; of other types the range is that of the values. Not a number is damage of any kind.
    kind : {"auto", "scratches", "dust", "white", "text"}, default "auto"
        "scratches": bright or dark lines up to about 6 pixels wide, straight or slightly bent. "dust": specks and
        hairs of that width. In both, those of one channel only too: each channel of the oldest colour pictures was a
        plate of its own. Pictures of more than 900 pixels a side are looked at in half and in a quarter of the size
        as well. "white": areas of one value at the end of the range, white or black, with crisp borders. "text":
        overlaid letters of one colour, such as a date or a watermark. "auto": all of these, but only what is beyond
        reasonable doubt, and of "white" only what lies inside the picture: in an undamaged picture hardly anything.

    Returns
    -------
    Damage
        The mask, grown by a few pixels over soft rims, and the confidence, each of shape (n_rows, n_columns).

    Raises
    ------
    InputError
        If the array is no picture, or the kind is not one of these.

    Notes
    -----
    Thin things are what a morphological opening removes [1]_ and stand out of what is usual around them. Some twenty
    measures of each, such as contrast, length, and whether its two sides look alike, are weighed by a small network
    fitted to undamaged pictures with drawn damage. Its probability is that of a picture of average wear; the share of
    damage in this picture is estimated from its own things, and where it is lower the probabilities follow [2]_. Lines
    that go on where a sure one ends are taken for pieces of it. The confidence of thin things is calibrated on such
    drawn damage; that of holes and letters only ranks them.

    What looks like damage and is none cannot be told: stars, the craters of the moon, glints in eyes. Look at the mask
    before you fill it. Time and memory grow with the number of pixels only.

    References
    ----------
    .. [1] J. Serra, "Image Analysis and Mathematical Morphology", Academic Press, 1982 (the top-hat transform).
    .. [2] M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori
       probabilities: a simple procedure", Neural Computation 14 (1), 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.restore import find_damage
    >>> ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    >>> ramp[10:60, 30:32] = 255
    >>> mask, confidence = find_damage(ramp, "scratches")
    >>> bool(mask[10:60, 30:32].all()), round(float(mask.mean()), 2)
    (True, 0.08)
    """
    if kind not in get_args(Kind):
        raise InputError(f"{kind!r} is no kind of damage: choose one of {', '.join(get_args(Kind))}")
    colours, unknown = _colours(np.asarray(picture))
    confidence = np.zeros(unknown.shape, np.float32)
    if kind in ("auto", "scratches", "dust"):
        _add_thin(confidence, colours, kind)
    if kind in ("auto", "white"):
        np.maximum(confidence, holes(colours, inside_only=kind == "auto"), out=confidence)
    if kind in ("auto", "text"):
        np.maximum(confidence, lettering(colours), out=confidence)
    confidence[confidence < _SURE[kind]] = 0
    confidence[unknown] = 1
    return Damage(confidence > 0, confidence)


def _colours(picture: NDArray[Any]) -> tuple[NDArray[np.float32], Mask]:
    """Channels without alpha, of a range of 1; and where they are not a number or infinite."""
    if picture.ndim not in (2, 3) or 0 in picture.shape:
        raise InputError(
            "a picture has the shape (rows, columns) or (rows, columns, channels), none of them 0, "
            f"but this array has the shape {picture.shape}"
        )
    if picture.dtype.kind not in "iuf":
        raise InputError(f"a picture holds integers or floats, but this array holds {picture.dtype}")
    values = np.atleast_3d(picture)
    values = values[..., : values.shape[2] - (values.shape[2] in (2, 4))]
    if picture.dtype in (np.uint8, np.uint16):
        return np.asarray(values / np.float32(np.iinfo(picture.dtype).max)), np.zeros(values.shape[:2], bool)
    unknown = np.asarray(~np.isfinite(values).all(axis=2))
    if unknown.all():
        return np.zeros(values.shape, np.float32), unknown
    known = values[~unknown]
    low, high = float(known.min()), float(known.max())
    scaled = ((values.astype(np.float64) - low) / ((high - low) or 1.0)).astype(np.float32)
    if unknown.any():
        # The nearest known value, so that a hole makes no edge of its own.
        nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
        scaled = scaled[tuple(nearest)]
    return scaled, unknown


def _add_thin(confidence: Confidence, colours: NDArray[np.float32], kind: Kind) -> None:
    """Raise the confidence where scratches or specks are, in the picture and in smaller copies of it."""
    scale = 1
    while True:
        grown = _thin(colours, kind, _RIM if scale == 1 else _RIM // 2).repeat(scale, axis=0).repeat(scale, axis=1)
        part = confidence[: grown.shape[0], : grown.shape[1]]
        np.maximum(part, grown, out=part)
        if scale == 4 or min(colours.shape[:2]) < _LARGE:
            return
        n_rows, n_columns = (n // 2 for n in colours.shape[:2])
        fours = colours[: 2 * n_rows, : 2 * n_columns].reshape(n_rows, 2, n_columns, 2, -1)
        colours = fours.mean(axis=(1, 3), dtype=np.float32)
        scale *= 2


def _thin(colours: NDArray[np.float32], kind: Kind, rim: int) -> Confidence:
    """The confidence that scratches or specks of one scale give, grown over their rims."""
    level = np.zeros(colours.shape[:2], np.float32)
    found = list(_things_by_tile(colours))
    of_lines = share_of_damage(np.concatenate([lines.p for lines, _ in found]), line=True)
    of_specks = share_of_damage(np.concatenate([specks.p for _, specks in found]), line=False)
    for lines, specks in found:
        shares = np.full(len(specks.p), of_specks)
        if kind != "dust":
            p = adjusted(lines.p, shares_linked(lines.p, of_lines, lines.axes), line=True)
            _raise(level, lines, p)
            shares = shares_beside(p, lines.axes, shares, specks.axes)
        p = adjusted(specks.p, shares, line=False)
        # Of specks, those that go on where a scratch ends are the rest of it.
        _raise(level, specks, np.where(shares > of_specks, p, 0) if kind == "scratches" else p)
    across = np.arange(-rim, rim + 1)
    disc = np.add.outer(across**2, across**2) <= rim**2 + 1
    # By maxima: where two things meet, the surer one counts.
    return np.asarray(ndimage.maximum_filter(level, footprint=disc), np.float32)


class _Judged(NamedTuple):
    """Lines or specks of one plane of a tile."""

    pixel: NDArray[np.int64]
    thing: NDArray[np.int64]
    p: NDArray[np.float64]
    axes: NDArray[np.float64]


def _raise(level: Confidence, judged: _Judged, p: NDArray[np.float64]) -> None:
    np.maximum.at(level.ravel(), judged.pixel, p.astype(np.float32)[judged.thing])


def _things_by_tile(colours: NDArray[np.float32]) -> Iterator[tuple[_Judged, _Judged]]:
    """The lines and the specks of each plane of each tile, with probabilities of a picture of average wear."""
    n_columns = colours.shape[1]
    for rows, columns in _tiles(colours.shape[:2]):
        top, left = max(rows.start - _MARGIN, 0), max(columns.start - _MARGIN, 0)
        tile = colours[top : rows.stop + _MARGIN, left : columns.stop + _MARGIN]
        for things in thin_things(tile):
            row, column = np.divmod(things.pixel, tile.shape[1])
            row, column = row + top, column + left
            # The margin belongs to the neighbours, but a thing that reaches over is judged as a whole on either side.
            core = (row >= rows.start) & (row < rows.stop) & (column >= columns.start) & (column < columns.stop)
            pixel, thing, n_lines = (row * n_columns + column)[core], things.thing[core], things.n_lines
            line = thing < n_lines
            p_lines = probability(things.features[:n_lines], line=True)
            p_specks = probability(things.features[n_lines:], line=False)
            yield (
                _Judged(pixel[line], thing[line], p_lines, things.axes[:n_lines]),
                _Judged(pixel[~line], thing[~line] - n_lines, p_specks, things.axes[n_lines:]),
            )


def _tiles(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """A grid of about equal tiles, of at most `_TILE` pixels a side."""
    cuts = [np.linspace(0, n, 1 + -(-n // _TILE)).round().astype(int).tolist() for n in shape]
    for top, bottom in pairwise(cuts[0]):
        for left, right in pairwise(cuts[1]):
            yield slice(top, bottom), slice(left, right)
