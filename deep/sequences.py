"""Sequences of unequal length as they are given: lists of arrays, or one array with NaN after the end of each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_array
from torch import Tensor

from fmkit.errors import InputError

from .distributed import whole

WIDE = 8  # channels a step of the longest sequence, from which on axes are asked about
SPREAD_OF_NOTHING = 1e-12  # times the mean: a channel that varies less is constant


@dataclass
class Sequences:
    """Sequences, one after the other.

    Parameters
    ----------
    steps : ndarray of shape (n_steps, n_channels), float32 or float64
    lengths : ndarray of shape (n_sequences,), int64
    """

    steps: NDArray[Any]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def dtype(self) -> torch.dtype:
        """Float64 where the steps are."""
        return torch.float64 if self.steps.dtype == np.float64 else torch.float32

    def first(self) -> Sequences:
        """The first alone, which keeps no memory of the others."""
        return Sequences(self.steps[: self.lengths[0]].copy(), self.lengths[:1].copy())

    def each(self) -> Iterator[NDArray[Any]]:
        """The sequences, (length, n_channels)."""
        yield from np.split(self.steps, self.lengths.cumsum()[:-1])


def ragged(X: ArrayLike, lengths: ArrayLike) -> list[NDArray[Any]]:
    """A padded array and lengths as a list of sequences, which all methods of the estimators take.

    Parameters
    ----------
    X : array-like of shape (n_sequences, max_length) or (n_sequences, max_length, n_channels)
        What comes after a sequence's length is of no account.
    lengths : array-like of shape (n_sequences,)
        Steps of every sequence, 0 or more.

    Returns
    -------
    list of ndarray, (length,) or (length, n_channels) each

    Examples
    --------
    >>> from fmkit.deep import ragged
    >>> ragged([[1, 2, 0], [3, 0, 0]], lengths=[2, 1])
    [array([1, 2]), array([3])]
    """
    X, lengths = np.asarray(X), np.asarray(lengths)
    if X.ndim not in (2, 3) or lengths.shape != X.shape[:1] or not np.issubdtype(lengths.dtype, np.integer):
        raise InputError(
            f"ragged takes an array (n_sequences, max_length[, n_channels]) and as many whole lengths, got shapes "
            f"{X.shape} and {lengths.shape}"
        )
    if ((lengths < 0) | (lengths > X.shape[1])).any():
        raise InputError(f"lengths must be from 0 to {X.shape[1]}, which is what X has room for")
    return [row[:length] for row, length in zip(X, lengths, strict=True)]


def next_steps(series: ArrayLike, window: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Windows of a series and the step after each, to learn one-step-ahead forecasts from.

    Parameters
    ----------
    series : array-like of shape (length,) or (length, n_channels)
    window : int
        Steps that a forecast is made from, 1 or more.

    Returns
    -------
    X : ndarray of shape (length - window, window) or (length - window, window, n_channels)
    y : ndarray of shape (length - window,) or (length - window, n_channels)

    Examples
    --------
    >>> from fmkit.deep import next_steps
    >>> X, y = next_steps([1, 2, 3, 4], 2)
    >>> X.tolist(), y.tolist()
    ([[1, 2], [2, 3]], [3, 4])
    """
    steps = np.asarray(series)
    if not 1 <= window < len(steps):
        raise InputError(f"window must be from 1 to {len(steps) - 1}, one less than the series has steps, got {window}")
    windows = np.lib.stride_tricks.sliding_window_view(steps, window, axis=0)[:-1]
    return np.moveaxis(windows, -1, 1), steps[window:]


def read_series(X: Any, n_channels: int | None = None) -> Sequences:
    """Series, checked: all with the same channels, and finite.

    Parameters
    ----------
    X : list of arrays (length,) or (length, n_channels); or array (n, max_length) or (n, max_length, n_channels)
        Of an array, the steps at a sequence's end that are all NaN are no part of it.
    n_channels : int, optional
        That there must be.

    Raises
    ------
    InputError
        If channels differ, or values are missing or infinite.
    """
    if hasattr(X, "__array__"):
        X = np.asarray(X)
    if sparse.issparse(X) or (isinstance(X, np.ndarray) and X.ndim != 1):
        array = check_array(X, dtype="numeric", allow_nd=True, ensure_all_finite=False, input_name="X")
        if array.ndim > 3:
            raise InputError(f"X must be (n, length) or (n, length, n_channels), got {array.ndim} dimensions")
        sequences = _without_padding(array if array.ndim == 3 else array[..., None])
    else:
        sequences = _concatenated([_one(x, n) for n, x in enumerate(_listed(X))], n_channels)
    found = sequences.steps.shape[1]
    if n_channels is not None and found != n_channels:
        raise InputError(f"X has {found} channels, but the net was fitted to {n_channels}")
    _check_finite(sequences)
    return sequences


def _listed(X: Any) -> list[Any]:
    if isinstance(X, str) or not hasattr(X, "__iter__"):
        raise InputError(
            f"X must be a list of sequences, or an array (n, length[, n_channels]), got {type(X).__name__}"
        )
    if not len(listed := list(X)):
        raise InputError("Found array with 0 sample(s): X must hold one sequence at least")
    return listed


def _one(x: Any, n: int) -> NDArray[Any]:
    array = np.asarray(x)
    if array.ndim == 0:
        raise InputError(
            "X must be a list of sequences, got single numbers. Reshape your data: [x] if it is one sequence, "
            "x[:, None] if every number is one"
        )
    if array.dtype.kind == "c":
        raise InputError(f"Complex data not supported: X[{n}] is complex")
    if array.ndim > 2 or (array.dtype.kind not in "biuf" and array.size):
        raise InputError(f"X[{n}] must hold numbers, as (length,) or (length, n_channels)")
    return array if array.ndim == 2 else array[:, None]


def _concatenated(arrays: Sequence[NDArray[Any]], n_channels: int | None) -> Sequences:
    counts = {array.shape[1]: n for n, array in enumerate(arrays) if array.size}
    if len(counts) > 1:
        (a, n), (b, m), *_ = counts.items()
        raise InputError(f"all sequences have the same channels, but X[{n}] has {a} and X[{m}] has {b}")
    width = next(iter(counts), n_channels or 1)
    exact = any(array.dtype == np.float64 and array.size for array in arrays)
    full = [array for array in arrays if array.size] or [np.empty((0, width))]
    lengths = np.array([len(array) if array.size else 0 for array in arrays], np.int64)
    return Sequences(np.concatenate(full).astype(np.float64 if exact else np.float32), lengths)


def _without_padding(X: NDArray[Any]) -> Sequences:
    X = X if X.dtype == np.float64 else X.astype(np.float32)
    there = ~np.isnan(X).all(axis=2)
    lengths = np.where(there.any(axis=1), X.shape[1] - there[:, ::-1].argmax(axis=1), 0)
    return Sequences(X[np.arange(X.shape[1]) < lengths[:, None]], lengths)


def _check_finite(sequences: Sequences) -> None:
    bad = ~np.isfinite(sequences.steps).all(axis=1)
    if not bad.any():
        return
    at = int(bad.argmax())
    n = int(np.searchsorted(sequences.lengths.cumsum(), at, side="right"))
    step = at - int(sequences.lengths[:n].sum())
    what = "NaN" if np.isnan(sequences.steps[at]).any() else "infinity"
    raise InputError(
        f"X[{n}] contains {what} in step {step}: fill it in, or, if the array is (n, n_channels, length), pass "
        f"X.transpose(0, 2, 1); only steps at the end may be all NaN, in an array"
    )


def warn_of_turned(sequences: Sequences) -> None:
    """Ask about sequences with many more channels than steps: many archives have them the other way round.

    Warns
    -----
    UserWarning
        From eight times as many on: of one step and 24 channels, say, as a series of 24 steps would be read.
    """
    longest, n_channels = int(sequences.lengths.max(initial=0)), sequences.steps.shape[1]
    if n_channels >= WIDE * longest > 0:
        warnings.warn(
            f"X is read as sequences of {longest} step{'s' * (longest > 1)} at most, of {n_channels} channels: if it "
            f"is (n, n_channels, length), pass X.transpose(0, 2, 1), and of a list [x.T for x in X]",
            stacklevel=5,
        )


@dataclass
class Scale:
    """What makes every channel of training sequences have mean 0 and variance 1.

    Parameters
    ----------
    mean, spread : ndarrays of shape (n_channels,), float64
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def learn(cls, rows: Sequences, chosen: NDArray[np.int64]) -> Scale:
        """Of the steps of those sequences that are chosen."""
        is_chosen = np.zeros(len(rows), bool)
        is_chosen[chosen] = True
        steps = rows.steps[np.repeat(is_chosen, rows.lengths)].astype(np.float64)
        if not len(steps):
            return cls(np.zeros(steps.shape[1]), np.ones(steps.shape[1]))
        mean, spread = steps.mean(axis=0), steps.std(axis=0)
        return cls(mean, np.where(spread > SPREAD_OF_NOTHING * np.abs(mean), spread, 1.0))

    def inputs(self, rows: Sequences, dtype: torch.dtype) -> StepInputs:
        """The sequences, scaled."""
        steps = torch.from_numpy((rows.steps - self.mean) / self.spread).to(dtype)
        return StepInputs.of(steps, torch.from_numpy(rows.lengths))

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts and arrays for a model file."""
        return {}, {"scale.mean": self.mean, "scale.spread": self.spread}

    @classmethod
    def unpack(cls, arrays: dict[str, NDArray[Any]]) -> Scale:
        """What `pack` packed; a KeyError or ValueError if it is damaged."""
        scale = cls(arrays["scale.mean"], arrays["scale.spread"])
        if scale.mean.ndim != 1 or scale.mean.shape != scale.spread.shape or not (scale.spread > 0).all():
            raise ValueError("its scales are not those of channels")
        return scale


@dataclass
class StepInputs:
    """Sequences of which batches are made, padded to the longest of a batch.

    Parameters
    ----------
    steps : Tensor of shape (n_steps + 1, n_channels), or (n_steps + 1,) for numbers of words
        Of all sequences, and at last one of zeros, which is what padding is made of.
    begins, lengths : Tensors of shape (n_sequences,), int64
    """

    steps: Tensor
    begins: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, steps: Tensor, lengths: Tensor) -> StepInputs:
        """Of sequences that lie one after the other."""
        return cls(torch.cat([steps, steps.new_zeros(1, *steps.shape[1:])]), lengths.cumsum(0) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Steps, (n_rows, longest[, n_channels]) with at least one step, and lengths, (n_rows,)."""
        lengths = self.lengths[rows]
        longest = int(self.lengths[whole(rows)].max())  # also where other processes have it
        steps = torch.arange(max(1, longest), device=rows.device)
        at = torch.where(steps < lengths[:, None], self.begins[rows, None] + steps, len(self.steps) - 1)
        return self.steps[at], lengths

    def to(self, device: torch.device) -> StepInputs:
        """The same on a device."""
        return StepInputs(self.steps.to(device), self.begins.to(device), self.lengths.to(device))


def within(lengths: Tensor, longest: int) -> Tensor:
    """Which steps are before a sequence's end, (n_rows, longest, 1)."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None])[..., None]
