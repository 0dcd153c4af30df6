"""Damage as conservators know it, drawn at random: the masks of demonstrations, tests and benchmarks."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.spatial import cKDTree

from fmkit.errors import InputError

Mask = NDArray[np.bool_]


def make_damage(shape: tuple[int, int], *, random_state: int | np.random.Generator | None = None) -> Mask:
    """Draw the damage of an old panel painting: cracks, scratches and flaked-off paint, about 8% of its pixels.

    Widths are those of a reproduction of about 1,000 pixels a side, whatever the shape: cracks 1 to 3 pixels,
    scratches 1 to 4, flakes up to about 30.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the picture in pixels; made for sides of a hundred and more.
    random_state : int or numpy.random.Generator, optional
        Seed of the drawing; the same seed and shape give the same mask. By default every call draws another.

    Returns
    -------
    mask : bool ndarray of shape `shape`
        True where the picture is lost.

    Raises
    ------
    InputError
        If `shape` is not two positive numbers.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"shape must be the height and the width of a picture in pixels, got {shape}")
    rng = np.random.default_rng(random_state)
    return draw_cracks(shape, rng) | draw_scratches(shape, rng) | draw_flakes(shape, rng)


def smooth_noise(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gaussian noise of variance 1 whose hills are about `sigma` pixels wide."""
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


def draw_cracks(shape: tuple[int, int], rng: np.random.Generator) -> Mask:
    """Craquelure: the borders of the Voronoi cells of random points, bent by noise, in some parts of the picture."""
    spacing, bend = 24, 4  # pixels
    seeds = rng.uniform(0, shape, (1 + shape[0] * shape[1] // spacing**2, 2))
    across = np.stack([smooth_noise(shape, bend, rng), smooth_noise(shape, bend, rng)], axis=-1)
    pixels = np.argwhere(smooth_noise(shape, max(shape) / 12, rng) > 0.6)
    nearest, second = cKDTree(seeds).query(pixels + bend * across[tuple(pixels.T)], k=[1, 2])[0].T
    border = pixels[second - nearest < 1.6]
    mask = np.zeros(shape, bool)
    mask[tuple(border.T)] = True
    return mask


def draw_scratches(shape: tuple[int, int], rng: np.random.Generator) -> Mask:
    """Scratches: slightly bent strokes across the picture that lift off here and there."""
    mask = np.zeros(shape, bool)
    for width in (1, 2, 3, 4):
        strokes = np.zeros(shape, bool)
        for _ in range(1 + max(shape) // 150):
            length = max(shape) * rng.uniform(0.05, 0.5)
            t = np.linspace(-0.5, 0.5, 2 + int(2 * length))
            angle = rng.uniform(0, np.pi) + rng.normal(0, 0.3) * t
            touching = gaussian_filter(rng.standard_normal(len(t)), 20) > -0.08
            line = rng.uniform(0, shape)[:, None] + length * t * np.stack([np.sin(angle), np.cos(angle)])
            row, column = line[:, touching].round().astype(int)
            inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
            strokes[row[inside], column[inside]] = True
        mask |= strokes if width == 1 else binary_dilation(strokes, np.ones((width, width), bool))
    return mask


def draw_flakes(shape: tuple[int, int], rng: np.random.Generator) -> Mask:
    """Flaked-off paint: the peaks of noise, ragged by finer noise."""
    relief = smooth_noise(shape, 9, rng) + 0.3 * smooth_noise(shape, 2, rng)
    return np.asarray(relief > np.quantile(relief, 0.985))
