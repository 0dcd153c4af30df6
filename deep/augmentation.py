"""Augmentation: training pictures are flipped, shifted and cut out of, a whole batch at once, and boxes with them.

It stands before the net, and draws from the same generator as dropout.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .distributed import drawn, whole

ROUNDED = 1e-3  # of a pixel: what a share of a side is off


class Augmentation:
    """Flip, shift and cut the pictures of a training step.

    Parameters
    ----------
    flip : bool
        Mirror pictures left to right, every second time that each is seen: the first time by chance, and from then on
        in turn, so that two epochs show both sides of all (K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single
        GPU", 2024).
    shift : int
        Move by up to so many pixels, down and across; what comes in at the border is the picture mirrored there. With
        boxes, no farther than leaves the whole of one in the picture, and no part of it mirrored beside it.
    cutout : int
        Side of a square at a random place that becomes the mean colour (T. DeVries and G. Taylor, "Improved
        regularization of convolutional neural networks with cutout", 2017); 0 for none. Boxes stay.
    """

    def __init__(self, flip: bool = False, shift: int = 0, cutout: int = 0) -> None:
        self.flip, self.shift, self.cutout = flip, shift, cutout
        self.flipped = torch.zeros(0, dtype=torch.bool)  # of every picture, the last time

    def __call__(self, pictures: Tensor, rows: Tensor, boxes: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Pictures, and boxes if there are any, changed alike.

        Parameters
        ----------
        pictures : Tensor of shape (n, height, width, n_channels)
            In standard units.
        rows : Tensor of shape (n,)
            Their numbers.
        boxes : Tensor of shape (n, 4), optional
            Left, top, right and bottom, as shares of the sides.
        """
        n, height, width, _ = pictures.shape
        flips = drawn(n, lambda _: self._in_turn(whole(rows))) if self.flip else None
        if boxes is not None and flips is not None:
            boxes = torch.where(flips[:, None], mirrored_boxes(boxes), boxes)
        if self.flip or self.shift:
            down, across = (self._below(2 * self.shift + 1, pictures) - self.shift for _ in range(2))
            if boxes is not None:
                across = _kept_inside(across, boxes[:, 0::2], width)
                down = _kept_inside(down, boxes[:, 1::2], height)
                boxes = boxes + torch.stack([across / width, down / height], dim=1).repeat(1, 2)
            pictures = moved(pictures, down, across, flips)
        if self.cutout:
            top, left = (self._below(size, pictures)[:, None] for size in (height, width))
            pictures = pictures.masked_fill(squares(top, left, height, width, self.cutout)[..., None], 0.0)
        return pictures, boxes

    @staticmethod
    def _below(end: int, pictures: Tensor) -> Tensor:
        return drawn(len(pictures), lambda n: torch.randint(end, (n,), device=pictures.device))

    def _in_turn(self, rows: Tensor) -> Tensor:
        known = self.flipped.to(rows.device)
        n_new = int(rows.max()) + 1 - len(known)
        if n_new > 0:
            known = torch.cat([known, torch.rand(n_new, device=rows.device) < 0.5])
        flips = ~known[rows]
        known[rows] = flips
        self.flipped = known
        return flips


def mirrored_boxes(boxes: Tensor) -> Tensor:
    """Boxes, (n, 4) as shares of the sides, of pictures that are mirrored left to right."""
    left, top, right, bottom = boxes.unbind(dim=1)
    return torch.stack([1 - right, top, 1 - left, bottom], dim=1)


def _kept_inside(moves: Tensor, spans: Tensor, size: int) -> Tensor:
    """Moves along a side, cut to what lets spans, (n, 2) as shares of it, stay in the picture and out of the mirror."""
    before, after = (spans[:, 0] * size + ROUNDED).floor(), ((1 - spans[:, 1]) * size + ROUNDED).floor()
    back = torch.minimum(before, after - 1).clamp(min=0)
    forth = torch.minimum(after, before - 1).clamp(min=0)
    return torch.minimum(torch.maximum(moves, -back), forth).long()


def moved(pictures: Tensor, down: Tensor, across: Tensor, flips: Tensor | None = None) -> Tensor:
    """Pictures moved by whole pixels, mirrored at the border, and those flipped that are marked.

    Parameters
    ----------
    pictures : Tensor of shape (n, height, width, n_channels)
    down, across : Tensors of shape (n,), int64
        How far; less than the height and the width.
    flips : Tensor of shape (n,), bool, optional
    """
    n, height, width, _ = pictures.shape
    rows = _mirrored(torch.arange(height, device=pictures.device) - down[:, None], height)
    columns = _mirrored(torch.arange(width, device=pictures.device) - across[:, None], width)
    if flips is not None:
        columns = torch.where(flips[:, None], width - 1 - columns, columns)
    numbers = torch.arange(n, device=pictures.device)
    return pictures[numbers[:, None, None], rows[:, :, None], columns[:, None, :]]


def _mirrored(places: Tensor, size: int) -> Tensor:
    places = places.abs()
    return torch.where(places >= size, 2 * (size - 1) - places, places).clamp_(0, size - 1)


def squares(top: Tensor, left: Tensor, height: int, width: int, side: int) -> Tensor:
    """Masks, (n, height, width), of squares around places given by Tensors of shape (n, 1), cut off at the border."""
    rows, columns = torch.arange(height, device=top.device), torch.arange(width, device=top.device)
    down, across = rows - top + side // 2, columns - left + side // 2
    return ((down >= 0) & (down < side))[:, :, None] & ((across >= 0) & (across < side))[:, None, :]
