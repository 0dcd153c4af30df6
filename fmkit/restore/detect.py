"""`find_damage`: a picture in, out comes which of its pixels are damaged, and how sure that is."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit.errors import InputError
from fmkit.restore.defects import thin_things
from fmkit.restore.evidence import (
    SURE_LINE,
    adjusted,
    best_case,
    odds_by_colour,
    only_a_tail,
    probability,
    share_of_damage,
    shares_beside,
    shares_linked,
    times_odds,
)
from fmkit.restore.overlays import COST_OF_HOLES, COST_OF_LETTERS, add_holes, add_lettering
from fmkit.restore.passes import OnProgress
from fmkit.restore.scaled import Scaled, Window, tiles, widened
from fmkit.restore.windows import raise_around
from fmkit.threads import count_threads, for_each

Kind = Literal["auto", "scratches", "dust", "white", "text"]
Confidence = NDArray[np.float32]

_TILE, _MARGIN = 1024, 96  # pixels: bounds the memory of a large picture; the margin holds every window of a thing
_LARGE = 900  # pixels of the shorter side: what is larger is looked at in half the size as well, for larger damage
_SURE = {"auto": 0.95, "white": 0.5, "text": 0.5}  # of holes and letters
# Of specks and of lines; a stroke of a pen, in the picture "text" of scikit-image, has .962.
_SURE_THIN = {"auto": (0.9, 0.965), "scratches": (0.8, 0.85), "dust": (0.75, 0.8)}
_COST, PARTS = 3.0, 1000  # microseconds a pixel, for the share of the work that is done; of how many parts it is told
_RIM = 2  # pixels around a thing: its soft rim and what JPEG made of that; half of it in smaller copies


class Damage(NamedTuple):
    """What `find_damage` found."""

    mask: NDArray[np.bool_]
    """Shape (n_rows, n_columns), True where the picture is lost, as `restore_image` takes it."""
    confidence: NDArray[np.float32]
    """Shape (n_rows, n_columns): the probability, 0 to 1, that what is there is damage; 0 outside of the mask."""


def find_damage(
    picture: ArrayLike,
    kind: Kind = "auto",
    *,
    min_confidence: float | None = None,
    n_jobs: int | None = None,
    progress: OnProgress | None = None,
) -> Damage:
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
    min_confidence : float in (0, 1], optional
        Mark what is damage with at least this probability. By default what is sure: .85 for scratches, .75 for dust,
        .5 for holes and letters, and .9 to .965 for "auto". Of a picture that is looked at, and corrected, afterwards
        .5 or .25 finds more, and more that is none (benchmarks/bench_find_damage.py).
    n_jobs : int, optional
        Threads; None and -1 mean every core. The result is the same with any number.
    progress : callable of (done, total), optional
        Called, from any thread, as the work goes on, with parts of a thousand. An error that it raises ends the work.

    Returns
    -------
    Damage
        The mask, grown by a few pixels over soft rims, and the confidence, each of shape (n_rows, n_columns).

    Raises
    ------
    InputError
        If the array is no picture, the kind is not one of these, or the confidence no probability.

    Notes
    -----
    Thin things are what a morphological opening removes [1]_ and stand out of what is usual around them. Some two
    dozen measures of each, such as contrast, length, whether its two sides look alike, whether it is crisper than the
    picture and whether it stands in a row as letters do, are weighed by one layer of 36 tanh units for lines and one
    for specks, whose weights stand in `evidence.csv`. They were fitted to undamaged pictures with drawn damage
    (benchmarks/bench_find_damage.py); nothing is learned from the picture but the share of damage. Probabilities are
    those of a picture of average wear; the share of damage in this picture is estimated from its own things, and where
    it is lower they follow [2]_. Lines that go on where a sure one ends are taken for pieces of it, and what has the
    colour of sure damage is the more likely damage the rarer that colour is among other thin things. The confidence of
    thin things is calibrated on such drawn damage; that of holes and letters only ranks them.

    What looks like damage and is none cannot always be told: a sky of few stars, a stroke of a pen, scores in wood.
    Where for each speck beyond doubt there are many in doubt, as among craters and galaxies, "auto" takes specks for
    the picture's own; "dust" does not. Look at the mask before you fill it. Time grows with the number of pixels only.
    So does memory: five bytes a pixel for the result, and besides some for what may be damage and about 100 MB a
    thread, whatever the size.

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
    check_wishes(kind, min_confidence)
    least = _SURE.get(kind, 1.0) if min_confidence is None else min_confidence
    least_thin = _SURE_THIN.get(kind, (1.0, 1.0)) if min_confidence is None else (min_confidence, min_confidence)
    thin, holes, letters = (kind in ("auto", *kinds) for kinds in (("scratches", "dust"), ("white",), ("text",)))
    spent = 0.0

    def looked(cost: float) -> None:
        nonlocal spent
        spent += cost
        if progress is not None:
            progress(min(round(PARTS * spent / whole), PARTS), PARTS)

    scaled, n_threads = Scaled(picture, looked), count_threads(n_jobs)
    scales = [scale for scale in (1, 2, 4) if scale == 1 or min(scaled.shape_at(scale // 2)) >= _LARGE]
    cost = thin * _COST * sum(scale**-2 for scale in scales) + holes * COST_OF_HOLES + letters * COST_OF_LETTERS
    whole = max(scaled.shape[0] * scaled.shape[1] * cost, 1e-9)
    confidence = np.zeros(scaled.shape, np.float32)
    if thin:
        for scale in scales:
            _add_thin(confidence, scaled, scale, kind, least_thin, n_threads)
    if holes:
        add_holes(confidence, scaled, least, n_threads, inside_only=kind == "auto")
    if letters:
        add_lettering(confidence, scaled, least, n_threads)
    for rows, unknown in scaled.unknown():
        confidence[rows][unknown] = 1
    return Damage(confidence > 0, confidence)


def check_wishes(kind: object, min_confidence: object) -> None:
    """Refuse, with an InputError, what is no kind of damage and no probability."""
    if kind not in get_args(Kind):
        raise InputError(f"{kind!r} is no kind of damage: choose one of {', '.join(get_args(Kind))}")
    if min_confidence is not None and not (
        isinstance(min_confidence, int | float | np.floating) and 0 < min_confidence <= 1
    ):
        raise InputError(f"min_confidence must be a probability above 0, such as .5, got {min_confidence!r}")


def _add_thin(
    confidence: Confidence, scaled: Scaled, scale: int, kind: Kind, least: tuple[float, float], n_threads: int
) -> None:
    """Raise the confidence where scratches or specks are in a copy of the picture that is smaller by `scale`."""
    windows = list(tiles(scaled.shape_at(scale), _TILE))
    found = for_each(_judge, [(scaled, window, scale, least) for window in windows], n_threads)
    p_specks, p_lines = (np.concatenate([plane[line].p for tile in found for plane in tile]) for line in (0, 1))
    of_lines, of_specks = share_of_damage(p_lines, line=True), share_of_damage(p_specks, line=False)
    # Of specks, those that go on where a scratch ends are the rest of it.
    rest_only = kind == "scratches" or (kind == "auto" and only_a_tail(p_specks, of_specks))
    _raise_by_colour(found, (of_specks, of_lines))
    rim = _RIM if scale == 1 else _RIM // 2
    weighed = for_each(_weigh, [(tile, of_lines, of_specks, kind, least, rest_only) for tile in found], n_threads)
    for window, (pixel, value) in zip(windows, weighed, strict=True):
        row, column = np.divmod(pixel, np.int32(window[1].stop - window[1].start))
        row, column = row + window[0].start, column + window[1].start
        raise_around(confidence, row, column, value, rim, rim**2 + 1, scale)


class _Judged(NamedTuple):
    """Lines or specks of one plane of a tile."""

    p: NDArray[np.float64]
    """Of each, in a picture of average wear."""
    colours: NDArray[np.float32]
    """Of each."""
    possible: NDArray[np.intp]
    """Those that may be sure in the end, of which alone the rest is kept: some percent of all."""
    axes: NDArray[np.float64]
    pixel: NDArray[np.int32]
    """Flat indices into the tile."""
    thing: NDArray[np.int32]
    """The one of `possible` that each of `pixel` belongs to."""


_Found = list[tuple[_Judged, _Judged]]


def _judge(scaled: Scaled, window: Window, scale: int, least: tuple[float, float]) -> _Found:
    """The specks and the lines of each plane of a tile."""
    wide = widened(window, _MARGIN, _MARGIN, scaled.shape_at(scale))
    top, left = window[0].start - wide[0].start, window[1].start - wide[1].start
    n_rows, n_columns = (side.stop - side.start for side in window)
    found = []
    for things in thin_things(scaled.window(wide, scale)):
        row, column = np.divmod(things.pixel, np.int32(wide[1].stop - wide[1].start))
        row, column = row - np.int32(top), column - np.int32(left)
        # The margin belongs to the neighbours, but a thing that reaches over is judged as a whole on either side.
        core = (row >= 0) & (row < n_rows) & (column >= 0) & (column < n_columns)
        pixel, thing = (row * np.int32(n_columns) + column)[core], things.thing[core]
        judged = []
        for line, own in ((False, slice(things.n_lines, None)), (True, slice(0, things.n_lines))):
            p = probability(things.features[own], line=line)
            possible = np.flatnonzero(best_case(p, line=line) >= min(least[line], SURE_LINE))
            names = np.full(len(things.axes), -1, np.int32)
            names[possible + (0 if line else things.n_lines)] = np.arange(len(possible))
            here = names[thing] >= 0
            judged.append(
                _Judged(p, things.colours[own], possible, things.axes[own][possible], pixel[here], names[thing[here]])
            )
        found.append((judged[0], judged[1]))
    scaled.done_with(window, _COST)
    return found


def _raise_by_colour(found: list[_Found], shares: tuple[float, float]) -> None:
    """Raise the probabilities of what has the colour of sure damage; of bright things and of dark ones.

    What is on one channel alone has no colour of its own: there the picture goes on in the others.
    """
    for bright_or_dark in (0, 1):
        for line, share in enumerate(shares):
            judged = [tile[bright_or_dark][line] for tile in found]
            p = adjusted(np.concatenate([some.p for some in judged]), share, line=bool(line))
            times = odds_by_colour(p, np.concatenate([some.colours for some in judged]))
            ends = np.cumsum([len(some.p) for some in judged])
            for some, its_own in zip(judged, np.split(times, ends[:-1]), strict=True):
                some.p[:] = times_odds(some.p, its_own)


def _weigh(
    found: _Found, of_lines: float, of_specks: float, kind: Kind, least: tuple[float, float], rest_only: bool
) -> tuple[NDArray[np.int32], Confidence]:
    """Pixels of a tile that are damage for sure, and how sure, with the shares of damage in this picture."""
    pixels, values = [], []
    least_speck, least_line = least
    for specks, lines in found:
        shares = np.full(len(specks.possible), of_specks)
        p_lines, p_specks = lines.p[lines.possible], specks.p[specks.possible]
        if kind != "dust":
            p = adjusted(p_lines, shares_linked(p_lines, of_lines, lines.axes), line=True)
            p[p < least_line] = 0
            sure = p[lines.thing] > 0
            pixels.append(lines.pixel[sure])
            values.append(p[lines.thing][sure])
            shares = shares_beside(p, lines.axes, shares, specks.axes)
        p = adjusted(p_specks, shares, line=False)
        p = np.where(shares > of_specks, p, 0) if rest_only else p
        sure = (p >= least_speck)[specks.thing]
        pixels.append(specks.pixel[sure])
        values.append(p[specks.thing][sure])
    return np.concatenate(pixels), np.concatenate(values).astype(np.float32)
