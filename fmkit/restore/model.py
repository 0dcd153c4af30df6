"""What is known of pictures of one kind: their range, their colours, their noise, how their pixels correlate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.restore.arrays import Scale
from fmkit.restore.colour import PrincipalPlanes
from fmkit.restore.correlation import correlation_by_lag
from fmkit.restore.noise import estimate_noise

Values = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values of shape (n_rows, n_columns, n_colours), and which are lost, of the same shape or with one channel."""


@dataclass(frozen=True)
class PictureModel:
    """What one or several pictures tell of their kind."""

    scale: Scale
    space: PrincipalPlanes
    correlation: NDArray[np.float32] | None
    """Of pixels of the first plane, by lag; see `correlation_by_lag`."""
    noise: float
    """Standard deviation of a plane's noise, in units of 1/255 of the range."""

    def for_picture(self, colours: NDArray[Any], lost: NDArray[np.bool_], noise: float | None) -> "PictureModel":
        """This model with the bounds of a picture of the kind and, where it is told, its noise in its units."""
        own = Scale.of(colours, lost)
        return replace(self, scale=replace(self.scale, low=own.low, high=own.high)).with_noise(noise)

    def with_noise(self, noise: float | None) -> "PictureModel":
        """This model with a noise that is told, in the picture's units."""
        told = self.noise if noise is None else noise * 127.5 / self.scale.half * self.space.noise_ratio
        return replace(self, noise=told)

    def facts(self) -> tuple[Any, ...]:
        """What the answers depend on, to be told apart by."""
        space = self.space
        return (
            self.scale.middle,
            self.scale.half,
            space.mean.tolist(),
            space.axes.tolist(),
            self.noise,
            (None if self.correlation is None else self.correlation.tolist()),
        )

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts and arrays of a model file."""
        scale, space = self.scale, self.space
        arrays = {"low": scale.low, "high": scale.high, "mean": space.mean, "axes": space.axes}
        if self.correlation is not None:
            arrays["correlation"] = self.correlation
        return {"middle": scale.middle, "half": scale.half, "noise": self.noise}, arrays

    @classmethod
    def unpack(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "PictureModel":
        """The reverse of `pack`; a KeyError, TypeError or ValueError if they do not fit together."""
        low, high, mean, axes = (arrays[name] for name in ("low", "high", "mean", "axes"))
        numbers = [float(facts[name]) for name in ("middle", "half", "noise")]
        n_channels = len(mean)
        right = low.shape == high.shape == mean.shape == (n_channels,) and low.dtype == high.dtype
        if not right or axes.ndim != 2 or len(axes) != n_channels or not 1 <= axes.shape[1] <= n_channels:
            raise ValueError("its colours are not those of one kind of picture")
        if mean.dtype != np.float64 or axes.dtype != np.float64 or not np.isfinite([*mean, *axes.ravel()]).all():
            raise ValueError("its axes of colours are no numbers")
        if not np.isfinite(numbers).all() or numbers[1] <= 0:
            raise ValueError("its range of values is none")
        correlation = arrays.get("correlation")
        if correlation is not None and (correlation.dtype != np.float32 or correlation.ndim != 2):
            raise ValueError("its correlation is none")
        return cls(Scale(numbers[0], numbers[1], low, high), PrincipalPlanes(mean, axes), correlation, numbers[2])


def learn(pictures: Sequence[Values]) -> PictureModel:
    """The model of pictures of one type and number of channels."""
    scales = [Scale.of(colours, lost) for colours, lost in pictures]
    least = min(scale.middle - scale.half for scale in scales)
    most = max(scale.middle + scale.half for scale in scales)
    scale = replace(scales[0], middle=least / 2 + most / 2, half=(most / 2 - least / 2) or 1.0)
    known = []
    for colours, lost in pictures:
        whole = np.asarray(~lost.any(axis=2))
        step = 1 + int(np.sqrt(whole.sum() // 2**20))  # a million colours are enough to tell the axes
        some = whole[::step, ::step]
        known.append(scale.to(colours[::step, ::step][some]).astype(np.float64))
    colours_known = np.concatenate(known)
    if not len(colours_known):  # no pixel is known in all channels
        colours_known = np.zeros((1, pictures[0][0].shape[2]))
    space = PrincipalPlanes.of(colours_known)
    parts = [part for colours, lost in pictures for part in _parts(colours, lost, scale, space)]
    noise = float(np.median([estimate_noise(*part) for part in parts]))
    return PictureModel(scale, space, correlation_by_lag(parts), noise)


def _parts(
    colours: NDArray[Any], lost: NDArray[np.bool_], scale: Scale, space: PrincipalPlanes
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Parts of a picture's first plane or, where each channel lost pixels of its own, of all channels."""
    for box in samples(lost.shape[:2], 512):
        gone, values = lost[box], scale.to(np.where(lost[box], colours.dtype.type(0), colours[box]))
        if gone.shape[2] == 1:
            yield space.split(values.astype(np.float64))[0], gone[:, :, 0]
        else:
            for channel in range(values.shape[2]):
                yield values[:, :, channel] * np.float32(space.noise_ratio), gone[:, :, channel]


def samples(shape: tuple[int, ...], side: int) -> list[tuple[slice, slice]]:
    """Up to nine parts of a picture, of `side` x `side` pixels or all of a smaller one."""
    rows, columns = (sorted({int(f * max(0, n - side)) for f in (0.15, 0.5, 0.85)}) for n in shape)
    return [np.s_[r : r + side, c : c + side] for r in rows for c in columns]
