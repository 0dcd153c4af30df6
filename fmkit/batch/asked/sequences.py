"""Nets of sequences: texts, series, sounds."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from fmkit.batch.asked.answers import Wishes
from fmkit.batch.asked.columns import Column, Fault, Texts, faulty
from fmkit.batch.asked.predictions import Predictions
from fmkit.errors import InputError

USUAL = {
    "text": ("review", "sentence", "comment", "body", "message"),
    "audio": ("sound", "wav", "bytes", "content"),
    "series": ("values", "sequence"),
}


class Sequenced:
    """An RNNClassifier or RNNRegressor.

    Parameters
    ----------
    model : estimator
        Fitted.
    schema : pyarrow.Schema
    wishes : Wishes
    """

    def __init__(self, model: Any, schema: pa.Schema, wishes: Wishes) -> None:
        kind = str(model.kind_)
        self.predictions = Predictions(model, wishes, (kind,))
        self.fields = self.predictions.fields
        self.name = wishes.column(kind, schema.names, USUAL[kind])
        columns: dict[str, Column] = {
            "text": Texts(),
            "audio": Sounds(model.sampling_rate),
            "series": Series(model.n_features_in_),
        }
        self.columns: Mapping[str, Column] = {self.name: columns[kind]}

    def answer(self, values: Mapping[str, Any], n: int) -> list[pa.Array]:
        """Predictions."""
        given = values[self.name]
        return self.predictions.of(given.to_pylist() if isinstance(given, pa.Array) else given)


class Series:
    """Lists of numbers, or of lists of as many numbers as there are channels.

    Parameters
    ----------
    n_channels : int
    """

    def __init__(self, n_channels: int) -> None:
        self.n_channels = n_channels

    def check(self, kind: pa.DataType) -> None:
        """Lists of numbers, once or twice nested."""
        depth, inner = 0, kind
        while pa.types.is_list(inner) or pa.types.is_large_list(inner) or pa.types.is_fixed_size_list(inner):
            depth, inner = depth + 1, inner.value_type
        numbers = pa.types.is_floating(inner) or pa.types.is_integer(inner)
        if not numbers or depth not in ((1, 2) if self.n_channels == 1 else (2,)):
            lists = "lists of numbers" if self.n_channels == 1 else f"lists of lists of {self.n_channels} numbers"
            raise InputError(f"{lists} are needed, it holds {kind}")

    def read(self, column: pa.Array) -> tuple[list[Any], list[Fault]]:
        """An array a row."""
        rows = []
        for row in column:
            try:
                steps = np.array(row.as_py(), np.float64)
            except (TypeError, ValueError):
                steps = np.empty((0, self.n_channels))
            steps = steps[:, None] if steps.ndim == 1 else steps
            right = steps.ndim == 2 and steps.shape[0] and steps.shape[1] == self.n_channels
            rows.append(steps if right and np.isfinite(steps).all() else None)
        wrong = [row is None for row in rows]
        return rows, faulty(wrong, f"finite numbers are needed, {self.n_channels} a step")


class Sounds:
    """WAV files, as bytes.

    Parameters
    ----------
    sampling_rate : int
        Of the fit.
    """

    def __init__(self, sampling_rate: int) -> None:
        self.sampling_rate = sampling_rate

    def check(self, kind: pa.DataType) -> None:
        """Bytes."""
        check_bytes(kind, "WAV files")

    def read(self, column: pa.Array) -> tuple[list[Any], list[Fault]]:
        """Samples."""
        from scipy.io import wavfile

        sounds: list[Any] = []
        faults: list[Fault] = []
        for row, content in enumerate(column.to_pylist()):
            sounds.append(None)
            if content is None:
                faults.append(Fault(np.array([row]), "there is no sound"))
                continue
            try:
                rate, samples = wavfile.read(io.BytesIO(content))
            except (ValueError, EOFError, struct.error) as error:
                faults.append(Fault(np.array([row]), f"this is no WAV file that can be read ({error})"))
                continue
            sounds[-1] = samples if samples.ndim == 1 else samples.mean(axis=1)
            if rate != self.sampling_rate or not len(samples):
                told = f"the sound has {rate:,} samples a second, the net was fitted to {self.sampling_rate:,}"
                faults.append(Fault(np.array([row]), told if len(samples) else "the sound is empty"))
        return sounds, faults


def check_bytes(kind: pa.DataType, what: str) -> None:
    """Raise if a column cannot hold files."""
    of = pa.types
    if not (of.is_binary(kind) or of.is_large_binary(kind) or of.is_fixed_size_binary(kind) or of.is_null(kind)):
        raise InputError(f"bytes of {what} are needed, it holds {kind}")
