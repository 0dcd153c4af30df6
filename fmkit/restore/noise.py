"""How noisy a picture is, told by itself."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 16  # pixels; the calmest tenth of a picture's blocks show its noise and little else
CALMEST = 0.1
FEWEST = 8  # squares in a block
TEXTURE = 2.7  # what twice the distance makes of the variance of texture; van Gogh's brush has 2.4, photographs 2 to 4


def estimate_noise(plane: NDArray[np.float32], lost: NDArray[np.bool_]) -> float:
    """Standard deviation of white noise, from the calmest blocks of a picture.

    (a - b - c + d) / 2 of the corners of a square leaves out what is linear, and has the noise's own variance at any
    side; that of texture grows with the side. So two sides, 1 and 2 pixels, tell them apart.

    Parameters
    ----------
    plane : float32 ndarray of shape (n_rows, n_columns)
    lost : bool ndarray of shape (n_rows, n_columns)

    Returns
    -------
    float
        0 if too little is known to tell.
    """
    near, n_near = _bends(plane, ~lost, 1)
    far, n_far = _bends(plane, ~lost, 2)
    enough = (n_near >= FEWEST) & (n_far >= FEWEST)
    if enough.sum() < 1 / CALMEST:
        return 0.0
    near, far = near[enough] / n_near[enough], far[enough] / n_far[enough]
    calm = near + far <= np.quantile(near + far, CALMEST)
    variance = (TEXTURE * near[calm].mean() - far[calm].mean()) / (TEXTURE - 1)
    return float(np.sqrt(max(0.0, variance)))


def _bends(
    plane: NDArray[np.float32], known: NDArray[np.bool_], side: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of squares, and numbers, of the known squares of a block."""

    def corners(a: NDArray[Any]) -> list[NDArray[Any]]:
        return [a[:-side, :-side], a[:-side, side:], a[side:, :-side], a[side:, side:]]

    def by_block(values: NDArray[np.float32]) -> NDArray[np.float64]:
        rows, columns = (n // BLOCK for n in plane.shape)
        whole = np.zeros(plane.shape, np.float32)
        whole[: values.shape[0], : values.shape[1]] = values
        blocks = whole[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
        return np.asarray(blocks.sum(axis=(1, 3), dtype=np.float64))

    if min(plane.shape) <= BLOCK:
        return np.zeros(1), np.zeros(1)
    a, b, c, d = corners(plane)
    whole = np.logical_and.reduce(corners(known))
    squares = np.where(whole, np.square(a - b - c + d) / 4, 0)
    return by_block(squares.astype(np.float32)), by_block(whole.astype(np.float32))
