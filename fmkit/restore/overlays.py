"""What was laid over a picture in one colour: holes of paper white or black, and letters."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fmkit.restore.lines import Labels, label_connected
from fmkit.restore.rows import LETTERS, in_rows, measure
from fmkit.restore.scaled import Scaled, Window, tiles, widened
from fmkit.restore.windows import closed, highest, opened, raise_around
from fmkit.threads import for_each

_STEP = 1 / 255
_HOLE = 5  # pixels: a hole holds a square of this side; what does not is a scratch or a speck
_NEAR, _FAR = (2, 3), (6, 8)  # pixels from a hole: its two frames
_BAND = 1 << 19  # pixels of the bands that holes are looked for in
_STROKE = 11  # pixels: no stroke of a letter holds a square of this side
_SMALLEST, _LARGEST = 6, 120  # pixels: letters
_COLOURS = 4  # of strokes that are looked into
_TILE = 640  # pixels of the tiles that letters are looked for in
COST_OF_HOLES, COST_OF_LETTERS = 0.1, 0.4  # microseconds a pixel, in the order of magnitude
_RIM = 3  # pixels around either: antialiasing, and what JPEG made of it

Confidence = NDArray[np.float32]


def add_holes(confidence: Confidence, scaled: Scaled, least: float, n_threads: int, *, inside_only: bool) -> None:
    """Raise the confidence on areas of white or black with crisp borders all around, beyond which the picture goes on.

    An overexposed sky ends at white too, but it fades into it, or is cut out by what stands before it: either a good
    part of its border is no step, or the step differs from place to place in what it leads to.

    Parameters
    ----------
    confidence : float32 ndarray of shape (n_rows, n_columns)
    scaled : Scaled
        The picture.
    least : float
        Holes that are less sure are left out.
    n_threads : int
    inside_only : bool
        Leave out what touches the edge of the picture or takes more than a twentieth of it.
    """
    n_rows, n_columns = scaled.shape
    step = max(32, _BAND // n_columns)
    bands = [slice(top, min(top + step, n_rows)) for top in range(0, n_rows, step)]
    for white in (True, False):
        found = for_each(_holes_of_band, [(scaled, band, white) for band in bands], n_threads)
        offsets = np.cumsum([0, *(len(holes.sums) for holes in found)])
        if offsets[-1] == 0:
            continue
        pairs = [
            np.stack([above.bottom[both] + start, below.top[both] + stop])
            for above, below, start, stop in zip(found, found[1:], offsets, offsets[1:], strict=False)
            if above.bottom.size and below.top.size and (both := (above.bottom > 0) & (below.top > 0)).any()
        ]
        one, other = np.concatenate([np.zeros((2, 0), int), *pairs], axis=1) - 1
        graph = coo_array((np.ones(len(one)), (one, other)), shape=(offsets[-1],) * 2)
        n, whole = connected_components(graph, directed=False)
        sums = np.zeros((n, len(_SUMS)))
        np.add.at(sums, whole, np.concatenate([holes.sums for holes in found]))
        sure = _sure(dict(zip(_SUMS, sums.T, strict=True)), n_rows * n_columns if inside_only else None)[whole]
        sure[sure < least] = 0
        paint = [
            (confidence, scaled, band, white, np.r_[0, sure[start:stop]].astype(np.float32))
            for band, start, stop in zip(bands, offsets, offsets[1:], strict=False)
            if sure[start:stop].any()
        ]
        for_each(_paint_holes, paint, n_threads)


_SUMS = ("area", "edge", "near", "crisp", "near step", "far", "far step")


class _Holes(NamedTuple):
    """The pieces of holes in a band, and their labels in the rows that two bands share."""

    sums: NDArray[np.float64]
    top: Labels
    bottom: Labels


def _holes_of_band(scaled: Scaled, band: slice, white: bool) -> _Holes:
    scaled.done_with((band, slice(0, scaled.shape[1])), COST_OF_HOLES / 2)
    labels, step, above = _label_holes(scaled, band, white)
    n = int(labels.max(initial=0))
    if n == 0:
        return _Holes(np.zeros((0, len(_SUMS))), labels[:0], labels[:0])
    core = slice(above, above + band.stop - band.start)

    def total(labels: Labels, values: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        inside = labels > 0
        weights = None if values is None else values[inside]
        return np.bincount(labels[inside], weights, n + 1)[1:].astype(np.float64)

    own, (near, far), step = labels[core], (_frame(labels, *frame)[core] for frame in (_NEAR, _FAR)), step[core]
    edge = np.zeros_like(own)
    edge[:, [0, -1]] = own[:, [0, -1]]
    if band.start == 0:
        edge[0] = own[0]
    if band.stop == scaled.shape[0]:
        edge[-1] = own[-1]
    crisp = (step > 0.15).astype(np.float32)
    sums = [total(own), total(edge), total(near), total(near, crisp), total(near, step), total(far), total(far, step)]
    n_shared = min(len(labels), 2 * _FAR[1])
    return _Holes(np.stack(sums, axis=1), labels[:n_shared], labels[-n_shared:])


def _label_holes(scaled: Scaled, band: slice, white: bool) -> tuple[Labels, Confidence, int]:
    """Labels around a band of rows, as far as its frames reach; the step from the holes' level; the rows above it."""
    whole = (band, slice(0, scaled.shape[1]))
    reach = widened(whole, _FAR[1], _FAR[1], scaled.shape)
    wide = widened(reach, _HOLE, _HOLE, scaled.shape)
    inner = slice(reach[0].start - wide[0].start, reach[0].stop - wide[0].start)
    colours = scaled.window(wide)
    full = colours.min(axis=0) > 1 - 1.5 * _STEP if white else colours.max(axis=0) < 1.5 * _STEP
    step = np.abs(colours[:, inner].mean(axis=0) - np.float32(white))
    above = band.start - reach[0].start
    if not full.any():
        return np.zeros(step.shape, np.int32), step, above
    # Beyond the picture there is no hole: a strip along its edge must be as wide as any other.
    solid = opened(np.pad(full, _HOLE), _HOLE)[_HOLE:-_HOLE, _HOLE:-_HOLE]
    return label_connected(np.ascontiguousarray(solid[inner]))[0], step, above


def _sure(sums: dict[str, NDArray[np.float64]], inside_of: int | None) -> NDArray[np.float64]:
    """How sure holes are, 0 to 1; those inside of a picture of so many pixels only."""
    near, far = np.maximum(sums["near"], 1), np.maximum(sums["far"], 1)
    near_step, far_step = sums["near step"] / near, sums["far step"] / far
    # Light bleeds: around what was overexposed the picture is brighter the nearer; around a hole it is not.
    bleeding = np.clip((far_step - near_step) / np.maximum(far_step, _STEP), 0, 1)
    sure = np.asarray((sums["crisp"] / near) ** 2 * (1 - bleeding) * (near_step > 0.15))
    if inside_of is not None:
        sure[(sums["edge"] > 0) | (sums["area"] > inside_of / 20)] = 0
    return sure


def _paint_holes(confidence: Confidence, scaled: Scaled, band: slice, white: bool, sure: Confidence) -> None:
    labels, _, above = _label_holes(scaled, band, white)
    grown = highest(sure[labels], 2 * _RIM + 1)[above : above + band.stop - band.start]
    np.maximum(confidence[band], grown, out=confidence[band])


def _frame(labels: Labels, inner: int, outer: int) -> Labels:
    """The labels of the pixels that are `inner` to `outer` pixels away from theirs."""
    return np.where(highest(labels, 2 * inner - 1) > 0, 0, highest(labels, 2 * outer + 1))


def add_lettering(confidence: Confidence, scaled: Scaled, least: float, n_threads: int) -> None:
    """Raise the confidence on rows of letters of exactly one colour.

    Strokes of a scene's own letters vary with its light and its noise.

    Parameters
    ----------
    confidence : float32 ndarray of shape (n_rows, n_columns)
    scaled : Scaled
        The picture.
    least : float
        Letters that are less sure are left out.
    n_threads : int
    """
    windows = list(tiles(scaled.shape, _TILE))
    colours = _colours(for_each(_colours_of_tile, [(scaled, window) for window in windows], n_threads))
    if len(colours) == 0:
        return
    by_tile = for_each(_letters_of_tile, [(scaled, window, colours) for window in windows], n_threads)
    for found in zip(*by_tile, strict=True):
        box, area, exact = (np.concatenate([x[i] for x in found]) for i in range(3))
        in_row = in_rows(box)
        kept = in_row >= LETTERS
        if not kept.any():
            continue
        # Of one colour: most of what is close to it is very close, and each letter has a core that is.
        share = exact[kept].sum() / area[kept].sum()
        sure = (np.clip(2.5 * share - 1, 0, 1) * (1 - 2.0 ** (1 - in_row))).astype(np.float32)  # four may be chance
        sure[~kept | (sure < least)] = 0
        offset = 0
        for letters in found:
            value = sure[letters.letter + offset]
            row, column = letters.row[value > 0], letters.column[value > 0]
            raise_around(confidence, row, column, value[value > 0], _RIM, 2 * _RIM**2, 1)
            offset += len(letters.box)


_Colours = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]


def _colours_of_tile(scaled: Scaled, window: Window) -> _Colours:
    """The most frequent colours of the flat strokes of a tile: their codes, pixels and medians."""
    wide = widened(window, _STROKE, _STROKE, scaled.shape)
    colours = scaled.window(wide)
    at = _strokes(colours) & _flat(colours)
    core = np.zeros_like(at)
    top, left = window[0].start - wide[0].start, window[1].start - wide[1].start
    core[top : top + window[0].stop - window[0].start, left : left + window[1].stop - window[1].start] = True
    flat_strokes = colours[:, at & core].T
    scaled.done_with(window, COST_OF_LETTERS / 2)
    codes = np.rint(flat_strokes * 51) @ 52.0 ** np.arange(len(colours))
    values, counts = np.unique(codes, return_counts=True)
    common = np.argsort(-counts, kind="stable")[: 4 * _COLOURS]
    medians = [np.median(flat_strokes[codes == values[i]], axis=0) for i in common]
    return values[common], counts[common], np.array(medians, np.float32).reshape(len(common), len(colours))


def _colours(by_tile: list[_Colours]) -> NDArray[np.float32]:
    """The most frequent of all; each is the median of that tile which has most of it."""
    codes, counts, medians = (np.concatenate(part) for part in zip(*by_tile, strict=True))
    values, code = np.unique(codes, return_inverse=True)
    common = np.argsort(-np.bincount(code, counts, len(values)), kind="stable")[:_COLOURS]
    most = [np.argmax(np.where(code == i, counts, 0)) for i in common]
    return np.asarray(medians[np.array(most, int)])


class _Letters(NamedTuple):
    """What may be letters of one colour in a tile."""

    box: NDArray[np.int64]
    """Shape (n_letters, 4): rows and columns, first and beyond last."""
    area: NDArray[np.int64]
    exact: NDArray[np.int64]
    """Pixels of just this colour."""
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    letter: NDArray[np.int32]
    """The one that the pixel of this row and column belongs to."""


def _letters_of_tile(scaled: Scaled, window: Window, wanted: NDArray[np.float32]) -> list[_Letters]:
    """What is of the size of letters and begins in this tile, for each of the wanted colours."""
    wide = widened(window, _STROKE, _LARGEST + 2 * _STROKE, scaled.shape)
    colours = scaled.window(wide)
    strokes = _strokes(colours)
    corner = np.array([wide[0].start, wide[0].start, wide[1].start, wide[1].start])
    result = []
    for colour in wanted:
        off = np.abs(colours - colour[:, None, None]).max(axis=0)
        labels, n = label_connected(strokes & (off < 8 * _STEP))
        found = np.zeros((n, 6), np.int64)
        measure(labels, off < 2.5 * _STEP, found)
        box, area, exact = found[:, :4] + corner, found[:, 4], found[:, 5]
        size = np.maximum(box[:, 1] - box[:, 0], box[:, 3] - box[:, 2])
        letter = (size >= _SMALLEST) & (size <= _LARGEST) & (area >= 2.5 * size) & (area < 0.7 * size**2)
        for side, (first, stop) in zip(window, (box[:, :2].T, box[:, 2:].T), strict=True):
            letter &= (first >= side.start) & (first < side.stop) & (stop > first)
        names = np.concatenate([[0], np.where(letter, np.cumsum(letter), 0)]).astype(np.int32)
        own = names[labels]
        row, column = np.nonzero(own)
        here = own[row, column] - np.int32(1)
        result.append(_Letters(box[letter], area[letter], exact[letter], row + corner[0], column + corner[2], here))
    scaled.done_with(window, COST_OF_LETTERS / 2)
    return result


def _strokes(colours: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels on thin things of strong contrast."""
    strokes = np.zeros(colours.shape[1:], bool)
    for plane in colours:
        strokes |= (plane - opened(plane, _STROKE) > 0.15) | (closed(plane, _STROKE) - plane > 0.15)
    return strokes


def _flat(colours: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels in a square of two by two of one colour."""
    n_rows, n_columns = colours.shape[1:]
    corners = [(slice(i, n_rows - 1 + i), slice(j, n_columns - 1 + j)) for i in (0, 1) for j in (0, 1)]
    result = np.zeros((n_rows, n_columns), bool)
    fours = np.stack([colours[:, rows, columns] for rows, columns in corners])
    alike = (np.ptp(fours, axis=0) < 2.5 * _STEP).all(axis=0)
    for rows, columns in corners:
        result[rows, columns] |= alike
    return result
