"""What is known of pictures of one kind: their range, their colours, their noise, how their pixels correlate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.arrays import Scale
from fmkit.restore.colour import PrincipalPlanes
from fmkit.restore.noise import estimate_noise
from fmkit.restore.settings import Settings

Values = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values of shape (n_rows, n_columns, n_colours), and which are lost, of the same shape or with one channel."""


@dataclass(frozen=True)
class PictureModel:
    """What one or several pictures tell of their kind."""

    scale: Scale
    space: PrincipalPlanes
    noise: float
    """Standard deviation of a colour value's noise, in units of 1/255 of the range."""

    def for_picture(self, colours: NDArray[Any], lost: NDArray[np.bool_], noise: float | None) -> "PictureModel":
        """This model with the picture's own bounds and, where it is told, its noise in the picture's units."""
        own = Scale.of(colours, lost)
        scale = replace(self.scale, low=own.low, high=own.high)
        told = self.noise if noise is None else noise * 127.5 / scale.half
        return PictureModel(scale, self.space, told)

    def facts(self) -> tuple[Any, ...]:
        """What the answers depend on, to be told apart by."""
        space = self.space
        return self.scale.middle, self.scale.half, space.mean.tolist(), space.axes.tolist(), self.noise


def learn(pictures: Sequence[Values], settings: Settings) -> PictureModel:
    """The model of pictures of one type and number of channels."""
    scales = [Scale.of(colours, lost) for colours, lost in pictures]
    least = min(scale.middle - scale.half for scale in scales)
    most = max(scale.middle + scale.half for scale in scales)
    scale = replace(scales[0], middle=least / 2 + most / 2, half=(most / 2 - least / 2) or 1.0)
    known, noises = [], []
    for colours, lost in pictures:
        whole = ~lost.any(axis=2)
        step = 1 + int(np.sqrt(whole.sum() // 2**20))  # a million colours are enough to tell the axes
        some = whole[::step, ::step]
        known.append(scale.to(colours[::step, ::step][some]).astype(np.float64))
        for channel in range(colours.shape[2]):
            gone = lost[:, :, min(channel, lost.shape[2] - 1)]
            noises += [estimate_noise(scale.to(np.where(gone[box], 0, colours[(*box, channel)])), gone[box])
                       for box in _samples(gone.shape)]  # fmt: skip
    colours_known = np.concatenate(known)
    if not len(colours_known):  # no pixel is known in all channels
        colours_known = np.zeros((1, pictures[0][0].shape[2]))
    return PictureModel(scale, PrincipalPlanes.of(colours_known), float(np.median(noises)))


def _samples(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Up to nine parts of a picture, of 512 x 512 pixels or all of a smaller one."""
    rows, columns = (sorted({int(f * max(0, n - 512)) for f in (0.15, 0.5, 0.85)}) for n in shape)
    return [np.s_[r : r + 512, c : c + 512] for r in rows for c in columns]
