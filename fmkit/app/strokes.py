"""What was painted on the page, as a mask: strokes of a round brush in pixels of the picture, the last one on top."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.errors import InputError

MOST_POINTS = 200_000
LARGEST = 4000.0  # pixels: diameter of a brush
WRONG = "the strokes are not as the page sends them: reload the page"


def painted(strokes: Any, shape: tuple[int, int], found: Sequence[NDArray[np.bool_]] = ()) -> NDArray[np.bool_]:
    """The mask of some strokes.

    Parameters
    ----------
    strokes : list of dict
        {"points": [[x, y], ...], "size": diameter, "erase": bool}; or {"found": k}, the k-th mask that
        `find_damage` made, from 1; or {"clear": True}. As JSON gives them: they are checked.
    shape : (n_rows, n_columns)
    found : sequence of bool ndarrays of that shape

    Raises
    ------
    InputError
        If they are something else, or too many.

    Examples
    --------
    >>> from fmkit.app.strokes import painted
    >>> painted([{"points": [[1.5, 1.5], [3.5, 1.5]], "size": 1}], (3, 5)).astype(int).tolist()
    [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    """
    mask, n_points = np.zeros(shape, bool), 0
    if not isinstance(strokes, list) or not all(isinstance(stroke, dict) for stroke in strokes):
        raise InputError(WRONG)
    for stroke in strokes:
        if stroke.get("clear"):
            mask[:] = False
            continue
        if stroke.get("found"):
            k = _number(stroke["found"])
            if k not in range(1, len(found) + 1):
                raise InputError(WRONG)
            mask |= found[int(k) - 1]
            continue
        points, radius = _points(stroke.get("points")), _number(stroke.get("size")) / 2
        n_points += len(points)
        if n_points > MOST_POINTS:
            raise InputError(f"{MOST_POINTS:,} points are the most that can be painted: restore what is painted first")
        if not 0 < radius <= LARGEST / 2:
            raise InputError(WRONG)
        for a, b in pairwise([points[0], *points]):
            _draw(mask, a, b, radius, not stroke.get("erase"))
    return mask


def pixel_at(told: Any, shape: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the pixel at a point as the page sends it; an InputError if it lies beside the picture."""
    ((x, y),) = _points([told])
    if not (0 <= x < shape[1] and 0 <= y < shape[0]):
        raise InputError("this point lies beside the picture: choose one of its pixels")
    return int(y), int(x)


def _draw(mask: NDArray[np.bool_], a: tuple[float, float], b: tuple[float, float], radius: float, value: bool) -> None:
    """All pixels whose centre is no farther than the radius from a line, and the one that a fine brush stands in."""
    radius = max(radius, 0.5)
    bounds = []
    for one, other, size in zip(a, b, mask.shape[::-1], strict=True):
        first, last = math.floor(min(one, other) - radius), math.ceil(max(one, other) + radius)
        bounds.append(slice(min(max(first, 0), size), min(max(last, 0), size)))
    columns, rows = bounds
    x = np.arange(columns.start, columns.stop) + 0.5 - a[0]
    y = np.arange(rows.start, rows.stop)[:, None] + 0.5 - a[1]
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy or 1.0), 0, 1)
    near = np.square(x - along * dx) + np.square(y - along * dy) <= radius * radius
    mask[rows, columns][near] = value


def _points(told: Any) -> list[tuple[float, float]]:
    if not isinstance(told, list) or not told or not all(isinstance(p, list) and len(p) == 2 for p in told):
        raise InputError(WRONG)
    return [(_number(x), _number(y)) for x, y in told]


def _number(told: Any) -> float:
    if isinstance(told, bool) or not isinstance(told, int | float) or not abs(told) < 1e6:
        raise InputError(WRONG)
    return float(told)
