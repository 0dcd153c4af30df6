"""Damage drawn at random, by seed: the masks of demonstrations, tests and benchmarks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.spatial import cKDTree

from fmkit.errors import InputError
from fmkit.lettering import letters

Mask = NDArray[np.bool_]
Shape = tuple[int, int]


@dataclass(frozen=True)
class Kind:
    """A kind of damage: how it is drawn, and what its share and size are if nobody says."""

    draw: Callable[..., Mask]
    share: float | None
    size: int | None


def make_damage(
    shape: Shape,
    kind: str = "painting",
    *,
    share: float | None = None,
    size: int | None = None,
    random_state: int | np.random.Generator | None = None,
) -> Mask:
    """Draw the lost pixels of a damaged picture.

    =========  =====================================================  ==============  =====================
    kind       what is lost                                           share, default  size in pixels
    =========  =====================================================  ==============  =====================
    painting   cracks, scratches and flakes, as of an old panel       about 0.08      (none)
    random     every pixel by itself: `rng.random(shape) < share`     0.5             (none)
    scratches  bent lines                                             0.05            4: widest line
    text       lines of text                                          0.1             16: height of capitals
    blotches   smooth blobs                                           0.1             12: half their width
    rows       whole lines                                            0.1             1: lines beside another
    columns    whole columns                                          0.1             1: columns likewise
    holes      squares, some cut by the border                        0.05            16: side
    cracks     craquelure, densest in some parts                      0.03            24: from crack to crack
    flakes     flaked-off paint with ragged borders                   0.015           9: half their width
    =========  =====================================================  ==============  =====================

    Parameters
    ----------
    shape : (int, int)
        Height and width of the picture in pixels.
    kind : str, default "painting"
        One of the table. A painting's widths are those of a reproduction of about 1,000 pixels a side, whatever the
        shape: cracks 1 to 3 pixels, scratches 1 to 4, flakes up to about 30; made for sides of a hundred and more.
    share : float, optional
        Part of the pixels to lose, between 0 and 1. Blotches, cracks and flakes lose just that, scratches, text and
        holes at least that: the last one drawn is drawn whole, as far as it is inside.
    size : int, optional
        See the table.
    random_state : int or numpy.random.Generator, optional
        Seed of the drawing; the same seed, shape and parameters give the same mask. By default every call draws
        another.

    Returns
    -------
    mask : bool ndarray of shape `shape`
        True where the picture is lost.

    Raises
    ------
    InputError
        If `shape` is not two positive numbers, the kind is unknown or does not take a share or size, or these are out
        of their range.

    Examples
    --------
    >>> from fmkit.datasets import make_damage
    >>> mask = make_damage((100, 200), "rows", share=0.25, random_state=0)
    >>> float(mask.mean()), bool((mask.all(axis=1) == mask.any(axis=1)).all())
    (0.25, True)
    """
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"shape must be the height and the width of a picture in pixels, got {shape}")
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    drawing = KINDS[kind]
    for name, value, usual in (("share", share, drawing.share), ("size", size, drawing.size)):
        if value is not None and usual is None:
            raise InputError(f"damage of the kind {kind!r} has no {name} to choose")
    if share is not None and not 0 < share < 1:
        raise InputError(f"share must be between 0 and 1, got {share}")
    if size is not None and size < 1:
        raise InputError(f"size must be at least 1 pixel, got {size}")
    rng = np.random.default_rng(random_state)
    values = (share or drawing.share, size or drawing.size)
    return drawing.draw(shape, rng, *(value for value in values if value is not None))


def draw_painting(shape: Shape, rng: np.random.Generator) -> Mask:
    """Cracks, scratches and flakes of an old panel painting, about 8% of its pixels."""
    return draw_cracks(shape, rng, None, 24) | draw_some_scratches(shape, rng) | draw_flakes(shape, rng, 0.015, 9)


def draw_random(shape: Shape, rng: np.random.Generator, share: float) -> Mask:
    """Every pixel by itself, lost with the probability `share`."""
    return np.asarray(rng.random(shape) < share)


def smooth_noise(shape: Shape, sigma: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gaussian noise of variance 1 whose hills are about `sigma` pixels wide."""
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


def draw_cracks(shape: Shape, rng: np.random.Generator, share: float | None, spacing: int) -> Mask:
    """Craquelure: the borders of the Voronoi cells of random points, bent by noise, in some parts of the picture.

    Without a share, the parts are a quarter of the picture.
    """
    bend = spacing / 6
    seeds = rng.uniform(0, shape, (1 + shape[0] * shape[1] // spacing**2, 2))
    across = np.stack([smooth_noise(shape, bend, rng), smooth_noise(shape, bend, rng)], axis=-1)
    density = smooth_noise(shape, max(shape) / 12, rng)
    pixels = np.argwhere(density > (0.6 if share is None else -np.inf))
    nearest, second = cKDTree(seeds).query(pixels + bend * across[tuple(pixels.T)], k=[1, 2])[0].T
    border = pixels[second - nearest < 1.6]
    if share is not None:
        n_lost = max(1, round(share * density.size))
        if n_lost > len(border):
            raise InputError(f"cracks {spacing} pixels apart lose {len(border) / density.size:.1%} at most: less size")
        border = border[np.argsort(-density[tuple(border.T)], kind="stable")[:n_lost]]
    mask = np.zeros(shape, bool)
    mask[tuple(border.T)] = True
    return mask


def draw_some_scratches(shape: Shape, rng: np.random.Generator) -> Mask:
    """Scratches of a painting, 1 to 4 pixels wide, a few of each width."""
    mask = np.zeros(shape, bool)
    for width in (1, 2, 3, 4):
        strokes = np.zeros(shape, bool)
        for _ in range(1 + max(shape) // 150):
            strokes[_stroke(shape, rng)] = True
        mask |= _as_wide(strokes, width)
    return mask


def draw_scratches(shape: Shape, rng: np.random.Generator, share: float, widest: int) -> Mask:
    """Scratches of 1 to `widest` pixels, one after the other until the share is lost."""
    mask = np.zeros(shape, bool)
    n_lost, width = 0, 0
    while n_lost < share * mask.size:
        line = _stroke(shape, rng)
        width = width % widest + 1
        if not len(line[0]):
            continue
        # Only the rectangle around the line, or large pictures would be gone through once a scratch.
        first = [max(0, int(places.min()) - width) for places in line]
        around = tuple(slice(low, int(places.max()) + width + 1) for low, places in zip(first, line, strict=True))
        part = mask[around]
        stroke = np.zeros(part.shape, bool)
        stroke[line[0] - first[0], line[1] - first[1]] = True
        stroke = _as_wide(stroke, width)
        n_lost += int(np.count_nonzero(stroke & ~part))
        part |= stroke
    return mask


def _stroke(shape: Shape, rng: np.random.Generator) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Rows and columns of a slightly bent line that lifts off here and there."""
    length = max(shape) * rng.uniform(0.05, 0.5)
    t = np.linspace(-0.5, 0.5, 2 + int(2 * length))
    angle = rng.uniform(0, np.pi) + rng.normal(0, 0.3) * t
    touching = gaussian_filter(rng.standard_normal(len(t)), 20) > -0.08
    line = rng.uniform(0, shape)[:, None] + length * t * np.stack([np.sin(angle), np.cos(angle)])
    row, column = line[:, touching].round().astype(int)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    return row[inside], column[inside]


def _as_wide(strokes: Mask, width: int) -> Mask:
    return strokes if width == 1 else np.asarray(binary_dilation(strokes, np.ones((width, width), bool)))


def draw_flakes(shape: Shape, rng: np.random.Generator, share: float, size: int) -> Mask:
    """Flaked-off paint: the peaks of noise, ragged by finer noise."""
    relief = smooth_noise(shape, size, rng) + 0.3 * smooth_noise(shape, 2, rng)
    return np.asarray(relief > np.quantile(relief, 1 - share))


def draw_blotches(shape: Shape, rng: np.random.Generator, share: float, size: int) -> Mask:
    """Stains: the peaks of smooth noise."""
    relief = smooth_noise(shape, size, rng)
    return np.asarray(relief > np.quantile(relief, 1 - share))


def draw_rows(shape: Shape, rng: np.random.Generator, share: float, size: int) -> Mask:
    """Whole lines, in bands of `size` that begin at its multiples."""
    bands = -(-shape[0] // size)
    lost = rng.permutation(bands)[: max(1, round(share * bands))]
    mask = np.zeros(shape, bool)
    mask[np.isin(np.arange(shape[0]) // size, lost)] = True
    return mask


def draw_columns(shape: Shape, rng: np.random.Generator, share: float, size: int) -> Mask:
    """Whole columns, as `draw_rows` does lines."""
    return np.ascontiguousarray(draw_rows((shape[1], shape[0]), rng, share, size).T)


def draw_holes(shape: Shape, rng: np.random.Generator, share: float, size: int) -> Mask:
    """Squares at random places, until the share is lost; while there is room, each apart from the others."""
    mask = np.zeros(shape, bool)
    n_lost, tries = 0, 0
    while n_lost < share * mask.size:
        top, left = (int(rng.integers(1 - size, side)) for side in shape)
        hole = mask[max(top, 0) : top + size, max(left, 0) : left + size]
        tries += 1
        if (hole.any() and tries < 50) or hole.all():
            continue
        n_lost += int(hole.size - np.count_nonzero(hole))
        hole[:] = True
        tries = 0
    return mask


def draw_text(shape: Shape, rng: np.random.Generator, share: float, height: int) -> Mask:
    """Lines of words, of a page in any order and of a page over another, until the share is lost."""
    mask = np.zeros(shape, bool)
    n_letters = 2 + int(shape[1] / (0.8 * height))
    words = TEXT.split()
    tops: list[int] = []
    n_lost = 0
    while n_lost < share * mask.size:
        if not tops:
            tops = rng.permutation(np.arange(-rng.integers(height), shape[0], round(1.7 * height))).tolist()
        top = tops.pop()
        line = ""
        while len(line) < n_letters:
            line += words[int(rng.integers(len(words)))] + " "
        ink = letters(line, height)[max(-top, 0) : shape[0] - top, int(rng.integers(height)) :][:, : shape[1]]
        under = mask[max(top, 0) :][: ink.shape[0], : ink.shape[1]]
        n_lost += int(np.count_nonzero(ink & ~under))
        under |= ink
    return mask


TEXT = (
    "Ratings and pixels are the same problem a sparse table with holes 1565 The Harvesters by Pieter Bruegel "
    "a pixel of a damaged picture is patch and position to brightness known or lost"
)

KINDS = {
    "painting": Kind(draw_painting, None, None),
    "random": Kind(draw_random, 0.5, None),
    "scratches": Kind(draw_scratches, 0.05, 4),
    "text": Kind(draw_text, 0.1, 16),
    "blotches": Kind(draw_blotches, 0.1, 12),
    "rows": Kind(draw_rows, 0.1, 1),
    "columns": Kind(draw_columns, 0.1, 1),
    "holes": Kind(draw_holes, 0.05, 16),
    "cracks": Kind(draw_cracks, 0.03, 24),
    "flakes": Kind(draw_flakes, 0.015, 9),
}
