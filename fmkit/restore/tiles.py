"""A big picture in pieces: each lost pixel is filled by the one tile that owns it, from that tile's surroundings.

So memory is bounded by a tile, only tiles with damage are worked on, and neither their order nor the number of threads
changes the answer. A wide hole is owned whole by one tile, or its halves would be continued in different ways.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label, maximum_filter, minimum_filter

Box = tuple[slice, slice]

SIDE = 1024  # pixels; with the margins, 50 MB of float32 planes in colour, of which the passes hold a few
MARGIN = 48  # rows and columns around a tile's own pixels: groups reach 22 pixels, and have those of their neighbours
WIDE_MARGIN = 192  # where holes are wide: from there exemplars are taken


@dataclass(frozen=True)
class Tile:
    """The pixels that a tile owns, and the part of the picture that it sees."""

    number: int
    seen: Box
    owned: NDArray[np.bool_]
    """Of the shape of `seen`."""
    wide: bool
    """Whether holes in it may be wide. Those that look so only because the tile ends in them are not."""


def tiles_of(lost: NDArray[np.bool_], depth: int, all_pixels: bool = False) -> Iterator[Tile]:
    """Part the lost pixels of a picture, or all of them.

    Parameters
    ----------
    lost : bool ndarray of shape (n_rows, n_columns)
    depth : int
        Holes with pixels farther than this from any known one are wide.
    all_pixels : bool, default False
        Tiles own the known pixels as well.
    """
    n_rows, n_columns = lost.shape
    asked = np.ones_like(lost) if all_pixels else lost
    if lost.size <= 2 * SIDE * SIDE:
        if asked.any():
            yield Tile(0, np.s_[:, :], asked, True)
        return
    deep = minimum_filter(lost, 2 * depth + 1, mode="nearest")
    holes, moved = _holes_across_borders(lost, deep, depth) if deep.any() else (None, {})
    per_row = -(-n_columns // SIDE)
    for number in range(-(-n_rows // SIDE) * per_row):
        row, column = (SIDE * i for i in divmod(number, per_row))
        own = np.s_[row : row + SIDE, column : column + SIDE]
        boxes = [own, *(box for box, owner in moved.values() if owner == number)]
        if len(boxes) == 1 and not asked[own].any():
            continue
        seen = _around(boxes, MARGIN)
        near = bool(deep[seen].any())
        if near:
            seen = _around(boxes, WIDE_MARGIN)
        top, left = (side.start for side in seen)
        owned = np.zeros(lost[seen].shape, np.bool_)
        owned[row - top : row - top + SIDE, column - left : column - left + SIDE] = True
        if holes is not None:
            for hole, (_, owner) in moved.items():
                owned[holes[seen] == hole] = owner == number
        owned &= asked[seen]
        if owned.any():
            yield Tile(number, seen, owned, near)


def _around(boxes: list[Box], margin: int) -> Box:
    """The box that holds all of some, and a margin around them."""
    rows, columns = (
        slice(max(0, min(box[axis].start for box in boxes) - margin), max(box[axis].stop for box in boxes) + margin)
        for axis in (0, 1)
    )
    return rows, columns


def _holes_across_borders(
    lost: NDArray[np.bool_], deep: NDArray[np.bool_], depth: int
) -> tuple[NDArray[np.int32], dict[int, tuple[Box, int]]]:
    """Wide holes by number, and of those that no tile has whole the box and the tile that its middle lies in."""
    holes: NDArray[np.int32] = label(maximum_filter(deep, 2 * depth + 1, mode="nearest") & lost, np.ones((3, 3)))[0]
    per_row = -(-lost.shape[1] // SIDE)
    moved = {}
    for i, box in enumerate(find_objects(holes)):
        first, last = (
            [edge // SIDE for edge in edges] for edges in zip(*((s.start, s.stop - 1) for s in box), strict=True)
        )
        if first != last:
            row, column = ((s.start + s.stop - 1) // 2 // SIDE for s in box)
            moved[i + 1] = (box, row * per_row + column)
    return holes, moved


def for_each_tile(
    fill: Callable[[Tile, int, Callable[[float], None]], None],
    tiles: list[Tile],
    n_threads: int,
    progress: Callable[[int, int], object] | None,
) -> None:
    """Fill tiles, many at a time, each with one thread; few ones one by one, with all threads.

    Parameters
    ----------
    fill : callable of (tile, number of threads, callable of (share of the tile that is done))
        Its last argument raises an error once another tile has failed or Ctrl-C was pressed.
    tiles : list of Tile
    n_threads : int
    progress : callable of (lost pixels done, lost pixels), optional
    """
    sizes = {tile.number: int(tile.owned.sum()) for tile in tiles}
    shares = dict.fromkeys(sizes, 0.0)
    total, told = sum(sizes.values()), 0
    stopped, lock = Event(), Lock()

    def work(tile: Tile, threads: int) -> None:
        def tell(share: float) -> None:
            nonlocal told
            if stopped.is_set():
                raise InterruptedError
            with lock:  # or the numbers told might fall
                shares[tile.number] = share
                done = int(sum(shares[number] * size for number, size in sizes.items()))
                if progress is not None and done > told:
                    told = done
                    progress(done, total)

        fill(tile, threads, tell)
        tell(1.0)

    if len(tiles) < 2 * n_threads or n_threads == 1:
        for tile in tiles:
            work(tile, n_threads)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(work, tile, 1) for tile in tiles]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
        for future in futures:
            if future.done() and not future.cancelled() and not isinstance(future.exception(), InterruptedError):
                future.result()
