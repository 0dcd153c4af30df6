"""Scenes: small pictures pasted into larger ones, to try localisation on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state

from fmkit.errors import InputError


def make_scenes(
    pictures: ArrayLike,
    target: ArrayLike,
    n_scenes: int = 1000,
    *,
    size: tuple[int, int] = (64, 64),
    noise: float = 20.0,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Paste a grey picture, drawn at random, at a random place of a dark and noisy scene, and tell its box.

    Parameters
    ----------
    pictures : array-like of shape (n, height, width), uint8
        Bright on black: Fashion-MNIST's, or digits.
    target : array-like of shape (n,)
        Their classes.
    n_scenes : int, default=1000
    size : (height, width), default=(64, 64)
    noise : float, default=20.0
        The scene is the larger of the picture and normal noise of this standard deviation, its negatives cut off.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data`, uint8 of shape (n_scenes, height, width), `target`, and `boxes`, float64 of shape (n_scenes, 4): left,
        top, right and bottom of what is not black in the picture that was pasted, with right and bottom outside.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.datasets import make_scenes
    >>> square = np.zeros((1, 5, 5), np.uint8)
    >>> square[0, 1:4, 1:4] = 255
    >>> bunch = make_scenes(square, ["square"], 1, size=(16, 16), random_state=0)
    >>> left, top, right, bottom = bunch.boxes[0].astype(int)
    >>> bool((bunch.data[0, top:bottom, left:right] == 255).all()), int(right - left)
    (True, 3)
    """
    pictures, target = np.asarray(pictures), np.asarray(target)
    if pictures.ndim != 3 or pictures.dtype != np.uint8 or len(pictures) != len(target):
        raise InputError(f"pictures must be uint8 of shape (n, height, width), a target each, got {pictures.shape}")
    height, width = pictures.shape[1:]
    if height > size[0] or width > size[1]:
        raise InputError(f"size must be at least that of the pictures, {height} x {width}, got {size}")
    rng = check_random_state(random_state)
    chosen = rng.randint(len(pictures), size=n_scenes)
    tops = rng.randint(size[0] - height + 1, size=n_scenes)
    lefts = rng.randint(size[1] - width + 1, size=n_scenes)
    scenes, boxes = np.empty((n_scenes, *size), np.uint8), np.empty((n_scenes, 4))
    for i, (number, top, left) in enumerate(zip(chosen, tops, lefts, strict=True)):
        scenes[i] = (noise * rng.standard_normal(size)).clip(0, 255)
        part = scenes[i, top : top + height, left : left + width]
        np.maximum(part, pictures[number], out=part)
        rows, columns = (np.flatnonzero(pictures[number].any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            raise InputError(f"picture {number} is black: leave it out, there is nothing to find")
        boxes[i] = left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1
    return Bunch(data=scenes, target=target[chosen], boxes=boxes)
