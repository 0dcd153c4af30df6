"""What was laid over a picture in one colour: holes of paper white or black, and letters."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

_STEP = 1 / 255
_HOLE = 5  # pixels: a hole holds a square of this side; what does not is a scratch or a speck
_STROKE = 11  # pixels: no stroke of a letter holds a square of this side
_LETTERS = 4  # that a line of letters has at least
_COLOURS = 4  # of strokes that are looked into
_RIM = 3  # pixels around either: antialiasing, and what JPEG made of it

Confidence = NDArray[np.float32]


def holes(colours: NDArray[np.float32], *, inside_only: bool) -> Confidence:
    """Areas of white or black with crisp borders all around, beyond which the picture goes on as if nothing were.

    An overexposed sky ends at white too, but it fades into it, or is cut out by what stands before it: either a good
    part of its border is no step, or the step differs from place to place in what it leads to.

    Parameters
    ----------
    colours : float32 ndarray of shape (n_rows, n_columns, n_channels)
        Of a range of 1.
    inside_only : bool
        Leave out what touches the edge of the picture or takes more than a twentieth of it.

    Returns
    -------
    float32 ndarray of shape (n_rows, n_columns)
        0 to 1.
    """
    confidence = np.zeros(colours.shape[:2], np.float32)
    brightness = colours.mean(axis=2)
    for full in (colours.min(axis=2) > 1 - 1.5 * _STEP, colours.max(axis=2) < 1.5 * _STEP):
        solid = ndimage.binary_opening(full, np.ones((_HOLE, _HOLE), bool))
        labels, n = ndimage.label(solid)
        if n == 0:
            continue
        near, far = _frame(labels, 2, 3), _frame(labels, 6, 8)
        level = 1.0 if brightness[solid][0] > 0.5 else 0.0
        step = np.abs(brightness - level)
        index = np.arange(1, n + 1)
        crisp = np.nan_to_num(ndimage.mean(step > 0.15, near, index))
        near_step, far_step = (np.nan_to_num(ndimage.mean(step, frame, index)) for frame in (near, far))
        # Light bleeds: around what was overexposed the picture is brighter the nearer; around a hole it is not.
        bleeding = np.clip((far_step - near_step) / np.maximum(far_step, _STEP), 0, 1)
        sure = crisp**2 * (1 - bleeding) * (near_step > 0.15)
        if inside_only:
            edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
            sure[np.unique(edge[edge > 0]) - 1] = 0
            sure[np.bincount(labels.ravel(), minlength=n + 1)[1:] > labels.size / 20] = 0
        grown = ndimage.maximum_filter(np.r_[0, sure].astype(np.float32)[labels], 2 * _RIM + 1)
        np.maximum(confidence, grown, out=confidence)
    return confidence


def _frame(labels: NDArray[np.int32], inner: int, outer: int) -> NDArray[np.int32]:
    """The labels of the pixels that are `inner` to `outer` pixels away from theirs."""
    taken = ndimage.maximum_filter(labels, 2 * inner - 1) > 0
    return np.where(taken, 0, ndimage.maximum_filter(labels, 2 * outer + 1))


def lettering(colours: NDArray[np.float32]) -> Confidence:
    """Rows of letters of exactly one colour: strokes of a scene's own letters vary with its light and its noise.

    Parameters
    ----------
    colours : float32 ndarray of shape (n_rows, n_columns, n_channels)
        Of a range of 1.

    Returns
    -------
    float32 ndarray of shape (n_rows, n_columns)
        0 to 1.
    """
    confidence = np.zeros(colours.shape[:2], np.float32)
    strokes, flat = _strokes(colours)
    if not (strokes & flat).any():
        return confidence
    codes = np.rint(colours[strokes & flat] * 51) @ 52.0 ** np.arange(colours.shape[2])
    values, counts = np.unique(codes, return_counts=True)
    for i in np.argsort(-counts, kind="stable")[:_COLOURS]:
        colour = np.median(colours[strokes & flat][codes == values[i]], axis=0)
        off = np.abs(colours - colour).max(axis=2)
        letters = strokes & (off < 8 * _STEP)
        labels, in_row = _in_rows(*ndimage.label(letters, np.ones((3, 3), int)))
        if not labels.any():
            continue
        # Of one colour: most of what is close to it is very close, and each letter has a core that is.
        exact = np.count_nonzero(off[labels > 0] < 2.5 * _STEP) / np.count_nonzero(labels)
        sure = np.clip(2.5 * exact - 1, 0, 1) * (1 - 2.0 ** (1 - in_row))  # four in a row may be chance
        np.maximum(confidence, ndimage.maximum_filter(sure.astype(np.float32)[labels], 2 * _RIM + 1), out=confidence)
    return confidence


def _strokes(colours: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels on thin things of strong contrast, and those in a square of 2 pixels of one colour."""
    strokes = np.zeros(colours.shape[:2], bool)
    flat = np.ones(colours.shape[:2], bool)
    for c in range(colours.shape[2]):
        plane = colours[..., c]
        bright = plane - ndimage.grey_opening(plane, (_STROKE, _STROKE))
        dark = ndimage.grey_closing(plane, (_STROKE, _STROKE)) - plane
        strokes |= np.maximum(bright, dark) > 0.15
        span = ndimage.maximum_filter(plane, 2) - ndimage.minimum_filter(plane, 2)
        flat &= span < 2.5 * _STEP
    return strokes, np.asarray(ndimage.binary_dilation(flat, np.ones((2, 2), bool), origin=-1))


def _in_rows(labels: NDArray[np.int32], n: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Keep labels of the size of letters that stand in a row or a column; and by label, how many of them do."""
    in_row = np.ones(n + 1)
    boxes = np.array([[s.start, s.stop, t.start, t.stop] for s, t in ndimage.find_objects(labels)]).reshape(n, 4)
    size = np.maximum(boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2])
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    letter = np.flatnonzero((size >= 6) & (size <= 120) & (area >= 2.5 * size) & (area < 0.7 * size**2))
    if len(letter) < _LETTERS:
        return np.zeros_like(labels), in_row
    box, size = boxes[letter].astype(float), size[letter].astype(float)
    middle = np.stack([box[:, :2].mean(axis=1), box[:, 2:].mean(axis=1)], axis=1)
    k = min(9, len(letter))
    other = cKDTree(middle).query(middle, k)[1].reshape(len(letter), k)[:, 1:]
    self = np.repeat(np.arange(len(letter)), k - 1)
    other = other.ravel()
    larger = np.maximum(size[self], size[other])
    alike = larger < 1.8 * np.minimum(size[self], size[other])
    linked = np.zeros(len(self), bool)
    for low, high, start, stop in ((0, 1, 2, 3), (2, 3, 0, 1)):
        level = np.minimum(np.abs(box[self, low] - box[other, low]), np.abs(box[self, high] - box[other, high]))
        gap = np.maximum(box[self, start], box[other, start]) - np.minimum(box[self, stop], box[other, stop])
        linked |= (level <= 1 + 0.1 * larger) & (gap < larger) & (gap > -0.2 * larger)
    linked &= alike
    graph = coo_array((np.ones(linked.sum()), (self[linked], other[linked])), shape=(len(letter),) * 2)
    row = connected_components(graph, directed=False)[1]
    in_row[1 + letter] = np.bincount(row)[row]
    return np.where((in_row >= _LETTERS)[labels], labels, 0), in_row
