"""Wide holes filled by votes of the known patches that look most like what is there so far.

Every patch p that touches a hole has a nearest known patch n(p). In turn

    n(p) = argmin_q d(p, q),  d(p, q) = sum_i c_pi |x_pi - x_qi|^2 / sum_i c_pi
    x_i = sum_p w_p x_(n(p), i) / sum_p w_p,  w_p = mean(c_p) exp(-s d(p, n(p)) / mean d),  p that hold pixel i

Source: Wexler, Shechtman and Irani, Space-Time Completion of Video (2007), in the manner of Newson et al., Non-Local
Patch-Based Image Inpainting (2017). Overlapping patches vote, none is pasted: no blocks and no seams, and lines that
meet across the hole. The argmin is that of PatchMatch (Barnes et al. 2009): a patch tries what its neighbours have
found, moved along, and random places ever nearer to its own. Here every patch looks at what its neighbours had found
before this round, so that their order does not matter, nor the number of threads.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt, uniform_filter

from fmkit.kernels import kernel
from fmkit.linalg import FASTMATH
from fmkit.restore.looks import Look
from fmkit.restore.stripes import any_in_patch
from fmkit.threads import for_each

PATCH = 8  # with 6 the same within 0.1 dB; with 12 lines are straighter, but 0.3 dB are lost in holes of 16 pixels
REACH = 80  # rows and columns; 256 costs 0.1 to 0.3 dB on photographs, where likeness goes with nearness
N_RANDOM = 8  # random places a round, in windows that shrink by a third each
N_VOTES = 6  # 10 give 0.05 dB more
FIRST_ROUNDS, ROUNDS = 10, 3  # of the search, before the first vote and before each of the others
SHARPNESS = 0.4  # of the votes' weights; 3 costs 0.5 dB: a patch's distance says little of how good its vote is
# Of the votes that bring the grain back: a last one of 30 brings more, but hairline seams on smooth ground.
SHARPENING = (4.0, 10.0)
FADING = 1.5  # of the confidence, a pixel inward: c = FADING^-depth; 1.1 costs 0.4 dB
LEAST_CONFIDENCE = 0.02
STEPS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0), (0, 4), (4, 0), (0, -4), (-4, 0)])  # to neighbours asked
CHUNK = 512  # patches or pixels a piece of work

Field = NDArray[np.int64]
"""The nearest known patch of each patch, as row * (n_columns - PATCH + 1) + column of its corner; -1 for none."""


class Votes(NamedTuple):
    """What the votes came to."""

    soft: NDArray[np.float32]
    """The planes with the hole filled; as they were if there is no patch that does not touch it."""
    sharp: NDArray[np.float32]
    """The same after the votes of `sharpening`: less near to the truth, but with the grain."""
    doubt: NDArray[np.float32]
    """Mean d(p, n(p)) of the patches p that hold a pixel of the hole: 0 where known patches are just what is there."""
    field: Field


@kernel
def random_bits(key: int) -> Any:
    """32 bits that look random: Wellons' lowbias32 of a counter, so that each patch has numbers of its own."""
    x = np.uint32(key)
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.int64(np.uint32(x ^ (x >> np.uint32(16))))


@kernel(fastmath=FASTMATH)
def _distance(y: Any, c: Any, pixels: Any, row: int, column: int, n_planes: int, bound: float) -> Any:
    """sum_i c_i |y_i - x_i|^2 over the patch x at a corner; once above `bound`, the sum so far."""
    total = np.float32(0)
    for a in range(y.shape[0]):
        part = np.float32(0)
        for j in range(y.shape[1]):
            e = y[a, j] - pixels[row + a, column * n_planes + j]
            part += c[a, j] * e * e
        total += part
        if total > bound:
            break
    return total


@kernel(fastmath=FASTMATH)
def search_round(
    pixels: Any,
    confidence: Any,
    usable: Any,
    corners: Any,
    seed: int,
    earlier: Any,
    before: Any,
    after: Any,
    distance: Any,
    trust: Any,
) -> None:
    """One round of PatchMatch for the patches at `corners`.

    Parameters
    ----------
    pixels : float32 array of shape (n_rows, n_columns * n_planes)
        The picture, a pixel's planes side by side.
    confidence : float32 array of shape (n_rows, n_columns)
    usable : bool array of shape (n_rows - PATCH + 1, n_columns - PATCH + 1)
        Corners of the patches to choose from.
    corners : int64 array of shape (n, 2)
    seed : int
    earlier, before, after : int64 arrays of the shape of `usable`
        The `Field` before the last round, after it, and that of this round, written at `corners`. What a neighbour
        had found earlier was tried in the last round; -1 where it was not, as after a vote.
    distance, trust : float32 arrays of the shape of `usable`
        Get d(p, n(p)) and the mean confidence of p.
    """
    n_rows, n_columns = usable.shape
    n_planes = pixels.shape[1] // confidence.shape[1]
    y, c = np.empty((PATCH, PATCH * n_planes), np.float32), np.empty((PATCH, PATCH * n_planes), np.float32)
    for i in range(len(corners)):
        row, column = corners[i]
        mass = np.float32(0)
        for a in range(PATCH):
            for j in range(PATCH * n_planes):
                y[a, j] = pixels[row + a, column * n_planes + j]
                c[a, j] = confidence[row + a, column + j // n_planes]
                mass += c[a, j]
        best, least = before[row, column], np.float32(np.inf)
        if best >= 0:
            least = _distance(y, c, pixels, best // n_columns, best % n_columns, n_planes, least)
        for k in range(len(STEPS)):
            r, q = row + STEPS[k, 0], column + STEPS[k, 1]
            if 0 <= r < n_rows and 0 <= q < n_columns and before[r, q] >= 0 and before[r, q] != earlier[r, q]:
                r, q = before[r, q] // n_columns - STEPS[k, 0], before[r, q] % n_columns - STEPS[k, 1]
                if 0 <= r < n_rows and 0 <= q < n_columns and usable[r, q] and r * n_columns + q != best:
                    d = _distance(y, c, pixels, r, q, n_planes, least)
                    if d < least:
                        least, best = d, r * n_columns + q
        window = REACH
        for k in range(N_RANDOM):
            # Around the best and around the patch itself in turn: what is near is like, and a hole moves its best away.
            r, q = (best // n_columns, best % n_columns) if best >= 0 and k % 2 == 0 else (row, column)
            top, left = max(0, r - window), max(0, q - window)
            bits = random_bits(seed + random_bits((row * n_columns + column) * N_RANDOM + k))
            r = top + (bits & 0xFFFF) * (min(n_rows - 1, r + window) - top + 1) // 0x10000
            q = left + (bits >> 16) * (min(n_columns - 1, q + window) - left + 1) // 0x10000
            window = max(1, window * 2 // 3)
            if usable[r, q]:
                d = _distance(y, c, pixels, r, q, n_planes, least)
                if d < least:
                    least, best = d, r * n_columns + q
        after[row, column] = best
        distance[row, column] = least / (mass / n_planes)
        trust[row, column] = mass / (PATCH * PATCH * n_planes)


@kernel(fastmath=FASTMATH)
def vote(pixels: Any, field: Any, distance: Any, trust: Any, sharpness: float, at: Any, answer: Any) -> None:
    """The weighted mean of what the nearest patches of all patches around a pixel have in its place.

    Parameters
    ----------
    pixels, field, distance, trust
        See `search_round`.
    sharpness : float
        s in the weights w_p = mean(c_p) exp(-s d(p, n(p)) / mean d).
    at : int64 array of shape (n, 2)
        Rows and columns of the pixels.
    answer : float32 array of shape (n, n_planes)
        Gets the means; where no patch has a nearest one, the pixel as it is.
    """
    n_rows, n_columns = field.shape
    n_planes = answer.shape[1]
    for i in range(len(at)):
        row, column = at[i]
        top, left = max(0, row - PATCH + 1), max(0, column - PATCH + 1)
        bottom, right = min(n_rows - 1, row), min(n_columns - 1, column)
        sum_, n = np.float32(1e-3), 0
        for r in range(top, bottom + 1):
            for q in range(left, right + 1):
                if field[r, q] >= 0:
                    sum_ += distance[r, q]
                    n += 1
        total = np.float32(0)
        answer[i] = 0
        for r in range(top, bottom + 1):
            for q in range(left, right + 1):
                if field[r, q] >= 0:
                    w = trust[r, q] * np.exp(-np.float32(sharpness * n) * distance[r, q] / sum_)
                    from_row = field[r, q] // n_columns + row - r
                    from_column = field[r, q] % n_columns + column - q
                    for plane in range(n_planes):
                        answer[i, plane] += w * pixels[from_row, from_column * n_planes + plane]
                    total += w
        for plane in range(n_planes):
            if total > 0:
                answer[i, plane] /= total
            else:
                answer[i, plane] = pixels[row, column * n_planes + plane]


def fill_by_votes(
    planes: NDArray[np.float32],
    hole: NDArray[np.bool_],
    field: Field | None,
    rng: np.random.Generator,
    n_threads: int,
    progress: Callable[[int, int], object] | None = None,
    look: Look | None = None,
    sharpening: tuple[float, ...] = (),
) -> Votes:
    """Fill a hole by votes of patches that do not touch it.

    Parameters
    ----------
    planes : float32 ndarray of shape (n_planes, n_rows, n_columns)
        With a first filling of the hole.
    hole : bool ndarray of shape (n_rows, n_columns)
        No side is shorter than PATCH.
    field : Field, optional
        Nearest patches to begin with, as `finer_field` makes them.
    rng : numpy.random.Generator
    n_threads : int
        The result does not depend on it.
    progress : callable of (done, total), optional
    look : Look, optional
        Shown what the votes came to so far, now and then.
    sharpening : tuple of float
        Sharpness of further votes, for `sharp`.
    """
    n_planes, n_rows = planes.shape[:2]
    touching = any_in_patch(hole, PATCH)
    now: Field = np.full(touching.shape, -1) if field is None else field
    if touching.all():
        return Votes(planes, planes, np.full(hole.shape, np.inf, np.float32), now)
    pixels = np.moveaxis(planes, 0, -1).copy()
    flat = pixels.reshape(n_rows, -1)  # a view
    depth = distance_transform_cdt(hole, "chessboard")
    confidence = np.maximum(FADING ** -depth.astype(np.float32), np.float32(LEAST_CONFIDENCE)).astype(np.float32)
    corners, at, usable = np.argwhere(touching), np.argwhere(hole), ~touching
    distance, trust = np.zeros((2, *touching.shape), np.float32)
    answer = np.empty((len(at), n_planes), np.float32)

    def search_and_vote(n_rounds: int, sharpness: float) -> None:
        nonlocal now
        before = np.full_like(now, -1)
        for _ in range(n_rounds):
            earlier, before, now, seed = before, now, now.copy(), int(rng.integers(1 << 31))
            pieces = [(corners[i : i + CHUNK], seed, earlier, before, now, distance, trust) for i in _starts(corners)]
            for_each(search_round, [(flat, confidence, usable, *piece) for piece in pieces], n_threads)
        votes = [(sharpness, at[i : i + CHUNK], answer[i : i + CHUNK]) for i in _starts(at)]
        for_each(vote, [(flat, now, distance, trust, *piece) for piece in votes], n_threads)
        pixels[hole] = answer
        if look is not None and look.due:
            look(np.moveaxis(pixels, -1, 0))

    for t in range(N_VOTES):
        search_and_vote(ROUNDS if t else FIRST_ROUNDS, SHARPNESS)
        if progress is not None:
            progress(t + 1, N_VOTES)
    soft, doubt = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), np.zeros(hole.shape, np.float32)
    ends = [(0, PATCH - 1)] * 2  # patches begin at, or up to PATCH - 1 above and left of, the pixels they hold
    sums, counts = (_over_patches(np.pad(a, ends)) for a in (np.where(touching, distance, 0), touching))
    doubt[hole] = (sums / np.maximum(counts, 1e-6))[hole]
    soft_field = now
    for sharpness in sharpening:
        search_and_vote(ROUNDS, sharpness)
    return Votes(soft, np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), doubt, soft_field)


def _over_patches(x: NDArray[Any]) -> NDArray[np.float32]:
    """At each pixel the mean over the corners of the patches that hold it."""
    # An even window reaches one further back than ahead: with this origin it ends at the pixel.
    return np.asarray(uniform_filter(x, PATCH, np.float32, "constant", origin=PATCH // 2 - 1))


def _starts(items: NDArray[Any]) -> range:
    return range(0, len(items), CHUNK)


def finer_field(field: Field, hole: NDArray[np.bool_]) -> Field:
    """The field of a picture of twice the size: the four patches within a coarse one are sent where it was.

    Parameters
    ----------
    field : Field
    hole : bool ndarray of shape (n_rows, n_columns)
        Of the finer picture; patches that would be sent to it get none.
    """
    touching = any_in_patch(hole, PATCH)
    rows, columns = np.arange(touching.shape[0])[:, None], np.arange(touching.shape[1])
    coarse_rows = np.minimum(rows // 2, field.shape[0] - 1)
    coarse_columns = np.minimum(columns // 2, field.shape[1] - 1)
    coarse = field[coarse_rows, coarse_columns]
    to_row = 2 * (coarse // field.shape[1]) + rows - 2 * coarse_rows
    to_column = 2 * (coarse % field.shape[1]) + columns - 2 * coarse_columns
    inside = (coarse >= 0) & (to_row < touching.shape[0]) & (to_column < touching.shape[1])
    place = np.where(inside, to_row * touching.shape[1] + to_column, 0)
    return np.where(touching & inside & ~touching.ravel()[place], place, -1)
