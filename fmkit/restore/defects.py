"""Scratches, specks and hairs: thin things that stand out of a plane of the picture, each with what speaks about it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fmkit.kernels import kernel

Plane = NDArray[np.float32]

_THIN = 7  # pixels: what holds no square of this side is thin; room for a scratch of 5 with its soft rims
_AROUND = 49  # pixels: the window that tells how much of thin structure a place has by itself
_FLOOR = 0.006  # of full range: one and a half steps of 8 bits, below which nothing is seen
_GROW = 2.0  # times what is usual around: a pixel of a thing
_SEED_LINE, _SEED_SPECK = 4.0, 6.0  # times what is usual: the summit that a thing must have; lines have length besides
_SHORTEST = 15  # pixels that a line has at least

_N_ANGLES = 24
_REACH = 12  # pixels to either side: what goes on for 25 pixels is a line
_GOES_ON = 0.75  # of a pixel's own height, on the mean along the line
_TURN = 3  # steps of 7.5 degrees that a line may turn from one pixel to the next

FEATURES = (
    "contrast",  # logarithms, of brightness in units of the range: mean inside less mean of the surroundings
    "spread",  # standard deviation of the surroundings
    "peak",  # summit over what is usual around
    "summit",  # highest of the surroundings: what continues the thing makes it part of the picture
    "rough",  # standard deviation inside
    "crest",  # the same of the highest within a pixel: a scratch has one colour ...
    "under",  # ... whatever it lies on: standard deviation of what is below it
    "beyond",  # no logarithm: by how many contrasts it outshines all that is not thin within 32 pixels
    "rank",  # contrast over that of the picture's most conspicuous thin things
    "area", "length", "width", "bent",  # pixels; bent is how much broader than its width it lies
    "sides",  # difference of the surroundings to the left and to the right: what bounds two things is an edge
    "crowd",  # share of thin things around
    "headroom",  # no logarithm in the next three: brightness left to white or black
    "colour",  # 1 where one channel does not go with the others
    "colourful",
    "texture",  # spread of brightness around
    "edge",  # steepest change of its rim, of the contrast
)  # fmt: skip


@dataclass(frozen=True)
class Things:
    """Connected things that stand out, as lists of pixels."""

    pixel: NDArray[np.int64]
    """Flat indices into the plane."""
    thing: NDArray[np.int64]
    """The thing, from 0, that each of `pixel` belongs to."""
    features: NDArray[np.float64]
    """Shape (n_things, len(FEATURES))."""
    n_lines: int
    """Things before this one are lines, the others specks."""
    axes: NDArray[np.float64]
    """Shape (n_things, 5): row and column of the middle, of a unit step along the long axis, and the length."""


def thin_things(colours: NDArray[np.float32]) -> Iterator[Things]:
    """The lines and the specks of each plane and in each direction, bright and dark.

    Parameters
    ----------
    colours : float32 ndarray of shape (n_rows, n_columns, n_channels)
        Of a range of 1.
    """
    planes = planes_of(colours)
    for number, plane in enumerate(planes):
        for sign in (1, -1):
            yield _stand_out(plane * np.float32(sign), planes[0], colours, alone=number > 0)


def planes_of(colours: NDArray[np.float32]) -> list[Plane]:
    """The brightness and, in colour, what each channel holds that the others do not tell.

    The oldest colour pictures were exposed on a plate of its own for each channel, and the dust of a plate is on it
    alone: what a local regression on the two others leaves of a channel shows it, and hides what all three show.
    """
    n_channels = colours.shape[2]
    brightness = colours.mean(axis=2, dtype=np.float64).astype(np.float32)
    if n_channels == 1:
        return [brightness]
    flat = colours - np.stack([_mean_around(colours[..., c]) for c in range(n_channels)], axis=2)
    planes = [brightness]
    for c in range(n_channels):
        own, others = flat[..., c], (flat.sum(axis=2) - flat[..., c]) / np.float32(n_channels - 1)
        slope = _mean_around(own * others) / (_mean_around(others * others) + np.float32(_FLOOR**2))
        planes.append(own - slope * others)
    return planes


def _mean_around(plane: Plane) -> Plane:
    return np.asarray(ndimage.uniform_filter(plane, _AROUND, mode="reflect"), np.float32)


def _stand_out(value: Plane, brightness: Plane, colours: NDArray[np.float32], *, alone: bool) -> Things:
    opened = ndimage.grey_opening(value, (_THIN, _THIN), mode="reflect")
    height = value - opened
    # The mean of exponent 1/2: nearly as blind to the defect itself as a median is, at the price of a box filter.
    relative = height / (_mean_around(np.sqrt(height)) ** 2 + np.float32(_FLOOR))
    # Cut at a share of the summit near by, so that a strong thing comes apart from the weak texture that it lies on.
    stands = (relative > _GROW) & (height > np.float32(0.4) * ndimage.maximum_filter(height, 9))
    scene = _Scene(value, opened, height, relative, stands, brightness, colours, alone)
    labels, n = _label_lines(np.asarray(ndimage.gaussian_filter(height, 0.7), np.float32), stands)
    labels, n_lines = _strong(labels, n, relative, _SEED_LINE, _SHORTEST)
    rest = stands & ~ndimage.maximum_filter(labels > 0, 3)
    specks, n = ndimage.label(rest, np.ones((3, 3), int))
    specks, n_specks = _strong(specks, n, relative, _SEED_SPECK, 1)
    labels += np.where(specks > 0, specks + np.int32(n_lines), 0)
    return scene.describe(labels, n_lines, n_lines + n_specks)


def _strong(
    labels: NDArray[np.int32], n: int, relative: Plane, seed: float, least: int
) -> tuple[NDArray[np.int32], int]:
    """Keep the things whose summit reaches `seed` and that have `least` pixels."""
    inside = labels > 0
    own = labels[inside] - 1
    kept = (_maxima(relative[inside], own, n) > seed) & (np.bincount(own, minlength=n) >= least)
    names = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
    return names[labels], int(kept.sum())


def _maxima(values: NDArray[np.floating], of: NDArray[np.int32], n: int) -> NDArray[np.float64]:
    result = np.zeros(n)
    np.maximum.at(result, of, values)
    return result


@dataclass(frozen=True)
class _Scene:
    """A plane that things stand out of."""

    value: Plane
    opened: Plane
    height: Plane
    relative: Plane
    stands: NDArray[np.bool_]
    brightness: Plane
    colours: NDArray[np.float32]
    alone: bool

    def describe(self, labels: NDArray[np.int32], n_lines: int, n: int) -> Things:
        """What speaks for and against each of `n` things."""
        pixel = np.flatnonzero(labels)
        own = labels.ravel()[pixel] - 1
        area = np.bincount(own, minlength=n).astype(np.float64)
        frame, ring = _surroundings(labels, self.stands)
        n_ring = np.bincount(ring, minlength=n).astype(np.float64)

        def inside(plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return _mean_and_spread(plane.ravel()[pixel], own, area)

        def outside(plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return _mean_and_spread(plane.ravel()[frame], ring, n_ring)

        own_mean, rough = inside(self.value)
        under_mean, under = inside(self.opened)
        ring_mean, spread = outside(self.value)
        level = np.where(n_ring > 0, ring_mean, under_mean)
        contrast = np.maximum(own_mean - level, 1e-4)
        summit = np.maximum(_maxima(self.value.ravel()[frame] + 10, ring, n) - 10 - level, 0)
        crest_mean, crest = inside(ndimage.maximum_filter(self.value, 3))
        beyond = (crest_mean - inside(_highest_around(self.opened))[0]) / contrast
        conspicuous = float(np.quantile(self.height[::3, ::3], 0.99))
        axes, breadth, sides = self._shape(pixel, own, area, frame, ring, n)
        length = axes[:, 4]
        width = area / length
        crowd = inside(_mean_around(self.stands.astype(np.float32)))[0] - area / _AROUND**2
        channels = [self.colours[..., c] for c in range(self.colours.shape[2])]
        by_channel = np.stack([inside(channel)[0] - outside(channel)[0] for channel in channels])
        colourful = np.ptp(by_channel, axis=0) / np.maximum(np.abs(by_channel).max(axis=0), 1e-4)
        bright = inside(self.brightness)[0]
        steepest = _maxima(ndimage.morphological_gradient(self.value, (3, 3)).ravel()[pixel], own, n)
        tiny = 0.003  # of full range, three quarters of a step of 8 bits
        columns = [
            np.log(contrast),
            np.log(spread + tiny),
            np.log(_maxima(self.relative.ravel()[pixel], own, n)),
            np.log(summit + tiny),
            np.log(rough + tiny),
            np.log(crest + tiny),
            np.log(under + tiny),
            np.clip(beyond, -4, 2),
            np.log(contrast / (conspicuous + tiny)),
            np.log(area),
            np.log(length),
            np.log(width),
            np.log(breadth / width),
            np.log(sides + tiny),
            np.log(np.maximum(crowd, 0) + 0.01),
            np.log(np.maximum(np.minimum(bright, 1 - bright), 0) + 0.02),
            np.full(n, float(self.alone)),
            colourful,
            np.log(outside(self.brightness)[1] + tiny),
            np.log(np.maximum(steepest / contrast, 0.1)),
        ]
        return Things(pixel, own.astype(np.int64), np.stack(columns, axis=1), n_lines, axes)

    def _shape(
        self,
        pixel: NDArray[np.int64],
        own: NDArray[np.int32],
        area: NDArray[np.float64],
        frame: NDArray[np.int64],
        ring: NDArray[np.int32],
        n: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The long axis, by moments, the breadth across it, and how much its two sides differ."""
        n_columns = self.value.shape[1]
        row, column = np.divmod(pixel, n_columns)
        middle_row, middle_column = np.bincount(own, row, n) / area, np.bincount(own, column, n) / area
        row, column = row - middle_row[own], column - middle_column[own]
        rr, cc, rc = (np.bincount(own, x, n) / area for x in (row * row, column * column, row * column))
        angle = 0.5 * np.arctan2(2 * rc, rr - cc)
        sin, cos = np.sin(angle), np.cos(angle)
        along = row * cos[own] + column * sin[own]
        length = _maxima(along, own, n) + _maxima(-along, own, n) + 1
        breadth = np.sqrt(12 * np.bincount(own, (column * cos[own] - row * sin[own]) ** 2, n) / area + 1)
        row, column = np.divmod(frame, n_columns)
        left = (column - middle_column[ring]) * cos[ring] > (row - middle_row[ring]) * sin[ring]
        around = self.value.ravel()[frame]
        n_left, n_right = np.bincount(ring[left], minlength=n), np.bincount(ring[~left], minlength=n)
        left_mean = np.bincount(ring[left], around[left], n) / np.maximum(n_left, 1)
        right_mean = np.bincount(ring[~left], around[~left], n) / np.maximum(n_right, 1)
        sides = np.where((n_left > 0) & (n_right > 0), np.abs(left_mean - right_mean), 0)
        return np.stack([middle_row, middle_column, cos, sin, length], axis=1), breadth, sides


def _highest_around(plane: Plane) -> Plane:
    """The highest within about 32 pixels, from blocks of 4 by 4: sixteen times cheaper, and it need not be exact."""
    n_rows, n_columns = plane.shape
    padded = np.pad(plane, ((0, -n_rows % 4), (0, -n_columns % 4)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 4, 4, padded.shape[1] // 4, 4).max(axis=(1, 3))
    return np.asarray(ndimage.maximum_filter(blocks, 17).repeat(4, axis=0).repeat(4, axis=1)[:n_rows, :n_columns])


def _surroundings(labels: NDArray[np.int32], stands: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Pixels three to five away from one thing only and close to no other, and which thing that is."""
    highest = ndimage.maximum_filter(labels, 11)
    lowest = ndimage.minimum_filter(np.where(labels == 0, np.iinfo(np.int32).max, labels), 11)
    frame = np.flatnonzero((highest == lowest) & ~ndimage.maximum_filter(stands, 5))
    return frame, highest.ravel()[frame] - 1


def _mean_and_spread(
    values: Plane, of: NDArray[np.int32], count: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n, count = len(count), np.maximum(count, 1)
    mean = np.bincount(of, values, n) / count
    return mean, np.sqrt(np.bincount(of, (values - mean[of]) ** 2, n) / count)


def _label_lines(height: Plane, stands: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    theta = np.arange(_N_ANGLES) * (np.pi / _N_ANGLES)
    steps = np.concatenate([np.arange(-_REACH, 0), np.arange(1, _REACH + 1)])
    rows = np.rint(np.outer(np.sin(theta), steps)).astype(np.int64)
    columns = np.rint(np.outer(np.cos(theta), steps)).astype(np.int64)
    direction = np.empty(height.shape, np.int8)
    go_on(height, stands, rows, columns, direction)
    labels = np.zeros(height.shape, np.int32)
    n = join(direction, labels, np.empty(1 + np.count_nonzero(direction >= 0), np.int64))
    return labels, n


@kernel
def go_on(height, stands, rows, columns, direction):  # type: ignore[no-untyped-def]
    """Write the direction in which each pixel that stands out goes on best, -1 where it is on no line.

    A pixel goes on in a direction if the mean of min(height, its own height) along it reaches `_GOES_ON` of its own.

    Parameters
    ----------
    height : float32 (n_rows, n_columns)
    stands : bool (n_rows, n_columns)
    rows, columns : int64 (_N_ANGLES, 2 * _REACH)
        Steps from a pixel in each direction.
    direction : int8 (n_rows, n_columns)
        Written.
    """
    n_rows, n_columns = height.shape
    n_angles, n_steps = rows.shape
    flat, offsets = height.ravel(), rows * n_columns + columns
    for i in range(n_rows):
        for j in range(n_columns):
            direction[i, j] = -1
            if not stands[i, j]:
                continue
            own, best = height[i, j], np.float32(_GOES_ON)
            inside = _REACH <= i < n_rows - _REACH and _REACH <= j < n_columns - _REACH
            for a in range(n_angles):
                total, n = np.float32(0), 0
                if inside:
                    place = i * n_columns + j
                    for t in range(n_steps // 2):
                        total += min(flat[place + offsets[a, t]], own)
                    # Most directions are given up here: even full height on the other side would not do.
                    if total + n_steps // 2 * own <= best * own * n_steps:
                        continue
                    for t in range(n_steps // 2, n_steps):
                        total += min(flat[place + offsets[a, t]], own)
                    n = n_steps
                else:
                    for t in range(n_steps):
                        r, c = i + rows[a, t], j + columns[a, t]
                        if 0 <= r < n_rows and 0 <= c < n_columns:
                            total += min(height[r, c], own)
                            n += 1
                # At the edge of the picture up to half of the steps lead outside.
                if 2 * n >= n_steps and total > best * own * n:
                    best = total / (own * n)
                    direction[i, j] = a


@kernel
def join(direction, labels, stack):  # type: ignore[no-untyped-def]
    """Number the lines from 1, neighbours of about one direction in one; crossing ones stay apart. Returns how many.

    Parameters
    ----------
    direction : int8 (n_rows, n_columns)
    labels : int32 (n_rows, n_columns)
        Zeros; written.
    stack : int64 (as many as there are pixels on lines, at least 1)
        Working memory.
    """
    n_rows, n_columns = direction.shape
    n = 0
    for i in range(n_rows):
        for j in range(n_columns):
            if direction[i, j] < 0 or labels[i, j] > 0:
                continue
            n += 1
            labels[i, j] = n
            stack[0] = i * n_columns + j
            depth = 1
            while depth > 0:
                depth -= 1
                r, c = stack[depth] // n_columns, stack[depth] % n_columns
                for y in range(max(r - 1, 0), min(r + 2, n_rows)):
                    for x in range(max(c - 1, 0), min(c + 2, n_columns)):
                        if direction[y, x] >= 0 and labels[y, x] == 0:
                            turn = abs(direction[y, x] - direction[r, c])
                            if min(turn, _N_ANGLES - turn) <= _TURN:
                                labels[y, x] = n
                                stack[depth] = y * n_columns + x
                                depth += 1
    return n
