"""Scratches, specks and hairs: thin things that stand out of a plane of the picture, each with what speaks about it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fmkit.kernels import kernel
from fmkit.restore.lines import Labels, label_connected, label_lines
from fmkit.restore.rows import boxes, in_rows
from fmkit.restore.windows import Plane, highest, highest_of_blocks, lowest, mean_around

_THIN = 7  # pixels: what holds no square of this side is thin; room for a scratch of 5 with its soft rims
_AROUND = 49  # pixels: the window that tells how much of thin structure a place has by itself
_FLOOR = 0.006  # of full range: one and a half steps of 8 bits, below which nothing is seen
_GROW = 2.0  # times what is usual around: a pixel of a thing
_SEED_LINE, _SEED_SPECK = 4.0, 6.0  # times what is usual: the summit that a thing must have; lines have length besides
_SHORTEST = 15  # pixels that a line has at least

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
    "crisper",  # that over the usual of things here: damage does not share the blur of the picture
    "bounds",  # how much brightness to its left and to its right differ
    "shadow",  # no logarithm: by how many contrasts the darkest beside a bright thing is below its surroundings
    "row",  # things that stand in a row with it: letters
)  # fmt: skip


@dataclass(frozen=True)
class Things:
    """Connected things that stand out, as lists of pixels."""

    pixel: NDArray[np.int32]
    """Flat indices into the plane."""
    thing: NDArray[np.int32]
    """The thing, from 0, that each of `pixel` belongs to."""
    features: NDArray[np.float64]
    """Shape (n_things, len(FEATURES))."""
    n_lines: int
    """Things before this one are lines, the others specks."""
    axes: NDArray[np.float64]
    """Shape (n_things, 5): row and column of the middle, of a unit step along the long axis, and the length."""
    colours: NDArray[np.float32]
    """Shape (n_things, n_channels): of the crest of each, which no soft rim has a part in."""


def thin_things(colours: NDArray[np.float32]) -> Iterator[Things]:
    """The lines and the specks of each plane and in each direction, bright and dark.

    Parameters
    ----------
    colours : float32 ndarray of shape (n_channels, n_rows, n_columns)
        Of a range of 1.
    """
    brightness = colours.mean(axis=0, dtype=np.float64).astype(np.float32)
    for sign in (1, -1):
        yield _stand_out(brightness * np.float32(sign), brightness, colours, alone=False, bright=sign > 0)
    if len(colours) > 1:
        for plane in _alone(colours):
            for sign in (1, -1):
                yield _stand_out(plane * np.float32(sign), brightness, colours, alone=True, bright=sign > 0)


def _alone(colours: NDArray[np.float32]) -> Iterator[Plane]:
    """What each channel holds that the others do not tell.

    The oldest colour pictures were exposed on a plate of its own for each channel, and the dust of a plate is on it
    alone: what a local regression on the two others leaves of a channel shows it, and hides what all three show.
    """
    flat = np.stack([channel - mean_around(channel, _AROUND) for channel in colours])
    together = flat.sum(axis=0)
    for own in flat:
        others = (together - own) / np.float32(len(flat) - 1)
        slope = mean_around(own * others, _AROUND) / (mean_around(others * others, _AROUND) + np.float32(_FLOOR**2))
        yield own - slope * others


def _stand_out(value: Plane, brightness: Plane, colours: NDArray[np.float32], *, alone: bool, bright: bool) -> Things:
    lows = lowest(value, _THIN)
    below = highest(lows, _THIN)
    height = value - below
    # The mean of exponent 1/2: nearly as blind to the defect itself as a median is, at the price of a box filter.
    relative = height / (mean_around(np.sqrt(height), _AROUND) ** 2 + np.float32(_FLOOR))
    # Cut at a share of the summit near by, so that a strong thing comes apart from the weak texture that it lies on.
    stands = (relative > _GROW) & (height > np.float32(0.4) * highest(height, 9))
    # Only what holds together may be a line: most of what stands out in grain is spared the search in all directions.
    labels, n = label_connected(stands)
    n = keep_strong(labels, n, relative, _SEED_LINE, _SHORTEST)
    rows = np.r_[0, np.log(in_rows(boxes(labels, n)))].astype(np.float32)[labels]
    labels, n = label_lines(np.asarray(ndimage.gaussian_filter(height, 0.7), np.float32), labels > 0)
    n_lines: int = keep_strong(labels, n, relative, _SEED_LINE, _SHORTEST)
    specks, n = label_connected(stands & (highest(labels, 3) == 0))
    n_specks: int = keep_strong(specks, n, relative, _SEED_SPECK, 1)
    specks[specks > 0] += np.int32(n_lines)
    labels += specks
    return _Scene(value, lows, below, height, relative, stands, rows, brightness, colours, alone, bright).describe(
        labels, n_lines, n_lines + n_specks
    )


@kernel
def keep_strong(labels, n, relative, seed, least):  # type: ignore[no-untyped-def]
    """Keep the things whose summit passes `seed` and that have `least` pixels; number them anew. Returns how many.

    Parameters
    ----------
    labels : int32 (n_rows, n_columns)
        1 to n, 0 outside; written.
    n : int
    relative : float32 (n_rows, n_columns)
    seed : float
    least : int
    """
    n_rows, n_columns = labels.shape
    area, summit = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.float32)
    for i in range(n_rows):
        for j in range(n_columns):
            thing = labels[i, j]
            if thing > 0:
                area[thing] += 1
                summit[thing] = max(summit[thing], relative[i, j])
    names, kept = np.zeros(n + 1, np.int32), 0
    for thing in range(1, n + 1):
        if summit[thing] > seed and area[thing] >= least:
            kept += 1
            names[thing] = kept
    for i in range(n_rows):
        for j in range(n_columns):
            if labels[i, j] > 0:
                labels[i, j] = names[labels[i, j]]
    return kept


@dataclass(frozen=True)
class _Group:
    """Pixels of things: those inside of each, or those of its surroundings."""

    pixel: NDArray[np.int32]
    own: NDArray[np.int32]
    n: int

    def of(self, plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean, standard deviation and highest value of each thing's pixels on a plane."""
        return self.of_values(plane.ravel()[self.pixel])

    def of_values(self, values: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        result = np.zeros((3, self.n))
        summarize(values, self.own, *result)
        return result[0], result[1], result[2]

    def count(self) -> NDArray[np.int64]:
        return np.bincount(self.own, minlength=self.n)


@kernel
def summarize(values, own, mean, spread, top):  # type: ignore[no-untyped-def]
    """Mean, standard deviation and highest of the values of each thing; -10 is the highest of none.

    Parameters
    ----------
    values : float32 (n_pixels,)
    own : int32 (n_pixels,)
        The thing that each belongs to.
    mean, spread, top : float64 (n_things,)
        Zeros; written.
    """
    count = np.zeros(len(mean))
    top[:] = -10
    for i in range(len(values)):
        thing = own[i]
        count[thing] += 1
        mean[thing] += values[i]
        top[thing] = max(top[thing], values[i])
    count = np.maximum(count, 1)
    mean /= count
    for i in range(len(values)):
        spread[own[i]] += (values[i] - mean[own[i]]) ** 2
    spread[:] = np.sqrt(spread / count)


@dataclass(frozen=True)
class _Scene:
    """A plane that things stand out of."""

    value: Plane
    lows: Plane
    below: Plane
    height: Plane
    relative: Plane
    stands: NDArray[np.bool_]
    rows: Plane
    brightness: Plane
    colours: NDArray[np.float32]
    alone: bool
    bright: bool

    def describe(self, labels: Labels, n_lines: int, n: int) -> Things:
        """What speaks for and against each of `n` things."""
        pixel = np.flatnonzero(labels).astype(np.int32)
        inside = _Group(pixel, labels.ravel()[pixel] - np.int32(1), n)
        outside = _surroundings(labels, self.stands, n)
        area = inside.count().astype(np.float64)
        own_mean, rough, _ = inside.of(self.value)
        under_mean, under, _ = inside.of(self.below)
        ring_mean, spread, ring_top = outside.of(self.value)
        level = np.where(outside.count() > 0, ring_mean, under_mean)
        contrast = np.maximum(own_mean - level, 1e-4)
        summit = np.maximum(ring_top - level, 0)
        crests = highest(self.value, 3)
        crest_mean, crest, _ = inside.of(crests)
        steepest = inside.of(crests - lowest(self.value, 3))[2]
        beyond = (crest_mean - inside.of_values(_highest_around(self.below, pixel))[0]) / contrast
        conspicuous = float(np.quantile(self.height[::3, ::3], 0.99))
        axes, breadth, sides, bounds = self._shape(inside, outside, area)
        length = axes[:, 4]
        width = area / length
        crowd = inside.of(mean_around(self.stands, _AROUND))[0] - area / _AROUND**2
        by_channel = np.stack([inside.of(channel)[0] - outside.of(channel)[0] for channel in self.colours])
        colourful = np.ptp(by_channel, axis=0) / np.maximum(np.abs(by_channel).max(axis=0), 1e-4)
        bright = inside.of(self.brightness)[0]
        edge = np.log(np.maximum(steepest / contrast, 0.1))
        tiny = 0.003  # of full range, three quarters of a step of 8 bits
        columns = [
            np.log(contrast),
            np.log(spread + tiny),
            np.log(inside.of(self.relative)[2]),
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
            np.log(outside.of(self.brightness)[1] + tiny),
            edge,
            edge - _usual(edge, contrast),
            np.log(bounds + tiny),
            np.clip((level + inside.of(-self.lows)[2]) / contrast, -1, 4),
            inside.of(self.rows)[2],
        ]
        # What is bright is highest along its crest, what is dark lowest.
        top = highest if self.bright else lowest
        crest_colours = [inside.of(top(np.ascontiguousarray(channel), 3))[0] for channel in self.colours]
        colours = np.stack(crest_colours, axis=1).astype(np.float32)
        return Things(pixel, inside.own, np.stack(columns, axis=1), n_lines, axes, colours)

    def _shape(self, inside: _Group, outside: _Group, area: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """The long axis, by moments, the breadth across it, and how much its two sides differ, in brightness too."""
        own, ring, n, n_columns = inside.own, outside.own, inside.n, self.value.shape[1]
        row, column = np.divmod(inside.pixel, n_columns)
        middle_row, middle_column = np.bincount(own, row, n) / area, np.bincount(own, column, n) / area
        y, x = (row - middle_row[own]).astype(np.float32), (column - middle_column[own]).astype(np.float32)
        rr, cc, rc = (np.bincount(own, z, n) / area for z in (y * y, x * x, y * x))
        angle = 0.5 * np.arctan2(2 * rc, rr - cc)
        sin, cos = np.sin(angle), np.cos(angle)
        along = (y * cos[own] + x * sin[own]).astype(np.float32)
        length = inside.of_values(along)[2] + inside.of_values(-along)[2] + 1
        breadth = np.sqrt(12 * np.bincount(own, (x * cos[own] - y * sin[own]) ** 2, n) / area + 1)
        row, column = np.divmod(outside.pixel, n_columns)
        left = (column - middle_column[ring]) * cos[ring] > (row - middle_row[ring]) * sin[ring]
        one, other = (_Group(outside.pixel[side], ring[side], n) for side in (left, ~left))
        both = (one.count() > 0) & (other.count() > 0)
        apart = [np.abs(one.of(plane)[0] - other.of(plane)[0]) * both for plane in (self.value, self.brightness)]
        return np.stack([middle_row, middle_column, cos, sin, length], axis=1), breadth, *apart


def _usual(edge: NDArray[np.float64], contrast: NDArray[np.float64]) -> float:
    """The mean over things, each weighed by its contrast, for grain is crisp everywhere."""
    return float((edge @ contrast) / max(contrast.sum(), 1e-9))


def _highest_around(plane: Plane, pixel: NDArray[np.int32]) -> Plane:
    """The highest within about 32 pixels, from blocks of 4 by 4: sixteen times cheaper, and it need not be exact."""
    row, column = np.divmod(pixel, np.int32(plane.shape[1]))
    return np.asarray(highest(highest_of_blocks(plane, 4), 17)[row // 4, column // 4])


def _surroundings(labels: Labels, stands: NDArray[np.bool_], n: int) -> _Group:
    """Pixels three to five away from one thing only and close to no other."""
    top = highest(labels, 11)
    labels[labels == 0] = np.iinfo(np.int32).max
    alone = top == lowest(labels, 11)
    pixel = np.flatnonzero(alone & ~highest(stands, 5)).astype(np.int32)
    return _Group(pixel, top.ravel()[pixel] - np.int32(1), n)
